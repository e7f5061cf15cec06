//! What fits nothing, and so does nothing: an `exclude`, a case of a param, a stage in a profile. Usually a slip, and never an error: a
//! profile may leave out what another layer speaks of. Only what the experiment's own file, `--set` and variables say is looked at, as for what
//! nothing uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::axis::is_axis;
use super::cases::{BY, ELSE, is_written_number};
use super::nearest::{known, nearest};
use super::stages::base_name;
use super::unused::is_own;
use super::{ConfigTable, ConfigValue, Diagnostic, Document, StageDeclaration, ValueData};

/// The values that any layer, profiles that were not chosen included, gives the axes and params.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    by_name: BTreeMap<String, BTreeSet<String>>,
    /// The values of each axis, as TOML: `1` and `"1"` are two.
    axes: BTreeMap<String, BTreeSet<String>>,
    /// Names whose values are worked out.
    open: BTreeSet<String>,
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

/// Warnings about cases, and about defaults of kinds that no stage has.
pub(super) fn unmatched<'a>(document: &Document, stages: impl Iterator<Item = &'a StageDeclaration>) -> Vec<Diagnostic> {
    let is_own = |value: &ConfigValue| value.key_at().is_some_and(|at| is_own(document, &at));
    let mut warnings = Vec::new();
    for (param, value) in document.entries("params") {
        let cases = value.as_table().into_iter().flatten();
        let cases = cases.filter(|(name, value)| ![BY, ELSE].contains(&name.as_str()) && is_own(value));
        let by = value.get(BY).and_then(ConfigValue::as_str).unwrap_or_default();
        warnings.extend(cases.filter_map(|(case, value)| unmatched_case(document, param, by, case, value)));
    }
    let kinds: BTreeSet<&str> = stages.filter_map(|stage| stage.fields.get("kind")?.as_str()).collect();
    let defaults = document.entries("defaults").into_iter();
    let idle = defaults.filter(|(kind, value)| !kinds.is_empty() && !kinds.contains(kind) && is_own(value));
    warnings.extend(idle.map(|(kind, value)| {
        let message = format!(
            "`[defaults.{kind}]` is for no stage: none is of this kind ({})",
            known(kinds.iter().copied())
        );
        Diagnostic::new(message).at(value.key_at())
    }));
    warnings
}

fn unmatched_case(document: &Document, param: &str, by: &str, case: &str, value: &ConfigValue) -> Option<Diagnostic> {
    let Choices { by_name, axes, open } = &document.choices;
    let values = by_name.get(by).filter(|_| !open.contains(by))?;
    if values.contains(case) || values.iter().any(|value| is_written_number(case, value)) {
        return None;
    }
    let names = || values.iter().map(String::as_str);
    let meant = nearest(case, names());
    // A param may be given any value on the command line; the values of an axis are in the file.
    (axes.contains_key(by) || meant.is_some()).then(|| {
        let message = format!(
            "`{param}` has a case for `{by}` = {case}, a value that `{by}` never has ({})",
            known(names())
        );
        Diagnostic::new(message).suggest(meant).at(value.key_at())
    })
}

/// Warnings about stages, params and axes in profiles that no other part of the experiment knows. `tree` has all files merged. A chosen
/// profile has its mistakes reported where they lead.
pub(super) fn profiles(tree: &ConfigTable, used: &BTreeSet<String>, chosen: &[String], file: &Path) -> Vec<Diagnostic> {
    let own = file.display().to_string();
    let table = |tree: &ConfigTable, name: &str| tree.get(name).and_then(ConfigValue::as_table).cloned().unwrap_or_default();
    let profiles = table(tree, "profile");
    let profiles: Vec<(&String, &ConfigTable)> = profiles
        .iter()
        .filter_map(|(name, profile)| Some((name, profile.as_table()?)))
        .collect();
    let mut stages = table(tree, "stages");
    for (_, profile) in &profiles {
        stages.extend(
            table(profile, "stages")
                .into_iter()
                .filter(|(_, stage)| stage.get("kind").is_some()),
        );
    }
    let (params, axes) = (table(tree, "params"), table(tree, "matrix"));
    let mut warnings = Vec::new();
    for (profile, fields) in profiles.iter().filter(|(name, _)| !chosen.contains(name)) {
        let is_own = |value: &ConfigValue| value.key_at().is_some_and(|at| at.source.name == own);
        for (name, value) in table(fields, "stages")
            .iter()
            .filter(|(name, value)| is_own(value) && !stages.contains_key(*name))
        {
            let same_base = stages.keys().find(|other| base_name(other) == base_name(name)).map(String::as_str);
            let meant = nearest(name, stages.keys().map(String::as_str)).or(same_base);
            let message = format!("profile `{profile}` changes the stage `{name}`, which there is not");
            warnings.push(Diagnostic::new(message).suggest(meant).at(value.key_at()));
        }
        let is_known = |name: &String| params.contains_key(name) || axes.contains_key(name) || used.contains(name) || name == "seed";
        for what in ["params", "matrix"] {
            let entries = table(fields, what);
            let unknown = entries
                .iter()
                .filter(|(name, value)| is_own(value) && !is_known(name) && !["include", "exclude"].contains(&name.as_str()));
            warnings.extend(unknown.map(|(name, value)| {
                let what = if what == "params" { "param" } else { "axis" };
                let meant = nearest(name, params.keys().chain(axes.keys()).map(String::as_str));
                let message = format!("profile `{profile}` gives the {what} `{name}`, which nothing uses");
                Diagnostic::new(message).suggest(meant).at(value.key_at())
            }));
        }
    }
    warnings
}
