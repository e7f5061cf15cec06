//! The events of a run, kept in the store.

use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;

use super::{CommandHints, JsonReporter, SystemClock};
use crate::event::{Event, Reporter};
use crate::store::Store;

/// Writes `runs/<run>/events.jsonl` from the first start of a stage on: a run of hits alone leaves no files behind.
pub struct EventLog {
    store: Store,
    run: String,
    hints: Rc<dyn CommandHints>,
    /// The events before the first start, without the hits.
    before: Vec<Event>,
    log: Option<JsonReporter<File, SystemClock>>,
}

impl EventLog {
    /// For the run named `run`.
    pub fn new(store: Store, run: String, hints: Rc<dyn CommandHints>) -> Self {
        Self {
            store,
            run,
            hints,
            before: Vec::new(),
            log: None,
        }
    }

    /// The log's file, opened. A log that cannot be written is no reason to lose the run.
    fn open(&self) -> Option<JsonReporter<File, SystemClock>> {
        let path: PathBuf = self.store.run_folder(&self.run).ok()?.join("events.jsonl");
        let file = File::create(path).ok()?;
        Some(JsonReporter::new(file, SystemClock::start(), Rc::clone(&self.hints)))
    }
}

impl Reporter for EventLog {
    fn event(&mut self, event: &Event) {
        if self.log.is_none() && matches!(event, Event::Started { .. }) {
            self.log = self.open();
            for event in std::mem::take(&mut self.before) {
                self.log.iter_mut().for_each(|log| log.event(&event));
            }
        }
        match (&mut self.log, event) {
            (_, Event::Progressed { .. }) => {}
            (Some(log), event) => log.event(event),
            (None, Event::Cached { .. }) => {}
            (None, event) => self.before.push(event.clone()),
        }
    }
}
