//! The progress of a stage in its log: lines for people, at a rate that suits stages of seconds and of days.

use std::time::Duration;

use crate::event::{Progress, StageProgress};

/// A training writes about so many lines, however long it takes: its losses are read long after it ended.
const LINES_OF_TRAINING: u64 = 30;

/// Any other stage writes at most so many.
const LINES: u64 = 10;

/// From this time on, a training writes no more than a line in [`PAUSE`].
const LONG: Duration = Duration::from_secs(60);

/// The shortest time between two lines of a long training, and of any other stage.
const PAUSE: Duration = Duration::from_secs(2);

/// Which progress of a stage becomes a line of its log.
pub(super) struct ProgressLog {
    progress: StageProgress,
    /// When the last line was written, and how far the stage was; before the first line, when and where it began.
    last: Option<(Duration, u64)>,
}

impl ProgressLog {
    /// For a stage that begins now, by the clock of whoever calls.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            progress: StageProgress::new(now),
            last: None,
        }
    }

    /// The line for this progress, if there is to be one: `1200/4000 steps, 12.0s, 28.0s left, loss 0.0312, 51.2k tokens/s`.
    pub(super) fn line(&mut self, now: Duration, progress: &Progress) -> Option<String> {
        let is_first = self.last.is_none();
        let is_due = self.is_due(now, progress);
        if is_first || is_due {
            self.progress.progressed(now, progress);
        }
        if is_due {
            self.last = Some((now, progress.done));
        }
        is_due.then(|| self.progress.status(now))
    }

    fn is_due(&mut self, now: Duration, progress: &Progress) -> bool {
        let is_training = progress.readings.contains_key("loss");
        let Some((time, done)) = self.last else {
            self.last = Some((self.progress.since, progress.done));
            return is_training;
        };
        let lines = if is_training { LINES_OF_TRAINING } else { LINES };
        let is_far = progress.done >= done.saturating_add(progress.total.div_ceil(lines).max(1));
        let is_end = progress.done >= progress.total && progress.done > done;
        let paused = now.saturating_sub(time) >= PAUSE;
        if is_training {
            let is_short = now.saturating_sub(self.progress.since) < LONG;
            progress.total > 0 && (is_end || (is_far && (is_short || paused)))
        } else {
            progress.total > 0 && paused && (is_far || is_end)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(done: u64, total: u64, loss: Option<f64>) -> Progress {
        Progress {
            done,
            total,
            unit: "steps".to_owned(),
            readings: loss.map(|loss| BTreeMap::from([("loss".to_owned(), loss)])).unwrap_or_default(),
        }
    }

    /// The lines of a stage that does `total` steps in so many seconds, from step `first` on.
    fn lines(first: u64, total: u64, seconds: f64, loss: Option<f64>) -> Vec<String> {
        let mut log = ProgressLog::new(Duration::ZERO);
        let step = seconds / (total - first) as f64;
        let lines = (first + 1..=total).filter_map(|done| {
            let now = Duration::from_secs_f64(step * (done - first) as f64);
            log.line(now, &at(done, total, loss))
        });
        lines.collect()
    }

    #[test]
    fn a_training_writes_as_many_lines_however_long_it_takes() {
        for (total, seconds) in [(40, 0.2), (3500, 3.0), (3500, 70.0), (3500, 3600.0), (1_000_000, 1e6)] {
            let count = lines(0, total, seconds, Some(0.5)).len();
            assert!((20..=40).contains(&count), "{total} steps in {seconds} s: {count}");
        }
        let few = lines(0, 3, 1.0, Some(0.5));
        assert_eq!(
            few,
            [
                "1/3 steps, 0.3s, loss 0.5000",
                "2/3 steps, 0.7s, 0.3s left, loss 0.5000",
                "3/3 steps, 1.0s, 0.0s left, loss 0.5000"
            ]
        );
        let rest = lines(1750, 3500, 35.0, Some(0.5));
        assert!(
            (14..=17).contains(&rest.len()) && rest[0].starts_with("1751/3500 steps"),
            "{rest:?}"
        );
    }

    #[test]
    fn a_long_training_that_hurries_does_not_flood_the_log() {
        let mut log = ProgressLog::new(Duration::ZERO);
        log.line(Duration::from_secs(100), &at(1, 3000, Some(1.0)));
        let lines = (2..3000).filter_map(|done| log.line(Duration::from_millis(100_000 + done), &at(done, 3000, Some(1.0))));
        assert_eq!(lines.count(), 1);
    }

    #[test]
    fn other_stages_write_little_and_short_ones_nothing() {
        assert_eq!(lines(0, 1000, 1.5, None), [""; 0]);
        let some = lines(0, 1000, 100.0, None);
        assert_eq!((some.len(), some[0].as_str()), (10, "101/1000 steps, 10.1s, 1m30s left"));
        assert_eq!(lines(0, 1000, 5.0, None).len(), 2);
        let mut log = ProgressLog::new(Duration::ZERO);
        assert_eq!(log.line(Duration::from_secs(9), &Progress::default()), None);
        assert_eq!(log.line(Duration::from_secs(99), &Progress::default()), None);
    }
}
