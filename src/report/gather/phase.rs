//! Where in the method's loop a stage stands.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;

use lab::plan::Plan;

/// For each node of a plan, whether kept skips reach it, and the start that its problems were drawn for.
pub(super) struct Phases {
    nodes: Vec<Phase>,
    /// Bases of which any stage reads kept skips: those of the loop.
    looping: BTreeSet<String>,
}

#[derive(Clone, Default)]
struct Phase {
    base: String,
    iterated: bool,
    /// `cold`, `warm`
    start: Option<String>,
}

impl Phases {
    pub fn of(plan: &Plan) -> Self {
        let mut nodes = vec![Phase::default(); plan.dag.graph.node_count()];
        for (index, node, _) in plan.stages() {
            let mut phase = Phase {
                base: node.base.clone(),
                iterated: node.kind.name == "filter",
                start: node.stage.params().get("start").and_then(|start| start.as_str()).map(str::to_owned),
            };
            for from in node.inputs.values().flatten().filter_map(|link| nodes.get(link.from.index())) {
                phase.iterated |= from.iterated;
                // Of several tasks, one with hand-made skips makes a warm start.
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

    /// `warm start` and `iteration 2` for stages of the loop, the stage's name for others.
    pub fn name(&self, index: NodeIndex, stage: &str, iteration: Option<i64>) -> String {
        let phase = self.nodes.get(index.index());
        let phase = phase.filter(|phase| self.looping.contains(&phase.base));
        match (phase, iteration) {
            (Some(Phase { iterated: true, .. }), Some(k)) => format!("iteration {k}"),
            (Some(phase), Some(_)) => phase
                .start
                .as_ref()
                .map_or_else(|| "start".to_owned(), |start| format!("{start} start")),
            _ => stage.to_owned(),
        }
    }
}
