//! Events as JSON lines.

use std::io::Write;

use serde::Serialize;

use super::Clock;
use crate::event::{Event, Reporter};

/// Writes every event as one JSON object a line, with the `time` it was reported at: seconds since the Unix epoch.
///
/// Each line is flushed. When the other end is closed or full the rest is dropped: the run's results are worth more than
/// its report.
pub struct Json<W, C> {
    out: Option<W>,
    clock: C,
}

impl<W: Write, C: Clock> Json<W, C> {
    /// Writes to `out`.
    pub fn new(out: W, clock: C) -> Self {
        Self { out: Some(out), clock }
    }

    fn line(&self, event: &Event) -> Option<Vec<u8>> {
        let time = (self.clock.now().as_secs_f64() * 1e3).round() / 1e3;
        let mut line = serde_json::to_vec(&Stamped { event, time }).ok()?;
        line.push(b'\n');
        Some(line)
    }
}

impl<W: Write, C: Clock> Reporter for Json<W, C> {
    fn event(&mut self, event: &Event) {
        let Some(line) = self.line(event) else { return };
        let Some(out) = &mut self.out else { return };
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}

#[derive(Serialize)]
struct Stamped<'a> {
    #[serde(flatten)]
    event: &'a Event,
    time: f64,
}
