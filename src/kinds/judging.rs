//! Judging answers: what a model wrote, and the task that it answers, become outcomes.

use learn::dataset::{Answer, Row};
use serde::Deserialize;
use serde_json::Value;

use crate::metrics::{self, Outcome, Verdict};
use crate::task::Task;
use crate::task_table::TaskTable;

/// Judges answers of one task.
pub struct Judge {
    task: &'static dyn Task,
}

/// Why answers cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error("row `{id}` is no problem of the task `{task}`: {question:?}")]
    OtherTask { id: String, task: &'static str, question: String },
    #[error("there is no task `{0}`")]
    Unknown(String),
    #[error("no task says how the answers are judged")]
    NoTask,
}

impl Judge {
    /// The judge of a task.
    ///
    /// # Errors
    /// When the program has no such task.
    pub fn new(task: &TaskTable) -> Result<Self, JudgeError> {
        let known = task.as_known().ok_or_else(|| JudgeError::Unknown(task.called().to_owned()))?;
        Ok(Self { task: known })
    }

    /// The judge of a stage with these params, which has one task.
    ///
    /// # Errors
    /// When they have none.
    pub fn of_params(params: &Value) -> Result<Self, JudgeError> {
        let task = params.get("task").and_then(|task| TaskTable::deserialize(task).ok());
        Self::new(&task.ok_or(JudgeError::NoTask)?)
    }

    /// Checks that a row is a problem of the task.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, row: &Row) -> Result<(), JudgeError> {
        if self.task.is_problem(row) {
            return Ok(());
        }
        Err(JudgeError::OtherTask {
            id: row.id.clone(),
            task: self.task.name(),
            question: row.prompt.clone(),
        })
    }

    /// Judges an answer.
    ///
    /// # Errors
    /// When its question is no problem of the task.
    pub fn judge(&self, answer: &Answer) -> Result<Outcome, JudgeError> {
        let (problem, reading) = (&answer.problem, metrics::read_solution(&answer.response));
        self.check(problem)?;
        let steps: Vec<&str> = metrics::steps(&answer.response).collect();
        Ok(Outcome {
            steps: reading.steps,
            full_steps: problem.step_num,
            requested: answer.requested,
            verdict: match reading.answer {
                Some(text) if self.task.is_right(problem, text) => Verdict::Right,
                Some(_) => Verdict::Wrong,
                None => Verdict::NoAnswer,
            },
            valid: !steps.is_empty() && self.task.follows(problem, &steps).into_iter().all(|follows| follows),
            complete: reading.complete,
            tokens: answer.tokens,
        })
    }
}
