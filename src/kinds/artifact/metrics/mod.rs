//! Metrics: a folder with `metrics.json`, and beside it what they were measured on.
//!
//! | file | content |
//! |---|---|
//! | `metrics.json` | an object with numbers at any depth; or `{"sets": [{…}, …]}`, one object for each data set |
//! | `answers-N.jsonl` | the answers to each data set, as `eval` and `measure` write them |
//! | `examples.jsonl` | the examples of a program; `examples-N.jsonl` for each of several data sets |
//! | `series.jsonl` | the metrics of a program by step |

mod collect;
mod document;
mod examples;
mod file_names;
mod rows;
mod series;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::MetricsProblem;
use super::answers::Judged;
use super::{ArtifactError, answers};
use crate::metrics::{MetricMap, MetricValue};
use rows::NamedFile;

pub use collect::{MetricsFiles, collect};
pub use examples::{Example, each_example, has_examples, numbers_behind, read_examples};
pub use series::{Series, read_series};

/// The name in `metrics.json` under which the metrics of several data sets are.
const SETS: &str = "sets";

/// Writes the artifact, one data set after the other.
pub struct MetricsWriter {
    folder: PathBuf,
    sets: Vec<MetricMap>,
}

impl MetricsWriter {
    /// Creates the folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(folder: PathBuf) -> Result<Self, ArtifactError> {
        fs::create_dir_all(&folder).map_err(ArtifactError::io("create", &folder))?;
        Ok(Self { folder, sets: Vec::new() })
    }

    /// Writes the judged answers to the next data set.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_answers(&self, answers: &[Judged]) -> Result<(), ArtifactError> {
        answers::write_judged(&answers_path(&self.folder, self.sets.len()), answers)
    }

    /// Adds the metrics of the next data set.
    pub fn add(&mut self, metrics: MetricMap) {
        self.sets.push(metrics);
    }

    /// Writes the metrics of all data sets.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<(), ArtifactError> {
        let sets = MetricMap::from([(SETS, self.sets.into())]);
        write_metrics(&sets, &self.folder)
    }
}

/// The metrics in an artifact.
#[derive(Clone, Debug, PartialEq)]
pub enum Metrics {
    /// Of each data set, in the order of the stage's inputs.
    Sets(Vec<MetricMap>),
    /// All that a program wrote.
    Any(MetricMap),
}

impl Metrics {
    /// The metrics of each data set; of a program, all in one.
    pub fn into_sets(self) -> Vec<MetricMap> {
        match self {
            Self::Sets(sets) => sets,
            Self::Any(metrics) => vec![metrics],
        }
    }
}

/// The metrics of an artifact.
///
/// # Errors
/// When the file cannot be read, or has no metrics.
pub fn read_metrics(folder: &Path) -> Result<Metrics, ArtifactError> {
    let path = metrics_path(folder);
    let text = fs::read(&path).map_err(ArtifactError::io("read", &path))?;
    let name = path.display().to_string();
    let file = NamedFile { name: &name, path: &path };
    let MetricValue::Map(metrics) = document::parse(file, &text, 0)? else {
        return Err(file.problem(MetricsProblem::NoObject));
    };
    if let Some(sets) = sets_of(&metrics) {
        return Ok(Metrics::Sets(sets.to_vec()));
    }
    check_numbers(&metrics).map_err(|problem| file.problem(problem))?;
    Ok(Metrics::Any(metrics))
}

/// The metrics of each data set, in the order of the evaluation's inputs; of a program, all in one.
///
/// # Errors
/// When the file cannot be read, or is not metrics.
pub fn read(folder: &Path) -> Result<Vec<MetricMap>, ArtifactError> {
    read_metrics(folder).map(Metrics::into_sets)
}

/// Checks the format of an artifact.
///
/// # Errors
/// When a file of it cannot be read or has another format, or it has no metrics.
pub fn check(folder: &Path) -> Result<(), ArtifactError> {
    let sets = read(folder)?.len();
    for set in 0..sets {
        each_example(folder, set, &mut drop)?;
    }
    series::each_row(folder, &mut |_| Ok(()))
}

/// Makes the artifact of what a program wrote to `path`: a folder that is one already stays, bare NaN and infinities of JSON become texts, and
/// a file becomes a folder. Links stay, and are refused later.
///
/// # Errors
/// When a file cannot be read or written or has another format, or there are no metrics.
pub fn complete(path: &Path) -> Result<(), ArtifactError> {
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|about| about.is_file());
    let failed = ArtifactError::io("write", path);
    let is_folder = fs::symlink_metadata(path).is_ok_and(|about| about.is_dir());
    let files = match path.file_name() {
        _ if is_folder => files_in(path),
        Some(name) => MetricsFiles {
            metrics: vec![(name.to_string_lossy().into_owned(), path.to_owned())],
            ..MetricsFiles::default()
        },
        None => return Ok(()),
    };
    let mut all = files.metrics.iter().chain(&files.examples).chain(&files.series);
    let has_others = all.any(|(_, path)| path.exists() && !is_file(path));
    if has_others || (is_folder && check(path).is_ok()) {
        return Ok(());
    }
    let made = tempfile::tempdir_in(path.parent().unwrap_or(path)).map_err(failed)?;
    collect(&files, made.path())?;
    if !is_folder {
        fs::remove_file(path).and_then(|()| fs::create_dir(path)).map_err(failed)?;
    }
    for entry in fs::read_dir(made.path()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        fs::rename(entry.path(), path.join(entry.file_name())).map_err(failed)?;
    }
    Ok(())
}

/// The files of an artifact that a program wrote itself.
fn files_in(folder: &Path) -> MetricsFiles {
    let numbered = (0..).map(|set| examples::numbered_file(folder, set));
    let numbered: Vec<PathBuf> = numbered.take_while(|path| path.exists()).collect();
    let named = |path: PathBuf| Some((path.file_name()?.to_string_lossy().into_owned(), path));
    let present = |name: &str| named(folder.join(name)).filter(|(_, path)| path.exists());
    MetricsFiles {
        metrics: named(metrics_path(folder)).into_iter().collect(),
        examples: if numbered.is_empty() {
            present(examples::EXAMPLES_FILE).into_iter().collect()
        } else {
            numbered.into_iter().filter_map(named).collect()
        },
        series: present(series::SERIES_FILE).into_iter().collect(),
    }
}

fn write_metrics(metrics: &MetricMap, folder: &Path) -> Result<(), ArtifactError> {
    let path = metrics_path(folder);
    let written = serde_json::to_string_pretty(metrics).map_err(io::Error::from);
    let written = written.and_then(|text| fs::write(&path, text + "\n"));
    written.map_err(ArtifactError::io("write", &path))
}

/// The metrics of each data set, if the file has nothing else.
fn sets_of(metrics: &MetricMap) -> Option<&[MetricMap]> {
    let mut entries = metrics.iter();
    match (entries.next(), entries.next()) {
        (Some((SETS, MetricValue::List(sets))), None) => Some(sets),
        _ => None,
    }
}

/// Checks that there are numbers, and not too many.
fn check_numbers(metrics: &MetricMap) -> Result<(), MetricsProblem> {
    let mut count = 0;
    metrics.each_leaf("", &mut |_, value| count += usize::from(value.as_number().is_some()));
    match count {
        0 => Err(MetricsProblem::NoNumbers(what_it_has(metrics))),
        count if count > collect::MAX_NUMBERS => Err(MetricsProblem::TooMany(count)),
        _ => Ok(()),
    }
}

/// The first values of metrics, in words: `model` (a text), `ok` (true or false)
fn what_it_has(metrics: &MetricMap) -> String {
    const SHOWN: usize = 5;
    let mut found = Vec::new();
    metrics.each_leaf("", &mut |name, value| {
        let what = match value {
            MetricValue::Other(serde_json::Value::String(_)) => "a text",
            MetricValue::Other(serde_json::Value::Bool(_)) => "true or false",
            _ => "null",
        };
        found.push(format!("`{name}` ({what})"));
    });
    match found.len() {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{} and {} more", found[..SHOWN].join(", "), count - SHOWN),
        _ => found.join(", "),
    }
}

fn metrics_path(folder: &Path) -> PathBuf {
    folder.join("metrics.json")
}

/// The file of the answers to the data set with this index.
pub fn answers_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("answers-{index}.jsonl"))
}
