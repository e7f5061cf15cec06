//! Garbage collection: removes artifacts, with a tombstone for each (`tombstone`), and objects that no record names. The records stay,
//! so that the stages are hits still. Only where it is to forget, it removes the records too.
//!
//! Nothing is locked, so a run may begin, find an artifact and lose it. It is protected by three things: the lists of what living runs
//! need (`gc_roots`), a grace period for everything young, and a second check of both right before anything is removed. Whatever is
//! removed nevertheless is lost for the run, which has it computed again.

mod choose;
mod clock;
mod run;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

pub(super) use scan::GcCandidate;

use super::keep::Hold;
use super::leftovers::Leftover;
use super::tombstone::Burial;
use super::wishes::OutputFacts;
use super::{Store, StoreError};
use crate::hash::Digest;

/// Whether an output is a result, by the name of its stage's kind, the params in the key, and the port.
pub type IsResult = fn(&str, &Value, &str) -> bool;

/// The rules for what gc removes.
#[derive(Clone, Debug)]
pub struct GcRules {
    /// Records whose artifacts stay, and objects that stay, beside those that are protected or that runs need.
    pub keys: HashSet<Digest>,
    pub objects: HashSet<Digest>,
    /// Remove the artifacts of records of at least this age, and the old files of runs, stopped stages and downloads.
    pub older_than: Option<Duration>,
    /// Remove artifacts until the objects take no more space than this: first what takes little time to compute again for its size.
    pub max_bytes: Option<u64>,
    /// The same until so many bytes have been removed.
    pub room: Option<u64>,
    /// Remove everything that need not stay.
    pub all: bool,
    /// Remove the records too, and results like everything else: the stages run again.
    pub forget: bool,
    /// Anything younger stays in any case.
    pub grace: Duration,
    /// Whether an output is a result, which stays where nobody wishes anything.
    pub is_result: IsResult,
    /// The names of files of a folder that reports read: they are kept when it is deleted.
    pub kept_files: &'static [&'static str],
}

/// An output that gc removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedOutput {
    pub port: String,
    pub digest: Digest,
    pub bytes: u64,
    /// The rule, for people: `older than 30d`.
    pub why: String,
}

/// A record of which gc removes outputs, or which it removes.
#[derive(Clone, Debug, PartialEq)]
pub struct GcVictim {
    pub key: Digest,
    pub stage: String,
    pub variant: BTreeMap<String, String>,
    pub experiment: String,
    pub age: Duration,
    /// How long the stage took.
    pub seconds: f64,
    /// How long it takes to compute the outputs again. Includes all ancestors that need not stay, because they may be removed, too.
    pub cost: f64,
    /// The size of what is removed.
    pub bytes: u64,
    /// What is removed; an artifact that several records name stands at the first.
    pub outputs: Vec<DeletedOutput>,
    pub(super) path: PathBuf,
}

/// The records, objects and files that gc would remove.
#[derive(Clone, Debug, Default)]
pub struct GcPlan {
    /// Those first that are the cheapest to compute again for their size; the cheapest of all where records are removed.
    pub victims: Vec<GcVictim>,
    /// Whether the records of these go, too.
    pub forget: bool,
    /// Objects to remove, with their sizes.
    pub objects: BTreeMap<Digest, u64>,
    /// Those of them that get a tombstone.
    burials: HashMap<Digest, Burial>,
    /// Those that were deleted before, and that no record names when these records are gone.
    tombstones: BTreeSet<Digest>,
    /// The number of those objects that no record names at all.
    pub orphans: usize,
    /// Folders beside the artifacts.
    pub leftovers: Vec<Leftover>,
    /// The number of records that stay as they are, and the bytes that stay.
    pub kept_records: usize,
    pub kept_bytes: u64,
    /// The bytes that would go by the rules, and stay because an experiment wishes to keep them.
    pub wished_bytes: u64,
    /// Records that cannot be read. If there are any, no orphan is removed, because one of them may name it.
    pub unreadable: usize,
    grace: Duration,
    kept_files: &'static [&'static str],
    /// The smallest age of leftovers.
    leftover_age: Duration,
}

/// The records and bytes that gc has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcSummary {
    /// Records of which outputs were removed; with `forget`, that were removed themselves.
    pub records: usize,
    pub object_bytes: u64,
    /// The size of leftovers.
    pub other_bytes: u64,
}

impl Store {
    /// Decides by these rules what to remove. Removes nothing.
    ///
    /// # Errors
    /// If a folder or a protection cannot be read.
    pub fn plan_gc(&self, rules: &GcRules) -> Result<GcPlan, StoreError> {
        let now = self.now()?;
        let wishes = self.wishes(now)?;
        let (mut records, unreadable) = self.candidates(now, rules.is_result)?;
        let (mut keys, mut roots) = (rules.keys.clone(), rules.objects.clone());
        for protection in self.protections()? {
            keys.extend(protection.keys);
            roots.extend(protection.objects);
        }
        roots.extend(self.run_roots());
        let read: HashSet<Digest> = records.iter().flat_map(|record| &record.inputs).copied().collect();
        for record in &mut records {
            let is_root = record.outputs.iter().any(|output| roots.contains(&output.artifact.digest));
            let is_kept = keys.contains(&record.victim.key) || record.victim.age < rules.grace;
            for output in &mut record.outputs {
                let facts = OutputFacts {
                    key: &record.victim.key,
                    port: &output.port,
                    is_result: output.is_result,
                    is_read: read.contains(&output.artifact.digest),
                    age: record.victim.age,
                    own: &record.keep,
                    experiment: &record.victim.experiment,
                    user: &record.user,
                };
                output.wished = wishes.hold(&facts, rules.forget);
                let is_needed = is_kept || roots.contains(&output.artifact.digest);
                output.hold = if is_needed { Hold::Held } else { output.wished };
            }
            record.stays = is_root || is_kept;
        }
        let objects = self.existing_objects(&records, now, rules.grace, unreadable > 0)?;
        let mut plan = if rules.forget {
            choose::forget(records, rules, objects, &roots)
        } else {
            choose::delete(records, rules, objects, &roots)
        };
        (plan.unreadable, plan.grace, plan.kept_files) = (unreadable, rules.grace, rules.kept_files);
        if let Some(age) = rules.older_than {
            plan.leftover_age = age.max(rules.grace);
            plan.leftovers = self.leftovers(plan.leftover_age);
        }
        Ok(plan)
    }
}
