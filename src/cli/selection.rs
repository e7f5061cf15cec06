//! Which stages of an experiment a command is about.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use crate::event::StageName;
use crate::plan::Dag;

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
    /// The selected stages; all where nothing narrows the selection, and nothing where no stage fits.
    pub fn targets(&self, dag: &Dag) -> Option<BTreeSet<NodeIndex>> {
        let chosen = |index: &NodeIndex| dag.graph[*index].members.iter().any(|member| self.fits(member));
        let targets: BTreeSet<NodeIndex> = dag.graph.node_indices().filter(chosen).collect();
        (!targets.is_empty()).then_some(targets)
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

fn coordinate(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .map(|(axis, value)| (axis.trim().to_owned(), value.trim().to_owned()));
    pair.ok_or_else(|| "write AXIS=VALUE, such as `seed=1`".to_owned())
}

/// Whether `pattern`, in which `*` stands for anything, is the stage's name or the part of it before the index.
fn matches(pattern: &str, name: &str) -> bool {
    let base = name.split('[').next().unwrap_or(name);
    glob(pattern, name) || glob(pattern, base)
}

fn glob(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(tail) = name.strip_prefix(start) else { return false };
    tail.char_indices()
        .map(|(place, _)| &tail[place..])
        .chain([""])
        .any(|tail| glob(rest, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

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
