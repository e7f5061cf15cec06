//! How the stages of a run have ended so far, by its events.

use std::collections::BTreeMap;

use serde::Serialize;

use super::growing::GrowingFile;
use crate::event::{Event, FailureCause, StageName};
use crate::store::Store;

/// How a stage of a run has ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StageOutcome {
    /// Its outputs are in the store.
    Done,
    Failed {
        cause: FailureCause,
        error: String,
    },
    /// It ended without outputs, and is tried again.
    Retrying {
        cause: FailureCause,
        error: String,
        attempt: u32,
        of: u32,
    },
    Cancelled,
    /// It was not tried.
    Skipped {
        because: String,
    },
}

/// How the stages of one run have ended, read from its `events.jsonl` as the run writes it. Hits that were found before the first stage
/// began are not among them.
#[derive(Debug)]
pub struct RunOutcomes {
    /// The run's name.
    pub run: String,
    events: GrowingFile,
    pub stages: BTreeMap<StageName, StageOutcome>,
}

impl RunOutcomes {
    /// Of the run `run`; nothing is read yet.
    pub fn new(store: &Store, run: &str) -> Self {
        Self {
            run: run.to_owned(),
            events: GrowingFile::new(&store.run_path(run).join("events.jsonl")),
            stages: BTreeMap::new(),
        }
    }

    /// Reads the events that have come since the last call.
    pub fn update(&mut self) {
        let Self { events, stages, .. } = self;
        events.read(|line| {
            // Events of other versions are read over.
            if let Ok(event) = serde_json::from_slice(line) {
                note(stages, event);
            }
        });
    }
}

fn note(stages: &mut BTreeMap<StageName, StageOutcome>, event: Event) {
    let (stage, outcome) = match event {
        Event::Started { stage, .. } | Event::Lost { stage, .. } => {
            stages.remove(&stage);
            return;
        }
        Event::Cached { stage, .. } | Event::Finished { stage, .. } => (stage, StageOutcome::Done),
        Event::Failed { stage, cause, error, .. } => (stage, StageOutcome::Failed { cause, error }),
        Event::Retrying {
            stage,
            cause,
            error,
            attempt,
            of,
            ..
        } => (stage, StageOutcome::Retrying { cause, error, attempt, of }),
        Event::Cancelled { stage, .. } => (stage, StageOutcome::Cancelled),
        Event::Skipped { stage, because } => (stage, StageOutcome::Skipped { because }),
        _ => return,
    };
    stages.insert(stage, outcome);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Digest;
    use std::fs::OpenOptions;
    use std::io::Write;

    #[test]
    fn the_last_event_of_a_stage_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = store.run_folder("r").unwrap().join("events.jsonl");
        let tell = |event: &Event| {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            writeln!(file, "{}", serde_json::to_string(event).unwrap()).unwrap();
        };
        let stage = StageName {
            name: "fit".to_owned(),
            variant: BTreeMap::new(),
        };
        let started = Event::Started {
            stage: stage.clone(),
            key: Digest::of(b"key"),
            kind: "train".to_owned(),
            reason: String::new(),
            log: "log".into(),
        };
        let mut outcomes = RunOutcomes::new(&store, "r");
        outcomes.update();
        tell(&started);
        tell(&Event::Retrying {
            stage: stage.clone(),
            key: Digest::of(b"key"),
            cause: FailureCause::Memory,
            error: "full".to_owned(),
            attempt: 2,
            of: 3,
            memory: None,
        });
        outcomes.update();
        assert!(matches!(outcomes.stages[&stage], StageOutcome::Retrying { attempt: 2, .. }));
        tell(&started);
        outcomes.update();
        assert!(outcomes.stages.is_empty(), "it runs again");
        tell(&Event::Cancelled {
            stage: stage.clone(),
            seconds: 1.0,
        });
        outcomes.update();
        assert_eq!(outcomes.stages[&stage], StageOutcome::Cancelled);
    }
}
