//! What a run tells others: the content of its `status.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::{Progress, Queue, StageName};
use crate::store::RunHolder;

/// What was run, as the command line has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOrder {
    /// The experiment's name.
    pub experiment: String,
    /// The experiment's file, as a whole path.
    pub file: PathBuf,
    /// The command, ready for a shell.
    pub command: String,
}

/// How a run is. All times are in seconds since 1970 by the clock of its host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunStatus {
    /// The run's name: its folder in the store.
    pub run: String,
    #[serde(flatten)]
    pub order: RunOrder,
    /// Its process.
    pub holder: RunHolder,
    pub begun: f64,
    /// When this was written.
    pub time: f64,
    /// Stages and threads that may run at once.
    pub jobs: usize,
    pub threads: usize,
    #[serde(flatten)]
    pub counts: StageCounts,
    /// The stages that run, by name. Sources that are being downloaded are among them.
    pub running: Vec<RunningStage>,
    pub waiting: Queue,
    /// Whether Ctrl-C or a request to stop has arrived.
    pub interrupted: bool,
    /// How it ended; `None` while it lives, and when it was killed.
    pub ended: Option<RunEnd>,
}

/// How many stages there are, and how those ended that have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageCounts {
    pub stages: usize,
    /// Those that have ended, however: all below together.
    pub done: usize,
    pub cached: usize,
    pub ran: usize,
    pub failed: usize,
    pub cancelled: usize,
    /// Those that were not tried, since a stage that they need has failed.
    pub skipped: usize,
}

/// A stage that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningStage {
    #[serde(flatten)]
    pub stage: StageName,
    /// `train`, `command`, …; empty for a source.
    pub kind: String,
    /// When it began.
    pub since: f64,
    pub log: PathBuf,
    /// What it told last.
    pub progress: Option<Progress>,
    /// How long it may still take, in seconds.
    pub left: Option<f64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// All stages have their outputs.
    Done,
    /// A stage failed or was cancelled.
    Failed,
    /// It was stopped: by Ctrl-C, a signal or a request.
    Interrupted,
    /// The run itself could not go on: the store could not be written, a source could not be had.
    Error,
}
