//! `runner cache verify --rerun N`: runs stages again, from their records alone, and compares their outputs with the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::compare_artifacts::{self, Likeness, TOLERANCE};
use crate::cli::progress::ProgressLine;
use crate::cli::{CliError, Exit, print, print_json, program};
use kinds::kinds;
use lab::event::StageName;
use lab::exec::{self, Executor, LocalExecutor, WorkOrder, WorkerMessage};
use lab::hash::Digest;
use lab::stage::Sandbox;
use lab::stage::{ENVIRONMENT, Kind};
use lab::store::{Outputs, Provenance, Record, Store, StoreEntry, StoreError};
use lab::text::duration;

/// The longest wait for one message of the worker.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// The result of running one stage again.
struct RerunOutcome {
    key: Digest,
    name: StageName,
    seconds: f64,
    found: Result<Likeness, String>,
}

/// Runs `count` stages again: a random choice of those named, or of all that can be run again.
pub(super) fn rerun(store: &Store, named: &[StoreEntry], count: usize, as_json: bool) -> Result<Exit, CliError> {
    let chosen = choose(store, named, count)?;
    if chosen.is_empty() {
        return Err(CliError::NothingSelected(
            "no stage can be run again: it must have its inputs and outputs in the store, be of a kind in this version, and read nothing from outside"
                .to_owned(),
        ));
    }
    let program = program::running().map_err(CliError::Program)?;
    let progress = ProgressLine::new();
    let mut outcomes = Vec::new();
    for (key, record) in chosen {
        let name = StageName {
            name: record.stage.clone(),
            variant: record.variant.clone(),
        };
        progress.show(&format!("running {name} again, which took {}", duration(record.seconds)));
        let (found, seconds) = run_again(store, &record, &program, &progress)?;
        let outcome = RerunOutcome { key, name, seconds, found };
        if !as_json {
            progress.suspend(|| print(&line(&outcome)))?;
        }
        outcomes.push(outcome);
    }
    drop(progress);
    if as_json {
        let list: Vec<_> = outcomes.iter().map(as_value).collect();
        print_json(&json!({"tolerance": TOLERANCE, "stages": list}))?;
    } else {
        print(&summary(&outcomes))?;
    }
    let good = |outcome: &RerunOutcome| outcome.found.as_ref().is_ok_and(|found| *found < Likeness::Different);
    Ok(if outcomes.iter().all(good) { Exit::Done } else { Exit::Store })
}

/// The records to run again, in random order. Reads no more records than it needs.
///
/// # Errors
/// When a folder of the store cannot be read.
fn choose(store: &Store, named: &[StoreEntry], count: usize) -> Result<Vec<(Digest, Record)>, StoreError> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos());
    let random = |key: &Digest| Digest::of(format!("{now} {key}").as_bytes());
    let mut keys = store.keys()?;
    keys.retain(|key| named.is_empty() || named.contains(&StoreEntry::Record(*key)));
    keys.sort_by_cached_key(random);
    let read = |key: Digest| Some((key, store.record(&key).ok()??));
    let records = keys.into_iter().filter_map(read).filter(|(_, record)| can_run(store, record));
    Ok(records.take(count).collect())
}

/// Whether the stage can be run here from its record alone: its params parse to themselves, and its inputs and outputs are in the store.
fn can_run(store: &Store, record: &Record) -> bool {
    let fingerprint = &record.fingerprint;
    let is_here = |digest: &Digest| store.object(digest).exists();
    let same_numbers = fingerprint
        .instruction_set
        .as_deref()
        .is_none_or(|set| set == learn::engine::instruction_set("cpu"));
    let Some(kind) = kind_of(record) else { return false };
    let given: Vec<&str> = fingerprint
        .inputs
        .iter()
        .filter(|(_, digests)| !digests.is_empty())
        .map(|(port, _)| port.as_str())
        .collect();
    let stage = (kind.parse)(&kind.with_implied((*fingerprint.params).clone()).into(), &given);
    stage.is_ok_and(|stage| stage.source().is_none() && kind.key_params(stage.as_ref()) == *fingerprint.params)
        && same_numbers
        // The record has the digests of the files, but not their paths.
        && fingerprint.files.is_empty()
        // Nor has it what an environment is started with.
        && fingerprint.params.get(ENVIRONMENT).is_none()
        && fingerprint.inputs.values().flatten().all(is_here)
        && record.outputs.values().all(|artifact| is_here(&artifact.digest))
}

/// The kind that made the record, if this binary has the same version of it.
fn kind_of(record: &Record) -> Option<&'static Kind> {
    let fingerprint = &record.fingerprint;
    kinds()
        .iter()
        .copied()
        .find(|kind| kind.name == fingerprint.kind && kind.version == fingerprint.version)
}

/// Runs a stage into a temporary store, and compares its outputs with those of the record.
fn run_again(store: &Store, record: &Record, program: &Path, line: &ProgressLine) -> Result<(Result<Likeness, String>, f64), CliError> {
    let workspace = store.workspace()?;
    let made = record.outputs.values().map(|artifact| artifact.digest);
    let needed: Vec<Digest> = record.fingerprint.inputs.values().flatten().copied().chain(made).collect();
    let _kept = store.protect_for_run(&format!("rerun-{}", record.fingerprint.key()), &needed)?;
    let temporary = Store::open(workspace.path())?;
    let paths = |digests: &Vec<Digest>| digests.iter().map(|digest| store.object(digest)).collect();
    let order = WorkOrder {
        store: temporary.folder().to_owned(),
        fingerprint: record.fingerprint.clone(),
        unkeyed_params: serde_json::Map::new(),
        inputs: record
            .fingerprint
            .inputs
            .iter()
            .map(|(port, digests)| (port.clone(), paths(digests)))
            .collect(),
        threads: exec::cores(),
        device: "cpu".to_owned(),
        sandbox: Sandbox::default(),
        // What is run again here asks no server.
        patience: 0,
        stage: StageName::default(),
        experiment: String::new(),
        run: String::new(),
        provenance: Provenance::default(),
        sign: None,
    };
    let mut worker = LocalExecutor::new(program.to_owned());
    worker.start(0, &order, &workspace.path().join("log")).map_err(CliError::Program)?;
    loop {
        match worker.next(MESSAGE_TIMEOUT) {
            None | Some((_, WorkerMessage::Warned { .. })) => {}
            Some((_, WorkerMessage::Progress(progress))) => {
                line.show(&format!("{} of {} {}", progress.done, progress.total, progress.unit));
            }
            Some((_, WorkerMessage::Done { outputs, seconds })) => {
                let digests = |outputs: &Outputs| -> BTreeMap<String, Digest> {
                    outputs.iter().map(|(port, artifact)| (port.clone(), artifact.digest)).collect()
                };
                let (old, new) = (digests(&record.outputs), digests(&outputs));
                return Ok((Ok(compare(store, &old, &temporary, &new)), seconds));
            }
            Some((_, WorkerMessage::Failed { error, seconds })) => return Ok((Err(error), seconds)),
            Some((_, WorkerMessage::Stopped)) => return Ok((Err("stopped".to_owned()), 0.0)),
        }
    }
}

/// The likeness of two stages' outputs: that of the least alike pair.
fn compare(store: &Store, old: &BTreeMap<String, Digest>, temporary: &Store, new: &BTreeMap<String, Digest>) -> Likeness {
    if old == new {
        return Likeness::Identical;
    }
    if !old.keys().eq(new.keys()) {
        return Likeness::Different;
    }
    let pairs = old.values().zip(new.values());
    let likeness = pairs.map(
        |(old, new)| match compare_artifacts::compare(&store.object(old), &temporary.object(new)) {
            _ if old == new => Likeness::Identical,
            // The same files, but other permissions or empty folders.
            Likeness::Identical => Likeness::Different,
            likeness => likeness,
        },
    );
    likeness.max().unwrap_or(Likeness::Different)
}

fn outcome_word(found: &Result<Likeness, String>) -> &str {
    match found {
        Ok(Likeness::Identical) => "identical",
        Ok(Likeness::Equal) => "equal within tolerance",
        Ok(Likeness::Different) => "different",
        Err(_) => "failed",
    }
}

fn line(outcome: &RerunOutcome) -> String {
    let RerunOutcome { key, name, seconds, found } = outcome;
    let why = found.as_ref().err().map_or_else(String::new, |error| format!(": {error}"));
    format!("{}  {}  {name}, {}{why}\n", key.short(), outcome_word(found), duration(*seconds))
}

fn summary(outcomes: &[RerunOutcome]) -> String {
    let count = |likeness| outcomes.iter().filter(|outcome| outcome.found == Ok(likeness)).count();
    let failed = outcomes.iter().filter(|outcome| outcome.found.is_err()).count();
    let mut text = format!(
        "{} stages run again: {} identical, {} equal within {TOLERANCE}, {} different, {failed} failed\n",
        outcomes.len(),
        count(Likeness::Identical),
        count(Likeness::Equal),
        count(Likeness::Different),
    );
    if count(Likeness::Different) > 0 {
        text += "a different output comes from another program or machine, or from an error in one: `runner show KEY` prints where it was made\n";
    }
    text
}

fn as_value(outcome: &RerunOutcome) -> serde_json::Value {
    json!({
        "key": outcome.key, "stage": outcome.name.name, "variant": outcome.name.variant, "seconds": outcome.seconds,
        "outcome": outcome_word(&outcome.found), "error": outcome.found.as_ref().err(),
    })
}
