//! Examples: the single cases that metrics were measured on, with the numbers or the verdict of each.
//!
//! A line of `examples.jsonl` is a record as the program wrote it, with its `id` at the front. Numbers, and verdicts as 1 and 0, are those at
//! the top level and in the maps `metrics` and `scores`; what else is in maps and lists is there to be read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ArtifactError;
use super::rows::{NamedFile, read_rows};
use crate::foreign::{self, FileFormat, FileShape};
use crate::metrics::{MetricMap, MetricValue, told_apart};

/// The names of what identifies an example; the first that a record has counts. A column without a name is the index that pandas writes.
const ID_NAMES: [&str; 7] = ["id", "doc_id", "example_id", "index", "idx", "name", ""];

/// The maps whose numbers are those of the example.
const NUMBER_MAPS: [&str; 2] = ["metrics", "scores"];

/// One case that metrics were measured on: a row of a test set, a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// Identifies the case, so that two variants can be compared on it.
    pub id: String,
    /// Its numbers by dotted name, in the order of the file; a verdict is 1 or 0.
    pub numbers: Vec<(String, f64)>,
    /// All its fields as they were written, for people to read.
    pub fields: serde_json::Map<String, Value>,
}

/// The examples of the data set with this index; `None` if the artifact has none.
///
/// # Errors
/// When they cannot be read.
pub fn read_examples(folder: &Path, set: usize) -> Result<Option<Vec<Example>>, ArtifactError> {
    let mut all = Vec::new();
    let is_there = each_example(folder, set, &mut |example| all.push(example))?;
    Ok(is_there.then_some(all))
}

/// Calls `take` with each example of the data set with this index; whether the artifact has any.
///
/// # Errors
/// When they cannot be read.
pub fn each_example(folder: &Path, set: usize, take: &mut dyn FnMut(Example)) -> Result<bool, ArtifactError> {
    let Some(path) = file_of(folder, set) else {
        return Ok(false);
    };
    let name = path.display().to_string();
    let file = NamedFile { name: &name, path: &path };
    let mut ids = Ids::default();
    read_rows(file, FileFormat::Jsonl, false, &mut |row| {
        take(Example {
            id: ids.of(&row, ""),
            numbers: numbers(&row),
            fields: row
                .iter()
                .map(|(name, value)| (name.to_owned(), serde_json::json!(value)))
                .collect(),
        });
        Ok(())
    })?;
    Ok(true)
}

/// Whether the artifact has examples of the data set with this index.
pub fn has_examples(folder: &Path, set: usize) -> bool {
    file_of(folder, set).is_some()
}

fn file_of(folder: &Path, set: usize) -> Option<PathBuf> {
    let only = (set == 0).then(|| folder.join(EXAMPLES_FILE));
    let mut files = std::iter::once(numbered_file(folder, set)).chain(only);
    files.find(|path| path.exists())
}

/// The file of the examples, where there is one data set.
pub(super) const EXAMPLES_FILE: &str = "examples.jsonl";

/// The file of the examples of one of several data sets.
pub(super) fn numbered_file(folder: &Path, set: usize) -> PathBuf {
    folder.join(format!("examples-{set}.jsonl"))
}

/// Writes the examples in `files` to `path`. Each file has what comes before the ids of its examples.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn write(files: &[(String, NamedFile<'_>)], path: &Path) -> Result<(), ArtifactError> {
    let failed = ArtifactError::io("write", path);
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    let mut ids = Ids::default();
    for (before, file) in files {
        let shape = foreign::file_shape(file.path).map_err(|error| file.named(error))?;
        let format = match shape {
            FileShape::Records(format) => format,
            // A list, or an object alone: `records` tells them apart.
            FileShape::Document => FileFormat::Auto,
        };
        ids.count = 0;
        read_rows(*file, format, true, &mut |row| {
            let id = (ID_NAMES[0].to_owned(), MetricValue::Other(ids.of(&row, before).into()));
            let others = row.into_iter().filter(|(name, _)| name != ID_NAMES[0]);
            let row: MetricMap = std::iter::once(id).chain(others).collect();
            serde_json::to_writer(&mut out, &row)?;
            Ok(out.write_all(b"\n")?)
        })?;
    }
    out.flush().map_err(failed)
}

/// Gives each example an id of its own.
#[derive(Default)]
struct Ids {
    known: BTreeSet<String>,
    /// The number of rows of the file.
    count: u64,
}

impl Ids {
    /// The id of the next row. Examples of one id are told apart in their order: `3`, `3#2`.
    fn of(&mut self, row: &MetricMap, before: &str) -> String {
        self.count += 1;
        let text = |value: &MetricValue| match value {
            MetricValue::Number(number) => Some(number.to_string()),
            MetricValue::Other(Value::String(text)) if !text.trim().is_empty() => Some(text.clone()),
            _ => None,
        };
        let of_name = |name: &&str| row.iter().find(|(field, _)| field == name).and_then(|(_, value)| text(value));
        let id = ID_NAMES.iter().find_map(of_name).unwrap_or_else(|| self.count.to_string());
        told_apart(format!("{before}{id}"), &mut self.known)
    }
}

/// The numbers and verdicts of a record.
fn numbers(row: &MetricMap) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> = Vec::new();
    let filtered = Filtered::of(row);
    for (name, value) in row.iter().filter(|(name, _)| !ID_NAMES.contains(name)) {
        if let Some(number) = number(value) {
            found.push((
                filtered.as_ref().map_or_else(|| name.to_owned(), |filtered| filtered.name(name)),
                number,
            ));
        }
    }
    let maps = row.iter().filter_map(|(name, value)| match value {
        MetricValue::Map(map) if NUMBER_MAPS.contains(&name) => Some((name, map)),
        _ => None,
    });
    for (map_name, map) in maps {
        map.each_leaf("", &mut |name, value| {
            let Some(number) = number(value) else { return };
            // The number of this name at the top level comes first.
            let is_known = found.iter().any(|(known, _)| *known == name);
            let name = if is_known { format!("{map_name}.{name}") } else { name };
            found.push((name, number));
        });
    }
    found
}

/// How lm-evaluation-harness writes what it measured on one answer, filtered in one of several ways: its results have these numbers as
/// `acc,none`, and so do its examples.
struct Filtered<'a> {
    filter: &'a str,
    metrics: Vec<&'a str>,
}

impl<'a> Filtered<'a> {
    fn of(row: &'a MetricMap) -> Option<Self> {
        let field = |wanted: &str| row.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let text = |value: &'a MetricValue| match value {
            MetricValue::Other(Value::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let MetricValue::Values(metrics) = field("metrics")? else {
            return None;
        };
        Some(Self {
            filter: text(field("filter")?)?,
            metrics: metrics.iter().map(text).collect::<Option<_>>()?,
        })
    }

    fn name(&self, name: &str) -> String {
        if self.metrics.contains(&name) {
            format!("{name},{}", self.filter)
        } else {
            name.to_owned()
        }
    }
}

/// The numbers of examples that a metric may be the mean of, the likeliest first, each with the id of its example: those of the same name, or
/// of the last part of it (`accuracy` for `test.accuracy`); of the examples of the file that a part of its name names (`arc_easy/3` for
/// `results.arc_easy.acc`), or of all.
pub fn numbers_behind<'e>(examples: &'e [Example], metric: &str) -> Vec<Vec<(&'e str, f64)>> {
    let path = format!(".{metric}");
    let is_named = |id: &str| id.split_once('/').is_some_and(|(file, _)| path.contains(&format!(".{file}.")));
    let last = metric.rsplit('.').next().unwrap_or(metric);
    let mut found = Vec::new();
    for name in [metric, last] {
        for all in [false, true] {
            let chosen = examples.iter().filter(|example| all || is_named(&example.id));
            let numbers = chosen.filter_map(|example| {
                let (_, number) = example.numbers.iter().find(|(known, _)| known == name)?;
                Some((example.id.as_str(), *number))
            });
            found.push(numbers.collect());
        }
    }
    found.retain(|numbers: &Vec<_>| !numbers.is_empty());
    found
}

fn number(value: &MetricValue) -> Option<f64> {
    match value {
        MetricValue::Other(Value::Bool(verdict)) => Some(f64::from(u8::from(*verdict))),
        other => other.as_number(),
    }
}
