//! The stage of one variant that a number comes from.

use std::collections::BTreeMap;

/// Means are taken over the values of this axis. All other axes separate rows.
pub(crate) const SEED: &str = "seed";

/// The coordinates that separate rows of a table and series of a figure: all but the seed.
pub type VariantGroup<'a> = BTreeMap<&'a str, &'a str>;

/// A stage of one variant, with its place in the method's loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagePlace {
    /// `score[2]`
    pub stage: String,
    /// The coordinates of the variant.
    pub variant: BTreeMap<String, String>,
    /// The index in the stage's name.
    pub iteration: Option<i64>,
    /// `cold start`, `warm start` or `iteration 2`; outside of the loop, the stage's name.
    pub phase: String,
    /// The number of the stage's node. Variants that share a stage have the same number, and it counts once in a mean.
    pub node: usize,
}

impl StagePlace {
    /// The name without its index: `score`.
    pub fn base(&self) -> &str {
        lab::config::base_name(&self.stage)
    }

    /// The coordinates but for the seed.
    pub fn group(&self) -> VariantGroup<'_> {
        let others = self.variant.iter().filter(|(axis, _)| *axis != SEED);
        others.map(|(axis, value)| (axis.as_str(), value.as_str())).collect()
    }

    /// The coordinate that is averaged over.
    pub fn seed(&self) -> &str {
        self.variant.get(SEED).map_or("", String::as_str)
    }
}

/// `start=warm, width=64`; empty without axes other than the seed.
pub(crate) fn group_text(group: &VariantGroup<'_>) -> String {
    let parts: Vec<String> = group.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    parts.join(", ")
}
