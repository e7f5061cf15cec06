//! `[matrix]`: every combination of the axes is a variant, less `exclude`, plus `include`.

use std::collections::BTreeMap;

use super::nearest::{known, nearest};
use super::template::is_name;
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document};

/// More combinations than this are taken for a mistake.
const MAX_COMBINATIONS: u128 = 10_000;

/// What people call the values of a point: two points must differ in it.
fn labels(point: &ConfigTable) -> Vec<(&str, String)> {
    point.iter().map(|(axis, value)| (axis.as_str(), value.plain_text())).collect()
}

/// One point of the matrix: the value on each axis.
pub type Coordinates = BTreeMap<String, ConfigValue>;

/// All points, the first axis of the file changing slowest; one without coordinates where there is no matrix.
pub(super) fn points(document: &Document, problems: &mut Diagnostics, warnings: &mut Vec<Diagnostic>) -> Vec<Coordinates> {
    let mut reader = MatrixReader { document, problems };
    let axes = reader.axes();
    let names: Vec<&str> = axes.iter().map(|(name, _)| *name).collect();
    let size = axes
        .iter()
        .fold(1u128, |size, (_, values)| size.saturating_mul(values.len() as u128));
    if size > MAX_COMBINATIONS {
        let at = axes.first().and_then(|(name, _)| reader.at(name));
        let factors: Vec<String> = axes.iter().map(|(name, values)| format!("{} of `{name}`", values.len())).collect();
        let message = format!(
            "the matrix has {size} combinations ({}); at most {MAX_COMBINATIONS} are allowed",
            factors.join(" × ")
        );
        reader.problems.push(Diagnostic::new(message).at(at));
        return Vec::new();
    }
    let excluded = reader.entries("exclude", &names);
    let included = reader.entries("include", &names);
    let mut points = product(&axes);
    let mut fitting = vec![false; excluded.len()];
    points.retain(|point| {
        let fits = |entry: &ConfigTable| entry.iter().all(|(axis, value)| point.get(axis) == Some(value));
        let mut is_excluded = false;
        for (_, has_fitted) in excluded.iter().zip(&mut fitting).filter(|(entry, _)| fits(entry)) {
            (*has_fitted, is_excluded) = (true, true);
        }
        !is_excluded
    });
    if !axes.iter().any(|(_, values)| values.is_empty()) {
        let idle = excluded.iter().zip(&fitting).filter(|(_, fits)| !**fits);
        warnings.extend(idle.filter_map(|(entry, _)| reader.fits_nothing(entry, &axes)));
    }
    let is_same = |one: &ConfigTable, other: &ConfigTable| labels(one) == labels(other);
    for entry in included {
        reader.complete(&entry, &names);
        if points.contains(&entry) {
            let at = entry.values().next().and_then(ConfigValue::key_at);
            warnings.push(Diagnostic::new("an entry of `include` is a combination that the matrix has already").at(at));
        } else if let Some(other) = points.iter().find(|point| is_same(point, &entry)) {
            reader.same_label(&entry, other);
        } else {
            points.push(entry);
        }
    }
    if points.is_empty() && reader.problems.is_empty() {
        let at = reader.at("exclude");
        reader
            .problems
            .push(Diagnostic::new("`exclude` leaves no combination of the matrix").at(at));
    }
    points
}

fn product(axes: &[(&str, &[ConfigValue])]) -> Vec<Coordinates> {
    axes.iter().fold(vec![Coordinates::new()], |points, (name, values)| {
        let extend = |point: &Coordinates, value: &ConfigValue| {
            let mut point = point.clone();
            point.insert((*name).to_owned(), value.clone());
            point
        };
        points
            .iter()
            .flat_map(|point| values.iter().map(move |value| extend(point, value)))
            .collect()
    })
}

struct MatrixReader<'a> {
    document: &'a Document,
    problems: &'a mut Diagnostics,
}

impl<'a> MatrixReader<'a> {
    fn at(&self, key: &str) -> Option<super::Location> {
        let value = self.document.tree.get("matrix")?.as_table()?.get(key)?;
        value.key_at()
    }

    fn problem(&mut self, value: &ConfigValue, message: String) {
        let at = value.at();
        self.problems.push(Diagnostic::new(message).at(at));
    }

    fn axes(&mut self) -> Vec<(&'a str, &'a [ConfigValue])> {
        let mut axes: Vec<(&'a str, &'a [ConfigValue])> = Vec::new();
        for (name, value) in self.document.entries("matrix") {
            if matches!(name, "exclude" | "include") {
                continue;
            }
            if !is_name(name) {
                let at = value.key_at();
                let message = format!("`{name}` cannot name an axis: letters, digits and `_` only");
                self.problems.push(Diagnostic::new(message).at(at));
            }
            match value.as_list() {
                Some([]) => {
                    self.problem(value, format!("axis `{name}` has no values"));
                    axes.push((name, &[]));
                }
                Some(values) => {
                    self.check_axis(name, values);
                    axes.push((name, values));
                }
                None => {
                    self.problem(value, format!("axis `{name}` must be a list of values, not {}", value.describe()));
                    // So that the stages can be checked all the same.
                    axes.push((name, std::slice::from_ref(value)));
                }
            }
        }
        axes
    }

    fn check_axis(&mut self, name: &str, values: &[ConfigValue]) {
        let mut seen: BTreeMap<String, &ConfigValue> = BTreeMap::new();
        for value in values {
            let label = value.plain_text();
            if value.as_table().is_some() {
                self.problem(value, format!("a value of axis `{name}` must be a scalar or a list, not a table"));
            } else if let Some(other) = seen.insert(label.clone(), value) {
                let message = if other == value {
                    format!("axis `{name}` has {label} twice")
                } else {
                    let (one, two) = (other.describe(), value.describe());
                    format!("axis `{name}` has {label} twice, as {one} and as {two}: variants are named by it")
                };
                self.problem(value, message);
            }
        }
    }

    /// The warning about an entry of `exclude` that leaves nothing out.
    fn fits_nothing(&self, entry: &ConfigTable, axes: &[(&str, &[ConfigValue])]) -> Option<Diagnostic> {
        let values = |axis: &str| axes.iter().find(|(name, _)| *name == axis).map(|(_, values)| *values);
        // An axis that there is not has been reported.
        if !entry.keys().all(|axis| values(axis).is_some()) {
            return None;
        }
        let (axis, value) = entry
            .iter()
            .find(|(axis, value)| !values(axis).unwrap_or_default().contains(value))?;
        if self.document.choices.has(axis, value) {
            return None;
        }
        let labels: Vec<String> = values(axis).unwrap_or_default().iter().map(ConfigValue::toml).collect();
        let known = known(labels.iter().map(String::as_str));
        let message = format!("`exclude` leaves nothing out: axis `{axis}` has no {} ({known})", value.toml());
        Some(Diagnostic::new(message).at(value.at()))
    }

    /// Reports an entry of `include` that looks like a point of the matrix, and has a value of another type.
    fn same_label(&mut self, entry: &ConfigTable, point: &Coordinates) {
        let differing = entry.iter().find(|(axis, value)| point.get(*axis) != Some(value));
        if let Some((axis, value)) = differing {
            let other = point.get(axis).map(ConfigValue::describe).unwrap_or_default();
            let message = format!(
                "`{axis}` is {} here and {other} elsewhere: variants are named by it",
                value.describe()
            );
            self.problem(value, message);
        }
    }

    /// The tables of `exclude` or `include`, with known axes only.
    fn entries(&mut self, key: &str, axes: &[&str]) -> Vec<ConfigTable> {
        let matrix = self.document.tree.get("matrix").and_then(ConfigValue::as_table);
        let Some(list) = matrix.and_then(|matrix| matrix.get(key)) else {
            return Vec::new();
        };
        let Some(items) = list.as_list() else {
            self.problem(
                list,
                format!("`{key}` must be a list of tables such as {{ seed = 1 }}, not {}", list.describe()),
            );
            return Vec::new();
        };
        let mut entries = Vec::new();
        for item in items {
            let Some(entry) = item.as_table() else {
                self.problem(
                    item,
                    format!(
                        "an entry of `{key}` must be a table such as {{ seed = 1 }}, not {}",
                        item.describe()
                    ),
                );
                continue;
            };
            for (axis, value) in entry.iter().filter(|(axis, _)| !axes.contains(&axis.as_str())) {
                let at = value.key_at();
                let message = format!("no axis `{axis}` in the matrix ({})", known(axes.iter().copied()));
                let suggestion = nearest(axis, axes.iter().copied());
                self.problems.push(Diagnostic::new(message).at(at).suggest(suggestion));
            }
            entries.push(entry.clone());
        }
        entries
    }

    /// Checks that an entry of `include` names every axis.
    fn complete(&mut self, entry: &ConfigTable, axes: &[&str]) {
        let missing: Vec<String> = axes
            .iter()
            .filter(|axis| !entry.contains_key(**axis))
            .map(|axis| format!("`{axis}`"))
            .collect();
        if !missing.is_empty() {
            let at = entry.values().next().and_then(ConfigValue::key_at);
            let message = format!("an entry of `include` names every axis; this one lacks {}", missing.join(", "));
            self.problems.push(Diagnostic::new(message).at(at.or_else(|| self.at("include"))));
        }
    }
}
