//! Metrics: a folder with `metrics.json`, and the answers to each data set that they were measured on.

mod collect;
mod examples;
mod series;

use std::fs;
use std::path::{Path, PathBuf};

use learn::dataset::Answer;
use serde::{Deserialize, Serialize};

use super::{ArtifactError, answers};
use crate::metrics::MetricMap;

pub use collect::{MetricsFiles, collect, complete};
pub use examples::{Example, read_examples};
pub use series::{Series, read_series};

/// The content of `metrics.json`.
#[derive(Debug, Serialize, Deserialize)]
struct MetricsFile {
    /// One for each data set, in the order of the references.
    sets: Vec<MetricMap>,
}

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
        fs::create_dir_all(&folder).map_err(|cause| ArtifactError::File {
            action: "create",
            path: folder.clone(),
            cause,
        })?;
        Ok(Self { folder, sets: Vec::new() })
    }

    /// Writes the answers to the next data set.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_answers(&self, answers: &[Answer]) -> Result<(), ArtifactError> {
        answers::write(&answers_path(&self.folder, self.sets.len()), answers)
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
        let path = metrics_path(&self.folder);
        let written = serde_json::to_string_pretty(&MetricsFile { sets: self.sets }).map_err(std::io::Error::from);
        let written = written.and_then(|text| fs::write(&path, text + "\n"));
        written.map_err(|cause| ArtifactError::File {
            action: "write",
            path,
            cause,
        })
    }
}

/// The metrics of each data set, in the order of the evaluation's inputs.
///
/// # Errors
/// When the file cannot be read, or is not metrics.
pub fn read(folder: &Path) -> Result<Vec<MetricMap>, ArtifactError> {
    let path = metrics_path(folder);
    let text = fs::read(&path).map_err(|cause| ArtifactError::File {
        action: "read",
        path: path.clone(),
        cause,
    })?;
    let file: MetricsFile = serde_json::from_slice(&text).map_err(|cause| ArtifactError::Json { path, cause })?;
    Ok(file.sets)
}

fn metrics_path(folder: &Path) -> PathBuf {
    folder.join("metrics.json")
}

/// The file of the answers to the data set with this index.
pub fn answers_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("answers-{index}.jsonl"))
}
