//! What fits nothing, and so does nothing: an `exclude`, a case of a param, a stage in a profile. Usually a slip, and never an error: a
//! profile may leave out what another layer speaks of. Only what the experiment's own file, `--set` and variables say is looked at, as for what
//! nothing uses.

use std::collections::BTreeSet;
use std::path::Path;

use super::cases::{BY, ELSE, is_written_number};
use super::choices::Choices;
use super::nearest::{known, nearest};
use super::stages::base_name;
use super::unused::is_own;
use super::{ConfigTable, ConfigValue, Diagnostic, Document, StageDeclaration};

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
