//! Asks a model of ours how likely it finds given texts, for `sample`: choices, targets, whole texts.

use super::asked::FEWSHOT;
use crate::data_sets::DataSets;
use crate::questioner::{Asked, Questioner};
use crate::task_table::{OutputType, TaskTable};
use lab::stage::{StageContext, StageError, failed};
use learn::dataset::{Answer, ChoiceScore, FilledPrompt, Row};
use learn::model::{Model, Prompter, WeightsFile};
use learn::scorer::{self, Loglikelihood, ScoreError, ScoreRequest, Scoring, ScoringProgress, ScoringRun, TextRequest};

/// A model, and the task whose texts it is asked about.
pub(super) struct Weigher<'a> {
    pub context: &'a StageContext<'a>,
    pub model: &'a Model<WeightsFile>,
    /// Wraps what stands before the texts.
    pub prompter: &'a Prompter,
    pub task: &'a TaskTable,
    pub scoring: Scoring,
}

impl Weigher<'_> {
    /// An answer to each row, with the scores of its texts.
    ///
    /// # Errors
    /// When a template cannot be filled in, a text does not fit into the model's context, or the model fails.
    pub(super) fn answers(&self, rows: Vec<Row>) -> Result<Vec<Answer>, StageError> {
        let questioner = Questioner::new(self.task)
            .map_err(failed)?
            .answered_in_chat(self.prompter.is_chat());
        let examples = self.context.rows(FEWSHOT)?;
        let mut asked = Vec::with_capacity(rows.len());
        for (done, row) in rows.iter().enumerate() {
            self.context.pause(done)?;
            asked.push(questioner.ask(row, &examples).map_err(failed)?);
        }
        let scores = if self.task.output_type == OutputType::LoglikelihoodRolling {
            self.rolling(&rows, &asked)?
        } else {
            self.after_questions(&rows, &asked)?
        };
        let answers = rows.into_iter().zip(asked).zip(scores);
        Ok(answers.map(|((row, asked), scores)| answer(row, &asked, scores)).collect())
    }

    fn after_questions(&self, rows: &[Row], asked: &[Asked]) -> Result<Vec<Vec<ChoiceScore>>, StageError> {
        let mut requests = Vec::new();
        for (row, asked) in rows.iter().zip(asked) {
            let pairs = asked.contexts.iter().zip(&asked.continuations).enumerate();
            for (place, (context, continuation)) in pairs {
                let prompt = self.prompter.ask(context, row.step_num).map_err(failed)?;
                requests.push(ScoreRequest {
                    context: prompt.answered_from(&asked.prefix),
                    continuation: continuation.clone(),
                    stream: format!("{} {place}", row.id),
                });
            }
        }
        let found = self.loglikelihoods(&requests)?;
        let alone = if self.task.wants_unconditional() {
            let alone = requests.into_iter().map(|request| ScoreRequest {
                context: FilledPrompt::default(),
                ..request
            });
            self.loglikelihoods(&alone.collect::<Vec<_>>())?
        } else {
            Vec::new()
        };
        let cut = found.iter().filter(|score| score.cut > 0).count();
        if cut > 0 {
            (self.context.warn)(&format!(
                "{cut} of {} texts are longer than the model's context of {} tokens with what stands before them, whose beginning was cut off",
                found.len(),
                self.model.shape.context
            ));
        }
        let mut scores = found.into_iter().enumerate().map(|(number, score)| ChoiceScore {
            unconditional: alone.get(number).map(|alone| alone.sum),
            ..choice_score(&score)
        });
        Ok(asked
            .iter()
            .map(|asked| scores.by_ref().take(asked.continuations.len()).collect())
            .collect())
    }

    fn rolling(&self, rows: &[Row], asked: &[Asked]) -> Result<Vec<Vec<ChoiceScore>>, StageError> {
        let text = |(row, asked): (&Row, &Asked)| TextRequest {
            // The record's, as a whole: marks of the model in it are text.
            text: all_filled(asked.continuations.first().cloned().unwrap_or_default()),
            stream: row.id.clone(),
        };
        let texts: Vec<TextRequest> = rows.iter().zip(asked).map(text).collect();
        let found = scorer::rolling(self.model, &texts, self.scoring, &self.run(&|progress| self.tell(progress))).map_err(score_failed)?;
        Ok(found.iter().map(|score| vec![choice_score(score)]).collect())
    }

    fn loglikelihoods(&self, requests: &[ScoreRequest]) -> Result<Vec<Loglikelihood>, StageError> {
        scorer::loglikelihoods(self.model, requests, self.scoring, &self.run(&|progress| self.tell(progress))).map_err(score_failed)
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

fn choice_score(score: &Loglikelihood) -> ChoiceScore {
    ChoiceScore {
        sum: score.sum,
        tokens: score.tokens,
        greedy: score.greedy,
        unconditional: None,
    }
}

/// The response is the likeliest of the texts, the first of equal ones.
fn answer(row: Row, asked: &Asked, scores: Vec<ChoiceScore>) -> Answer {
    let best = scores
        .iter()
        .enumerate()
        .reduce(|best, other| if other.1.sum > best.1.sum { other } else { best });
    let best = best.map(|(place, _)| place);
    Answer {
        problem: row,
        requested: None,
        sample: 0,
        response: best.and_then(|place| asked.continuations.get(place)).cloned().unwrap_or_default(),
        tokens: best.and_then(|place| scores.get(place)).map_or(0, |score| score.tokens),
        failed: None,
        cut: false,
        choices: Some(scores),
    }
}

fn score_failed(error: ScoreError) -> StageError {
    match error {
        ScoreError::Stopped => StageError::Stopped,
        other => failed(other),
    }
}
