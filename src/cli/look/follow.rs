//! A log as lines for people, also while it grows.

use std::fs::File;
use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cli::{CliError, Exit, print};
use lab::event::StageName;
use lab::runs::{FoundLog, find_one};
use lab::store::Store;
use lab::text::hide;

/// The time between two looks at a log.
const INTERVAL: Duration = Duration::from_millis(200);

/// The time between two looks whether the stage still runs.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// The last state of a progress bar, which ends no line, is printed after this time.
const BAR_INTERVAL: Duration = Duration::from_secs(5);

/// The longest part of a line that is kept.
const MAX_LINE: usize = 1 << 20;

/// Prints a log, and with `goes_on` what is added to it until the stage ends.
///
/// # Errors
/// When it cannot be read, or standard output cannot be written to.
pub(super) fn follow(store: &Store, log: &FoundLog, stage: &StageName, goes_on: bool, lines: &mut LogLines) -> Result<Exit, CliError> {
    let unreadable = |error: std::io::Error| CliError::NothingSelected(format!("cannot read the log {}: {error}", log.path.display()));
    let mut file = File::open(&log.path).map_err(unreadable)?;
    let mut buffer = vec![0; 1 << 16];
    let (mut looked, mut printed) = (Instant::now(), Instant::now());
    let mut has_ended = !(goes_on && log.is_running);
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        let text = match buffer.get(..count) {
            Some(bytes) if count > 0 => lines.add(bytes),
            // All that was written before the stage ended has been read.
            _ if has_ended => {
                print(&lines.rest())?;
                return Ok(Exit::Done);
            }
            _ if printed.elapsed() >= BAR_INTERVAL => lines.bar(),
            _ => String::new(),
        };
        if !text.is_empty() {
            print(&text)?;
            printed = Instant::now();
        }
        if count == 0 {
            sleep(INTERVAL);
        }
        if !has_ended && looked.elapsed() >= STATUS_INTERVAL {
            looked = Instant::now();
            let is_this = |run: &lab::runs::FoundRun| run.status.running.iter().any(|running| running.stage == *stage);
            has_ended = !find_one(store, &log.run).is_some_and(|run| run.is_alive() && is_this(&run));
        }
    }
}

/// Makes lines of the bytes of a log.
pub(in crate::cli) struct LogLines {
    hidden: Vec<String>,
    /// What follows the last line feed.
    open: Vec<u8>,
}

impl LogLines {
    /// Lines in which none of `hidden` can be read.
    pub(in crate::cli) fn new(hidden: Vec<String>) -> Self {
        Self { hidden, open: Vec::new() }
    }

    /// The lines that end in these further bytes.
    pub(in crate::cli) fn add(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(part);
            if part.ends_with(b"\n") {
                text += &self.end_line();
            }
        }
        if self.open.len() > MAX_LINE {
            text += &if self.open.contains(&b'\r') { self.bar() } else { self.end_line() };
        }
        text
    }

    /// The last state of a progress bar, which has not ended its line.
    pub(in crate::cli) fn bar(&mut self) -> String {
        let Some(end) = self.open.iter().rposition(|byte| *byte == b'\r') else {
            return String::new();
        };
        let rest = self.open.split_off(end + 1);
        let line = self.end_line();
        self.open = rest;
        if line.trim().is_empty() { String::new() } else { line }
    }

    /// What follows the last line feed, as a line.
    pub(in crate::cli) fn rest(&mut self) -> String {
        if self.open.is_empty() { String::new() } else { self.end_line() }
    }

    fn end_line(&mut self) -> String {
        let line = std::mem::take(&mut self.open);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        // A carriage return begins it anew: the last state that shows anything stays.
        let shown = line.split(|byte| *byte == b'\r').rev().find(|state| !state.trim_ascii().is_empty());
        hide(&self.hidden, &String::from_utf8_lossy(shown.unwrap_or_default())) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_made_of_pieces() {
        let mut lines = LogLines::new(vec!["secret".to_owned(), "abc".to_owned()]);
        assert_eq!(lines.add(b"one\ntw"), "one\n");
        assert_eq!(lines.add(b"o secret abc\n\nthree"), "two ••• abc\n\n");
        assert_eq!((lines.rest().as_str(), lines.rest().as_str()), ("three\n", ""));
    }

    #[test]
    fn of_a_progress_bar_the_last_state_is_shown() {
        let mut lines = LogLines::new(Vec::new());
        assert_eq!(lines.add(b"\r 10 %\r 20 %\r 3"), "");
        assert_eq!((lines.bar().as_str(), lines.bar().as_str()), (" 20 %\n", ""));
        assert_eq!(lines.add(b"0 %\r\n"), " 30 %\n");
        assert_eq!(lines.bar(), "");
        let long = vec![b'x'; MAX_LINE + 1];
        assert_eq!(lines.add(&long).len(), MAX_LINE + 2);
    }
}
