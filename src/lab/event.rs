//! The events of a run: all that a reporter learns about it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::hash::Digest;
use crate::text::printable;

/// The progress of a running stage. Sent at most a few times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done so far.
    pub done: u64,
    /// Units to do in all.
    pub total: u64,
    /// The unit: `steps`, `requests`, `rows`.
    pub unit: String,
    /// Named readings at this moment: `loss`, `validation_loss`, `learning_rate`, `tokens_per_second`.
    pub readings: BTreeMap<String, f64>,
}

/// Why a stage is looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostBecause {
    /// An output is missing, or damaged.
    Missing,
    /// gc deleted an output that is needed.
    Deleted,
    /// A stage before it was computed again, and came out otherwise.
    Changed,
}

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run has begun.
    RunStarted {
        run: String,
        experiment: String,
        stages: usize,
        jobs: usize,
        threads: usize,
    },
    /// A source is being fetched.
    Fetching { source: String, file: String, progress: Progress },
    /// The source has been fetched and matches its pin. `pin` is set when the experiment has none: the one to write there.
    Fetched {
        source: String,
        bytes: u64,
        seconds: f64,
        pin: Option<String>,
    },
    /// An environment is being prepared; `command` says how.
    Preparing {
        environment: String,
        command: String,
        log: PathBuf,
    },
    /// It has been prepared.
    Prepared { environment: String, seconds: f64 },
    /// The store had the stage's record.
    Cached {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
    },
    /// A worker has begun the stage.
    Started {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        kind: String,
        reason: String,
        log: PathBuf,
    },
    /// The stage made progress.
    Progressed {
        #[serde(flatten)]
        stage: StageName,
        progress: Progress,
    },
    /// Another process is computing this stage, and the run waits for it.
    Waiting {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        holder: String,
    },
    /// The stage is looked up again: its outputs disappeared from the store after it was looked up, or its inputs are others. `needed_by`
    /// waits for it; where its inputs are others, that is the stage whose outputs they are.
    Lost {
        #[serde(flatten)]
        stage: StageName,
        needed_by: StageName,
        because: LostBecause,
    },
    /// The stage succeeded and its record is in the store.
    Finished {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        seconds: f64,
        outputs: BTreeMap<String, Digest>,
    },
    /// The stage failed; the store has no output of it.
    Failed {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        seconds: f64,
        error: String,
        log: PathBuf,
        log_tail: Vec<String>,
    },
    /// The stage was not tried, because a stage that it needs failed or the run was interrupted.
    Skipped {
        #[serde(flatten)]
        stage: StageName,
        because: String,
    },
    /// Inputs of the stage that were not in the store have been fetched from a remote.
    Brought {
        #[serde(flatten)]
        stage: StageName,
        artifacts: usize,
        bytes: u64,
        seconds: f64,
    },
    /// A problem that does not stop the run: a remote cannot be used.
    Warned { message: String },
    /// The uploads to the remotes have ended; `stages` of the `of` stages that ran are there.
    Uploaded {
        stages: usize,
        of: usize,
        bytes: u64,
        failed: Vec<String>,
    },
    /// Ctrl-C (or a termination signal) arrived: the running stages are asked to stop.
    Interrupted,
    /// The last event of every run.
    Summary {
        stages: usize,
        cached: usize,
        ran: usize,
        failed: usize,
        skipped: usize,
        seconds: f64,
        interrupted: bool,
    },
}

/// The name of a stage with the coordinates of its variant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StageName {
    /// `standard[2]`
    #[serde(rename = "stage")]
    pub name: String,
    /// The matrix coordinates that are the same in all variants which share the stage, as text.
    pub variant: BTreeMap<String, String>,
}

impl std::fmt::Display for StageName {
    /// `standard[2]` or `standard[2] (seed=1, start=warm)`, printable whatever the values are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&printable(&self.name))?;
        if !self.variant.is_empty() {
            let coordinates: Vec<String> = self.variant.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
            write!(f, " ({})", printable(&coordinates.join(", ")))?;
        }
        Ok(())
    }
}

/// Parses `seed=1, ask=[-1, -2]`; commas within brackets belong to a value. `None` when a part is not `axis=value`.
pub fn coordinates(text: &str) -> Option<Vec<(String, String)>> {
    let (mut parts, mut depth) = (vec![String::new()], 0i32);
    for c in text.chars() {
        depth += i32::from(c == '[') - i32::from(c == ']');
        match parts.last_mut() {
            Some(part) if c != ',' || depth > 0 => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    let pair = |part: &String| {
        let (axis, value) = part.split_once('=')?;
        Some((axis.trim().to_owned(), value.trim().to_owned()))
    };
    parts.iter().map(pair).collect()
}

/// Receives the events of a run, in order.
pub trait Reporter {
    /// Shows or stores one event; called from one thread.
    fn event(&mut self, event: &Event);

    /// Called about five times a second from the same thread, for output that depends on time alone: heartbeats, spinners.
    fn tick(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_draws_nothing_on_a_terminal() {
        let name = StageName {
            name: "a".into(),
            variant: BTreeMap::from([("ask".into(), "x\x1b[31m\r\n\u{202e}y".into())]),
        };
        assert_eq!(name.to_string(), "a (ask=x y)");
    }

    #[test]
    fn an_event_names_its_stage_like_the_plan_does_and_reads_back() {
        let event = Event::Cached {
            stage: StageName {
                name: "numbered[0]".into(),
                variant: BTreeMap::from([("seed".into(), "1".into())]),
            },
            key: Digest::of(b""),
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"event":"cached","stage":"numbered[0]","variant":{{"seed":"1"}},"key":"{}"}}"#,
                Digest::of(b"")
            )
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
