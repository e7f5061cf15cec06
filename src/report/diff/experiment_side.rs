//! An experiment, or one variant of it, as a side of a comparison.

use petgraph::graph::NodeIndex;
use serde_json::Value;

use super::facts::{FactKind, StageFacts, add_digests, add_metrics, add_value};
use super::side::DiffSide;
use crate::gather;
use crate::scores::Scores;
use lab::event::StageName;
use lab::plan::{Link, Node, Plan, PlanEntry, Selection};
use lab::store::{Store, StoreError};

impl DiffSide {
    /// The selected stages of a plan, with the metrics that are in the store.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn of_experiment(name: &str, plan: &Plan, store: &Store, selection: &Selection) -> Result<Self, StoreError> {
        let mut side = Self::empty(name);
        let scores = gather::scores(plan, store, selection, gather::ScoreDetails::default())?;
        for (index, node, entry) in plan.stages() {
            let facts = facts_of_node(plan, index, node, entry, &scores);
            let members = node.members.iter().filter(|member| selection.fits(member));
            side.stages
                .extend(members.map(|member| (without_selected_axes(member, selection), facts.clone())));
        }
        Ok(side)
    }
}

/// The stage without the coordinates that were selected: two variants differ in them, and their stages must match all the same.
fn without_selected_axes(member: &StageName, selection: &Selection) -> StageName {
    let mut name = member.clone();
    name.variant
        .retain(|axis, _| selection.variants.iter().all(|(selected, _)| selected != axis));
    name
}

fn facts_of_node(plan: &Plan, index: NodeIndex, node: &Node, entry: &PlanEntry, scores: &Scores) -> StageFacts {
    let mut facts = StageFacts::new();
    add_value(&mut facts, FactKind::Kind, "", &Value::from(node.kind.name));
    add_value(&mut facts, FactKind::Param, "", &node.canonical);
    if let Some(seed) = node.seed {
        add_value(&mut facts, FactKind::Seed, "", &Value::from(seed));
    }
    if let Some(numbers) = node.stage.numerics() {
        add_value(&mut facts, FactKind::Numbers, "", &Value::from(numbers));
    }
    for (port, links) in &node.inputs {
        let digest = |link: &Link| Some(plan.entries.get(link.from.index())?.outputs.get(link.port.as_ref())?.digest);
        add_digests(&mut facts, FactKind::Input, port, &links.iter().map(digest).collect::<Vec<_>>());
    }
    for output in &node.outputs {
        let digest = entry.outputs.get(output.name.as_ref()).map(|artifact| artifact.digest);
        add_digests(&mut facts, FactKind::Output, &output.name, &[digest]);
    }
    for score in scores.scores.iter().filter(|score| score.place.node == index.index()) {
        if let Some(metrics) = &score.metrics {
            add_metrics(&mut facts, &score.data, metrics);
        }
    }
    facts
}
