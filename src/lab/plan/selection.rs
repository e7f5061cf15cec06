//! The stages that a command selects.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::{Dag, Node};
use crate::config::{base_name, known, nearest, printed_number};
use crate::event::StageName;

/// No stage is selected; a message with those there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NothingSelected(pub String);

/// Stages by name and variant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Patterns of names: `standard[2]`, `standard` (all its indices), `score*`. Empty for all stages.
    pub stages: Vec<String>,
    /// Coordinates of the variants, as axis and value. Values of one axis are alternatives; several axes must all fit.
    pub variants: Vec<(String, String)>,
}

impl Selection {
    /// The selected stages; all where nothing narrows the selection.
    ///
    /// # Errors
    /// When no stage fits, or one that is asked for is not there.
    pub fn targets(&self, dag: &Dag) -> Result<BTreeSet<NodeIndex>, NothingSelected> {
        let chosen = |index: &NodeIndex| dag.graph[*index].members.iter().any(|member| self.fits(member));
        let targets: BTreeSet<NodeIndex> = dag.graph.node_indices().filter(chosen).collect();
        match self.missing(dag).or_else(|| self.idle(dag)) {
            Some(missing) => Err(NothingSelected(missing)),
            None if targets.is_empty() => Err(NothingSelected("no stage fits all that is asked for".to_owned())),
            None => Ok(targets),
        }
    }

    /// The stages that are asked for by name; none where nothing but variants are.
    pub fn named(&self, dag: &Dag) -> BTreeSet<NodeIndex> {
        let is_named = |index: &NodeIndex| !self.stages.is_empty() && dag.graph[*index].members.iter().any(|member| self.fits(member));
        dag.graph.node_indices().filter(is_named).collect()
    }

    /// The message for a stage or a coordinate that does not exist, with those that do.
    fn missing(&self, dag: &Dag) -> Option<String> {
        let nodes: Vec<&Node> = dag.graph.node_weights().collect();
        let stage = |pattern: &String| missing_stage(pattern, &nodes);
        let mut coordinates = self.variants.iter();
        let coordinate = |(axis, value): &(String, String)| missing_coordinate(axis, value, &nodes);
        self.stages.iter().find_map(stage).or_else(|| coordinates.find_map(coordinate))
    }

    /// The message for a stage that is in none of the variants asked for.
    fn idle(&self, dag: &Dag) -> Option<String> {
        if self.variants.is_empty() || self.stages.len() < 2 {
            return None;
        }
        let alone = |pattern: &String| Self {
            stages: vec![pattern.clone()],
            variants: self.variants.clone(),
        };
        let members = || dag.graph.node_weights().flat_map(|node| &node.members);
        let idle = self.stages.iter().find(|pattern| {
            let alone = alone(pattern);
            !members().any(|member| alone.fits(member))
        })?;
        Some(format!("no stage `{idle}` in the variants that are asked for"))
    }

    /// Whether a stage of a variant is selected.
    pub fn fits(&self, stage: &StageName) -> bool {
        let named = self.stages.is_empty() || self.stages.iter().any(|pattern| matches(pattern, &stage.name));
        // Several values of one axis are alternatives; several axes must all fit.
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        self.variants
            .iter()
            .for_each(|(axis, value)| wanted.entry(axis).or_default().push(value));
        named
            && wanted.iter().all(|(axis, values)| {
                stage
                    .variant
                    .get(*axis)
                    .is_some_and(|value| values.iter().any(|wanted| is_value(wanted, value)))
            })
    }
}

/// The message for a pattern that fits no stage.
fn missing_stage(pattern: &str, nodes: &[&Node]) -> Option<String> {
    if nodes.iter().any(|node| matches(pattern, &node.name.name)) {
        return None;
    }
    // When the base exists, only the index is wrong: then the message lists its indices.
    let base = base_name(pattern);
    let indexed = nodes
        .iter()
        .filter(|node| node.base == base && !node.part)
        .map(|node| node.name.name.as_str());
    let mut names: Vec<&str> = distinct(indexed);
    if names.is_empty() {
        names = distinct(nodes.iter().map(|node| node.base.as_str()));
    }
    let meant = nearest(base, names.iter().copied());
    Some(format!("no stage `{pattern}` ({}){}", known(names), asked(meant)))
}

/// The message for a coordinate that no variant has.
fn missing_coordinate(axis: &str, value: &str, nodes: &[&Node]) -> Option<String> {
    let members = || nodes.iter().flat_map(|node| &node.members);
    let axes = distinct(members().flat_map(|member| member.variant.keys().map(String::as_str)));
    if !axes.contains(&axis) {
        let meant = nearest(axis, axes.iter().copied());
        return Some(format!("no axis `{axis}` in the matrix ({}){}", known(axes), asked(meant)));
    }
    let values = distinct(members().filter_map(|member| member.variant.get(axis).map(String::as_str)));
    let meant = nearest(value, values.iter().copied());
    let found = values.iter().any(|known| is_value(value, known));
    (!found).then(|| format!("no variant has {axis} = {value} ({}){}", known(values), asked(meant)))
}

/// Whether `wanted` is a coordinate's value, as it is printed or as another way to write the number: `1e-3` for `0.001`.
fn is_value(wanted: &str, value: &str) -> bool {
    wanted == value || printed_number(wanted).is_some_and(|wanted| wanted == value)
}

/// In the order of their first appearance.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

fn asked(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

/// Whether `pattern`, in which `*` stands for anything, is the stage's name or the part of it before the index.
pub fn matches(pattern: &str, name: &str) -> bool {
    wildcard(pattern, name) || wildcard(pattern, base_name(name))
}

/// Whether `pattern`, in which `*` stands for any text, is all of `text`.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    // Its other sign, for one character, is one that no name has.
    wildmatch::WildMatchPattern::<'*', '\0'>::new(pattern).matches(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_coordinate_however_it_is_written() {
        for (wanted, value, fits) in [
            ("1e-3", "0.001", true),
            ("0.001", "0.001", true),
            ("1_000", "1000", true),
            ("0x10", "16", true),
            ("1e-3", "0.01", false),
            ("1.10", "1.1", false),
            ("e5", "e5", true),
        ] {
            assert_eq!(is_value(wanted, value), fits, "{wanted} {value}");
        }
    }

    #[test]
    fn a_pattern_is_a_name_a_base_or_has_stars() {
        for (pattern, name, fits) in [
            ("standard[2]", "standard[2]", true),
            ("standard", "standard[2]", true),
            ("standard", "standards", false),
            ("st*d[2]", "standard[2]", true),
            ("*[2]", "standard[2]", true),
            ("*[2]", "standard[12]", false),
            ("*", "anything", true),
            ("score*", "scored[1]", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
