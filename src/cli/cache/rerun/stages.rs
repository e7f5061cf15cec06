//! The stages that can be run again: from their records, or with what an experiment says of its programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::RerunArgs;
use crate::cli::experiment::{ExecutionArgs, ExperimentArgs, StoreFolderArgs};
use crate::cli::run::sandbox;
use crate::cli::session::{Resolved, StoreUse};
use crate::cli::{CliError, Session};
use kinds::kinds;
use lab::hash::Digest;
use lab::plan::{Node, StageState};
use lab::source::{Source, SourceContents};
use lab::stage::{ENVIRONMENT, Kind, Sandbox};
use lab::store::{Record, Store, StoreEntry, StoreError};

/// What a stage needs that is not in its record.
#[derive(Default)]
pub(super) struct StageSite {
    /// The params that locate something.
    pub(super) unkeyed_params: Map<String, Value>,
    /// Where its source is.
    pub(super) source: Option<PathBuf>,
}

/// The stages of an experiment as they are now.
pub(in crate::cli::cache) struct ExperimentStages {
    /// By key; `None` where the record has all that is needed, or nothing says where its source is.
    sites: BTreeMap<Digest, Option<StageSite>>,
    /// Why the others have no record, for each.
    pub(super) missing: Vec<String>,
    pub(super) sandbox: Sandbox,
    pub(super) device: String,
}

impl ExperimentStages {
    /// The stages of the experiment that is named, and its store; `None` if none is.
    ///
    /// # Errors
    /// When the experiment is wrong, or the store cannot be read.
    pub(in crate::cli::cache) fn of(args: &RerunArgs, store: &StoreFolderArgs) -> Result<Option<(Store, Self)>, CliError> {
        let Some(file) = &args.experiment else {
            return Ok(None);
        };
        let experiment = ExperimentArgs {
            file: file.clone(),
            overrides: args.overrides.clone(),
            store: store.clone(),
        };
        let session = Session::open(&experiment, &ExecutionArgs::default(), StoreUse::Existing)?;
        let (sandbox, device) = (sandbox(&session.settings)?, session.settings.device().to_owned());
        let Resolved { plan, store, contents, .. } = session.resolve(&[].into())?;
        let (mut sites, mut missing) = (BTreeMap::new(), Vec::new());
        for (_, node, entry) in plan.stages() {
            if let (StageState::Hit, Some(key)) = (entry.state, entry.key) {
                sites.insert(key, site_of(node, &contents));
            } else if let Some(reason) = &entry.reason {
                missing.push(format!("{} has no record as it is now: {reason}", node.name));
            }
        }
        let stages = Self {
            sites,
            missing,
            sandbox,
            device,
        };
        Ok(Some((store, stages)))
    }

    pub(super) fn site(&self, key: &Digest) -> Option<&StageSite> {
        self.sites.get(key)?.as_ref()
    }
}

/// What a stage needs beside its record, for those that read something from outside: no server is asked for anything.
fn site_of(node: &Node, contents: &SourceContents) -> Option<StageSite> {
    let place = |source: &Source| {
        let found = contents.get(source).and_then(|content| content.place.clone());
        found.or_else(|| source.path.clone())
    };
    let source = match node.stage.source() {
        Some(source) => Some(place(source)?),
        None if node.kind.command_line.is_none() => return None,
        None => None,
    };
    Some(StageSite {
        unkeyed_params: node.stage.unkeyed_params(),
        source,
    })
}

/// The records that were chosen.
pub(super) struct Chosen {
    pub(super) records: Vec<(Digest, Record)>,
    /// Of those that were looked at, the programs whose code is not in their records.
    pub(super) without_code: usize,
    /// Of those, the ones whose outputs were accepted: they did not run under their keys.
    pub(super) accepted: usize,
}

/// At most `count` records to run again, in random order. Reads no more records than it needs.
///
/// # Errors
/// When a folder of the store cannot be read.
pub(super) fn choose(store: &Store, named: &[StoreEntry], stages: Option<&ExperimentStages>, count: usize) -> Result<Chosen, StoreError> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos());
    let random = |key: &Digest| Digest::of(format!("{now} {key}").as_bytes());
    let mut keys = store.keys()?;
    keys.retain(|key| named.is_empty() || named.contains(&StoreEntry::Record(*key)));
    keys.retain(|key| stages.is_none_or(|stages| stages.sites.contains_key(key)));
    keys.sort_by_cached_key(random);
    let mut chosen = Chosen {
        records: Vec::new(),
        without_code: 0,
        accepted: 0,
    };
    for key in keys {
        let Ok(Some(record)) = store.record(&key) else { continue };
        if record.accepted.is_some() {
            chosen.accepted += 1;
            continue;
        }
        if !is_here(store, &record) {
            continue;
        }
        let can_run = match stages.and_then(|stages| stages.site(&key)) {
            Some(_) => true,
            None => {
                let has_code = has_code(&record);
                chosen.without_code += usize::from(has_code);
                !has_code && is_whole(&record)
            }
        };
        if can_run {
            chosen.records.push((key, record));
        }
        if chosen.records.len() == count {
            break;
        }
    }
    Ok(chosen)
}

/// Whether a program is started with files, of which a record has the digests alone.
fn has_code(record: &Record) -> bool {
    !record.fingerprint.files.is_empty()
}

/// Whether the stage's inputs and outputs are in the store, and this machine computes as its key says.
fn is_here(store: &Store, record: &Record) -> bool {
    let fingerprint = &record.fingerprint;
    let is_here = |digest: &Digest| store.object(digest).exists();
    let same_numbers = fingerprint
        .instruction_set
        .as_deref()
        .is_none_or(|set| set == learn::engine::instruction_set("cpu"));
    same_numbers && fingerprint.inputs.values().flatten().all(is_here) && record.outputs.values().all(|artifact| is_here(&artifact.digest))
}

/// Whether the record has all that the stage needs: its params parse to themselves, and it reads nothing from outside.
fn is_whole(record: &Record) -> bool {
    let fingerprint = &record.fingerprint;
    let Some(kind) = kind_of(record) else { return false };
    let given: Vec<&str> = fingerprint
        .inputs
        .iter()
        .filter(|(_, digests)| !digests.is_empty())
        .map(|(port, _)| port.as_str())
        .collect();
    let stage = (kind.parse)(&kind.with_implied((*fingerprint.params).clone()).into(), &given);
    // What an environment is started with is in no record.
    let has_environment = fingerprint.params.get(ENVIRONMENT).is_some();
    !has_environment && stage.is_ok_and(|stage| stage.source().is_none() && kind.key_params(stage.as_ref()) == *fingerprint.params)
}

/// The kind that made the record, if this binary has the same version of it.
fn kind_of(record: &Record) -> Option<&'static Kind> {
    let fingerprint = &record.fingerprint;
    kinds()
        .iter()
        .copied()
        .find(|kind| kind.name == fingerprint.kind && kind.version == fingerprint.version)
}
