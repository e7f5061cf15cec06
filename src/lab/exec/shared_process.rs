//! What a process that runs several stages in turn has used for the present one, and what it keeps for the next.

use std::cell::RefCell;
use std::path::Path;

use tempfile::TempDir;

use super::machine;
use crate::store::{Store, StoreError};

/// A worker that has grown by more than so many bytes since it began takes no further stage: what one has left would be counted as
/// another's memory, and would add up.
const MOST_GROWTH: u64 = 16 << 20;

/// The process of a worker.
pub(super) struct SharedProcess {
    /// Its memory when it began, in bytes.
    fresh: Option<u64>,
    /// The CPU time of the stages before the present one, in seconds.
    earlier_cpu_seconds: f64,
    /// Whether the peak memory is that of the present stage.
    knows_peak: bool,
}

impl SharedProcess {
    /// The present stage is the first one.
    pub(super) fn new() -> Self {
        Self {
            fresh: machine::own_memory(),
            earlier_cpu_seconds: 0.0,
            knows_peak: true,
        }
    }

    /// Another stage begins.
    pub(super) fn begin_further_stage(&mut self) {
        self.earlier_cpu_seconds = machine::cpu_seconds().unwrap_or(0.0);
        self.knows_peak = machine::reset_peak_memory();
    }

    /// The CPU time of the present stage so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        machine::cpu_seconds().map(|seconds| seconds - self.earlier_cpu_seconds)
    }

    /// The peak memory of the present stage, in bytes. `None` where the system does not say, or says it of the whole process alone.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        machine::peak_memory().filter(|_| self.knows_peak)
    }

    /// Whether the stages have left too much memory behind for another one.
    pub(super) fn has_grown(&self) -> bool {
        let grown = machine::own_memory().zip(self.fresh).map(|(now, fresh)| now.saturating_sub(fresh));
        grown.is_some_and(|grown| grown > MOST_GROWTH)
    }
}

/// Where the stages of a worker put their outputs.
pub(super) struct WorkerPlace {
    pub(super) store: Store,
    /// Empty when a stage begins.
    pub(super) workspace: TempDir,
}

impl WorkerPlace {
    /// The place that the stage before has left, if it was of the store in this folder; else a new one.
    ///
    /// # Errors
    /// If the store cannot be opened or written.
    pub(super) fn take(left: &RefCell<Option<Self>>, folder: &Path) -> Result<Self, StoreError> {
        if let Some(place) = left.take().filter(|place| place.store.folder() == folder) {
            return Ok(place);
        }
        let store = Store::open(folder)?;
        let workspace = store.workspace()?;
        Ok(Self { store, workspace })
    }

    /// Leaves the place to the next stage, if it is as new.
    pub(super) fn give_back(self, to: &RefCell<Option<Self>>) {
        let is_empty = std::fs::read_dir(self.workspace.path()).is_ok_and(|mut found| found.next().is_none());
        to.replace(Some(self).filter(|_| is_empty));
    }
}
