//! Where a record comes from: who had a stage run, with which code and program, and what it took.

use serde::{Deserialize, Serialize};

use crate::hash::Digest;

/// What a record tells of its making beside machine and times. Never part of a key; records of earlier versions have none of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The user's name.
    pub user: String,
    /// The state of the repository that the experiment's file is in, where it is in one.
    pub code: Option<Code>,
    /// The digest of the program's file: two builds of one version are told apart by it.
    pub build: Option<Digest>,
    /// Seconds of all its threads, where the system counts them.
    pub cpu_seconds: Option<f64>,
    /// The most memory that its process held at once, in bytes, where the system counts it.
    pub peak_memory: Option<u64>,
}

/// A state of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The commit's name, in full.
    pub commit: String,
    /// Whether files of the repository differed from the commit, or the experiment's file is not in it.
    pub dirty: bool,
}
