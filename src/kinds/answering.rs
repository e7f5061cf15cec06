//! Asks a model, for `sample`.

use std::collections::BTreeMap;
use std::path::Path;

use super::failed_rows::FailedRows;
use lab::stage::failed;
use lab::stage::{StageContext, StageError};
use learn::dataset::{Answer, Row};
use learn::model::{self, Model, WeightsFile};
use learn::sampler::{self, Request, SampleError, Sampling, SamplingRun};
use learn::tokenizer::Tokenizer;

/// A model, and the requests for it.
pub(super) struct Asker<'a> {
    pub context: &'a StageContext<'a>,
    pub model: Model<WeightsFile>,
    /// Added to the full number of steps; empty for prompts that name no number.
    pub ask: &'a [i32],
    /// Number of answers to each request.
    pub samples: u32,
    pub sampling: Sampling,
    /// The longest response, in tokens; 0 stands for the default, see [`default_max_tokens`].
    pub max_tokens: usize,
    /// Requests done so far, and in total, over all data sets.
    pub done: u64,
    pub total: u64,
}

impl Asker<'_> {
    /// Number of answers that the rows of all data sets will get.
    pub(super) fn requests(&self, sets: &[Vec<Row>]) -> u64 {
        let rows: usize = sets.iter().map(Vec::len).sum();
        rows as u64 * self.ask.len().max(1) as u64 * u64::from(self.samples)
    }

    /// The prompts that are longer than the model's context: for each data set, the lengths in tokens by the number of the request.
    ///
    /// # Errors
    /// When more than `max_failed` rows have such a prompt, before anything is computed.
    pub(super) fn too_long(&self, sets: &[Vec<Row>], max_failed: u64) -> Result<Vec<BTreeMap<usize, usize>>, StageError> {
        let (mut failed_rows, mut by_set) = (FailedRows::default(), Vec::with_capacity(sets.len()));
        for (set, rows) in sets.iter().enumerate() {
            let questions: Vec<(&Row, Option<u32>, u32)> = rows.iter().flat_map(|row| self.questions(row)).collect();
            let requests = self.requests_for(&questions)?;
            let long = sampler::too_long(&self.model, &requests).map_err(sample_failed)?;
            for (number, tokens) in &long {
                if let Some((row, ..)) = questions.get(*number) {
                    failed_rows.add(set, row, &self.reason(*tokens));
                }
            }
            by_set.push(long);
        }
        let all = sets.iter().map(Vec::len).sum();
        let hint = "leave them out, or use a model with a longer `context`";
        failed_rows.check(max_failed, all, hint, self.context)?;
        Ok(by_set)
    }

    /// Why a prompt of so many tokens gets no answer.
    fn reason(&self, tokens: usize) -> String {
        let context = self.model.shape.context;
        format!("its prompt has {tokens} tokens, and the model's context {context}")
    }

    /// The model's answers, by row, then by request, then by sample. Those to prompts that are too `long` ([`Asker::too_long`]) are empty.
    pub(super) fn answers(&mut self, rows: &[Row], long: &BTreeMap<usize, usize>) -> Result<Vec<Answer>, StageError> {
        let questions: Vec<(&Row, Option<u32>, u32)> = rows.iter().flat_map(|row| self.questions(row)).collect();
        let requests = self.requests_for(&questions)?;
        let run = SamplingRun {
            threads: self.context.threads,
            device: self.context.device,
            memory: self.context.memory,
            progress: &|reading| {
                let done = self.done + reading.done as u64;
                let speed = [("tokens_per_second", reading.tokens_per_second)];
                self.context.tell(done, self.total, "requests", speed);
            },
            stop: self.context.stop,
        };
        let asked = requests.into_iter().enumerate().filter(|(number, _)| !long.contains_key(number));
        let asked: Vec<Request> = asked.map(|(_, request)| request).collect();
        let mut responses = sampler::sample(&self.model, &asked, &self.sampling, &run)
            .map_err(sample_failed)?
            .into_iter();
        self.done += questions.len() as u64;
        let answers = questions.into_iter().enumerate().filter_map(|(number, (row, requested, sample))| {
            let answer = Answer {
                problem: row.clone(),
                requested,
                sample,
                response: String::new(),
                tokens: 0,
                failed: None,
                cut: false,
            };
            Some(match long.get(&number) {
                Some(tokens) => Answer {
                    failed: Some(self.reason(*tokens)),
                    ..answer
                },
                None => {
                    let response = responses.next()?;
                    Answer {
                        response: response.text,
                        tokens: response.tokens,
                        cut: !response.finished,
                        ..answer
                    }
                }
            })
        });
        Ok(answers.collect())
    }

    /// The requests for one row: each number of steps with each sample.
    fn questions<'r>(&self, row: &'r Row) -> Vec<(&'r Row, Option<u32>, u32)> {
        questions(row, self.ask, self.samples)
    }

    /// The requests for questions in the order of rows.
    fn requests_for(&self, questions: &[(&Row, Option<u32>, u32)]) -> Result<Vec<Request>, StageError> {
        let mut limit: Option<(*const Row, usize)> = None;
        let request = |(row, requested, sample): &(&Row, Option<u32>, u32)| {
            let steps = requested.unwrap_or(row.step_num);
            let max_tokens = match (self.max_tokens, limit) {
                (0, Some((last, tokens))) if std::ptr::eq(last, *row) => tokens,
                (0, _) => default_max_tokens(&self.model.tokenizer, row)?,
                (given, _) => given,
            };
            limit = Some((std::ptr::from_ref(*row), max_tokens));
            Ok(Request {
                prompt: self.model.prompt.fill(&row.prompt, steps),
                stream: format!("{} {steps} {sample}", row.id),
                max_tokens,
            })
        };
        questions.iter().map(request).collect()
    }
}

/// The requests for one row: for each of `ask`, which is added to the number of steps of the full solution, `samples` samples.
pub(super) fn questions<'r>(row: &'r Row, ask: &[i32], samples: u32) -> Vec<(&'r Row, Option<u32>, u32)> {
    let mut requested: Vec<Option<u32>> = ask.iter().map(|shift| Some(requested(row.step_num, *shift))).collect();
    if requested.is_empty() {
        requested.push(None);
    }
    let samples = |requested| (0..samples).map(move |sample| (row, requested, sample));
    requested.into_iter().flat_map(samples).collect()
}

/// The requested number of steps: `full + shift`, or `full` if that is below 1 (docs/method.md, 3 (a)).
fn requested(full: u32, shift: i32) -> u32 {
    full.checked_add_signed(shift).filter(|steps| *steps >= 1).unwrap_or(full)
}

/// The default length limit of a response to a row, in tokens: half as long again as its full solution, and 16 more. It is the row's own, so
/// that an answer does not depend on the other rows.
fn default_max_tokens(tokenizer: &Tokenizer, row: &Row) -> Result<usize, StageError> {
    let solution = tokenizer.encode(&row.completion).map_err(failed)?.len();
    Ok(solution + solution / 2 + 16)
}

/// The model of the port `model`.
pub(super) fn open(folder: &Path) -> Result<Model<WeightsFile>, StageError> {
    model::open(folder).map_err(failed)
}

/// The stage's error for a failure to sample.
fn sample_failed(error: SampleError) -> StageError {
    match error {
        SampleError::Stopped => StageError::Stopped,
        other => failed(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_below_one_step_ask_for_the_full_number() {
        for (full, shift, steps) in [(3, -1, 2), (3, -2, 1), (2, -2, 2), (1, -1, 1), (3, 0, 3), (3, 2, 5)] {
            assert_eq!(requested(full, shift), steps, "{full} {shift}");
        }
    }
}
