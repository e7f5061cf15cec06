//! What execution tells the outside, and all that a reporter may know.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::hash::Digest;

/// How far a running stage is. Sent at most a few times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done so far, and in all: optimizer steps, requests, rows.
    pub done: u64,
    /// See `done`.
    pub total: u64,
    /// What is counted: `steps`, `requests`, `rows`.
    pub unit: String,
    /// Named readings at this moment: `loss`, `learning_rate`, `tokens_per_second`.
    pub readings: BTreeMap<String, f64>,
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
    /// A source is on its way to this machine.
    Fetching { source: String, file: String, progress: Progress },
    /// It is there, and is what its pin says; where there is none, this is the one to write.
    Fetched {
        source: String,
        bytes: u64,
        seconds: f64,
        pin: Option<String>,
    },
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
    /// The stage moved on.
    Progressed {
        #[serde(flatten)]
        stage: StageName,
        progress: Progress,
    },
    /// Another process is computing this stage; it is waited for.
    Waiting {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        holder: String,
    },
    /// Outputs of the stage have gone from the store since it was looked up; it is looked up again, and `needed_by` waits for it.
    Lost {
        #[serde(flatten)]
        stage: StageName,
        needed_by: StageName,
    },
    /// The stage ended well and its record is in the store.
    Finished {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        seconds: f64,
        outputs: BTreeMap<String, Digest>,
    },
    /// The stage failed; nothing of it is in the store.
    Failed {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        seconds: f64,
        error: String,
        log: PathBuf,
        log_tail: Vec<String>,
        rerun: String,
    },
    /// The stage was not tried, because one that it needs failed or the run was interrupted.
    Skipped {
        #[serde(flatten)]
        stage: StageName,
        because: String,
    },
    /// Inputs of the stage that were not in the store came from a remote.
    Brought {
        #[serde(flatten)]
        stage: StageName,
        artifacts: usize,
        bytes: u64,
        seconds: f64,
    },
    /// Something that does not stop the run but should be known: a remote cannot be used.
    Warned { message: String },
    /// What the run brought to the remotes; `finish` is the command that brings the rest.
    Uploaded {
        stages: usize,
        of: usize,
        bytes: u64,
        failed: Vec<String>,
        finish: String,
    },
    /// Ctrl-C (or a termination signal) was seen: running stages are asked to stop.
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

/// A stage as people know it: its name and the coordinates of its variant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StageName {
    /// `standard[2]`
    #[serde(rename = "stage")]
    pub name: String,
    /// The matrix coordinates that all variants which share the stage agree on, as text.
    pub variant: BTreeMap<String, String>,
}

impl std::fmt::Display for StageName {
    /// `standard[2]` or `standard[2] (seed=1, start=warm)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if !self.variant.is_empty() {
            let coordinates: Vec<String> = self.variant.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
            write!(f, " ({})", coordinates.join(", "))?;
        }
        Ok(())
    }
}

/// Reads `seed=1, ask=[-1, -2]`: commas within brackets belong to a value. Nothing where a part is no `axis=value`.
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

/// Takes the events of a run, in order.
pub trait Reporter {
    /// Shows or stores one event; called from one thread.
    fn event(&mut self, event: &Event);

    /// Called about five times a second from the same thread, for what changes with time alone: heartbeats, spinners.
    fn tick(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

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
