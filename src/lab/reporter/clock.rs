//! What time it is, for reporters.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock {
    /// Time since the Unix epoch; never goes backwards.
    fn now(&self) -> Duration;
}

/// The machine's clock: the wall's time at the start, and from there on steady, whatever is done to the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Duration,
    since: Instant,
}

impl SystemClock {
    /// A clock that goes on from the present time.
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

/// A clock for tests that moves when told to.
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
