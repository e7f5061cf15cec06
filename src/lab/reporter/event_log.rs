//! The events of a run in the store, for whoever asks later what happened.

use std::fs::File;
use std::path::PathBuf;

use super::{Json, SystemClock};
use crate::event::{Event, Reporter};
use crate::store::Store;

/// Writes `runs/<run>/events.jsonl`, from the first stage that starts on: a run of hits alone leaves nothing behind.
pub struct EventLog {
    store: Store,
    run: String,
    /// What came before the first stage started, but for the hits.
    before: Vec<Event>,
    log: Option<Json<File, SystemClock>>,
}

impl EventLog {
    /// For the run named `run`.
    pub fn new(store: Store, run: String) -> Self {
        Self {
            store,
            run,
            before: Vec::new(),
            log: None,
        }
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.store.run_folder(&self.run).ok()?.join("events.jsonl"))
    }
}

impl Reporter for EventLog {
    fn event(&mut self, event: &Event) {
        if self.log.is_none() && matches!(event, Event::Started { .. }) {
            // A log that cannot be written is no reason to lose the run.
            self.log = self
                .path()
                .and_then(|path| File::create(path).ok())
                .map(|file| Json::new(file, SystemClock::start()));
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
