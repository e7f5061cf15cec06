//! The progress of a long command on standard error, for commands that have no reporter.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::color;
use lab::text::{bytes, duration, shortened};

/// The most characters of the line.
const MAX_TEXT: usize = 200;

/// A line that shows the current state. It is drawn only on a terminal, and removed when this is dropped.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    begun: Instant,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        let mut style = ProgressStyle::default_spinner();
        if color::stderr_paint().is_ascii() {
            style = style.tick_chars("|/-\\ ");
        }
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar,
            begun: Instant::now(),
        }
    }

    /// Replaces the text of the line.
    pub(super) fn show(&self, text: &str) {
        self.bar.set_message(shortened(&color::stderr_paint().finish(text), MAX_TEXT));
    }

    /// Shows how many bytes are done and how fast.
    pub(super) fn show_bytes(&self, verb: &str, count: u64) {
        self.show(&format!("{verb} {}", self.rate(count)));
    }

    /// The time since the start of this line.
    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// `1.2 GB in 3.0s, 400.0 MB/s`, counted from the start of this line.
    pub(super) fn rate(&self, count: u64) -> String {
        let seconds = self.seconds();
        let speed = (count as f64 / seconds.max(1e-3)) as u64;
        format!("{} in {}, {}/s", bytes(count), duration(seconds), bytes(speed))
    }

    /// Removes the line while something else is printed.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
