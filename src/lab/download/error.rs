//! Why a source is not available.

use std::path::PathBuf;

use reqwest::StatusCode;

use super::disguise::Disguise;
use crate::http::GivenUp;
use crate::source::SourcePin;
use crate::store::StoreError;

/// A file could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("cannot reach {address}: {cause}")]
    Unreachable { address: String, cause: String },
    #[error("{address} refuses access ({status})")]
    Denied { address: String, status: StatusCode },
    #[error("{address} does not exist (404)")]
    NotFound { address: String },
    #[error("{address} answers {said}")]
    Status { address: String, said: String },
    #[error("{address} {}", given_up.words(cause))]
    Interrupted { address: String, given_up: GivenUp, cause: String },
    #[error("{address} did not send the file: {why}")]
    NotTheFile { address: String, why: String },
    #[error("{address} sends {disguise} in place of the file")]
    Disguised { address: String, disguise: Disguise },
    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: std::io::Error },
    #[error("stopped")]
    Stopped,
}

/// A source is not available, or is not the pinned one.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("source `{name}`: no file or folder {}", path.display())]
    Missing { name: String, path: PathBuf },
    #[error("source `{name}` is not on this machine, and cannot be downloaded offline")]
    Offline { name: String },
    #[error("source `{name}`: {error}")]
    Download { name: String, error: DownloadError },
    #[error("source `{name}` has changed: its digest is {found}, but the experiment pins {expected}")]
    Wrong {
        name: String,
        expected: SourcePin,
        found: SourcePin,
        place: PathBuf,
    },
    /// A pipe, a name that is not UTF-8, …: see [`crate::source::UnfitFile`].
    #[error("source `{name}`: {problem}")]
    Unfit { name: String, problem: String },
    #[error("source `{name}` is not pinned: a stage could not read what was downloaded, and the address still has the same")]
    Unread { name: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SourceError {
    /// A hint for the user.
    pub fn help(&self) -> Option<String> {
        let supply = |name: &str| format!("supply it: `--set sources.{name}=PATH`");
        Some(match self {
            Self::Missing { name, .. } => supply(name),
            Self::Offline { name } => format!("run without `--offline`, or {}", supply(name)),
            Self::Download { name, error } => match error {
                DownloadError::Denied { .. } => format!("set `HF_TOKEN` if access needs an account, or {}", supply(name)),
                DownloadError::NotFound { .. } => format!("correct the address or the revision, or {}", supply(name)),
                DownloadError::Stopped | DownloadError::Write { .. } => return None,
                DownloadError::Disguised { disguise, .. } => format!("{}; or {}", disguise.help(), supply(name)),
                _ => supply(name),
            },
            Self::Wrong { place, .. } => format!(
                "if the change is intended, write the new digest; the changed source is {}",
                place.display()
            ),
            Self::Unread { .. } => "correct the stage or the address, and run the stage: what it has read can be pinned".to_owned(),
            Self::Unfit { .. } | Self::Store(_) => return None,
        })
    }
}
