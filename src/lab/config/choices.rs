//! The values that the layers give axes and params.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::is_axis;
use super::cases::BY;
use super::{ConfigTable, ConfigValue, ValueData};

/// The values that any layer, profiles that were not chosen included, gives the axes and params.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    pub(super) by_name: BTreeMap<String, BTreeSet<String>>,
    /// The values of each axis, as TOML: `1` and `"1"` are two.
    pub(super) axes: BTreeMap<String, BTreeSet<String>>,
    /// Names whose values are worked out.
    pub(super) open: BTreeSet<String>,
}

impl Choices {
    /// Adds the values of one layer.
    pub fn collect(&mut self, layer: &ConfigTable) {
        let entries = |table: &str| layer.get(table).and_then(ConfigValue::as_table).into_iter().flatten();
        for (axis, values) in entries("matrix") {
            match axis.as_str() {
                "include" => values
                    .items()
                    .iter()
                    .filter_map(ConfigValue::as_table)
                    .for_each(|entry| self.params(entry)),
                _ if !is_axis(axis, values) => {}
                _ => {
                    let written = values.items().iter().map(ConfigValue::toml);
                    self.axes.entry(axis.clone()).or_default().extend(written);
                    values.items().iter().for_each(|value| self.add(axis, value));
                }
            }
        }
        for (name, value) in entries("params") {
            match &value.data {
                ValueData::Table(cases) => cases
                    .iter()
                    .filter(|(key, _)| *key != BY)
                    .for_each(|(_, value)| self.add(name, value)),
                _ => self.add(name, value),
            }
        }
        for (name, change) in entries("ablate") {
            match &change.data {
                ValueData::Table(params) => self.params(params),
                _ => change.items().iter().for_each(|value| self.add(name, value)),
            }
        }
        entries("profile")
            .filter_map(|(_, profile)| profile.as_table())
            .for_each(|profile| self.collect(profile));
    }

    /// Whether a layer gives the axis this value, though a later one may have left it out.
    pub fn has(&self, axis: &str, value: &ConfigValue) -> bool {
        self.axes.get(axis).is_some_and(|values| values.contains(&value.toml()))
    }

    fn params(&mut self, params: &ConfigTable) {
        params.iter().for_each(|(name, value)| self.add(name, value));
    }

    fn add(&mut self, name: &str, value: &ConfigValue) {
        if value.as_str().is_some_and(|text| text.contains('{')) {
            self.open.insert(name.to_owned());
        }
        self.by_name.entry(name.to_owned()).or_default().insert(value.plain_text());
    }
}
