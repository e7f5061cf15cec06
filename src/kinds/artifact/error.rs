//! Why an artifact could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

use learn::dataset::DatasetError;

/// Why an artifact could not be read or written. Every message names the path.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error(transparent)]
    Lines(#[from] DatasetError),
    #[error("cannot {action} {}: {cause}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        cause: io::Error,
    },
    #[error("the program wrote nothing to {}", path.display())]
    Missing { path: PathBuf },
    #[error("no file of metrics was given")]
    NoMetrics,
    #[error("{file}: {problem}")]
    Metrics { file: String, problem: MetricsProblem },
    #[error("{}: a model is a folder with `config.json`, weights and tokenizer", path.display())]
    NoModel { path: PathBuf },
    #[error("{}: a figure is a PNG, SVG or PDF file, and this is none; write others as the type `file`", path.display())]
    NoFigure { path: PathBuf },
    #[error("{}: a text is a file in UTF-8, and this is none; write others as the type `file`", path.display())]
    NoText { path: PathBuf },
    #[error("{} is a folder: an output of this type is one file", path.display())]
    Folder { path: PathBuf },
}

impl ArtifactError {
    /// The error for a file at `path` that cannot be read, written or created, from its cause.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |cause| Self::File {
            action,
            path: path.to_owned(),
            cause,
        }
    }
}

/// Why a file gives no metrics; the message reads after the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum MetricsProblem {
    #[error("metrics are numbers, at any depth of a JSON object, and it has none: it has {0}")]
    NoNumbers(String),
    #[error("it was read as {0}, and no column has numbers; metrics are JSON, JSON Lines, CSV or Parquet, with a point in `0.5`")]
    NoColumns(&'static str),
    #[error("metrics are an object (`{{\"accuracy\": 0.81}}`), and this is another value")]
    NoObject,
    #[error("it has no series: rows with numbers, or a list of objects with a `step`")]
    NoSeries,
    #[error("it has {0} numbers, and metrics may have 100000; write what belongs to single cases as examples")]
    TooMany(usize),
    #[error("it is no file; name the files in a folder (`out/*.json`)")]
    NoFile,
    #[error("it has {0} MiB, and a file of metrics may have 1024")]
    TooLarge(u64),
}
