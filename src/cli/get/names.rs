//! The names under which artifacts are taken out: `width=16,seed=1/fit/model`.
//!
//! A name can be read back, and no two artifacts have the same: what a file system, a shell or these names themselves could take for
//! something else is written as `%` and two digits for each byte, as in addresses. The part of a name that is longer than file systems take is
//! cut, and ends in a digest of the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lab::event::StageName;
use lab::hash::Digest;
use lab::plan::Node;

/// Characters that some file systems or shells do not take in names, and those that these names use.
const ESCAPED: &str = "/\\:*?\"<>|%,=~$`'!&;#";

/// The longest name, in bytes, that is written out; file systems take 255, less the ending.
const MOST_BYTES: usize = 200;

/// The digits of the digest at the end of a name that is cut.
const DIGITS: usize = 16;

/// Names the folders of stages.
pub(super) struct FolderNames<'a> {
    /// The axes, in the order of the file.
    axes: &'a [String],
    /// Whether there are folders of stages: where there is more than one.
    has_stages: bool,
    /// How many of the stages have this name and these coordinates.
    counts: BTreeMap<&'a StageName, usize>,
}

impl<'a> FolderNames<'a> {
    /// For these stages.
    pub(super) fn new(axes: &'a [String], nodes: &[&'a Node]) -> Self {
        let mut counts = BTreeMap::new();
        for node in nodes {
            *counts.entry(&node.name).or_default() += 1;
        }
        let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.name.as_str()).collect();
        Self {
            axes,
            has_stages: names.len() > 1,
            counts,
        }
    }

    /// The folder for a stage's outputs; empty where nothing tells its outputs from those of others.
    pub(super) fn folder(&self, node: &Node) -> PathBuf {
        // Stages of different variants may agree in the same coordinates; a variant has one of them.
        let is_shared = self.counts.get(&node.name).is_some_and(|count| *count > 1);
        let stage = node.members.first().filter(|_| is_shared).unwrap_or(&node.name);
        let mut folder = PathBuf::new();
        if !stage.variant.is_empty() {
            folder.push(fitting(&self.coordinates(&stage.variant)));
        }
        if self.has_stages {
            folder.push(fitting(&escaped(&stage.name, true)));
        }
        folder
    }

    /// `width=16,seed=1`
    fn coordinates(&self, variant: &BTreeMap<String, String>) -> String {
        let known = self.axes.iter().filter_map(|axis| variant.get_key_value(axis));
        let others = variant.iter().filter(|(axis, _)| !self.axes.contains(*axis));
        let pairs = known
            .chain(others)
            .map(|(axis, value)| format!("{}={}", escaped(axis, true), escaped(value, false)));
        pairs.collect::<Vec<_>>().join(",")
    }
}

/// A text as a part of a name, which may begin with it, and from which it can be read back.
fn escaped(text: &str, begins: bool) -> String {
    let mut name = String::new();
    let last = text.chars().count().saturating_sub(1);
    for (place, character) in text.chars().enumerate() {
        let at_start = begins && place == 0 && ".- ".contains(character);
        let at_end = place == last && ". ".contains(character);
        if at_start || at_end || ESCAPED.contains(character) || lab::text::is_hidden(character) {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).bytes();
            name.extend(bytes.map(|byte| format!("%{byte:02X}")));
        } else {
            name.push(character);
        }
    }
    // An empty value is a name, too.
    if name.is_empty() { "%".to_owned() } else { name }
}

/// A name that is not too long.
fn fitting(name: &str) -> String {
    if name.len() <= MOST_BYTES {
        return name.to_owned();
    }
    let mut end = MOST_BYTES - DIGITS - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let digest = Digest::of(name.as_bytes()).to_string();
    // `~` is in no name that is not cut.
    format!("{}~{}", &name[..end], &digest[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::example;

    #[test]
    fn names_have_variant_and_stage_as_far_as_they_tell_something() {
        let dag = example::plan().dag;
        let axes = ["seed".to_owned()];
        let list = |nodes: Vec<&Node>| {
            let names = FolderNames::new(&axes, &nodes);
            let folders = nodes.iter().map(|node| names.folder(node).display().to_string());
            folders.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            list(dag.graph.node_weights().collect()),
            "problems seed=1/standard[0] seed=1/score[0] seed=2/standard[0] seed=2/score[0] extra"
        );
        let scores = dag.graph.node_weights().filter(|node| node.name.name == "score[0]");
        assert_eq!(list(scores.collect()), "seed=1 seed=2");
    }

    #[test]
    fn coordinates_are_in_the_order_of_the_file() {
        let axes = ["width", "seed"].map(str::to_owned);
        let names = FolderNames {
            axes: &axes,
            has_stages: false,
            counts: BTreeMap::new(),
        };
        let variant = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert_eq!(names.coordinates(&variant(&[("seed", "1"), ("width", "16")])), "width=16,seed=1");
        assert_eq!(names.coordinates(&variant(&[("width", "1")])), "width=1");
        assert_eq!(
            names.coordinates(&variant(&[("ask", "[-1, -2]"), ("seed", "")])),
            "seed=%,ask=[-1%2C -2]"
        );
    }

    #[test]
    fn what_a_name_should_not_have_is_written_in_digits() {
        for (text, name) in [
            ("16", "16"),
            ("1e-3", "1e-3"),
            ("-1", "%2D1"),
            ("a/b", "a%2Fb"),
            ("../x", "%2E.%2Fx"),
            ("..", "%2E%2E"),
            ("100%", "100%25"),
            ("a,b=c", "a%2Cb%3Dc"),
            ("a\nb", "a%0Ab"),
            ("no warm-up", "no warm-up"),
            ("é", "é"),
        ] {
            assert_eq!(escaped(text, true), name, "{text}");
        }
        let long = ["x".repeat(300), "x".repeat(301)].map(|text| fitting(&escaped(&text, true)));
        assert_eq!(escaped("-1", false), "-1");
        assert!(long[0] != long[1] && long.iter().all(|name| name.len() == MOST_BYTES), "{long:?}");
    }
}
