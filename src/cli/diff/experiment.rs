//! An experiment, or one variant of it, as a side of a comparison.

use petgraph::graph::NodeIndex;
use serde_json::Value;

use super::{add, add_digests, add_metrics};
use crate::cli::experiment::{ExecutionArgs, ExperimentArgs};
use crate::cli::session::Resolved;
use crate::cli::{CliError, Session};
use lab::event::StageName;
use lab::plan::Selection;
use lab::plan::{Entry, Node, Plan};
use lab::stage::PortType;
use report::diff::{About, Facts, Side};
use report::gather::collect;
use report::scores::Scores;

pub(super) fn side(name: &str, experiment: &ExperimentArgs, selection: &Selection) -> Result<Side, CliError> {
    let session = Session::open(experiment, &ExecutionArgs::default())?;
    let Resolved { plan, store, .. } = session.plan_with(selection, |_, output| output.port == PortType::Metrics)?;
    let mut side = Side {
        name: name.to_owned(),
        stages: Vec::new(),
    };
    let scores = collect::scores(&plan, &store, selection, false)?;
    for (index, node, entry) in plan.stages() {
        let facts = facts(&plan, index, node, entry, &scores);
        let members = node.members.iter().filter(|member| selection.fits(member));
        side.stages
            .extend(members.map(|member| (without(member, selection), facts.clone())));
    }
    Ok(side)
}

/// The stage without the coordinates that were chosen: two variants differ in them, and are compared all the same.
fn without(member: &StageName, selection: &Selection) -> StageName {
    let mut name = member.clone();
    name.variant
        .retain(|axis, _| selection.variants.iter().all(|(chosen, _)| chosen != axis));
    name
}

fn facts(plan: &Plan, index: NodeIndex, node: &Node, entry: &Entry, scores: &Scores) -> Facts {
    let mut facts = Facts::new();
    add(&mut facts, About::Kind, "", &Value::from(node.kind.name));
    add(&mut facts, About::Param, "", &node.stage.params());
    if let Some(seed) = node.seed {
        add(&mut facts, About::Seed, "", &Value::from(seed));
    }
    if let Some(numbers) = node.stage.numerics() {
        add(&mut facts, About::Numbers, "", &Value::from(numbers));
    }
    for (port, links) in &node.inputs {
        let from = |link: &lab::plan::Link| Some(plan.entries.get(link.from.index())?.outputs.get(link.port.as_ref())?.digest);
        add_digests(&mut facts, About::Input, port, &links.iter().map(from).collect::<Vec<_>>());
    }
    for output in &node.outputs {
        let digest = entry.outputs.get(output.name.as_ref()).map(|artifact| artifact.digest);
        add_digests(&mut facts, About::Output, &output.name, &[digest]);
    }
    for score in scores.scores.iter().filter(|score| score.place.source == index.index()) {
        if let Some(metrics) = &score.metrics {
            add_metrics(&mut facts, &score.data, metrics);
        }
    }
    facts
}
