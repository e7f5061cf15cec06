//! Earlier records: the nearest one gives the reason why a stage must run, and the estimate of its time.

use std::collections::HashMap;
use std::time::Duration;

use super::Node;
use crate::fingerprint::{Fingerprint, FingerprintChange, Reason};
use crate::store::{Record, Store};

/// Two stages with more differences than this are not versions of one another.
const MAX_RENAME_CHANGES: usize = 3;

/// The number of a kind's latest records that are compared when none has the stage's name.
const RECENT_RECORDS: usize = 200;

/// All records of a store, for comparing.
pub struct EarlierRecords {
    /// The latest first.
    records: Vec<Record>,
    by_name: HashMap<(String, String), Vec<usize>>,
    by_kind: HashMap<String, Vec<usize>>,
}

impl EarlierRecords {
    pub fn read(store: &Store) -> Self {
        let mut records: Vec<Record> = store.records().collect();
        records.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.stage.cmp(&b.stage)));
        let (mut by_name, mut by_kind) = (HashMap::<_, Vec<usize>>::new(), HashMap::<_, Vec<usize>>::new());
        for (index, record) in records.iter().enumerate() {
            let kind = record.fingerprint.kind.clone();
            by_name.entry((kind.clone(), record.stage.clone())).or_default().push(index);
            by_kind.entry(kind).or_default().push(index);
        }
        Self { records, by_name, by_kind }
    }

    /// Why a stage that has no record must run: its differences from the nearest record of a stage of the same kind and name.
    pub fn reason(&self, node: &Node, now: &Fingerprint) -> Reason {
        let named = self
            .named(node)
            .iter()
            .map(|&index| FingerprintChange::between(&self.records[index].fingerprint, now));
        let changes = named.min_by_key(Vec::len).or_else(|| self.renamed(node, now));
        changes.map_or(Reason::NeverRun, Reason::Changed)
    }

    /// The differences from a stage of another name that is nearly the same: it was renamed, and changed a little.
    fn renamed(&self, node: &Node, now: &Fingerprint) -> Option<Vec<FingerprintChange>> {
        let same_inputs = self.recent(node).filter(|record| record.fingerprint.inputs == now.inputs);
        let changes = same_inputs.map(|record| FingerprintChange::between(&record.fingerprint, now));
        changes.min_by_key(Vec::len).filter(|changes| changes.len() <= MAX_RENAME_CHANGES)
    }

    /// How long the most similar stage took.
    pub fn estimate(&self, node: &Node) -> Option<Duration> {
        let same = |record: &&Record| record.fingerprint.params == node.canonical;
        let mut named = self.named(node).iter().map(|&index| &self.records[index]);
        let nearest = named
            .clone()
            .find(same)
            .or_else(|| self.recent(node).find(same))
            .or_else(|| named.next());
        nearest
            .or_else(|| self.recent(node).next())
            .map(|record| Duration::from_secs_f64(record.seconds.max(0.0)))
    }

    fn named(&self, node: &Node) -> &[usize] {
        let name = (node.kind.name.to_owned(), node.name.name.clone());
        self.by_name.get(&name).map_or(&[], Vec::as_slice)
    }

    fn recent(&self, node: &Node) -> impl Iterator<Item = &Record> {
        let indices = self.by_kind.get(node.kind.name).map_or(&[][..], Vec::as_slice);
        indices.iter().take(RECENT_RECORDS).map(|&index| &self.records[index])
    }
}
