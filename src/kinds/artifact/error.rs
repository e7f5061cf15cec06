//! Why an artifact could not be read or written.

use std::io;
use std::path::PathBuf;

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
    #[error("{}: {cause}", path.display())]
    Json { path: PathBuf, cause: serde_json::Error },
    #[error("the program wrote nothing to {}", path.display())]
    Missing { path: PathBuf },
    #[error("{}: a model is a folder with `config.json`, weights and tokenizer", path.display())]
    NoModel { path: PathBuf },
    #[error("{}: a figure is a PNG, SVG or PDF file, and this is none; write others as the type `file`", path.display())]
    NoFigure { path: PathBuf },
    #[error("{}: a text is a file in UTF-8, and this is none; write others as the type `file`", path.display())]
    NoText { path: PathBuf },
    #[error("{} is a folder: an output of this type is one file", path.display())]
    Folder { path: PathBuf },
}
