//! How far the program of a stage is held to its own files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::SandboxMode;

/// The files that the program of a stage may use, beside its own. Never part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    pub mode: SandboxMode,
    /// Further files and folders that it may write to.
    pub writes: Vec<PathBuf>,
}
