//! Waits that end when they are asked to: a request has no other way to be abandoned.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The longest time between two looks at whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The result of `work`, which runs in a thread of its own; `None` if `stop` returns true before it is there. Then the thread goes on by
/// itself until its work ends or the process does.
pub fn unless_stopped<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static, stop: &mut dyn FnMut() -> bool) -> Option<T> {
    let (sender, result) = channel();
    std::thread::spawn(move || drop(sender.send(work())));
    loop {
        match result.recv_timeout(POLL_INTERVAL) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Timeout) if !stop() => {}
            Err(_) => return None,
        }
    }
}

/// Sleeps for `pause`, unless `stop` returns true before. Returns whether to go on.
pub fn pause(pause: Duration, stop: &mut dyn FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if stop() {
            return false;
        }
        match pause.saturating_sub(begun.elapsed()) {
            Duration::ZERO => return true,
            left => std::thread::sleep(left.min(POLL_INTERVAL)),
        }
    }
}

/// A wait that is over sooner is not told.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// The shortest time between two words about waiting.
const NOTICE_INTERVAL: Duration = Duration::from_secs(30);

/// Decides when the user is told of a server that is waited for.
#[derive(Debug, Default)]
pub struct WaitNotice {
    last: Option<Instant>,
}

impl WaitNotice {
    /// The words about a request that has been failing since this time and is sent again after the pause; `None` if it is no time for
    /// words.
    pub fn words(&mut self, what: &str, failing: Duration, pause: Duration) -> Option<String> {
        let is_due = failing.max(pause) >= SHORT_WAIT && self.last.is_none_or(|last| last.elapsed() >= NOTICE_INTERVAL);
        is_due.then(|| {
            self.last = Some(Instant::now());
            format!("waiting for {what}, {} s so far", failing.as_secs())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_when_it_is_long_and_not_too_often() {
        let (mut notice, second) = (WaitNotice::default(), Duration::from_secs(1));
        assert_eq!(notice.words("x", second / 2, second / 2), None);
        assert_eq!(notice.words("x", second * 2, second / 2).unwrap(), "waiting for x, 2 s so far");
        assert_eq!(notice.words("x", second * 3, second), None);
    }

    #[test]
    fn what_takes_long_is_abandoned_when_asked_to() {
        let begun = Instant::now();
        let long = || std::thread::sleep(Duration::from_secs(60));
        assert!(unless_stopped(long, &mut || begun.elapsed() > Duration::from_millis(50)).is_none());
        assert!(!pause(Duration::from_secs(60), &mut || begun.elapsed() > Duration::from_millis(200)));
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(unless_stopped(|| 3, &mut || false), Some(3));
        assert!(pause(Duration::from_millis(1), &mut || false));
    }
}
