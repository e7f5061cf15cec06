//! What a process that runs several stages in turn has used for the present one.

use super::machine;

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
