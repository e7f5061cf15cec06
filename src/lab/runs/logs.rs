//! Where the log of a stage is: of the one that runs, else of the last that ran.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::find::{FoundRun, find, find_one};
use crate::event::StageName;
use crate::hash::Digest;
use crate::store::Store;

/// The log of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundLog {
    pub path: PathBuf,
    pub run: String,
    /// Whether the stage runs at this moment.
    pub is_running: bool,
}

/// The lines of `events.jsonl` that matter here; all others are read over.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum LogEvent {
    RunStarted {
        experiment: String,
    },
    Started {
        #[serde(flatten)]
        stage: StageName,
        key: Digest,
        log: PathBuf,
    },
}

/// The log of the stage `stage` of an experiment with this file and name: that of a living run, else the newest. With `run`, only that
/// run's. With the stage's `key`, runs of other experiments count that ran just this stage, if no run of this one did.
pub fn found_log(
    store: &Store,
    file: &Path,
    experiment: &str,
    stage: &StageName,
    run: Option<&str>,
    key: Option<&Digest>,
) -> Option<FoundLog> {
    let is_wanted = |found: &FoundRun| run.map_or_else(|| found.is_of(file, experiment), |run| found.status.run == run);
    let alive = find(store).into_iter().rev().filter(|found| found.is_alive() && is_wanted(found));
    let running = alive.flat_map(|found| found.status.running.into_iter().map(move |stage| (found.status.run.clone(), stage)));
    let mut this = running.filter(|(_, running)| running.stage == *stage && !running.log.as_os_str().is_empty());
    if let Some((run, running)) = this.next() {
        let path = in_store(store, &run, running.log);
        return Some(FoundLog {
            path,
            run,
            is_running: true,
        });
    }
    let mut runs: Vec<String> = run.map_or_else(|| store.runs(), |run| vec![run.to_owned()]);
    runs.reverse();
    // Runs of earlier versions have not told of which file they are.
    let is_this = |run: &str, name: &str| find_one(store, run).map_or_else(|| name == experiment, |found| found.is_of(file, experiment));
    let fits = |one: &str, name: &str, found: &StageName| found == stage && (run.is_some() || is_this(one, name));
    let named = runs
        .iter()
        .find_map(|one| started(store, one, |name, found, _| fits(one, name, found)));
    let by_key = || runs.iter().find_map(|run| started(store, run, |_, _, found| key == Some(found)));
    named.or_else(by_key)
}

/// The last log of a stage that the run began, for which `fits` holds: it gets the experiment, the stage and its key.
fn started(store: &Store, run: &str, fits: impl Fn(&str, &StageName, &Digest) -> bool) -> Option<FoundLog> {
    let events = File::open(store.run_path(run).join("events.jsonl")).ok()?;
    let (mut experiment, mut last) = (String::new(), None);
    for line in BufReader::new(events).split(b'\n').map_while(Result::ok) {
        match serde_json::from_slice(&line) {
            Ok(LogEvent::RunStarted { experiment: name }) => experiment = name,
            Ok(LogEvent::Started { stage, key, log }) if fits(&experiment, &stage, &key) => last = Some(log),
            _ => {}
        }
    }
    Some(FoundLog {
        path: in_store(store, run, last?),
        run: run.to_owned(),
        is_running: false,
    })
}

/// Where a log of a run is now: the store may have been moved since, and on another host it may have another path.
pub(super) fn in_store(store: &Store, run: &str, log: PathBuf) -> PathBuf {
    let here = log.file_name().map(|name| store.run_path(run).join(name));
    here.filter(|path| path.exists()).unwrap_or(log)
}
