//! Makes the artifact from the files that a program wrote.
//!
//! | file | becomes |
//! |---|---|
//! | JSON | metrics; lists of objects that all have a step are series |
//! | JSON Lines, CSV or Parquet, given as metrics | series, whose last values are metrics |
//! | examples | `examples.jsonl` |
//! | series | `series.jsonl` |

use std::fs;
use std::path::{Path, PathBuf};

use super::file_names::{has_lines, short_names, stem};
use super::rows::{NamedFile, read_rows};
use super::series::{SeriesSource, SeriesWriter};
use super::{ArtifactError, check_numbers, document, examples, sets_of, write_metrics};
use crate::artifact::MetricsProblem;
use crate::foreign::{self, FileFormat, FileShape};
use crate::metrics::{MetricMap, MetricValue};

/// The most numbers, and the most series.
pub(super) const MAX_NUMBERS: usize = 100_000;

/// The files that a program wrote for an output of metrics: each with its name, relative to where the program ran, and its path.
#[derive(Clone, Debug, Default)]
pub struct MetricsFiles {
    pub metrics: Vec<(String, PathBuf)>,
    pub examples: Vec<(String, PathBuf)>,
    pub series: Vec<(String, PathBuf)>,
}

/// Writes the artifact of these files to `folder`, which is created. The order of the files does not matter, their names do.
///
/// # Errors
/// When a file cannot be read or written, has another format or is too large, or there is no number in the metrics.
pub fn collect(files: &MetricsFiles, folder: &Path) -> Result<(), ArtifactError> {
    let all = files.metrics.iter().chain(&files.examples).chain(&files.series);
    all.map(NamedFile::of).try_for_each(|file| file.check())?;
    fs::create_dir_all(folder).map_err(ArtifactError::io("create", folder))?;
    let mut series = SeriesWriter::new(folder);
    let metrics = metrics_of(&files.metrics, &mut series)?;
    for (before, file) in with_names(&files.series, '.') {
        only_series(file, &mut series.source(before))?;
    }
    series.finish()?;
    write_metrics(&metrics, folder)?;
    write_examples(files, sets_of(&metrics).map_or(1, <[MetricMap]>::len), folder)
}

/// Writes the examples: those of each data set where there is a file for each.
fn write_examples(files: &MetricsFiles, sets: usize, folder: &Path) -> Result<(), ArtifactError> {
    let named = with_names(&files.examples, '/');
    if sets > 1 && sets == named.len() {
        for (set, (_, file)) in named.into_iter().enumerate() {
            examples::write(&[(String::new(), file)], &examples::numbered_file(folder, set))?;
        }
    } else if !named.is_empty() {
        examples::write(&named, &folder.join(examples::EXAMPLES_FILE))?;
    }
    Ok(())
}

/// The files in the order of their names; where there are several, with the short name of each and `separator`.
fn with_names(files: &[(String, PathBuf)], separator: char) -> Vec<(String, NamedFile<'_>)> {
    let mut files: Vec<NamedFile<'_>> = files.iter().map(NamedFile::of).collect();
    files.sort_by_key(|file| file.name);
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    let before = |name: String| {
        if files.len() > 1 {
            format!("{name}{separator}")
        } else {
            String::new()
        }
    };
    short_names(&names).into_iter().map(before).zip(files.iter().copied()).collect()
}

/// The metrics in all files: the content of one file, or that of each under its short name.
fn metrics_of(files: &[(String, PathBuf)], series: &mut SeriesWriter) -> Result<MetricMap, ArtifactError> {
    let named = with_names(files, '.');
    let Some((_, first)) = named.first() else {
        return Err(ArtifactError::NoMetrics);
    };
    let mut all = Vec::new();
    for (before, file) in &named {
        let mut source = series.source(before.clone());
        let value = metrics_in(*file, &mut source)?;
        check_count(*file, source.count())?;
        all.push((before.trim_end_matches('.').to_owned(), with_last_values(value, source)));
    }
    let metrics = match (all.pop(), all.is_empty()) {
        (Some((_, value)), true) => as_map(value, stem(first.name.rsplit('/').next().unwrap_or_default())),
        (last, _) => all.into_iter().chain(last).collect(),
    };
    if sets_of(&metrics).is_none() {
        let others = named.len() - 1;
        let name = if others > 0 {
            format!("{} and {others} more", first.name)
        } else {
            first.name.to_owned()
        };
        check_numbers(&metrics).map_err(|problem| ArtifactError::Metrics {
            file: name,
            problem: of_columns(*first, problem),
        })?;
    }
    Ok(metrics)
}

/// The problem in the words of a file of rows, where `file` is one: what is no metrics at all, such as YAML, looks like CSV.
fn of_columns(file: NamedFile<'_>, problem: MetricsProblem) -> MetricsProblem {
    match (problem, foreign::file_shape(file.path)) {
        (MetricsProblem::NoNumbers(_), Ok(FileShape::Records(format))) => MetricsProblem::NoColumns(match format {
            FileFormat::Csv => "CSV",
            FileFormat::Parquet => "Parquet",
            FileFormat::Auto | FileFormat::Json | FileFormat::Jsonl => "JSON Lines",
        }),
        (problem, _) => problem,
    }
}

/// What is in one file besides series, which go to `source`.
fn metrics_in(file: NamedFile<'_>, source: &mut SeriesSource<'_>) -> Result<MetricValue, ArtifactError> {
    let shape = foreign::file_shape(file.path).map_err(|error| file.named(error))?;
    if shape != FileShape::Document || has_lines(file.name) {
        read_series(file, shape, source)?;
        return Ok(MetricMap::default().into());
    }
    let value = document::read(file)?;
    match &value {
        MetricValue::Map(map) if sets_of(map).is_some() => Ok(value),
        _ => document::take_series(value, source).map_err(ArtifactError::io("write", file.path)),
    }
}

/// Reads a file that has series alone.
fn only_series(file: NamedFile<'_>, source: &mut SeriesSource<'_>) -> Result<(), ArtifactError> {
    let shape = foreign::file_shape(file.path).map_err(|error| file.named(error))?;
    match shape {
        FileShape::Document if !has_lines(file.name) => {
            let value = document::read(file)?;
            document::take_series(value, source).map_err(ArtifactError::io("write", file.path))?;
        }
        shape => read_series(file, shape, source)?,
    }
    match source.count() {
        0 => Err(file.problem(MetricsProblem::NoSeries)),
        count => check_count(file, count),
    }
}

fn read_series(file: NamedFile<'_>, shape: FileShape, source: &mut SeriesSource<'_>) -> Result<(), ArtifactError> {
    let format = match shape {
        FileShape::Records(format) => format,
        FileShape::Document => FileFormat::Jsonl,
    };
    read_rows(file, format, true, &mut |row| Ok(source.add(&row, "")?))
}

/// The metrics of a file with the last values of its series, but for those whose name a metric has.
fn with_last_values(value: MetricValue, source: SeriesSource<'_>) -> MetricValue {
    let last: Vec<(String, MetricValue)> = match &value {
        MetricValue::Map(map) => source.last_values().filter(|(name, _)| map.get(name).is_none()).collect(),
        _ => source.last_values().collect(),
    };
    match value {
        MetricValue::Map(map) => MetricValue::Map(map.into_iter().chain(last).collect()),
        other => other,
    }
}

/// The content of the only file as a map. Items of a list have their index as a name, and a number alone the name of its file.
fn as_map(value: MetricValue, file: &str) -> MetricMap {
    let by_index = |values: Vec<MetricValue>| {
        let values = values.into_iter().enumerate();
        values.map(|(index, value)| (index.to_string(), value)).collect()
    };
    match value {
        MetricValue::Map(map) => map,
        MetricValue::List(maps) => by_index(maps.into_iter().map(MetricValue::Map).collect()),
        MetricValue::Values(values) => by_index(values),
        other => std::iter::once((file.to_owned(), other)).collect(),
    }
}

fn check_count(file: NamedFile<'_>, series: usize) -> Result<(), ArtifactError> {
    if series > MAX_NUMBERS {
        return Err(file.problem(MetricsProblem::TooMany(series)));
    }
    Ok(())
}
