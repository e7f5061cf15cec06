//! Which stages of an experiment a command is about.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::Failed;
use crate::config::{known, nearest};
use crate::event::StageName;
use crate::pattern;
use crate::plan::{Dag, Node};

/// Stages by name and variant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Selection {
    /// Only these stages and what they need: `standard[2]`, `standard` (all its indices), `score*`
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,

    /// Only variants with this coordinate; may be given several times
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = coordinate)]
    pub variants: Vec<(String, String)>,
}

impl Selection {
    /// The selected stages; all where nothing narrows the selection.
    ///
    /// # Errors
    /// When no stage fits, or one that is asked for is not there.
    pub fn targets(&self, dag: &Dag) -> Result<BTreeSet<NodeIndex>, Failed> {
        let chosen = |index: &NodeIndex| dag.graph[*index].members.iter().any(|member| self.fits(member));
        let targets: BTreeSet<NodeIndex> = dag.graph.node_indices().filter(chosen).collect();
        match self.missing(dag) {
            Some(missing) => Err(Failed::NothingSelected(missing)),
            None if targets.is_empty() => Err(Failed::NothingSelected("no stage fits all that is asked for".to_owned())),
            None => Ok(targets),
        }
    }

    /// What is asked for that is not there, with what is.
    fn missing(&self, dag: &Dag) -> Option<String> {
        let nodes: Vec<&Node> = dag.graph.node_weights().collect();
        let stage = |pattern: &String| missing_stage(pattern, &nodes);
        let mut coordinates = self.variants.iter();
        let coordinate = |(axis, value): &(String, String)| missing_coordinate(axis, value, &nodes);
        self.stages.iter().find_map(stage).or_else(|| coordinates.find_map(coordinate))
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
            && wanted
                .iter()
                .all(|(axis, values)| stage.variant.get(*axis).is_some_and(|value| values.contains(&value.as_str())))
    }
}

/// Reads `AXIS=VALUE`.
pub(super) fn coordinate(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .map(|(axis, value)| (axis.trim().to_owned(), value.trim().to_owned()));
    pair.ok_or_else(|| "write AXIS=VALUE, such as `seed=1`".to_owned())
}

/// What is wrong with a pattern that is no stage's.
fn missing_stage(pattern: &str, nodes: &[&Node]) -> Option<String> {
    if nodes.iter().any(|node| matches(pattern, &node.name.name)) {
        return None;
    }
    // Of a base that is there, the index is wrong: then its indices are what is known.
    let base = pattern.split('[').next().unwrap_or(pattern);
    let indexed = nodes.iter().filter(|node| node.base == base).map(|node| node.name.name.as_str());
    let mut names: Vec<&str> = distinct(indexed);
    if names.is_empty() {
        names = distinct(nodes.iter().map(|node| node.base.as_str()));
    }
    let meant = nearest(base, names.iter().copied());
    Some(format!("no stage `{pattern}` ({}){}", known(names), asked(meant)))
}

/// What is wrong with a coordinate that no variant has.
fn missing_coordinate(axis: &str, value: &str, nodes: &[&Node]) -> Option<String> {
    let members = || nodes.iter().flat_map(|node| &node.members);
    let axes = distinct(members().flat_map(|member| member.variant.keys().map(String::as_str)));
    if !axes.contains(&axis) {
        let meant = nearest(axis, axes.iter().copied());
        return Some(format!("no axis `{axis}` in the matrix ({}){}", known(axes), asked(meant)));
    }
    let values = distinct(members().filter_map(|member| member.variant.get(axis).map(String::as_str)));
    let meant = nearest(value, values.iter().copied());
    (!values.contains(&value)).then(|| format!("no variant has {axis} = {value} ({}){}", known(values), asked(meant)))
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
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let base = name.split('[').next().unwrap_or(name);
    pattern::matches(pattern, name) || pattern::matches(pattern, base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::example;

    fn said(stages: &[&str], variants: &[(&str, &str)]) -> String {
        let selection = Selection {
            stages: stages.iter().map(|&stage| stage.to_owned()).collect(),
            variants: variants.iter().map(|&(axis, value)| (axis.to_owned(), value.to_owned())).collect(),
        };
        match selection.targets(&example::plan().dag) {
            Ok(targets) => targets.len().to_string(),
            Err(failed) => failed.render(false).trim_end().to_owned(),
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        insta::assert_snapshot!([
            said(&["standrad"], &[]),
            said(&["problems", "scores"], &[]),
            said(&["score[7]"], &[]),
            said(&["nothing*"], &[]),
            said(&[], &[("sed", "1")]),
            said(&["score"], &[("seed", "3")]),
        ].join("\n"), @r"
        error: no stage `standrad` (known: problems, standard, score, extra): did you mean `standard`?
        error: no stage `scores` (known: problems, standard, score, extra): did you mean `score`?
        error: no stage `score[7]` (known: score[0])
        error: no stage `nothing*` (known: problems, standard, score, extra)
        error: no axis `sed` in the matrix (known: seed): did you mean `seed`?
        error: no variant has seed = 3 (known: 1, 2)
        ");
        assert_eq!(said(&["score[0]", "problems"], &[("seed", "1")]), "2");
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
