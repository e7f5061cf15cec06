//! The runs of a store: those that live, and how the others ended.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::status::{RunEnd, RunStatus};
use crate::store::Store;

/// Whether a run lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Alive,
    /// It has said how it ended.
    Ended(RunEnd),
    /// Its process is gone, and has not said why: it was killed, or its machine was.
    Killed,
}

/// A run of a store.
#[derive(Clone, Debug)]
pub struct FoundRun {
    pub status: RunStatus,
    pub state: RunState,
    /// The time now in seconds since 1970, by the clock of the run's host.
    pub now: f64,
}

impl FoundRun {
    pub fn is_alive(&self) -> bool {
        self.state == RunState::Alive
    }

    /// Whether it is of this file. On another host or in another container the file may have another path: there, it is known by the name
    /// of the experiment.
    pub fn is_of(&self, file: &Path, experiment: &str) -> bool {
        self.status.order.file == file || (!self.status.holder.is_here() && self.status.order.experiment == experiment)
    }
}

/// The runs of the store that have told how they are, the newest last: all that live, and some of those that have ended.
pub fn find(store: &Store) -> Vec<FoundRun> {
    store.recent_runs().iter().filter_map(|run| find_one(store, run)).collect()
}

/// The run of this name; `None` if it has told nothing that can be read.
pub fn find_one(store: &Store, run: &str) -> Option<FoundRun> {
    let told = store.read_run_file(run)?;
    let status: RunStatus = serde_json::from_slice(&told.bytes).ok()?;
    let state = match status.ended {
        Some(end) => RunState::Ended(end),
        None if store.is_run_alive(&status.holder, &told) => RunState::Alive,
        // It may have ended while it was looked at.
        None => match ended_since(store, run) {
            Some(end) => RunState::Ended(end),
            None => RunState::Killed,
        },
    };
    let now = if status.holder.is_here() && state == RunState::Alive {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    } else if state == RunState::Alive {
        status.time + told.age().as_secs_f64()
    } else {
        status.time
    };
    Some(FoundRun { status, state, now })
}

fn ended_since(store: &Store, run: &str) -> Option<RunEnd> {
    let told = store.read_run_file(run)?;
    serde_json::from_slice::<RunStatus>(&told.bytes).ok()?.ended
}
