//! Hits that are computed again, since gc deleted an output of theirs that is needed.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;

use super::{Again, Link, Plan, Resolver, StageState};
use crate::hash::Digest;
use crate::store::StoreError;

impl Resolver<'_> {
    /// Finds the hits that are computed again: those with a deleted output that a stage needs which runs, or may have to run, and that no
    /// remote has; and so on for what these need.
    pub(super) fn mark_again(&self, plan: &mut Plan) -> Result<(), StoreError> {
        let is_deleted = |plan: &Plan, link: &Link| {
            let from = plan.entries.get(link.from.index());
            from.is_some_and(|from| from.state == StageState::Hit && from.deleted.contains(link.port.as_ref()))
        };
        let needed_by = |plan: &Plan, index: NodeIndex| {
            let links = plan
                .dag
                .graph
                .node_weight(index)
                .into_iter()
                .flat_map(|node| node.inputs.values().flatten());
            let deleted = links.filter(|link| is_deleted(plan, link));
            deleted.map(|link| (link.from, Again::NeededBy(index))).collect::<Vec<_>>()
        };
        let has_deleted = |index: &&NodeIndex| plan.entries.get(index.index()).is_some_and(|entry| !entry.deleted.is_empty());
        let mut open: Vec<(NodeIndex, Again)> = Vec::new();
        let runs = plan.to_run().map(|(index, _, _)| index).collect::<Vec<_>>();
        open.extend(runs.into_iter().flat_map(|index| needed_by(plan, index)));
        open.extend(self.wanted.iter().filter(has_deleted).map(|index| (*index, Again::Asked)));
        let mut seen: BTreeSet<NodeIndex> = BTreeSet::new();
        while !open.is_empty() {
            open.retain(|(index, _)| seen.insert(*index));
            let key = |index: &NodeIndex| plan.entries.get(index.index()).and_then(|entry| entry.key);
            let keys: Vec<Digest> = open.iter().filter_map(|(index, _)| key(index)).collect();
            let elsewhere = self.remote(&keys)?;
            let mut next = Vec::new();
            for (index, why) in std::mem::take(&mut open) {
                let Some(entry) = plan.entries.get_mut(index.index()) else {
                    continue;
                };
                let record = entry.key.and_then(|key| elsewhere.get(&key));
                if record.is_none_or(|record| record.outputs != entry.outputs) {
                    entry.again = Some(why);
                    next.extend(needed_by(plan, index));
                }
            }
            open = next;
        }
        Ok(())
    }
}
