//! What the watcher has seen, for all who look.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use lab::event::StageName;
use lab::store::Store;
use report::page::LivePage;

/// How everything is at one moment.
#[derive(Clone)]
pub(super) struct Board {
    /// When it was looked at.
    pub(super) time: Instant,
    pub(super) page: Arc<LivePage>,
    /// How the run is, as JSON on one line.
    pub(super) status: Arc<str>,
    /// The curves, the oldest first.
    pub(super) curves: Arc<Vec<BoardCurve>>,
    pub(super) logs: Arc<Logs>,
}

/// Optimizer steps and losses, by step.
pub(super) type CurvePoints = Arc<[(u64, f64)]>;

/// The losses of a training by step.
#[derive(Clone)]
pub(super) struct BoardCurve {
    pub(super) name: String,
    /// Whether the training goes on.
    pub(super) runs: bool,
    /// The steps that it will have.
    pub(super) total: u64,
    pub(super) points: CurvePoints,
}

/// Where the logs of the experiment's stages are found.
pub(super) struct Logs {
    pub(super) store: Store,
    pub(super) file: PathBuf,
    pub(super) experiment: String,
    pub(super) stages: BTreeMap<StageName, LoggedStage>,
}

/// A stage with a log.
#[derive(Clone)]
pub(super) struct LoggedStage {
    /// Its record's key and run, if it is in the store.
    pub(super) record: Option<(lab::hash::Digest, String)>,
    /// What its log does not show.
    pub(super) hidden: Vec<String>,
}
