//! Errors of a model's files.

use std::path::PathBuf;

use super::ArchitectureError;
use crate::tokenizer::TokenizerError;

/// A model cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("cannot read {path}: {error}", path = path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("cannot write {path}: {error}", path = path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("{path} is not valid: {error}", path = path.display())]
    Json { path: PathBuf, error: serde_json::Error },
    #[error("{path} has format {found}, but the newest supported format is {known}; use a newer `runner`", path = path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{path}: {field} is {found}, but only {known} is supported", path = path.display())]
    Unsupported {
        path: PathBuf,
        field: String,
        found: String,
        known: &'static str,
    },
    #[error("{path}: {error}", path = path.display())]
    Architecture { path: PathBuf, error: ArchitectureError },
    #[error("{path} is damaged or incomplete: {error}", path = path.display())]
    Damaged {
        path: PathBuf,
        error: safetensors::SafeTensorError,
    },
    #[error("{path}: tensor `{name}` is missing", path = path.display())]
    Missing { path: PathBuf, name: String },
    #[error("{path}: tensor `{name}` has shape {found:?}, but the model needs {expected:?}", path = path.display())]
    Tensor {
        path: PathBuf,
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    #[error("{path}: tensor `{name}` has type {found} (known: F32, F16, BF16)", path = path.display())]
    Type { path: PathBuf, name: String, found: String },
    #[error("{path}: number {index} of tensor `{name}` is {number}, but weights must be finite", path = path.display())]
    NotFinite {
        path: PathBuf,
        name: String,
        index: usize,
        number: f32,
    },
    #[error("{path}: the model has no tensor `{name}`", path = path.display())]
    Stranger { path: PathBuf, name: String },
    #[error("{path} has {found} tokens, but the model has {expected}", path = path.display())]
    Vocabulary { path: PathBuf, found: usize, expected: usize },
    #[error("{path}, byte {at}: {problem}", path = path.display())]
    Gguf { path: PathBuf, at: u64, problem: String },
    #[error("{path}: `{field}` {problem}", path = path.display())]
    Field { path: PathBuf, field: String, problem: String },
    #[error("{path}: tensor `{name}` {problem}", path = path.display())]
    Place { path: PathBuf, name: String, problem: String },
    #[error(
        "{path} is {what} that stands for the file, not the file itself; download the file's content",
        path = path.display()
    )]
    StandIn { path: PathBuf, what: &'static str },
    #[error("{path} has {found} bytes, but such a file has at most {most}", path = path.display())]
    TooLong { path: PathBuf, found: u64, most: u64 },
    #[error("{path} is not a model: {problem}", path = path.display())]
    NoModel { path: PathBuf, problem: String },
    #[error(
        "{path} has both `model.safetensors` and `model.safetensors.index.json`, which names other files: remove one",
        path = path.display()
    )]
    TwoWeights { path: PathBuf },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
