//! Watches a running stage from a thread of its own: asks it to stop when it takes longer, is silent for longer or uses more memory than it
//! may, and ends the process when it does not.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::limits::StageLimits;
use super::work_order::WorkerMessage;
use crate::event::FailureCause;
use crate::processes::{end_descendants, memory_in_use, memory_with_descendants};
use crate::text::{bytes, duration};

/// The interval at which the limits are checked at first, and after a while: a long stage gains nothing from being asked ten times a second.
const INTERVAL: Duration = Duration::from_millis(100);
const LATER_INTERVAL: Duration = Duration::from_millis(500);
const LATER: Duration = Duration::from_secs(10);

/// The time that a stage without a `grace` of its own has to stop, if it does nothing for it.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// The further time that it gets to save a checkpoint, which takes gigabytes when the model is large.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The time that the descendants of a stage that is killed have to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// The share of its grace that a stage gets beyond it, to notice that its program has ended.
const BEYOND_GRACE: f64 = 1.25;

/// What the thread of the stage and the one that watches it share.
#[derive(Default)]
pub(super) struct StopRequest {
    requested: AtomicBool,
    /// Whether the stage has asked since.
    noticed: AtomicBool,
    /// The limit that the stage has broken, if that is why it must stop.
    broken: OnceLock<BrokenLimit>,
    /// The last sign of life, in milliseconds since the beginning.
    last_sign: AtomicU64,
    /// The most memory that was seen, in bytes.
    peak_memory: AtomicU64,
}

/// A limit that a stage has broken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BrokenLimit {
    pub(super) cause: FailureCause,
    /// For people.
    pub(super) message: String,
}

impl StopRequest {
    /// Whether the stage must stop.
    pub(super) fn is_requested(&self) -> bool {
        let requested = self.requested.load(Ordering::Relaxed);
        if requested {
            self.noticed.store(true, Ordering::Relaxed);
        }
        requested
    }

    /// Asks the stage to stop.
    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// The limit that the stage has broken.
    pub(super) fn broken(&self) -> Option<&BrokenLimit> {
        self.broken.get()
    }

    /// The stage has made progress, at this time since it began.
    pub(super) fn sign_of_life(&self, at: Duration) {
        self.last_sign
            .store(u64::try_from(at.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The most memory that was seen in use by the stage and the programs that it started, in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        Some(self.peak_memory.load(Ordering::Relaxed)).filter(|peak| *peak > 0)
    }

    /// Waits until the stage has had its time to stop. Whoever calls this then ends the process.
    pub(super) fn wait_for_end(&self, limits: &StageLimits) {
        if let Some(grace) = limits.grace {
            std::thread::sleep(Duration::from_secs_f64(grace * BEYOND_GRACE) + INTERVAL);
            return;
        }
        std::thread::sleep(STOP_TIMEOUT);
        if self.noticed.load(Ordering::Relaxed) {
            std::thread::sleep(CHECKPOINT_TIMEOUT);
        }
    }
}

/// The watch over one stage.
pub(super) struct Watch<W> {
    pub(super) limits: StageLimits,
    pub(super) stop: Arc<StopRequest>,
    /// Locked by whoever sends the last message.
    pub(super) output: Arc<Mutex<W>>,
    pub(super) begun: Instant,
    /// Whether it starts programs, whose memory counts as its own.
    pub(super) starts_programs: bool,
}

impl<W: Write> Watch<W> {
    /// Watches until the process ends.
    pub(super) fn run(self) {
        let mut log = LogSize::default();
        loop {
            let is_early = self.begun.elapsed() < LATER;
            std::thread::sleep(if is_early { INTERVAL } else { LATER_INTERVAL });
            let since = self.begun.elapsed();
            if log.has_grown() {
                self.stop.sign_of_life(since);
            }
            if let Some(broken) = self.broken(since) {
                self.end(broken);
            }
        }
    }

    /// The limit that the stage has broken by now.
    fn broken(&self, since: Duration) -> Option<BrokenLimit> {
        let used = self.memory_in_use();
        self.stop.peak_memory.fetch_max(used.unwrap_or(0), Ordering::Relaxed);
        let last_sign = Duration::from_millis(self.stop.last_sign.load(Ordering::Relaxed));
        broken(
            &self.limits,
            since.as_secs_f64(),
            since.saturating_sub(last_sign).as_secs_f64(),
            used,
        )
    }

    fn memory_in_use(&self) -> Option<u64> {
        match (self.starts_programs, self.limits.memory) {
            (true, _) => memory_with_descendants(),
            (false, Some(_)) => memory_in_use(),
            (false, None) => None,
        }
    }

    /// Has the stage stop, and ends the process if it does not.
    fn end(&self, broken: BrokenLimit) {
        let is_memory = broken.cause == FailureCause::Memory;
        let message = self.stop.broken.get_or_init(|| broken).clone();
        self.stop.request();
        // More memory than there is would be taken in the time to stop.
        if !is_memory {
            self.stop.wait_for_end(&self.limits);
        }
        // Nobody sends another message from here on.
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        end_descendants(KILL_TIMEOUT);
        let failed = WorkerMessage::Failed {
            error: message.message,
            seconds: self.begun.elapsed().as_secs_f64(),
            cause: message.cause,
        };
        failed.send(&mut *output);
        #[expect(clippy::disallowed_methods, reason = "the stage does not stop, and its last message has been sent")]
        std::process::exit(1);
    }
}

/// The first limit that is broken: after so many seconds, of which it was silent for so long, with so much memory.
fn broken(limits: &StageLimits, seconds: f64, silent: f64, memory: Option<u64>) -> Option<BrokenLimit> {
    let is_over = |limit: Option<f64>, taken: f64| limit.filter(|limit| taken > *limit);
    let (cause, message) = match (limits.memory, memory) {
        (Some(limit), Some(used)) if used > limit => (
            FailureCause::Memory,
            format!(
                "it used {} of memory, and may use {} (`memory` of its resources)",
                bytes(used),
                bytes(limit)
            ),
        ),
        _ => match (is_over(limits.time, seconds), is_over(limits.silent, silent)) {
            (Some(limit), _) => (
                FailureCause::Time,
                format!("it took longer than {} (`time` of its resources)", duration(limit)),
            ),
            (None, Some(limit)) => (
                FailureCause::Silent,
                format!(
                    "it wrote nothing to its log and made no progress for {} (`silent` of its resources)",
                    duration(limit)
                ),
            ),
            (None, None) => return None,
        },
    };
    Some(BrokenLimit { cause, message })
}

/// The size of the log, which is the standard error of a worker and of the programs that it starts.
#[derive(Default)]
struct LogSize(u64);

impl LogSize {
    /// Whether it has changed since this was asked last.
    fn has_grown(&mut self) -> bool {
        let size = rustix::fs::fstat(rustix::stdio::stderr()).map_or(0, |about| about.st_size.cast_unsigned());
        std::mem::replace(&mut self.0, size) != size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_is_broken_is_named() {
        let limits = StageLimits {
            time: Some(10.0),
            silent: Some(2.0),
            memory: Some(2_000_000),
            grace: None,
        };
        let cause = |seconds, silent, memory| broken(&limits, seconds, silent, memory).map(|broken| broken.cause);
        assert_eq!(cause(9.0, 1.0, Some(2_000_000)), None);
        assert_eq!(cause(10.5, 1.0, None), Some(FailureCause::Time));
        assert_eq!(cause(9.0, 2.5, None), Some(FailureCause::Silent));
        assert_eq!(cause(11.0, 3.0, Some(2_000_001)), Some(FailureCause::Memory));
        let message = broken(&limits, 1.0, 0.0, Some(3_000_000)).unwrap().message;
        assert_eq!(message, "it used 3.0 MB of memory, and may use 2.0 MB (`memory` of its resources)");
        assert_eq!(broken(&StageLimits::default(), 1e9, 1e9, Some(u64::MAX)), None);
    }
}
