//! The clock of the reporters.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of the current time.
pub trait Clock {
    /// Time since the Unix epoch; never goes backwards.
    fn now(&self) -> Duration;
}

/// The clock of the machine: the system time at the start plus the time since then, so that changes of the system time do not matter.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Duration,
    since: Instant,
}

impl SystemClock {
    /// A clock that starts at the current system time.
    pub fn start() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start,
            since: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start + self.since.elapsed()
    }
}

/// A clock for tests, which moves only on request.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeClock(std::rc::Rc<std::cell::Cell<Duration>>);

#[cfg(test)]
impl FakeClock {
    pub(crate) fn advance(&self, seconds: f64) {
        self.0.set(self.0.get() + Duration::from_secs_f64(seconds));
    }
}

#[cfg(test)]
impl Clock for FakeClock {
    fn now(&self) -> Duration {
        self.0.get()
    }
}
