//! Judging answers: what a model wrote, and the task that it answers, become verdicts and scores.

mod grades;
mod known_tables;
mod own;
mod steps;
mod valid_steps;

use std::collections::BTreeMap;

use lab::config::ParamError;
use learn::dataset::{Answer, Row};
use serde::Deserialize;
use serde_json::Value;

use self::own::OwnJudge;
use crate::metrics::{self, Outcome, Verdict};
use crate::questioner::{QuestionError, Questioner};
use crate::scoring::likelihood::RollingText;
use crate::task::Task;
use crate::task_table::TaskTable;

pub use self::grades::{Grade, GradeError, Grades, question_about};
pub use self::steps::count_steps;
pub use self::valid_steps::ValidSteps;

/// Judges answers of one task.
pub struct Judge(JudgeKind);

enum JudgeKind {
    /// A task that the program has.
    Known(&'static dyn Task),
    /// One of `[tasks]`.
    Own(Box<OwnJudge>),
}

/// A judged answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub outcome: Outcome,
    /// The final answer as it was read; `None` where there is none.
    pub answer: Option<String>,
    /// The scores of the filters and metrics by their names, `strict-match.exact_match`.
    pub scores: BTreeMap<String, f64>,
    /// The text whose log-likelihood was asked for, with it.
    pub text: Option<RollingText>,
}

/// Why answers cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error("row `{id}` is no problem of the task `{task}`: {question:?}")]
    OtherTask { id: String, task: &'static str, question: String },
    #[error("no task says how the answers are judged")]
    NoTask,
    #[error(transparent)]
    Task(#[from] ParamError),
    #[error(transparent)]
    Question(#[from] QuestionError),
    #[error("row `{id}`: {problem}")]
    Target { id: String, problem: String },
    #[error("row `{0}`: there are no log-likelihoods of its choices: the answers are not those of `output_type = \"multiple_choice\"`")]
    NoChoices(String),
}

impl Judge {
    /// The judge of a task.
    ///
    /// # Errors
    /// When something in the task is wrong; the error has the field.
    pub fn new(task: &TaskTable) -> Result<Self, ParamError> {
        match task.as_known() {
            Some(known) if !task.says_how_to_judge() => match known_tables::table(known.name()) {
                Some(table) => Self::own(&table, Some(known)),
                None => Ok(Self(JudgeKind::Known(known))),
            },
            known => Self::own(task, known),
        }
    }

    fn own(task: &TaskTable, known: Option<&'static dyn Task>) -> Result<Self, ParamError> {
        OwnJudge::new(task, known).map(|own| Self(JudgeKind::Own(Box::new(own))))
    }

    /// The judge of a stage with these params, which has one task.
    ///
    /// # Errors
    /// When they have none.
    pub fn of_params(params: &Value) -> Result<Self, JudgeError> {
        let task = params.get("task").and_then(|task| TaskTable::deserialize(task).ok());
        Ok(Self::new(&task.ok_or(JudgeError::NoTask)?)?)
    }

    /// Judges the answers to any number of questions; those to one question stand side by side.
    ///
    /// # Errors
    /// When one cannot be judged, whatever a model answers.
    pub fn judge(&self, answers: &[Answer]) -> Result<Vec<Judgement>, JudgeError> {
        let same = |one: &Answer, other: &Answer| one.problem.id == other.problem.id && one.requested == other.requested;
        let mut judged = Vec::with_capacity(answers.len());
        for group in answers.chunk_by(same) {
            match &self.0 {
                JudgeKind::Known(task) => {
                    for answer in group {
                        judged.push(known(*task, answer)?);
                    }
                }
                JudgeKind::Own(own) => judged.extend(own.judge(group)?),
            }
        }
        Ok(judged)
    }
}

impl Judge {
    /// The metrics of the answers together that are no mean of their scores: perplexities.
    pub fn of_texts(&self, judged: &[Judgement]) -> Vec<(String, Option<f64>)> {
        match &self.0 {
            JudgeKind::Known(_) => Vec::new(),
            JudgeKind::Own(own) => own.of_texts(judged),
        }
    }
}

/// Checks a task as far as that can be done without data: names, templates, patterns, and the examples that stand in it.
///
/// # Errors
/// The first thing that is wrong, with the path to it.
pub fn check_task(task: &TaskTable) -> Result<(), ParamError> {
    task.check()?;
    Questioner::new(task)?;
    let judge = Judge::new(task)?;
    for (place, example) in task.examples.iter().enumerate() {
        let checked = match &judge.0 {
            JudgeKind::Known(_) => Err(ParamError::whole(
                "a task that the program has is tested with it: `examples` are for those of `[tasks]`",
            )),
            JudgeKind::Own(own) => own.check_example(example),
        };
        checked.map_err(|error| error.within(&place.to_string()).within("examples"))?;
    }
    Ok(())
}

/// Judges an answer to a problem of a task that the program has.
fn known(task: &'static dyn Task, answer: &Answer) -> Result<Judgement, JudgeError> {
    let problem = &answer.problem;
    check(task, problem)?;
    let reading = metrics::read_solution(&answer.response);
    let steps: Vec<&str> = metrics::steps(&answer.response).collect();
    let outcome = Outcome {
        steps: reading.steps,
        full_steps: problem.step_num,
        requested: answer.requested,
        verdict: match reading.answer {
            Some(text) if task.is_right(problem, text) => Verdict::Right,
            Some(_) => Verdict::Wrong,
            None => Verdict::NoAnswer,
        },
        valid: Some(is_valid(task, problem, &steps)),
        complete: reading.complete,
        tokens: answer.tokens,
    };
    Ok(Judgement {
        outcome,
        answer: reading.answer.map(str::to_owned),
        scores: BTreeMap::new(),
        text: None,
    })
}

/// Checks that a row is a problem of the task.
fn check(task: &'static dyn Task, row: &Row) -> Result<(), JudgeError> {
    if task.is_problem(row) {
        return Ok(());
    }
    Err(JudgeError::OtherTask {
        id: row.id.clone(),
        task: task.name(),
        question: row.prompt.clone(),
    })
}

fn is_valid(task: &'static dyn Task, problem: &Row, steps: &[&str]) -> bool {
    !steps.is_empty() && task.follows(problem, steps).into_iter().all(|follows| follows)
}
