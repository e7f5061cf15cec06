//! Decides which records and objects gc removes.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::scan::{ExistingObjects, GcCandidate};
use super::{GcPlan, GcRules};
use crate::hash::Digest;

/// The most ancestors of a stage that count for its cost. More make no difference to a decision.
const MAX_ANCESTORS: usize = 1000;

/// Sets what it costs to compute each record again: its own seconds, and those of all ancestors that need not stay.
pub(super) fn set_costs(records: &mut [GcCandidate]) {
    let mut makers: HashMap<Digest, usize> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        for artifact in &record.outputs {
            let maker = makers.entry(artifact.digest).or_insert(index);
            // If several stages gave the same artifact, one that stays keeps it.
            if record.stays {
                *maker = index;
            }
        }
    }
    let parents = |record: &GcCandidate| -> Vec<usize> {
        let made = record.inputs.iter().filter_map(|digest| makers.get(digest).copied());
        made.filter(|&index| !records[index].stays).collect()
    };
    let parents: Vec<Vec<usize>> = records.iter().map(parents).collect();
    for index in 0..records.len() {
        let (mut seen, mut open) = (HashSet::from([index]), vec![index]);
        let mut cost = 0.0;
        while let Some(next) = open.pop() {
            cost += records[next].victim.seconds;
            if seen.len() < MAX_ANCESTORS {
                open.extend(parents[next].iter().copied().filter(|&parent| seen.insert(parent)));
            }
        }
        records[index].victim.cost = cost;
    }
}

/// Marks the records that go. `records` must be sorted by cost, the cheapest first.
pub(super) fn mark_victims(records: &mut [GcCandidate], rules: &GcRules, objects: &ExistingObjects) {
    let mut names: HashMap<Digest, usize> = HashMap::new();
    for artifact in records.iter().flat_map(|record| &record.outputs) {
        *names.entry(artifact.digest).or_default() += 1;
    }
    let mut bytes_left = objects.named.values().sum::<u64>() + objects.orphans.values().sum::<u64>();
    let mut mark = |record: &mut GcCandidate| {
        record.goes = true;
        for artifact in &record.outputs {
            let count = names.entry(artifact.digest).or_default();
            *count -= 1;
            if *count == 0 {
                let bytes = objects.named.get(&artifact.digest).copied().unwrap_or(0);
                record.victim.bytes += bytes;
            }
        }
        record.victim.bytes
    };
    for record in records.iter_mut().filter(|record| !record.stays) {
        if rules.all || rules.older_than.is_some_and(|limit| record.victim.age >= limit) {
            bytes_left = bytes_left.saturating_sub(mark(record));
        }
    }
    let Some(limit) = rules.max_bytes else { return };
    for record in records.iter_mut().filter(|record| !record.stays && !record.goes) {
        if bytes_left <= limit {
            break;
        }
        bytes_left = bytes_left.saturating_sub(mark(record));
    }
}

/// Lists the marked records, and the objects that no other record and no root names.
pub(super) fn gc_plan(records: Vec<GcCandidate>, objects: ExistingObjects, roots: &HashSet<Digest>) -> GcPlan {
    let kept: HashSet<Digest> = records
        .iter()
        .filter(|record| !record.goes)
        .flat_map(|record| record.outputs.iter().map(|artifact| artifact.digest))
        .collect();
    let orphans = objects.orphans.into_iter().filter(|(digest, _)| !roots.contains(digest));
    let orphans: BTreeMap<Digest, u64> = orphans.collect();
    let mut plan = GcPlan {
        orphans: orphans.len(),
        objects: orphans,
        ..GcPlan::default()
    };
    for (digest, bytes) in objects.named {
        if kept.contains(&digest) {
            plan.kept_bytes += bytes;
        } else {
            plan.objects.insert(digest, bytes);
        }
    }
    for record in records {
        if record.goes {
            plan.victims.push(record.victim);
        } else {
            plan.kept_records += 1;
        }
    }
    plan
}
