//! `[matrix]`: every combination of the axes is a variant, or those that `sample` chooses, less `exclude`, plus `include`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::axis::{Axis, Coordinates, SAMPLE, SEED, is_axis};
use super::exclusions::Exclusions;
use super::nearest::{known, nearest};
use super::sampling::{self, MatrixSample};
use super::template::{is_name, unfilled_placeholder};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document, limits};

/// More combinations than this are taken for a mistake.
const MAX_COMBINATIONS: u128 = 10_000;

/// What people call a value: texts that differ only in blanks and line ends look alike.
fn label(value: &ConfigValue) -> String {
    let text = value.plain_text();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is wrong with a value that names variants and has a placeholder; `None` for any other.
pub(super) fn placeholder_problem(value: &ConfigValue) -> Option<String> {
    let found = value.items().iter().find_map(|item| unfilled_placeholder(item.as_str()?))?;
    Some(format!(
        "`{found}` is filled in when a stage runs, and a value here names variants: write it into `run` of the stage, or into a param"
    ))
}

/// What people call the values of a point: two points must differ in it.
fn labels(point: &ConfigTable) -> Vec<(String, String)> {
    point.iter().map(|(axis, value)| (axis.clone(), label(value))).collect()
}

/// All points, the first axis of the file changing slowest; one without coordinates where there is no matrix.
pub(super) fn points(document: &Document, problems: &mut Diagnostics, warnings: &mut Vec<Diagnostic>) -> Vec<Coordinates> {
    let mut reader = MatrixReader { document, problems };
    let axes = reader.axes();
    let names: Vec<&str> = axes.iter().map(|(name, _)| *name).collect();
    let excluded = reader.entries("exclude", &names);
    let included = reader.entries("include", &names);
    let sample = reader.sample();
    if !reader.has_room(&axes, sample, &included) {
        return Vec::new();
    }
    let mut exclusions = Exclusions::new(&excluded);
    let mut points = match sample {
        Some(sample) => reader.chosen(sample, &axes, &mut exclusions, warnings),
        None => {
            let mut points = product(&axes);
            exclusions.apply(&mut points);
            points
        }
    };
    let fitting = exclusions.fitting();
    if !axes.iter().any(|(_, values)| values.is_empty()) {
        let idle = excluded.iter().zip(&fitting).filter(|(_, fits)| !**fits);
        let idle: Vec<&ConfigTable> = idle.map(|(entry, _)| entry).collect();
        warnings.extend(reader.fit_nothing(&idle, &axes));
    }
    reader.include(&mut points, included, &names, warnings);
    if points.is_empty() && reader.problems.is_empty() {
        let at = reader.at("exclude");
        reader
            .problems
            .push(Diagnostic::new("`exclude` leaves no combination of the matrix").at(at));
    }
    points
}

fn product(axes: &[Axis<'_>]) -> Vec<Coordinates> {
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

    fn axes(&mut self) -> Vec<Axis<'a>> {
        let mut axes: Vec<Axis<'a>> = Vec::new();
        let entries = self.document.entries("matrix").into_iter();
        for (name, value) in entries.filter(|(name, value)| is_axis(name, value)) {
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
                    let message = if name == SAMPLE {
                        format!(
                            "`sample` must be a table such as `{{ n = 20, seed = 0 }}`, not {}",
                            value.describe()
                        )
                    } else {
                        format!("axis `{name}` must be a list of values or a range, not {}", value.describe())
                    };
                    self.problem(value, message);
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
            let label = label(value);
            if let Some(message) = placeholder_problem(value) {
                self.problem(value, message);
            } else if value.as_table().is_some() {
                self.problem(value, format!("a value of axis `{name}` must be a scalar or a list, not a table"));
            } else if let Some(other) = seen.insert(label.clone(), value) {
                let message = if other == value {
                    format!("axis `{name}` has {label} twice")
                } else if other.as_str().is_some() && value.as_str().is_some() {
                    let (one, two) = (other.toml(), value.toml());
                    format!("axis `{name}` has {one} and {two}, which look alike: variants are named by them")
                } else {
                    let (one, two) = (other.describe(), value.describe());
                    format!("axis `{name}` has {label} twice, as {one} and as {two}: variants are named by it")
                };
                self.problem(value, message);
            }
        }
    }

    /// How combinations are chosen, if not all are taken.
    fn sample(&mut self) -> Option<MatrixSample> {
        let matrix = self.document.tree.get("matrix").and_then(ConfigValue::as_table)?;
        let table = matrix.get(SAMPLE)?;
        match MatrixSample::read(table, table.as_table()?) {
            Ok(sample) => Some(sample),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// The points that the sample chooses.
    fn chosen(
        &self,
        sample: MatrixSample,
        axes: &[Axis<'_>],
        exclusions: &mut Exclusions<'_>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Vec<Coordinates> {
        let (points, count) = sample.choose(axes, exclusions);
        if sample.n > count {
            let message = format!(
                "`sample` asks for {} combinations, and the matrix has {count}: all are taken",
                sample.n
            );
            warnings.push(Diagnostic::new(message).at(self.at(SAMPLE)));
        }
        points
    }

    /// Whether the points are few and small enough to be held; reports it where they are not.
    fn has_room(&mut self, axes: &[Axis<'_>], sample: Option<MatrixSample>, included: &[ConfigTable]) -> bool {
        let mut product = axes
            .iter()
            .fold(1u128, |size, (_, values)| size.saturating_mul(values.len() as u128));
        if let Some(sample) = sample.filter(|_| product <= sampling::MAX_COMBINATIONS) {
            let seeds = axes
                .iter()
                .filter(|(name, _)| *name == SEED)
                .map(|(_, values)| values.len() as u128);
            product = product.min((sample.n as u128).saturating_mul(seeds.product()));
        }
        let size = product.saturating_add(included.len() as u128);
        if size > MAX_COMBINATIONS {
            let at = axes.first().and_then(|(name, _)| self.at(name));
            let factors: Vec<String> = axes.iter().map(|(name, values)| format!("{} of `{name}`", values.len())).collect();
            let more = match included.len() {
                0 => String::new(),
                count => format!(", and {count} of `include`"),
            };
            let message = format!(
                "the matrix has {size} combinations ({}{more}); at most {MAX_COMBINATIONS} are allowed",
                factors.join(" × ")
            );
            let help = "shorten an axis, or let `sample = { n = 20 }` choose some of the combinations";
            self.problems.push(Diagnostic::new(message).at(at).help(help));
            return false;
        }
        let longest = |values: &[ConfigValue]| values.iter().map(limits::bytes).max().unwrap_or_default();
        let point = axes
            .iter()
            .fold(0usize, |sum, (name, values)| sum.saturating_add(name.len() + longest(values)));
        let included: usize = included.iter().map(limits::table_bytes).sum();
        let product = usize::try_from(product).unwrap_or(usize::MAX);
        limits::has_room_for_variants(product.saturating_mul(point).saturating_add(included), self.problems)
    }

    /// Adds the entries of `include` that are no points yet.
    fn include(&mut self, points: &mut Vec<Coordinates>, included: Vec<ConfigTable>, names: &[&str], warnings: &mut Vec<Diagnostic>) {
        if included.is_empty() {
            return;
        }
        let mut seen: HashMap<_, usize> = points.iter().enumerate().map(|(number, point)| (labels(point), number)).collect();
        for entry in included {
            self.complete(&entry, names);
            let new = match seen.entry(labels(&entry)) {
                Entry::Vacant(vacant) => {
                    vacant.insert(points.len());
                    true
                }
                Entry::Occupied(other) if points[*other.get()] == entry => {
                    let at = entry.values().next().and_then(ConfigValue::key_at);
                    let message = "an entry of `include` is a combination that the matrix has already";
                    warnings.push(Diagnostic::new(message).at(at));
                    false
                }
                Entry::Occupied(other) => {
                    self.same_label(&entry, &points[*other.get()]);
                    false
                }
            };
            if new {
                points.push(entry);
            }
        }
    }

    /// The warnings about entries of `exclude` that leave nothing out.
    fn fit_nothing(&self, entries: &[&ConfigTable], axes: &[Axis<'_>]) -> Vec<Diagnostic> {
        if entries.is_empty() {
            return Vec::new();
        }
        let written = |values: &[ConfigValue]| -> Vec<String> { values.iter().map(ConfigValue::toml).collect() };
        let axes: HashMap<&str, (HashSet<String>, String)> = axes
            .iter()
            .map(|(name, values)| {
                let values = written(values);
                let known = known(values.iter().map(String::as_str));
                (*name, (values.into_iter().collect(), known))
            })
            .collect();
        let warning = |entry: &&ConfigTable| {
            // A missing axis has been reported already.
            if !entry.keys().all(|axis| axes.contains_key(axis.as_str())) {
                return None;
            }
            let (axis, value, (_, known)) = entry.iter().find_map(|(axis, value)| {
                let known = axes.get(axis.as_str()).filter(|(values, _)| !values.contains(&value.toml()))?;
                Some((axis, value, known))
            })?;
            if self.document.choices.has(axis, value) {
                return None;
            }
            let message = format!("`exclude` leaves nothing out: axis `{axis}` has no {} ({known})", value.toml());
            Some(Diagnostic::new(message).at(value.at()))
        };
        entries.iter().filter_map(warning).collect()
    }

    /// Reports an entry of `include` that looks like a point of the matrix, and has a value of another type.
    fn same_label(&mut self, entry: &ConfigTable, point: &Coordinates) {
        let differing = entry.iter().find(|(axis, value)| point.get(*axis) != Some(value));
        if let Some((axis, value)) = differing {
            if let Some(other) = point.get(axis).filter(|other| other.as_str().is_some() && value.as_str().is_some()) {
                let (one, two) = (value.toml(), other.toml());
                let message = format!("`{axis}` is {one} here and {two} elsewhere, which look alike: variants are named by them");
                self.problem(value, message);
                return;
            }
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
            let problems: Vec<_> = entry
                .values()
                .filter_map(|value| Some((value, placeholder_problem(value)?)))
                .collect();
            for (value, message) in problems {
                self.problem(value, message);
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
