//! What a run still has to do.

use serde::{Deserialize, Serialize};

use super::StageName;

/// What a run still has to do, at one moment: which stages wait and why, and how long the rest may take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// The number of stages that could begin and wait for their turn.
    pub turn: usize,
    /// The number of stages that another process computes, or an equal stage of this run.
    pub elsewhere: usize,
    /// The number of stages whose inputs are being fetched or checked.
    pub fetching: usize,
    /// The number of stages whose inputs are not made yet.
    pub inputs: usize,
    /// The first few of all these: those that may begin first.
    pub first: Vec<WaitingStage>,
    /// How long the rest of the run may take, in seconds; `None` where nothing is known about it.
    pub left: Option<f64>,
    /// The range within which four of five runs end, in seconds.
    pub range: Option<(f64, f64)>,
    /// The number of stages to come of which nothing is known, and which `left` therefore lacks.
    pub unknown: usize,
}

/// A stage that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingStage {
    #[serde(flatten)]
    pub stage: StageName,
    pub why: WaitReason,
    /// What it waits for, in words: `a free job`, `standard[1] (seed=1)`, `process 4711 on lab7`.
    #[serde(rename = "for")]
    pub awaited: String,
}

/// Why a stage waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// It could begin, but others have the jobs or threads.
    Turn,
    /// Another process computes it, or an equal stage of this run.
    Elsewhere,
    /// Its inputs are being fetched or checked.
    Fetching,
    /// Its inputs are not made yet.
    Inputs,
}

impl Queue {
    /// The number of all stages that wait.
    pub fn waiting(&self) -> usize {
        self.turn + self.elsewhere + self.fetching + self.inputs
    }
}
