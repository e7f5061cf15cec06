//! The data of the page.

use serde::Serialize;

use crate::scores::Scores;
use crate::stage_details::StageDetails;

/// The scores of an experiment, the stages that they come from, and some of the answers behind them.
#[derive(Clone, Debug, Default)]
pub struct PageData {
    /// The experiment's description, or the comment at the top of its file.
    pub question: String,
    pub scores: Scores,
    /// In the order of the plan.
    pub stages: Vec<StageDetails>,
    pub samples: PageSamples,
}

/// A selection of answers, and the problems that they answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PageSamples {
    pub problems: Vec<SampleProblem>,
    pub answers: Vec<SampleAnswer>,
    /// Examples that programs wrote.
    pub examples: Vec<SampleExample>,
    /// The number of answers and examples in the store.
    pub of: u64,
}

/// An example that a program wrote.
#[derive(Clone, Debug, Serialize)]
pub struct SampleExample {
    pub id: String,
    /// The number of the stage that wrote it.
    pub stage: usize,
    /// The name of the output or of the data set; empty where there is one.
    pub data: String,
    /// The names and the texts of its fields.
    pub fields: Vec<(String, String)>,
}

/// A problem with its full solution.
#[derive(Clone, Debug, Serialize)]
pub struct SampleProblem {
    pub id: String,
    pub question: String,
    pub solution: String,
    pub steps: u32,
}

/// One answer to a problem.
#[derive(Clone, Debug, Serialize)]
pub struct SampleAnswer {
    /// Its index in `problems`.
    pub problem: usize,
    /// The number of the stage that sampled it.
    pub stage: usize,
    /// `in_domain`
    pub data: String,
    pub response: String,
    pub steps: u32,
    pub requested: Option<u32>,
    pub right: bool,
    /// Whether every step follows from the one before it.
    pub valid: bool,
    pub complete: bool,
}
