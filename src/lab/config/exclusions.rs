//! `exclude`: the combinations of the matrix that are left out.

use std::collections::{BTreeMap, HashMap};

use super::axis::Coordinates;
use super::{ConfigTable, ConfigValue};

/// The entries of `exclude`, and which of them have left something out.
pub(super) struct Exclusions<'a> {
    /// By the axes that an entry names, then by its values as TOML, so that a point is looked up, not held against each.
    by_axes: BTreeMap<Vec<&'a str>, HashMap<Vec<String>, Vec<usize>>>,
    fitting: Vec<bool>,
}

impl<'a> Exclusions<'a> {
    pub(super) fn new(entries: &'a [ConfigTable]) -> Self {
        let mut by_axes: BTreeMap<Vec<&str>, HashMap<Vec<String>, Vec<usize>>> = BTreeMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let axes = entry.keys().map(String::as_str).collect();
            let values = entry.values().map(ConfigValue::toml).collect();
            by_axes.entry(axes).or_default().entry(values).or_default().push(number);
        }
        Self {
            by_axes,
            fitting: vec![false; entries.len()],
        }
    }

    /// Takes out the points that an entry fits.
    pub(super) fn apply(&mut self, points: &mut Vec<Coordinates>) {
        if !self.fitting.is_empty() {
            points.retain(|point| !self.exclude(point));
        }
    }

    /// Whether an entry fits the point; notes each that does.
    pub(super) fn exclude(&mut self, point: &Coordinates) -> bool {
        let mut is_excluded = false;
        for (axes, entries) in &self.by_axes {
            let values: Option<Vec<String>> = axes.iter().map(|axis| point.get(*axis).map(ConfigValue::toml)).collect();
            for number in values.and_then(|values| entries.get(&values)).into_iter().flatten() {
                (self.fitting[*number], is_excluded) = (true, true);
            }
        }
        is_excluded
    }

    /// For each entry, whether it has left something out.
    pub(super) fn fitting(self) -> Vec<bool> {
        self.fitting
    }
}
