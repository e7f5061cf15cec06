//! Garbage collection: removes records with their objects, and objects that no record names.
//!
//! Nothing is locked, so a run may begin, find an artifact and lose it. It is protected by three things: the lists of what living runs
//! need (`gc_roots`), a grace period for everything young, and a second check of both right before anything is removed. Whatever is
//! removed nevertheless is a miss for the run, which computes it again.

mod choose;
mod clock;
mod run;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

pub(super) use scan::GcCandidate;

use super::leftovers::Leftover;
use super::{Store, StoreError};
use crate::hash::Digest;

/// The rules for what gc removes.
#[derive(Clone, Debug)]
pub struct GcRules {
    /// Records and objects that stay, beside those that are protected or that runs need.
    pub keys: HashSet<Digest>,
    pub objects: HashSet<Digest>,
    /// Remove records of at least this age, and the old files of runs, stopped stages and downloads.
    pub older_than: Option<Duration>,
    /// Remove the cheapest records until the objects take no more space than this.
    pub max_bytes: Option<u64>,
    /// Remove everything that need not stay.
    pub all: bool,
    /// Anything younger stays in any case.
    pub grace: Duration,
}

/// A record that gc removes, with the objects that only it names.
#[derive(Clone, Debug, PartialEq)]
pub struct GcVictim {
    pub key: Digest,
    pub stage: String,
    pub experiment: String,
    pub age: Duration,
    /// How long the stage took.
    pub seconds: f64,
    /// How long it takes to compute the record again. Includes all ancestors that need not stay, because they may be removed, too.
    pub cost: f64,
    /// The size of its objects.
    pub bytes: u64,
    pub(super) path: PathBuf,
}

/// The records, objects and files that gc would remove.
#[derive(Clone, Debug, Default)]
pub struct GcPlan {
    /// The cheapest first.
    pub victims: Vec<GcVictim>,
    /// Objects that no remaining record names, with their sizes.
    pub objects: BTreeMap<Digest, u64>,
    /// The number of those objects that no record names at all.
    pub orphans: usize,
    /// Folders beside the artifacts.
    pub leftovers: Vec<Leftover>,
    /// The records and bytes that stay.
    pub kept_records: usize,
    pub kept_bytes: u64,
    /// Records that cannot be read. If there are any, no orphan is removed, because one of them may name it.
    pub unreadable: usize,
    grace: Duration,
    /// The smallest age of leftovers.
    leftover_age: Duration,
}

/// The records and bytes that gc has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcSummary {
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
        let (mut records, unreadable) = self.candidates(now)?;
        let (mut keys, mut roots) = (rules.keys.clone(), rules.objects.clone());
        for protection in self.protections()? {
            keys.extend(protection.keys);
            roots.extend(protection.objects);
        }
        roots.extend(self.run_roots());
        for record in &mut records {
            let is_root = record.outputs.iter().any(|artifact| roots.contains(&artifact.digest));
            record.stays = is_root || keys.contains(&record.victim.key) || record.victim.age < rules.grace;
        }
        let objects = self.existing_objects(&records, now, rules.grace, unreadable > 0)?;
        choose::set_costs(&mut records);
        records.sort_by(|a, b| a.victim.cost.total_cmp(&b.victim.cost).then(a.victim.key.cmp(&b.victim.key)));
        choose::mark_victims(&mut records, rules, &objects);
        let mut plan = choose::gc_plan(records, objects, &roots);
        (plan.unreadable, plan.grace) = (unreadable, rules.grace);
        if let Some(age) = rules.older_than {
            plan.leftover_age = age.max(rules.grace);
            plan.leftovers = self.leftovers(plan.leftover_age);
        }
        Ok(plan)
    }
}
