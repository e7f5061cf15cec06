//! Reads the records and objects that gc decides about.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::{GcVictim, Hold, IsResult};
use crate::hash::Digest;
use crate::store::index::shard_entries;
use crate::store::{Artifact, Store, StoreError, files_of};

/// The part of a record that gc needs.
#[derive(Deserialize)]
struct BriefRecord {
    outputs: BTreeMap<String, Artifact>,
    fingerprint: BriefFingerprint,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    variant: BTreeMap<String, String>,
    #[serde(default)]
    experiment: String,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    provenance: BriefProvenance,
    #[serde(default)]
    keep: String,
}

#[derive(Deserialize)]
struct BriefFingerprint {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    inputs: BTreeMap<String, Vec<Digest>>,
}

#[derive(Default, Deserialize)]
struct BriefProvenance {
    #[serde(default)]
    user: String,
}

/// One output of a record.
pub(in crate::store) struct CandidateOutput {
    pub port: String,
    pub artifact: Artifact,
    /// Whether it is what reports show.
    pub is_result: bool,
    /// Whether the experiments that use it let it go.
    pub wished: Hold,
    /// The same, if what is needed, protected and young stays.
    pub hold: Hold,
}

/// A record that gc may remove.
pub(in crate::store) struct GcCandidate {
    pub victim: GcVictim,
    pub outputs: Vec<CandidateOutput>,
    pub inputs: Vec<Digest>,
    /// What the run wished that made it, and its user.
    pub keep: String,
    pub user: String,
    /// It must not be removed.
    pub stays: bool,
    /// It was chosen to be removed.
    pub goes: bool,
}

/// The objects that exist, with their sizes.
#[derive(Default)]
pub(super) struct ExistingObjects {
    /// Objects that records name.
    pub named: HashMap<Digest, u64>,
    /// Objects that no record names, older than the grace period.
    pub orphans: BTreeMap<Digest, u64>,
}

impl Store {
    /// All records, and the number of those that cannot be read.
    pub(in crate::store) fn candidates(&self, now: SystemTime, is_result: IsResult) -> Result<(Vec<GcCandidate>, usize), StoreError> {
        let (mut records, mut unreadable) = (Vec::new(), 0);
        for folder in self.shards("records")? {
            let entries = shard_entries(&folder)?.into_par_iter();
            let read: Vec<Option<GcCandidate>> = entries.map(|(key, path)| read_candidate(key, path, now, is_result)).collect();
            for record in read {
                unreadable += usize::from(record.is_none());
                records.extend(record);
            }
        }
        Ok((records, unreadable))
    }

    /// The objects that exist: those that records name, and orphans, unless these are to be spared.
    pub(super) fn existing_objects(
        &self,
        records: &[GcCandidate],
        now: SystemTime,
        grace: Duration,
        spare_orphans: bool,
    ) -> Result<ExistingObjects, StoreError> {
        let named: HashMap<Digest, u64> = records
            .iter()
            .flat_map(|record| &record.outputs)
            .map(|output| (output.artifact.digest, output.artifact.bytes))
            .collect();
        let mut objects = ExistingObjects::default();
        for folder in self.shards("objects")? {
            for (digest, path) in shard_entries(&folder)? {
                if let Some(bytes) = named.get(&digest) {
                    objects.named.insert(digest, *bytes);
                } else if !spare_orphans && std::fs::metadata(&path).is_ok_and(|about| age(&about, now) >= grace) {
                    let files = files_of(&path)?;
                    let bytes = files.iter().filter_map(|file| Some(std::fs::metadata(file).ok()?.len())).sum();
                    objects.orphans.insert(digest, bytes);
                }
            }
        }
        Ok(objects)
    }
}

/// The time since a file or folder was last changed or renamed.
fn age(about: &Metadata, now: SystemTime) -> Duration {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(about.ctime().max(about.mtime()).max(0).cast_unsigned());
    now.duration_since(changed).unwrap_or_default()
}

fn read_candidate(key: Digest, path: PathBuf, now: SystemTime, is_result: IsResult) -> Option<GcCandidate> {
    let about = std::fs::metadata(&path).ok()?;
    let record: BriefRecord = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    let age = now.duration_since(about.modified().ok()?).unwrap_or_default();
    let victim = GcVictim {
        key,
        stage: record.stage,
        variant: record.variant,
        experiment: record.experiment,
        age,
        seconds: record.seconds.max(0.0),
        cost: 0.0,
        bytes: 0,
        outputs: Vec::new(),
        path,
    };
    let BriefFingerprint { kind, params, inputs } = record.fingerprint;
    let output = |(port, artifact): (String, Artifact)| CandidateOutput {
        is_result: is_result(&kind, &params, &port),
        port,
        artifact,
        wished: Hold::Held,
        hold: Hold::Held,
    };
    Some(GcCandidate {
        victim,
        outputs: record.outputs.into_iter().map(output).collect(),
        inputs: inputs.into_values().flatten().collect(),
        keep: record.keep,
        user: record.provenance.user,
        stays: false,
        goes: false,
    })
}
