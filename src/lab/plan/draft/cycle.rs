//! The order of a variant's stages, and the circles that keep them from having one.

use std::collections::{HashMap, VecDeque};

use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::DfsPostOrder;

use super::{Draft, Edge};
use crate::config::Diagnostic;

/// Positions of drafts, each using the next, the last the first.
pub(super) type Cycle = Vec<usize>;

/// The drafts' positions, each after those that it uses, and otherwise in the order of the file.
///
/// # Errors
/// When some use each other: one shortest circle for each knot of them.
pub(super) fn order(drafts: &[Draft<'_>]) -> Result<Vec<usize>, Vec<Cycle>> {
    let mut graph = DiGraph::<(), ()>::with_capacity(drafts.len(), drafts.len());
    drafts.iter().for_each(|_| {
        graph.add_node(());
    });
    for (from, draft) in drafts.iter().enumerate() {
        // petgraph walks the edges last to first.
        for edge in edges(draft).rev() {
            graph.add_edge(NodeIndex::new(from), NodeIndex::new(edge.to), ());
        }
    }
    if toposort(&graph, None).is_err() {
        return Err(cycles(&graph));
    }
    let mut order = Vec::with_capacity(drafts.len());
    let mut walk = DfsPostOrder::empty(&graph);
    for start in graph.node_indices() {
        walk.move_to(start);
        while let Some(node) = walk.next(&graph) {
            order.push(node.index());
        }
    }
    Ok(order)
}

fn edges<'a>(draft: &'a Draft<'_>) -> impl DoubleEndedIterator<Item = &'a Edge> {
    draft.inputs.iter().flat_map(|(_, edges)| edges)
}

fn cycles(graph: &DiGraph<(), ()>) -> Vec<Cycle> {
    let mut cycles: Vec<Cycle> = kosaraju_scc(graph)
        .iter()
        .filter_map(|knot| shortest(graph, *knot.iter().min()?))
        .collect();
    cycles.sort();
    cycles
}

/// A shortest way from `start` back to it.
fn shortest(graph: &DiGraph<(), ()>, start: NodeIndex) -> Option<Cycle> {
    let mut before = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors(node) {
            if next == start {
                let mut cycle = vec![node.index()];
                let mut node = node;
                while let Some(previous) = before.get(&node) {
                    node = *previous;
                    cycle.push(node.index());
                }
                cycle.reverse();
                return Some(cycle);
            }
            before.entry(next).or_insert_with(|| {
                queue.push_back(next);
                node
            });
        }
    }
    None
}

/// `stages use each other in a circle: a → b → a`, where the first of them names the second.
pub(super) fn describe(cycle: &Cycle, drafts: &[Draft<'_>]) -> Diagnostic {
    let named = cycle.iter().chain(cycle.first()).filter_map(|position| drafts.get(*position));
    let named: Vec<&str> = named.map(|draft| draft.declaration.name.as_str()).collect();
    let message = match named.as_slice() {
        [name, _] => format!("stage `{name}` uses its own output"),
        _ => format!("stages use each other in a circle: {}", named.join(" → ")),
    };
    let first = cycle.first().and_then(|position| drafts.get(*position));
    let second = cycle.get(1).or(cycle.first());
    let edge = first.and_then(|draft| edges(draft).find(|edge| Some(&edge.to) == second));
    Diagnostic::new(message).at(edge.and_then(|edge| edge.origin.value()))
}
