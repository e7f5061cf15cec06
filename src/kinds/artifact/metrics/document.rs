//! A file of metrics that is one JSON value: its numbers, and the series in it.

use std::io;

use serde::de::DeserializeSeed;
use serde_json::Value;

use super::ArtifactError;
use super::rows::{NamedFile, problem_of};
use super::series::{SeriesSource, step_of};
use crate::foreign;
use crate::metrics::{MetricMap, MetricValue, ValueReader};

/// Names of lists that say no more than that it is a log: `log_history` is that of the Trainer of transformers, and of TRL.
const LOG_NAMES: [&str; 4] = ["history", "log", "log_history", "logs"];

/// Reads the file.
///
/// # Errors
/// When it cannot be read, is no JSON, or has a name twice in one map.
pub(super) fn read(file: NamedFile<'_>) -> Result<MetricValue, ArtifactError> {
    let text = foreign::document(file.path).map_err(|error| file.named(error))?;
    // Among several files, it is within a map.
    parse(file, &text, 1)
}

/// Reads JSON without bare words for numbers, which will be within so many maps.
pub(super) fn parse(file: NamedFile<'_>, text: &[u8], depth: usize) -> Result<MetricValue, ArtifactError> {
    if text.trim_ascii().is_empty() {
        return Err(file.on_line(1, "the file is empty".to_owned()));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = ValueReader::strict(depth).deserialize(&mut reader);
    let read = read.and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        let problem = match error.classify() {
            serde_json::error::Category::Data => problem_of(&error),
            _ => format!("not valid JSON: {}", problem_of(&error)),
        };
        file.on_line(error.line() as u64, problem)
    })
}

/// Moves the series in the value to `series`: the lists of maps that all have a step. A list in a list is replaced by null, so that the
/// other items keep their places.
///
/// # Errors
/// When the series cannot be written.
pub(super) fn take_series(value: MetricValue, series: &mut SeriesSource<'_>) -> io::Result<MetricValue> {
    let left = without_series(value, "", "", series)?;
    Ok(left.unwrap_or_else(|| MetricMap::default().into()))
}

/// The value without its series, if anything is left; `before` is what comes before its name.
fn without_series(value: MetricValue, before: &str, name: &str, series: &mut SeriesSource<'_>) -> io::Result<Option<MetricValue>> {
    let inner = || {
        if name.is_empty() {
            before.to_owned()
        } else {
            format!("{before}{name}.")
        }
    };
    Ok(Some(match value {
        MetricValue::List(rows) if is_series(&rows) => {
            let within = if LOG_NAMES.contains(&name) { before.to_owned() } else { inner() };
            rows.iter().try_for_each(|row| series.add(row, &within))?;
            return Ok(None);
        }
        MetricValue::List(maps) => {
            let mut left = Vec::new();
            for (place, map) in maps.into_iter().enumerate() {
                left.push(map_without_series(map, &format!("{}{place}.", inner()), series)?);
            }
            left.into()
        }
        MetricValue::Values(values) => {
            let mut left = Vec::new();
            for (place, value) in values.into_iter().enumerate() {
                let value = without_series(value, &inner(), &place.to_string(), series)?;
                left.push(value.unwrap_or(MetricValue::Other(Value::Null)));
            }
            MetricValue::Values(left)
        }
        MetricValue::Map(map) => map_without_series(map, &inner(), series)?.into(),
        other => other,
    }))
}

fn map_without_series(map: MetricMap, before: &str, series: &mut SeriesSource<'_>) -> io::Result<MetricMap> {
    let mut left = Vec::new();
    for (name, value) in map {
        if let Some(value) = without_series(value, before, &name, series)? {
            left.push((name, value));
        }
    }
    Ok(left.into_iter().collect())
}

fn is_series(rows: &[MetricMap]) -> bool {
    !rows.is_empty() && rows.iter().all(|row| step_of(row).is_some())
}
