//! The reasoning tasks: how problems are drawn, and when an answer is right. A new task is one file and one line in [`tasks`].

mod addition;

use std::sync::LazyLock;

use figment::value::Value;
use schemars::Schema;

use crate::dataset::Row;

/// One reasoning task.
pub trait Task: Sync {
    /// `addition`, …
    fn name(&self) -> &'static str;

    /// Whether the row's question is one of this task's.
    fn recognises(&self, row: &Row) -> bool;

    /// Whether `answer`, as it was read from a solution, answers the row's question.
    fn is_right(&self, row: &Row, answer: &str) -> bool;

    /// Reads and checks the params of `generate` for this task: all but `task`.
    ///
    /// # Errors
    /// When a param is unknown, of the wrong type or out of range, or more problems are asked for than exist.
    fn read(&self, params: &Value) -> Result<Box<dyn Problems>, figment::Error>;

    /// The JSON Schema of these params.
    fn schema(&self) -> Schema;
}

/// What to generate: a task's params, checked.
pub trait Problems {
    /// The params after defaults, without `task`.
    fn params(&self) -> serde_json::Value;

    /// Draws all splits; the same seed gives the same rows.
    fn generate(&self, seed: u64) -> Splits;
}

/// The data sets that `generate` puts out. No problem is in two of them, but for the hand-made skips of training problems.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Splits {
    /// Problems with full-step solutions.
    pub train: Vec<Row>,
    /// Hand-made skipped solutions of training problems; empty for a cold start.
    pub skipped: Vec<Row>,
    /// For choosing settings.
    pub development: Vec<Row>,
    /// Drawn as the training problems are.
    pub in_domain: Vec<Row>,
    /// Somewhat harder than the training problems.
    pub ood_easy: Vec<Row>,
    /// Much harder.
    pub ood_hard: Vec<Row>,
}

/// The table of tasks, by name.
pub fn tasks() -> &'static [&'static dyn Task] {
    &[&addition::Addition]
}

/// The names in the table.
pub fn names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| tasks().iter().map(|task| task.name()).collect());
    &NAMES
}

/// The task that the row's question belongs to.
pub fn of(row: &Row) -> Option<&'static dyn Task> {
    tasks().iter().copied().find(|task| task.recognises(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_finds_its_task() {
        let row = |prompt: &str| Row {
            id: String::new(),
            prompt: prompt.to_owned(),
            completion: String::new(),
            step_num: 1,
            answer: 3.into(),
        };
        assert_eq!(of(&row("Question: 1 + 2")).map(Task::name), Some("addition"));
        assert!(of(&row("Question: 1 - 2")).is_none());
        assert!(names().is_sorted());
    }
}
