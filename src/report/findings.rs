//! What a report is made of, read from the store by the CLI.

use serde::Serialize;
use serde_json::{Value, json};

use super::scores::{Place, Scores};
use kinds::metrics::{MetricMap, names};
use lab::hash::Digest;

/// The scores of an experiment, what lies behind them, and the stages that they come from.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What the experiment asks: the comment that its file begins with.
    pub question: String,
    pub scores: Scores,
    /// In the order of the plan.
    pub stages: Vec<Stage>,
    pub samples: Samples,
}

/// What a filter kept of the answers that it was given, in one variant.
#[derive(Clone, Debug)]
pub struct Kept {
    pub place: Place,
    /// Rows of the data set that it put out.
    pub rows: u64,
    /// Mean number of steps of the full solutions.
    pub full_steps: Option<f64>,
    /// How the answers follow the numbers of steps asked for.
    pub following: Option<MetricMap>,
}

/// The training curve of one model, in one variant.
#[derive(Clone, Debug)]
pub struct Curve {
    pub place: Place,
    /// Optimizer step and loss.
    pub points: Vec<(u64, f64)>,
}

/// One node of the plan, with all that says where its outputs come from.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// Its number: what cells and points name.
    pub id: usize,
    pub name: String,
    /// The coordinates on which all variants that share it agree.
    pub variant: std::collections::BTreeMap<String, String>,
    /// The name without its index, and the index.
    pub base: String,
    pub index: Option<i64>,
    pub kind: &'static str,
    pub state: State,
    pub key: Option<Digest>,
    /// Why it has to run.
    pub reason: Option<String>,
    /// After defaults.
    pub params: Value,
    pub seed: Option<u64>,
    pub numerics: Option<String>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    pub ran: Option<Ran>,
}

/// Whether a stage is in the store, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its record is of the latest run among the experiment's stages.
    Ran,
    /// Its record is older.
    Cached,
    /// It has to run.
    Run,
    /// It depends on a stage that has to run first.
    Unknown,
}

/// An output of another stage that a stage reads.
#[derive(Clone, Debug, Serialize)]
pub struct Input {
    pub port: String,
    /// The number of the stage.
    pub stage: usize,
    pub output: String,
    pub digest: Option<Digest>,
}

/// What a stage put out.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    pub port: String,
    pub digest: Digest,
    pub bytes: u64,
    /// Of data sets and answers.
    pub rows: Option<u64>,
    /// Of the solutions in a data set; nothing where it has none.
    pub steps: Option<Steps>,
}

/// The numbers of steps of some solutions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Steps {
    pub least: u32,
    pub mean: f64,
    pub most: u32,
}

/// When, where and how long a stage ran.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// `2026-01-31 09:30`, in UTC.
    pub at: String,
    /// `41.2s`
    pub took: String,
    pub threads: usize,
    pub host: String,
    pub cores: usize,
    pub instruction_set: String,
    pub runner: String,
    /// The run's folder in the store has its events and logs.
    pub run: String,
    /// The experiment that it ran for.
    pub experiment: String,
}

/// Answers to read, and the problems that they answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Samples {
    pub problems: Vec<Problem>,
    pub answers: Vec<Sample>,
    /// How many answers there are, of which these are a part.
    pub of: u64,
}

/// A problem with its full solution.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub id: String,
    pub question: String,
    pub solution: String,
    pub steps: u32,
}

/// One answer to a problem.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The place among the problems.
    pub problem: usize,
    /// The number of the stage that asked.
    pub stage: usize,
    /// `in_domain`
    pub data: String,
    pub response: String,
    pub steps: u32,
    pub requested: Option<u32>,
    pub right: bool,
    /// Whether every step follows from what stands before it.
    pub valid: bool,
    pub complete: bool,
}

impl Kept {
    /// `{"stage", "variant", "iteration", "rows", "following"}`.
    pub fn json(&self) -> Value {
        let Self {
            place, rows, following, ..
        } = self;
        json!({"stage": place.stage, "variant": place.variant, "iteration": place.iteration, "rows": rows, "following": following})
    }

    /// The requests for fewer steps than the full solution has, by how many fewer.
    pub fn skips(&self) -> impl Iterator<Item = &MetricMap> {
        let skips = self.following.iter().flat_map(|following| following.list(names::BY_SKIP));
        skips.filter(|skip| skip.integer(names::SKIP).is_some_and(|fewer| fewer > 0))
    }
}
