//! Events as JSON lines.

use std::io::Write;
use std::rc::Rc;

use serde::Serialize;

use super::{Clock, CommandHints};
use crate::event::{Event, Reporter};
use crate::text::printable_json;

/// Writes every event as one JSON object per line, with the `time` at which it was reported: seconds since the Unix epoch.
///
/// Each line is flushed. When the other end is closed or full, the rest is dropped: the results of the run are worth more than its
/// report.
pub struct JsonReporter<W, C> {
    out: Option<W>,
    clock: C,
    hints: Rc<dyn CommandHints>,
}

impl<W: Write, C: Clock> JsonReporter<W, C> {
    /// Writes to `out`.
    pub fn new(out: W, clock: C, hints: Rc<dyn CommandHints>) -> Self {
        Self {
            out: Some(out),
            clock,
            hints,
        }
    }

    fn line(&self, event: &Event) -> Option<String> {
        let (rerun, finish) = match event {
            Event::Failed { stage, .. } => (Some(self.hints.run_alone(stage)), None),
            Event::Uploaded { .. } => (None, Some(self.hints.finish_uploads())),
            _ => (None, None),
        };
        let time = (self.clock.now().as_secs_f64() * 1e3).round() / 1e3;
        let line = EventLine {
            event,
            rerun,
            finish,
            time,
        };
        let line = serde_json::to_string(&line).ok()?;
        Some(format!("{}\n", printable_json(&line)))
    }
}

impl<W: Write, C: Clock> Reporter for JsonReporter<W, C> {
    fn event(&mut self, event: &Event) {
        let Some(line) = self.line(event) else { return };
        let Some(out) = &mut self.out else { return };
        if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}

/// An event with the fields that only a reporter knows.
#[derive(Serialize)]
struct EventLine<'a> {
    #[serde(flatten)]
    event: &'a Event,
    /// The command that runs a failed stage alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun: Option<String>,
    /// The command that finishes the uploads.
    #[serde(skip_serializing_if = "Option::is_none")]
    finish: Option<String>,
    time: f64,
}
