//! Asks a model of ours, for `sample`.

use std::cell::RefCell;
use std::path::Path;

use super::asked::Question;
use super::failed_rows::FailedRows;
use super::kept_answers::KeptAnswers;
use lab::stage::{StageContext, StageError, failed, lacks_memory};
use learn::dataset::{Answer, Row};
use learn::model::{self, Model, Prompter, WeightsFile};
use learn::sampler::{self, Request, Response, SampleError, Sampling, SamplingRun, TooLong};
use learn::tokenizer::Tokenizer;

/// A model, and how it is asked.
pub(super) struct Asker<'a> {
    pub context: &'a StageContext<'a>,
    pub model: Model<WeightsFile>,
    /// Wraps what is asked.
    pub prompter: Prompter,
    pub sampling: Sampling,
    /// The longest response, in tokens; 0 stands for the default, see [`default_max_tokens`].
    pub max_tokens: usize,
    /// The most rows whose prompt may be too long.
    pub max_failed: u64,
}

impl Asker<'_> {
    /// The answers to `questions` about `rows`, in their order. Those that are `kept` are not computed again, and those that are computed are
    /// kept. Those to prompts that are too long are empty.
    ///
    /// # Errors
    /// When more than `max_failed` rows have such a prompt, before anything is computed; and when sampling fails.
    pub(super) fn answers(&self, questions: &[Question<'_>], rows: usize, kept: KeptAnswers) -> Result<Vec<Answer>, StageError> {
        let mut answers: Vec<Option<Answer>> = questions.iter().map(|question| kept.get(question)).collect();
        let open: Vec<usize> = (0..questions.len())
            .filter(|at| answers.get(*at).is_some_and(Option::is_none))
            .collect();
        let mut requests = self.requests(open.iter().filter_map(|at| questions.get(*at)))?;
        let long = sampler::too_long(&self.model, &requests).map_err(sample_failed)?;
        let mut failed_rows = FailedRows::default();
        for (number, reason) in &long {
            let (Some(at), reason) = (open.get(*number), reason.to_string()) else {
                continue;
            };
            if let (Some(question), Some(place)) = (questions.get(*at), answers.get_mut(*at)) {
                failed_rows.add(question.row, &reason);
                *place = Some(Answer {
                    failed: Some(reason),
                    ..question.answer()
                });
            }
        }
        let has_places = long.values().any(|reason| matches!(reason, TooLong::Digits { .. }));
        let hint = match has_places {
            true => "leave them out, or use a model with a higher `top` of its `positions`",
            false => "leave them out, or use a model with a longer `context`",
        };
        failed_rows.check(self.max_failed, rows, hint, self.context)?;
        let mut number = 0;
        requests.retain(|_| {
            number += 1;
            !long.contains_key(&(number - 1))
        });
        let open: Vec<usize> = open
            .into_iter()
            .enumerate()
            .filter(|(number, _)| !long.contains_key(number))
            .map(|(_, at)| at)
            .collect();
        let responses = self.sample(&requests, &open, questions, kept)?;
        for (at, response) in open.into_iter().zip(responses) {
            if let (Some(question), Some(place)) = (questions.get(at), answers.get_mut(at)) {
                *place = Some(answered(question, response));
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The responses to `requests`, which are those of the questions at `open`. Each is kept as it comes.
    fn sample(
        &self,
        requests: &[Request],
        open: &[usize],
        questions: &[Question<'_>],
        kept: KeptAnswers,
    ) -> Result<Vec<Response>, StageError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let before = questions.len() - open.len();
        let kept = RefCell::new((kept, None));
        let run = SamplingRun {
            threads: self.context.threads,
            device: self.context.device,
            memory: self.context.memory,
            answered: &|number, response| {
                let question = open.get(number).and_then(|at| questions.get(*at));
                let (kept, problem) = &mut *kept.borrow_mut();
                if let (Some(question), None) = (question, &problem) {
                    *problem = kept.add(&answered(question, response.clone())).err();
                }
            },
            progress: &|reading| {
                let speed = [("tokens_per_second", reading.tokens_per_second)];
                let done = (before + reading.done) as u64;
                self.context.tell(done, questions.len() as u64, "requests", speed);
            },
            stop: self.context.stop,
        };
        let responses = sampler::sample(&self.model, requests, &self.sampling, &run).map_err(sample_failed)?;
        match kept.into_inner() {
            (_, Some(problem)) => Err(problem),
            _ => Ok(responses),
        }
    }

    /// The requests for questions, those about one row side by side.
    fn requests<'q>(&self, questions: impl Iterator<Item = &'q Question<'q>>) -> Result<Vec<Request>, StageError> {
        let mut limit: Option<(*const Row, usize)> = None;
        let request = |question: &Question<'_>| {
            let row = std::ptr::from_ref(question.row);
            let max_tokens = match (self.max_tokens, limit) {
                (0, Some((last, tokens))) if std::ptr::eq(last, row) => tokens,
                (0, _) => default_max_tokens(&self.model.tokenizer, question.row)?,
                (given, _) => given,
            };
            limit = Some((row, max_tokens));
            let prompt = self
                .prompter
                .ask(question.row, &question.asked.text, question.steps())
                .map_err(failed)?;
            Ok(Request {
                prompt: prompt.answered_from(&question.asked.prefix),
                stream: question.label(),
                max_tokens,
            })
        };
        questions.map(request).collect()
    }
}

fn answered(question: &Question<'_>, response: Response) -> Answer {
    Answer {
        response: response.text,
        tokens: response.tokens,
        cut: !response.finished,
        ..question.answer()
    }
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
        SampleError::Memory { .. } => lacks_memory(error),
        other => failed(other),
    }
}
