//! The phase of the method's loop that a stage belongs to.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;

use lab::plan::Plan;

/// The phases of the nodes of a plan.
pub(super) struct Phases {
    nodes: Vec<StagePhase>,
    /// The base names of the stages in the loop. A base is in the loop if any of its stages depends on a filter.
    looping: BTreeSet<String>,
}

/// The phase of one node.
#[derive(Clone, Default)]
struct StagePhase {
    base: String,
    /// Whether the stage depends on a filter.
    iterated: bool,
    /// The start of its problems: `cold`, `warm`
    start: Option<String>,
}

impl Phases {
    pub fn in_plan(plan: &Plan) -> Self {
        let mut nodes = vec![StagePhase::default(); plan.dag.graph.node_count()];
        for (index, node, _) in plan.stages() {
            let mut phase = StagePhase {
                base: node.base.clone(),
                iterated: node.kind.name == "filter",
                start: node.stage.params().get("start").and_then(|start| start.as_str()).map(str::to_owned),
            };
            for from in node.inputs.values().flatten().filter_map(|link| nodes.get(link.from.index())) {
                phase.iterated |= from.iterated;
                // Among several tasks, one with hand-made skips makes a warm start.
                if phase.start.is_none() || from.start.as_deref() == Some("warm") {
                    phase.start = from.start.clone().or(phase.start);
                }
            }
            nodes[index.index()] = phase;
        }
        let looping = nodes.iter().filter(|phase| phase.iterated).map(|phase| phase.base.clone());
        Self {
            looping: looping.collect(),
            nodes,
        }
    }

    /// `warm start` or `iteration 2` for stages of the loop, the stage's name for others.
    pub fn phase_name(&self, index: NodeIndex, stage: &str, iteration: Option<i64>) -> String {
        let phase = self.nodes.get(index.index());
        let phase = phase.filter(|phase| self.looping.contains(&phase.base));
        match (phase, iteration) {
            (Some(StagePhase { iterated: true, .. }), Some(k)) => format!("iteration {k}"),
            (Some(phase), Some(_)) => phase
                .start
                .as_ref()
                .map_or_else(|| "start".to_owned(), |start| format!("{start} start")),
            _ => stage.to_owned(),
        }
    }
}
