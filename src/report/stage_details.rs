//! The stages of a plan as the page describes them: where the outputs of each come from.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use kinds::artifact::curve::ValidationSummary;
use lab::hash::Digest;

/// One node of the plan, with everything that decides its outputs.
#[derive(Clone, Debug, Serialize)]
pub struct StageDetails {
    /// The number of its node: table cells and points of figures refer to it.
    pub id: usize,
    pub name: String,
    /// The coordinates on which all variants that share it agree.
    pub variant: BTreeMap<String, String>,
    /// The name without its index, and the index.
    pub base: String,
    pub index: Option<i64>,
    pub kind: &'static str,
    pub state: StageStatus,
    pub key: Option<Digest>,
    /// Why it has to run.
    pub reason: Option<String>,
    /// After defaults.
    pub params: Value,
    pub seed: Option<u64>,
    pub numerics: Option<String>,
    pub inputs: Vec<InputDetails>,
    pub outputs: Vec<OutputDetails>,
    pub ran: Option<StageRun>,
}

/// Whether a stage is in the store, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Its record is from the latest run of any of the stages.
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
pub struct InputDetails {
    pub port: String,
    /// The number of the stage.
    pub stage: usize,
    pub output: String,
    pub digest: Option<Digest>,
}

/// An artifact that a stage wrote.
#[derive(Clone, Debug, Serialize)]
pub struct OutputDetails {
    pub port: String,
    pub digest: Digest,
    pub bytes: u64,
    /// The number of rows, for data sets and answers.
    pub rows: Option<u64>,
    /// Of the solutions in a data set; `None` without solutions.
    pub steps: Option<StepRange>,
    /// What the training of a model found on its validation set; `None` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationSummary>,
}

/// The numbers of steps of some solutions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepRange {
    pub least: u32,
    pub mean: f64,
    pub most: u32,
}

/// When, where and how long a stage ran.
#[derive(Clone, Debug, Serialize)]
pub struct StageRun {
    /// `2026-01-31 09:30`, in UTC.
    pub at: String,
    /// `41.2s`
    pub took: String,
    pub threads: usize,
    pub host: String,
    pub cores: usize,
    pub instruction_set: String,
    pub runner: String,
    /// The name of the run; its folder in the store has events and logs.
    pub run: String,
    /// The experiment that it ran for.
    pub experiment: String,
}
