//! Where a number comes from.

use std::collections::BTreeMap;

/// The axis over whose values means are taken; every other axis separates what is shown.
pub(crate) const SEED: &str = "seed";

/// A stage of one variant, as a report speaks of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `score[2]`
    pub stage: String,
    /// The coordinates of the variant.
    pub variant: BTreeMap<String, String>,
    /// The index in the stage's name.
    pub iteration: Option<i64>,
    /// Where in the method's loop it stands: `cold start`, `warm start`, `iteration 2`; outside of it, the stage's name.
    pub phase: String,
    /// Variants that share one stage have its number here; it counts once in a mean.
    pub source: usize,
}

impl Place {
    /// The name without its index: `score`.
    pub fn base(&self) -> &str {
        lab::config::base_name(&self.stage)
    }

    /// The coordinates that separate rows of a table and series of a figure.
    pub fn group(&self) -> BTreeMap<&str, &str> {
        let apart = self.variant.iter().filter(|(axis, _)| *axis != SEED);
        apart.map(|(axis, value)| (axis.as_str(), value.as_str())).collect()
    }

    /// The coordinate that is averaged over.
    pub fn seed(&self) -> &str {
        self.variant.get(SEED).map_or("", String::as_str)
    }
}

/// `start=warm, width=64`; empty where there are no axes but the seed.
pub(crate) fn group_text(group: &BTreeMap<&str, &str>) -> String {
    let parts: Vec<String> = group.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    parts.join(", ")
}
