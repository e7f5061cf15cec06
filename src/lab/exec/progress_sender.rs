//! Tells the runner, and the log, what a stage does.

use std::cell::Cell;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::watch::StopRequest;
use super::work_order::WorkerMessage;
use crate::event::Progress;

/// The shortest time between two progress messages.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Sends the progress of a stage to the runner: at most once per [`PROGRESS_INTERVAL`], and at its end.
pub(super) struct ProgressSender<'a, W> {
    output: &'a Mutex<W>,
    stop: &'a StopRequest,
    begun: Instant,
    last: Cell<Option<Instant>>,
    /// The progress since then.
    unsent: Cell<Option<Progress>>,
}

impl<'a, W: Write> ProgressSender<'a, W> {
    pub(super) fn new(output: &'a Mutex<W>, stop: &'a StopRequest, begun: Instant) -> Self {
        Self {
            output,
            stop,
            begun,
            last: Cell::new(None),
            unsent: Cell::new(None),
        }
    }

    pub(super) fn send(&self, mut progress: Progress) {
        self.stop.sign_of_life(self.begun.elapsed());
        // JSON has no infinities: a message with one would not be read at all.
        progress.readings.retain(|_, reading| reading.is_finite());
        self.unsent.set(Some(progress));
        if self.last.get().is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL) {
            self.last.set(Some(Instant::now()));
            self.send_last();
        }
    }

    /// Sends what came too soon after the message before.
    pub(super) fn send_last(&self) {
        if let Some(progress) = self.unsent.take() {
            self.message(&WorkerMessage::Progress(progress));
        }
    }

    /// Tells the runner and the log.
    pub(super) fn warn(&self, message: &str) {
        log(message);
        let message = message.to_owned();
        self.message(&WorkerMessage::Warned { message });
    }

    fn message(&self, message: &WorkerMessage) {
        message.send(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Writes a line to the log, which is the standard error of a worker.
pub(super) fn log(line: &str) {
    // As for the messages: whoever reads them may be gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}
