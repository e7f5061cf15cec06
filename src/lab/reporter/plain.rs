//! A run as lines of text, for files and build logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use super::line::RunLine;
use super::named_stages::NamedStages;
use super::run_view::{RunView, subject};
use super::{Clock, CommandHints};
use crate::event::{Event, Reporter, StageName};
use crate::text::{Paint, shortened};

/// The longest time without a line about a stage that runs or is waited for.
const STATUS_INTERVAL: Duration = Duration::from_secs(30);

/// The most characters of a stage's name in such a line.
const MAX_NAME: usize = 200;

/// Writes a line for every event of interest, and from time to time the status of stages that take long; no control characters.
///
/// Cached stages are gathered into one line. When the other end is closed or full, the rest is dropped.
pub struct PlainReporter<W, C> {
    out: Option<W>,
    clock: C,
    hints: Rc<dyn CommandHints>,
    view: RunView,
    /// When the last line about each live stage was printed.
    printed: BTreeMap<StageName, Duration>,
    cached: NamedStages,
}

impl<W: Write, C: Clock> PlainReporter<W, C> {
    /// Writes to `out`.
    pub fn new(out: W, clock: C, hints: Rc<dyn CommandHints>) -> Self {
        Self {
            out: Some(out),
            clock,
            hints,
            view: RunView::default(),
            printed: BTreeMap::new(),
            cached: NamedStages::default(),
        }
    }

    fn print(&mut self, text: &str) {
        let Some(out) = &mut self.out else { return };
        let line = format!("{}\n", Paint::default().finish(text));
        if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }

    /// Prints the gathered stages, which must stand before the next line.
    fn print_cached(&mut self) {
        if let Some(stages) = self.cached.take() {
            self.print(&format!("cached {stages}"));
        }
    }
}

impl<W: Write, C: Clock> Reporter for PlainReporter<W, C> {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::Cached { .. } | Event::Progressed { .. }) {
            self.print_cached();
        }
        let now = self.clock.now();
        let lines = self.view.update(event, now);
        if let Some(name) = subject(event) {
            if !self.view.live.contains_key(name.as_ref()) {
                self.printed.remove(name.as_ref());
            } else if !lines.is_empty() {
                self.printed.insert(name.into_owned(), now);
            }
        }
        for line in lines {
            match line {
                RunLine::Cached(stage) => self.cached.add(stage),
                line => {
                    let text = line.text("", Paint::default(), self.hints.as_ref());
                    self.print(&text);
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        let mut lines = Vec::new();
        for (stage, live) in &self.view.live {
            let printed = self.printed.entry(stage.clone()).or_insert(now);
            if now.saturating_sub(*printed) >= STATUS_INTERVAL {
                *printed = now;
                let status = live.progress.status(now);
                let stage = shortened(&stage.to_string(), MAX_NAME);
                lines.push(match &live.holder {
                    Some(holder) => format!("waiting for {stage}, which {holder} is computing: {status}"),
                    None => format!("running {stage}: {status}"),
                });
            }
        }
        if !lines.is_empty() {
            self.print_cached();
        }
        lines.iter().for_each(|line| self.print(line));
    }
}
