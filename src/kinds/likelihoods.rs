//! Asks a model how likely it finds given texts, for `sample`: choices, targets, whole texts.

mod served;

pub(super) use served::score_fields;

use super::asked::{FEWSHOT, asked_of_rows};
use crate::data_sets::DataSets;
use crate::endpoint::{Endpoint, Refusal};
use crate::failed_rows::{FailedRows, OTHERS_ARE_KEPT};
use crate::questioner::Asked;
use crate::task_table::{OutputType, TaskTable};
use lab::stage::{StageContext, StageError, failed, lacks_memory};
use learn::dataset::{Answer, ChoiceScore, FilledPrompt, Row};
use learn::model::{Model, Prompter, WeightsFile};
use learn::scorer::{self, Loglikelihood, ScoreError, ScoreRequest, Scoring, ScoringProgress, ScoringRun, TextRequest};

/// The task whose texts a model is asked about, and what wraps them.
pub(super) struct Weigher<'a> {
    pub context: &'a StageContext<'a>,
    /// Wraps what stands before the texts.
    pub prompter: &'a Prompter,
    pub task: &'a TaskTable,
    /// The most rows that may have no answer.
    pub max_failed: u64,
}

/// A model of ours, and how it computes.
#[derive(Clone, Copy)]
pub(super) struct EngineModel<'a> {
    pub model: &'a Model<WeightsFile>,
    pub scoring: Scoring,
}

/// How likely a text is, or why a server does not say it.
type Weighed = Result<Loglikelihood, Refusal>;

/// The scores of a row's texts.
type RowScores = Result<Vec<ChoiceScore>, Refusal>;

impl Weigher<'_> {
    /// An answer to each row, with the scores of its texts by a model of ours.
    ///
    /// # Errors
    /// When a template cannot be filled in, a text does not fit into the model's context, or the model fails.
    pub(super) fn ask_engine(&self, rows: &[Row], by: EngineModel<'_>) -> Result<Vec<Answer>, StageError> {
        let asked = self.asked(rows)?;
        let weighed = if self.is_rolling() {
            self.rolling(rows, &asked, by)?
        } else {
            let requests = self.requests(rows, &asked)?;
            let progress = |progress| self.tell(progress);
            let scores = scorer::loglikelihoods(by.model, &requests, by.scoring, &self.run(&progress)).map_err(score_failed)?;
            self.warn_of_cuts(scores.iter().take(texts(&asked)), by.model.shape.context);
            scores
        };
        self.answers(rows, &asked, &weighed.into_iter().map(Ok).collect::<Vec<_>>())
    }

    /// An answer to each row, with the scores of its texts by a model on a server.
    ///
    /// # Errors
    /// When a template cannot be filled in, the server fails or gives no log-likelihoods, or more than `max_failed` rows have no answer.
    pub(super) fn ask_server(&self, rows: &[Row], server: Endpoint) -> Result<Vec<Answer>, StageError> {
        let asked = self.asked(rows)?;
        let requests = if self.is_rolling() {
            let text = |(row, asked): (&Row, &Asked)| ScoreRequest {
                context: FilledPrompt::default(),
                continuation: asked.continuations.first().cloned().unwrap_or_default(),
                stream: row.id.clone(),
            };
            rows.iter().zip(&asked).map(text).collect()
        } else {
            self.requests(rows, &asked)?
        };
        let weighed = served::loglikelihoods(server, &requests, self.context)?;
        self.answers(rows, &asked, &weighed)
    }

    fn is_rolling(&self) -> bool {
        self.task.output_type == OutputType::LoglikelihoodRolling
    }

    /// What is asked about each row.
    fn asked(&self, rows: &[Row]) -> Result<Vec<Asked>, StageError> {
        let examples = self.context.rows(FEWSHOT)?;
        asked_of_rows(self.task, self.prompter.is_chat(), rows, &examples, |done| self.context.pause(done))
    }

    /// The texts of all rows after their questions, and then, where a metric compares with them, without these.
    fn requests(&self, rows: &[Row], asked: &[Asked]) -> Result<Vec<ScoreRequest>, StageError> {
        let mut requests = Vec::new();
        for (row, asked) in rows.iter().zip(asked) {
            let pairs = asked.contexts.iter().zip(&asked.continuations).enumerate();
            for (place, (context, continuation)) in pairs {
                let prompt = self.prompter.ask(row, context, row.step_num).map_err(failed)?;
                requests.push(ScoreRequest {
                    context: prompt.answered_from(&asked.prefix),
                    continuation: continuation.clone(),
                    stream: format!("{} {place}", row.id),
                });
            }
        }
        if self.task.wants_unconditional() {
            let alone = |request: &ScoreRequest| ScoreRequest {
                context: FilledPrompt::default(),
                ..request.clone()
            };
            requests.extend(requests.iter().map(alone).collect::<Vec<_>>());
        }
        Ok(requests)
    }

    fn warn_of_cuts<'s>(&self, scores: impl ExactSizeIterator<Item = &'s Loglikelihood>, context: usize) {
        let all = scores.len();
        let cut = scores.filter(|score| score.cut > 0).count();
        if cut > 0 {
            (self.context.warn)(&format!(
                "{cut} of {all} texts are longer than the model's context of {context} tokens with what stands before them, whose beginning was \
                 cut off"
            ));
        }
    }

    fn rolling(&self, rows: &[Row], asked: &[Asked], by: EngineModel<'_>) -> Result<Vec<Loglikelihood>, StageError> {
        let text = |(row, asked): (&Row, &Asked)| TextRequest {
            // The record's, as a whole: marks of the model in it are text.
            text: all_filled(asked.continuations.first().cloned().unwrap_or_default()),
            stream: row.id.clone(),
        };
        let texts: Vec<TextRequest> = rows.iter().zip(asked).map(text).collect();
        scorer::rolling(by.model, &texts, by.scoring, &self.run(&|progress| self.tell(progress))).map_err(score_failed)
    }

    /// The answers, of which each takes its scores in the order of [`requests`](Self::requests).
    fn answers(&self, rows: &[Row], asked: &[Asked], weighed: &[Weighed]) -> Result<Vec<Answer>, StageError> {
        let (after, alone) = weighed.split_at(texts(asked).min(weighed.len()));
        let (mut after, mut alone) = (after.iter(), alone.iter());
        let mut failed_rows = FailedRows::default();
        let mut answers = Vec::with_capacity(rows.len());
        for (row, asked) in rows.iter().zip(asked) {
            // All are taken from the lists, also after one that failed.
            let scores: Vec<Result<ChoiceScore, Refusal>> = asked
                .continuations
                .iter()
                .filter_map(|_| Some(choice_score(after.next()?, alone.next())))
                .collect();
            let scores: RowScores = scores.into_iter().collect();
            if let Err(Refusal(why)) = &scores {
                failed_rows.add(row, why);
            }
            answers.push(answer(row.clone(), asked, scores));
        }
        failed_rows.check(self.max_failed, rows.len(), OTHERS_ARE_KEPT, self.context)?;
        Ok(answers)
    }

    fn run<'r>(&'r self, progress: &'r dyn Fn(ScoringProgress)) -> ScoringRun<'r> {
        ScoringRun {
            threads: self.context.threads,
            device: self.context.device,
            memory: self.context.memory,
            progress,
            stop: self.context.stop,
        }
    }

    fn tell(&self, progress: ScoringProgress) {
        let speed = [("tokens_per_second", progress.tokens_per_second)];
        self.context.tell(progress.done as u64, progress.total as u64, "texts", speed);
    }
}

fn all_filled(text: String) -> FilledPrompt {
    let whole = 0..text.len();
    FilledPrompt {
        text,
        filled: vec![whole],
        ..FilledPrompt::default()
    }
}

/// The number of texts after their questions.
fn texts(asked: &[Asked]) -> usize {
    asked.iter().map(|asked| asked.continuations.len()).sum()
}

fn choice_score(score: &Weighed, alone: Option<&Weighed>) -> Result<ChoiceScore, Refusal> {
    let score = score.as_ref().map_err(Clone::clone)?;
    let alone = alone.map(|alone| alone.as_ref().map_err(Clone::clone)).transpose()?;
    Ok(ChoiceScore {
        sum: score.sum,
        tokens: score.tokens,
        greedy: score.greedy,
        unconditional: alone.map(|alone| alone.sum),
    })
}

/// The response is the likeliest of the texts, the first of equal ones.
fn answer(row: Row, asked: &Asked, scores: RowScores) -> Answer {
    let (scores, why) = match scores {
        Ok(scores) => (Some(scores), None),
        Err(Refusal(why)) => (None, Some(why)),
    };
    let best = scores
        .iter()
        .flatten()
        .enumerate()
        .reduce(|best, other| if other.1.sum > best.1.sum { other } else { best });
    Answer {
        problem: row,
        requested: None,
        sample: 0,
        response: best
            .and_then(|(place, _)| asked.continuations.get(place))
            .cloned()
            .unwrap_or_default(),
        tokens: best.map_or(0, |(_, score)| score.tokens),
        failed: why,
        cut: false,
        choices: scores,
    }
}

fn score_failed(error: ScoreError) -> StageError {
    match error {
        ScoreError::Stopped => StageError::Stopped,
        ScoreError::Memory { .. } => lacks_memory(error),
        other => failed(other),
    }
}
