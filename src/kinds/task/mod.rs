//! The reasoning tasks: how problems are drawn, when an answer is correct, and when a step is valid. A new task is one file and one line in
//! [`tasks`].

mod addition;
mod algebra;
mod basics;
mod direction;
mod drawn;
mod gsm8k;
mod pool;
// The example of docs/extending.md: a task for the tests alone.
#[cfg(test)]
#[path = "../../../docs/reversal.rs"]
mod reversal;

use std::sync::LazyLock;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

pub(crate) use self::algebra::is_same_solution;
pub(crate) use self::gsm8k::Amount;
use lab::config::{ConfigValue, ParamError};
use learn::dataset::Row;
use learn::seed::Stream;

/// One reasoning task.
pub trait Task: Sync {
    /// `addition`, …
    fn name(&self) -> &'static str;

    /// Whether the row is a problem of this task: its question, and where the task reads it, its gold answer.
    fn is_problem(&self, row: &Row) -> bool;

    /// Whether `answer`, read from a solution, is correct for the row's question. It may be any text.
    fn is_right(&self, row: &Row, answer: &str) -> bool;

    /// For each of `steps`, a solution of the row's question, whether it is valid: follows from the step before. They may be any texts.
    ///
    /// A step is compared with the one before it, valid or not, and the first with the question. A step that cannot be read is not
    /// valid, and the next one is compared with the last that could be read.
    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool>;

    /// Reads and checks the params of `generate` for this task: all but `task`.
    ///
    /// # Errors
    /// When a param is unknown, of the wrong type or out of range, or more problems are asked for than exist; and for a task whose
    /// problems are published.
    fn read(&self, params: &ConfigValue) -> Result<Box<dyn Problems>, ParamError> {
        let _ = params;
        let name = self.name();
        let message = format!("the problems of `{name}` are published, and not drawn: `import` them with `task = \"{name}\"`");
        Err(ParamError::new("task", message))
    }

    /// The JSON Schema of these params.
    fn schema(&self) -> Schema {
        Schema::default()
    }

    /// The format of the published problems; `None` for a task whose problems are drawn.
    fn published(&self) -> Option<&'static dyn PublishedTask> {
        None
    }
}

/// How `import` reads the problems of a task that others have published.
pub trait PublishedTask {
    /// The names of the question and the solution in published records.
    fn fields(&self) -> PublishedFields;

    /// The row of a published question and solution.
    ///
    /// # Errors
    /// When the solution is not in the published form.
    fn row(&self, id: String, question: String, solution: &str) -> Result<Row, PublishedRowError>;
}

/// Why a published solution cannot become a row.
#[derive(Debug, thiserror::Error)]
pub enum PublishedRowError {
    #[error("the solution has no line `{0} …` with the answer")]
    NoAnswer(&'static str),
    #[error("the answer `{0}` is not a number")]
    AnswerNotNumber(String),
    #[error("the solution has no steps")]
    NoSteps,
}

/// Names of fields in published records; `None` for those that have the name they have in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishedFields {
    pub prompt: Option<&'static str>,
    pub completion: Option<&'static str>,
}

/// The checked params of a task.
pub trait Problems {
    /// The params after defaults, without `task`.
    fn params(&self) -> serde_json::Value;

    /// Draws all splits; the same seed gives the same rows.
    fn generate(&self, seed: u64) -> Splits;
}

/// The data sets that `generate` writes. No problem is in two of them, except for the hand-made skips of training problems.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Splits {
    /// Problems with full-step solutions.
    pub train: Vec<Row>,
    /// Hand-made skipped solutions of training problems; empty for a cold start.
    pub skipped: Vec<Row>,
    /// For choosing settings.
    pub development: Vec<Row>,
    /// From the same distribution as the training problems.
    pub in_domain: Vec<Row>,
    /// Somewhat harder than the training problems.
    pub ood_easy: Vec<Row>,
    /// Much harder.
    pub ood_hard: Vec<Row>,
}

/// The table of tasks, by name.
pub fn tasks() -> &'static [&'static dyn Task] {
    &[
        &addition::Addition,
        &algebra::Algebra,
        &basics::Basics,
        &direction::Direction,
        &gsm8k::Gsm8k,
        #[cfg(test)]
        &reversal::Reversal,
    ]
}

/// The names in the table.
pub fn names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| tasks().iter().map(|task| task.name()).collect());
    &NAMES
}

/// The names of the tasks whose problems are drawn.
pub fn drawn_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| chosen(|task| task.published().is_none()));
    &NAMES
}

/// The names of the tasks whose problems are published.
pub fn published_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| chosen(|task| task.published().is_some()));
    &NAMES
}

fn chosen(belongs: impl Fn(&dyn Task) -> bool) -> Vec<&'static str> {
    let tasks = tasks().iter().filter(|task| belongs(**task));
    tasks.map(|task| task.name()).collect()
}

/// The training data of the first model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Start {
    /// Full-step solutions only.
    Cold,
    /// Those and hand-made skips.
    Warm,
}

impl Start {
    /// The hand-made skips of a warm start, for the given share of the problems; `skip` makes one, if the problem has one.
    fn skips<P>(self, share: f64, train: &[P], stream: &mut Stream, skip: impl Fn(&P, &mut Stream) -> Option<Row>) -> Vec<Row> {
        let mut chosen = |problem: &P| match self {
            Self::Warm if stream.uniform() < share => skip(problem, stream),
            Self::Warm | Self::Cold => None,
        };
        train.iter().filter_map(&mut chosen).collect()
    }
}

#[cfg(test)]
mod tests;
