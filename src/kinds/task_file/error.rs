//! Why a task file cannot be read.

use std::io;
use std::path::PathBuf;

/// Why a task file cannot be read. What of a file that can be read does not come over is no error of this kind.
#[derive(Debug, thiserror::Error)]
pub enum TaskFileError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: it has more than {} MiB, and is no task file", path.display(), limit >> 20)]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{}: it is not UTF-8", path.display())]
    NotText { path: PathBuf },
    #[error("{place}: {problem}")]
    Yaml { place: String, problem: String },
    #[error("{place}: `include` of `{name}`: {problem}")]
    Include { place: String, name: String, problem: String },
    #[error(
        "{}: no task file: it has none of `task`, `group` (lm-evaluation-harness) and `tasks` (`eval.yaml`). \
         A file that others include is no task by itself: import one of those", path.display()
    )]
    NoTask { path: PathBuf },
}
