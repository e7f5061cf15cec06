//! The progress of a running stage.

use std::time::Duration;

use super::Progress;
use crate::text::{duration, shortened};

/// The most characters of a program's word for its units.
const MAX_UNIT: usize = 24;

/// A longer time left is no forecast (seconds): ten years.
const MAX_LEFT: f64 = 10.0 * 365.0 * 24.0 * 3600.0;

/// The progress of a running stage over time.
#[derive(Clone, Debug)]
pub struct StageProgress {
    /// When it began, by the clock of whoever asks.
    pub since: Duration,
    /// The first progress and its time: a stage that continues from a checkpoint does not begin at 0.
    first: Option<(Duration, u64)>,
    last: Option<(Duration, Progress)>,
}

impl StageProgress {
    /// Of a stage that begins now.
    pub fn new(now: Duration) -> Self {
        Self {
            since: now,
            first: None,
            last: None,
        }
    }

    /// The stage is so far at `now`.
    pub fn progressed(&mut self, now: Duration, progress: &Progress) {
        self.first.get_or_insert((now, progress.done));
        self.last = Some((now, progress.clone()));
    }

    /// `1200/4000 steps, 12.0s, 28.0s left, loss 0.0312, 51.2k tokens/s`: the most important first.
    pub fn status(&self, now: Duration) -> String {
        let progress = self.last();
        let mut parts: Vec<String> = progress.and_then(Progress::counted).into_iter().collect();
        parts.push(duration(now.saturating_sub(self.since).as_secs_f64()));
        parts.extend(self.left(now).map(|left| format!("{} left", duration(left))));
        parts.extend(progress.into_iter().flat_map(Progress::told));
        parts.join(", ")
    }

    /// The progress that was reported last.
    pub fn last(&self) -> Option<&Progress> {
        self.last.as_ref().map(|(_, progress)| progress)
    }

    /// The remaining seconds at the speed since the first progress; `None` before there is a speed.
    pub fn left(&self, now: Duration) -> Option<f64> {
        let (first, (last, progress)) = (self.first?, self.last.as_ref()?);
        let done = progress.done.checked_sub(first.1).filter(|done| *done > 0)?;
        let to_do = progress.total.checked_sub(progress.done)?;
        let speed = done as f64 / last.saturating_sub(first.0).as_secs_f64();
        let at_last = to_do as f64 / speed;
        Some((at_last - now.saturating_sub(*last).as_secs_f64()).max(0.0)).filter(|left| *left <= MAX_LEFT)
    }
}

impl Progress {
    /// `1200/4000 steps`; `None` where it is not known how much there is to do.
    pub fn counted(&self) -> Option<String> {
        let unit = shortened(&self.unit, MAX_UNIT);
        (self.total > 0).then(|| format!("{}/{} {unit}", self.done, self.total))
    }

    /// What is done and the loss in a line of a log as [`StageProgress::status`] writes it.
    pub fn loss_in(line: &str) -> Option<(u64, f64)> {
        let mut parts = line.split(", ");
        let (done, rest) = parts.next()?.split_once('/')?;
        rest.split(' ').next()?.parse::<u64>().ok()?;
        let loss = parts.find_map(|part| part.strip_prefix("loss "))?;
        Some((done.parse().ok()?, loss.parse().ok()?))
    }

    /// The share done, from 0 to 1; `None` where it is not known how much there is to do.
    pub fn share(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.done as f64 / self.total as f64).min(1.0))
    }

    /// The most telling readings, for people: the losses and the speed.
    pub fn told(&self) -> impl Iterator<Item = String> + '_ {
        let losses = [("loss", "loss"), ("validation_loss", "held-out loss")].into_iter();
        let losses = losses.filter_map(|(name, shown)| Some(format!("{shown} {}", decimals(*self.readings.get(name)?))));
        let speed = self.readings.get("tokens_per_second");
        losses.chain(speed.map(|speed| format!("{} tokens/s", thousands(*speed))))
    }
}

/// `0.0312`, and `1.2e9` for a number that has no use for four decimals.
fn decimals(number: f64) -> String {
    let size = number.abs();
    if size >= 1e6 || (size > 0.0 && size < 5e-5) {
        format!("{number:.2e}")
    } else {
        format!("{number:.4}")
    }
}

/// `830`, `51.2k`, `1.3M`.
fn thousands(number: f64) -> String {
    match number {
        n if n.is_finite() && n.abs() >= 1e12 => format!("{n:.1e}"),
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e3 => format!("{:.1}k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn at(done: u64) -> Progress {
        let readings = BTreeMap::from([
            ("loss".into(), 0.031_24),
            ("tokens_per_second".into(), 51_234.0),
            ("learning_rate".into(), 1e-3),
        ]);
        Progress {
            done,
            total: 4000,
            unit: "steps".into(),
            readings,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn before_the_first_progress_there_is_only_the_time() {
        assert_eq!(StageProgress::new(seconds(100)).status(seconds(103)), "3.0s");
    }

    #[test]
    fn time_left_counts_from_where_a_checkpoint_went_on() {
        let mut running = StageProgress::new(seconds(100));
        running.progressed(seconds(102), &at(2000));
        assert_eq!(running.status(seconds(102)), "2000/4000 steps, 2.0s, loss 0.0312, 51.2k tokens/s");
        running.progressed(seconds(112), &at(2500));
        // 500 steps in 10 s, 1,500 to go, the last progress 2 s ago.
        assert_eq!(
            running.status(seconds(114)),
            "2500/4000 steps, 14.0s, 28.0s left, loss 0.0312, 51.2k tokens/s"
        );
    }

    #[test]
    fn the_loss_in_a_line_is_read_back() {
        let mut running = StageProgress::new(seconds(100));
        running.progressed(seconds(102), &at(2000));
        running.progressed(seconds(112), &at(2500));
        assert_eq!(Progress::loss_in(&running.status(seconds(114))), Some((2500, 0.0312)));
        for other in [
            "",
            "loss 0.5",
            "3/x steps, loss 0.5",
            "3/4 steps, 1.0s",
            "epoch 3/4 steps, loss 0.5",
            "3/4 steps, loss high",
        ] {
            assert_eq!(Progress::loss_in(other), None, "{other}");
        }
    }

    #[test]
    fn the_held_out_loss_stands_beside_that_of_the_step() {
        let mut running = StageProgress::new(seconds(100));
        let mut progress = at(2000);
        progress.readings.insert("validation_loss".into(), 0.25);
        running.progressed(seconds(102), &progress);
        assert_eq!(
            running.status(seconds(102)),
            "2000/4000 steps, 2.0s, loss 0.0312, held-out loss 0.2500, 51.2k tokens/s"
        );
    }

    #[test]
    fn progress_without_a_total_or_past_it_is_no_error() {
        let mut running = StageProgress::new(seconds(0));
        running.progressed(seconds(1), &Progress::default());
        assert_eq!(running.status(seconds(1)), "1.0s");
        running.progressed(seconds(1), &at(1));
        running.progressed(seconds(1), &Progress { total: 1, ..at(5) });
        assert_eq!(running.status(seconds(1)), "5/1 steps, 1.0s, loss 0.0312, 51.2k tokens/s");
    }

    #[test]
    fn absurd_progress_of_a_program_is_short_and_draws_nothing() {
        let absurd = |loss: f64, speed: f64| Progress {
            done: 2,
            total: u64::MAX,
            unit: format!("\x1b[2Jsteps\n{}", "x".repeat(1000)),
            readings: BTreeMap::from([("loss".into(), loss), ("tokens_per_second".into(), speed)]),
        };
        for (loss, speed, shown) in [
            (f64::NAN, f64::NAN, "loss NaN, NaN tokens/s"),
            (f64::INFINITY, f64::NEG_INFINITY, "loss inf, -inf tokens/s"),
            (1e300, 1e300, "loss 1.00e300, 1.0e300 tokens/s"),
            (-1e-300, -1e300, "loss -1.00e-300, -1.0e300 tokens/s"),
            (0.0, 2.5e6, "loss 0.0000, 2.5M tokens/s"),
        ] {
            let mut running = StageProgress::new(seconds(0));
            running.progressed(seconds(0), &at(1));
            running.progressed(seconds(1), &absurd(loss, speed));
            let status = running.status(seconds(1));
            let begin = format!("2/{} steps xxxxxx…xxxxxxxxxxx, 1.0s, ", u64::MAX);
            assert_eq!(status, begin + shown);
        }
    }
}
