//! Decides which records and objects gc removes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::scan::{CandidateOutput, ExistingObjects, GcCandidate};
use super::{Burial, DeletedOutput, GcPlan, GcRules, Hold};
use crate::hash::Digest;

/// The most ancestors of a stage that count for its cost. More make no difference to a decision.
const MAX_ANCESTORS: usize = 1000;

/// An artifact that is not larger stays, as long as its record does: a tombstone takes as much room.
const MIN_BYTES: u64 = 4096;

/// What all records together say of an artifact.
struct Shared {
    hold: Hold,
    /// The age of the youngest record that names it.
    age: Duration,
}

/// Chooses artifacts to remove, each with a tombstone. The records stay.
pub(super) fn delete(mut records: Vec<GcCandidate>, rules: &GcRules, objects: ExistingObjects, roots: &HashSet<Digest>) -> GcPlan {
    let shared = shared(&records);
    // What has gone already has to be computed again with what follows from it.
    for record in &mut records {
        record.stays &= record
            .outputs
            .iter()
            .all(|output| objects.named.contains_key(&output.artifact.digest));
    }
    set_costs(&mut records);
    records.sort_by_cached_key(|record| {
        let going = record.outputs.iter().filter(|output| may_go(output, &shared, &objects));
        let bytes: u64 = going.map(|output| output.artifact.bytes).sum();
        (Ratio(record.victim.cost / bytes.max(1) as f64), record.victim.key)
    });
    let mut chosen = choose(&records, rules, &shared, &objects);
    let wished_bytes = wished(&records, rules, &objects);
    let mut plan = GcPlan {
        wished_bytes,
        ..orphans_of(objects.orphans, roots)
    };
    for (digest, bytes) in &objects.named {
        if chosen.contains_key(digest) {
            plan.objects.insert(*digest, *bytes);
        } else {
            plan.kept_bytes += bytes;
        }
    }
    for mut record in records {
        for output in &record.outputs {
            let (digest, port) = (output.artifact.digest, output.port.clone());
            // Once, where several records name it.
            let Some(why) = chosen.remove(&digest) else { continue };
            let bytes = objects.named.get(&digest).copied().unwrap_or(0);
            let burial = Burial {
                artifact: output.artifact,
                why: why.clone(),
            };
            plan.burials.insert(digest, burial);
            record.victim.bytes += bytes;
            record.victim.outputs.push(DeletedOutput { port, digest, bytes, why });
        }
        if record.victim.outputs.is_empty() {
            plan.kept_records += 1;
        } else {
            plan.victims.push(record.victim);
        }
    }
    plan
}

/// Whether a rule may take an output: it is there, worth it, and nobody holds it.
fn may_go(output: &CandidateOutput, shared: &HashMap<Digest, Shared>, objects: &ExistingObjects) -> bool {
    let digest = &output.artifact.digest;
    let is_large = objects.named.get(digest).is_some_and(|bytes| *bytes > MIN_BYTES);
    is_large && shared.get(digest).is_some_and(|shared| shared.hold > Hold::Held)
}

/// The artifacts to remove, with the rule for each. `records` must be sorted: what goes first stands first.
fn choose(
    records: &[GcCandidate],
    rules: &GcRules,
    shared: &HashMap<Digest, Shared>,
    objects: &ExistingObjects,
) -> HashMap<Digest, String> {
    let mut chosen: HashMap<Digest, String> = HashMap::new();
    let mut left: u64 = objects.named.values().sum::<u64>() + objects.orphans.values().sum::<u64>();
    let room = rules.room.map(|room| left.saturating_sub(room));
    let limit = rules.max_bytes.into_iter().chain(room).min();
    let outputs = || {
        records
            .iter()
            .flat_map(|record| &record.outputs)
            .filter(|output| may_go(output, shared, objects))
    };
    let mut take = |output: &CandidateOutput, why: String, left: &mut u64| {
        if let Entry::Vacant(entry) = chosen.entry(output.artifact.digest) {
            *left = left.saturating_sub(objects.named.get(entry.key()).copied().unwrap_or(0));
            entry.insert(why);
        }
    };
    for output in outputs() {
        let Some(shared) = shared.get(&output.artifact.digest) else {
            continue;
        };
        let old = rules.older_than.filter(|limit| shared.age >= *limit);
        if shared.hold == Hold::Free {
            take(output, "its experiments do not wish to keep it".to_owned(), &mut left);
        } else if let Some(limit) = old {
            take(output, format!("older than {}", time(limit)), &mut left);
        } else if rules.all {
            take(output, "not needed by what was to be kept".to_owned(), &mut left);
        }
    }
    let Some(limit) = limit else { return chosen };
    for output in outputs() {
        if left <= limit {
            break;
        }
        take(output, "to make room".to_owned(), &mut left);
    }
    chosen
}

/// Chooses records to remove, with the artifacts that no other record names.
pub(super) fn forget(mut records: Vec<GcCandidate>, rules: &GcRules, objects: ExistingObjects, roots: &HashSet<Digest>) -> GcPlan {
    for record in &mut records {
        // A record with an output that must stay stays, or the output would be without one.
        record.stays |= record.outputs.iter().any(|output| output.hold == Hold::Held);
    }
    set_costs(&mut records);
    records.sort_by(|a, b| a.victim.cost.total_cmp(&b.victim.cost).then(a.victim.key.cmp(&b.victim.key)));
    let wished_bytes = wished(&records, rules, &objects);
    mark_victims(&mut records, rules, &objects);
    let kept: HashSet<Digest> = records
        .iter()
        .filter(|record| !record.goes)
        .flat_map(|record| record.outputs.iter().map(|output| output.artifact.digest))
        .collect();
    let mut plan = GcPlan {
        forget: true,
        wished_bytes,
        ..orphans_of(objects.orphans, roots)
    };
    for record in records.iter().filter(|record| record.goes) {
        let gone = record.outputs.iter().map(|output| output.artifact.digest);
        plan.tombstones
            .extend(gone.filter(|digest| !kept.contains(digest) && !objects.named.contains_key(digest)));
    }
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

/// What all records together say of each artifact.
fn shared(records: &[GcCandidate]) -> HashMap<Digest, Shared> {
    let mut shared: HashMap<Digest, Shared> = HashMap::new();
    for record in records {
        for output in &record.outputs {
            let found = shared.entry(output.artifact.digest).or_insert(Shared {
                hold: Hold::Free,
                age: Duration::MAX,
            });
            found.hold = found.hold.min(output.hold);
            found.age = found.age.min(record.victim.age);
        }
    }
    shared
}

/// The bytes that rules or wishes of others would take, and that stay for an experiment's wish alone.
fn wished(records: &[GcCandidate], rules: &GcRules, objects: &ExistingObjects) -> u64 {
    if !rules.all && rules.older_than.is_none() && rules.max_bytes.is_none() {
        return 0;
    }
    let mut counted = HashSet::new();
    let held = records
        .iter()
        .filter(|record| rules.older_than.is_none_or(|limit| record.victim.age >= limit));
    let held = held.flat_map(|record| &record.outputs).filter(|output| output.wished == Hold::Held);
    let held = held.filter(|output| counted.insert(output.artifact.digest));
    held.filter_map(|output| objects.named.get(&output.artifact.digest)).sum()
}

/// A plan with the objects that no record and no root names.
fn orphans_of(orphans: BTreeMap<Digest, u64>, roots: &HashSet<Digest>) -> GcPlan {
    let orphans: BTreeMap<Digest, u64> = orphans.into_iter().filter(|(digest, _)| !roots.contains(digest)).collect();
    GcPlan {
        orphans: orphans.len(),
        objects: orphans,
        ..GcPlan::default()
    }
}

/// `30d`, `12h`: as it is given.
fn time(duration: Duration) -> String {
    crate::store::Keep::For(Duration::from_secs(duration.as_secs())).to_string()
}

/// A number by which records are sorted.
#[derive(PartialEq)]
struct Ratio(f64);

impl Eq for Ratio {}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Sets what it costs to compute each record again: its own seconds, and those of all ancestors that need not stay.
fn set_costs(records: &mut [GcCandidate]) {
    let mut makers: HashMap<Digest, usize> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        for output in &record.outputs {
            let maker = makers.entry(output.artifact.digest).or_insert(index);
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
fn mark_victims(records: &mut [GcCandidate], rules: &GcRules, objects: &ExistingObjects) {
    let mut names: HashMap<Digest, usize> = HashMap::new();
    for output in records.iter().flat_map(|record| &record.outputs) {
        *names.entry(output.artifact.digest).or_default() += 1;
    }
    let mut bytes_left = objects.named.values().sum::<u64>() + objects.orphans.values().sum::<u64>();
    let mut mark = |record: &mut GcCandidate| {
        record.goes = true;
        for CandidateOutput { artifact, .. } in &record.outputs {
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
