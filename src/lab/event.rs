//! The events of a run: all that a reporter learns about it.

mod queue;
mod stage_progress;

pub use queue::{Queue, WaitReason, WaitingStage};
pub use stage_progress::StageProgress;

use std::collections::BTreeMap;
use std::fmt;
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

/// Why a stage ended without outputs: what is to be done follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// Its input, its params or the machine: it would fail again.
    #[default]
    Failed,
    /// It took longer than it may.
    Time,
    /// It wrote nothing to its log and made no progress for longer than it may.
    Silent,
    /// It needed more memory than it may use, or than there was.
    Memory,
    /// A server refused the connection, or broke it off.
    Refused,
    /// A process of it was ended by this signal.
    Signal(i32),
    /// Its program ended with this code.
    Exit(i32),
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("failed"),
            Self::Time => f.write_str("time"),
            Self::Silent => f.write_str("silent"),
            Self::Memory => f.write_str("memory"),
            Self::Refused => f.write_str("refused"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Exit(code) => write!(f, "exit code {code}"),
        }
    }
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
        #[serde(default)]
        cause: FailureCause,
        error: String,
        log: PathBuf,
        log_tail: Vec<String>,
    },
    /// The stage ended without outputs, by a cause for which it is tried again: for the `attempt`th time of `of`, counted from 1.
    Retrying {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        cause: FailureCause,
        error: String,
        attempt: u32,
        of: u32,
        /// The memory that it may use from now on, in bytes, where it needed more.
        memory: Option<u64>,
    },
    /// The stage was ended, or taken out of the run, because somebody asked for it: no failure, and not tried again.
    Cancelled {
        #[serde(flatten)]
        stage: StageName,
        /// How long it ran; 0 if it had not begun.
        seconds: f64,
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
        #[serde(default)]
        cancelled: usize,
        seconds: f64,
        interrupted: bool,
        /// The number of stages that failed by each cause but a plain failure.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        causes: BTreeMap<String, usize>,
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

impl fmt::Display for StageName {
    /// `standard[2]` or `standard[2] (seed=1, start=warm)`, printable whatever the values are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    /// Told what waits and how long the rest may take, at most about once a second and soon after a stage began or ended; a tick follows.
    fn look(&mut self, _: &Queue) {}
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
