//! Earlier records: the nearest one gives the reason why a stage must run, and what forecasts go by.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::{Dag, Node};
use crate::event::StageName;
use crate::fingerprint::{Fingerprint, FingerprintChange, Reason};
use crate::store::{Record, Store};

/// Two stages with more differences than this are not versions of one another.
const MAX_RENAME_CHANGES: usize = 3;

/// The number of a kind's latest records that are compared when none has the stage's name.
const RECENT_RECORDS: usize = 200;

/// The stages of an experiment as it is now, which tell whether the stage of a record is still there.
#[derive(Default)]
pub struct PresentStages {
    experiment: String,
    /// By name.
    variants: HashMap<String, Vec<Coordinates>>,
    /// Whether the stage of a record is one of them, by the record's index, as far as it was asked.
    known: RefCell<HashMap<usize, bool>>,
}

/// The values of a variant, by axis.
type Coordinates = BTreeMap<String, String>;

/// Whether two stages of one name may be the same: an axis that one of them does not depend on may have been added or taken away.
fn agree(one: &Coordinates, other: &Coordinates) -> bool {
    one.iter().all(|(axis, value)| other.get(axis).is_none_or(|other| other == value))
}

impl PresentStages {
    /// The stages of `dag`.
    pub fn of(dag: &Dag) -> Self {
        let mut variants: HashMap<String, Vec<Coordinates>> = HashMap::new();
        for node in dag.graph.node_weights() {
            variants.entry(node.name.name.clone()).or_default().push(node.name.variant.clone());
        }
        Self {
            experiment: dag.experiment.clone(),
            variants,
            known: RefCell::default(),
        }
    }

    /// Whether the stage of a record, which has this index, is one of them.
    fn has(&self, index: usize, record: &Record) -> bool {
        let look = || {
            let variants = self.variants.get(&record.stage).map(Vec::as_slice).unwrap_or_default();
            variants.iter().any(|variant| agree(&record.variant, variant))
        };
        *self.known.borrow_mut().entry(index).or_insert_with(look)
    }

    /// The differences of `node` from an earlier record, where the record was of the same stage.
    fn changes(&self, index: usize, record: &Record, node: &Node, now: &Fingerprint) -> Option<Vec<FingerprintChange>> {
        let same_name = record.stage == node.name.name;
        let is_own = same_name && agree(&record.variant, &node.name.variant);
        let is_here = record.experiment == self.experiment;
        if !is_own && (!is_here || self.has(index, record)) {
            return None;
        }
        let changes = || FingerprintChange::between(&record.fingerprint, now);
        if is_here && same_name {
            // Its coordinates may have changed with it.
            return Some(changes());
        }
        // A stage of another name that is nearly the same was renamed, and changed a little. One of the same name in another experiment
        // may be shared by both, or have but the name in common; then it runs another program.
        let program = node.kind.command_line.unwrap_or_default();
        let is_close = |changes: &Vec<FingerprintChange>| {
            let runs_another = |change: &FingerprintChange| matches!(change, FingerprintChange::Param { name, .. } if name == program);
            changes.len() <= MAX_RENAME_CHANGES && !changes.iter().any(runs_another)
        };
        let may_be = is_own || record.fingerprint.inputs == now.inputs;
        may_be.then(changes).filter(is_close)
    }
}

/// All records of a store, for comparing.
pub struct EarlierRecords {
    /// The latest first.
    records: Vec<Record>,
    by_name: HashMap<(String, String), Vec<usize>>,
    /// By kind, and name and variant.
    by_stage: BTreeMap<(String, StageName), Vec<usize>>,
    by_kind: HashMap<String, Vec<usize>>,
}

impl EarlierRecords {
    pub fn read(store: &Store) -> Self {
        let mut records: Vec<Record> = store.records().collect();
        records.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.stage.cmp(&b.stage)));
        let (mut by_name, mut by_kind) = (HashMap::<_, Vec<usize>>::new(), HashMap::<_, Vec<usize>>::new());
        let mut by_stage = BTreeMap::<_, Vec<usize>>::new();
        for (index, record) in records.iter().enumerate() {
            let kind = record.fingerprint.kind.clone();
            by_name.entry((kind.clone(), record.stage.clone())).or_default().push(index);
            let stage = StageName {
                name: record.stage.clone(),
                variant: record.variant.clone(),
            };
            by_stage.entry((kind.clone(), stage)).or_default().push(index);
            by_kind.entry(kind).or_default().push(index);
        }
        Self {
            records,
            by_name,
            by_stage,
            by_kind,
        }
    }

    /// Why a stage that has no record must run: its differences from the nearest record that was of this stage, or of one that this stage
    /// has taken the place of. The record of another stage of the experiment says nothing of this one.
    pub fn reason(&self, node: &Node, now: &Fingerprint, present: &PresentStages) -> Reason {
        let kind = node.kind.name.to_owned();
        let stage = (kind.clone(), node.name.clone());
        let listed = |indices: Option<&Vec<usize>>, count: usize| indices.into_iter().flatten().copied().take(count).collect::<Vec<_>>();
        let mut indices = listed(self.by_stage.get(&stage), usize::MAX);
        indices.extend(listed(self.by_name.get(&(kind.clone(), stage.1.name)), RECENT_RECORDS));
        indices.extend(listed(self.by_kind.get(&kind), RECENT_RECORDS));
        let changes = indices
            .into_iter()
            .filter_map(|index| present.changes(index, &self.records[index], node, now));
        changes.min_by_key(Vec::len).map_or(Reason::NeverRun, Reason::Changed)
    }

    /// The records of this very stage that ran, the latest first, with their differences from it.
    pub fn of_stage(&self, node: &Node, now: &Fingerprint) -> impl Iterator<Item = (&Record, Vec<FingerprintChange>)> {
        let records = self.named(node).iter().map(|&index| &self.records[index]);
        let own = records.filter(|record| record.accepted.is_none() && agree(&record.variant, &node.name.variant));
        own.map(|record| (record, FingerprintChange::between(&record.fingerprint, now)))
    }

    /// All of them, the latest first.
    pub(super) fn all(&self) -> &[Record] {
        &self.records
    }

    /// The latest records of a kind: those of the stages of one name, and others.
    pub(super) fn like(&self, kind: &str, name: &str) -> impl Iterator<Item = &Record> {
        let named = self.by_name.get(&(kind.to_owned(), name.to_owned())).map_or(&[][..], Vec::as_slice);
        let of_kind = self.by_kind.get(kind).map_or(&[][..], Vec::as_slice);
        let others = of_kind
            .iter()
            .take(RECENT_RECORDS)
            .filter(|index| self.records[**index].stage != *name);
        let indices: Vec<usize> = named.iter().take(RECENT_RECORDS).chain(others).copied().collect();
        indices.into_iter().map(|index| &self.records[index])
    }

    fn named(&self, node: &Node) -> &[usize] {
        let name = (node.kind.name.to_owned(), node.name.name.clone());
        self.by_name.get(&name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_agree_where_both_have_them() {
        let variant = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned()))
                .collect()
        };
        let (none, one, two): (Coordinates, Coordinates, Coordinates) =
            (variant(&[]), variant(&[("seed", "1")]), variant(&[("seed", "2")]));
        let more = variant(&[("seed", "1"), ("rate", "0.1")]);
        assert!(agree(&none, &one) && agree(&one, &none) && agree(&one, &more));
        assert!(!agree(&one, &two) && !agree(&two, &more));
    }
}
