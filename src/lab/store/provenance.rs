//! Provenance of a record: the user, the code and the program that ran the stage, and the resources that it took; or who accepted its
//! outputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Resources;
use crate::event::FailureCause;
use crate::fingerprint::Fingerprint;
use crate::hash::Digest;

/// How a record was made, beside machine and times. Never part of a key; records of earlier versions lack it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The user's name.
    pub user: String,
    /// The state of the repository with the experiment's file, if it is in one.
    pub code: Option<Code>,
    /// The digest of the program's file, which distinguishes two builds of one version.
    pub build: Option<Digest>,
    /// CPU seconds of the worker and of the programs that it started, if the system counts them.
    pub cpu_seconds: Option<f64>,
    /// The peak memory of the worker and of the programs that it started in bytes, if the system counts it. Records of earlier versions
    /// have that of the worker alone.
    pub peak_memory: Option<u64>,
    /// What the stage's resources asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub asked: Resources,
    /// The GPUs that it had, as `CUDA_VISIBLE_DEVICES` named them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// How the attempts before this one ended, the first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<FailedAttempt>,
    /// For stages that start a program: how far it was held to its own files (`writes`, `reads`, `off`; `none` where the system cannot, and
    /// for a container).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// For stages that start a program: what ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramFound>,
    /// What the stage found out, in lines for people: the columns that an import used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An attempt at a stage that ended without outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedAttempt {
    pub cause: FailureCause,
    pub seconds: f64,
}

/// The program that a stage started, and what was found in its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramFound {
    /// The name of the environment, where the stage names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Where the interpreter is, or the program where it needs none.
    pub path: String,
    /// The version of the interpreter, where that is Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The installed versions of the packages that the environment's `lock` or `versions` name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, String>,
}

/// A state of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The full hash of the commit.
    pub commit: String,
    /// Whether files of the repository differed from the commit, or the commit lacks the experiment's file.
    pub dirty: bool,
}

/// The claim that the outputs of an earlier stage are those of another key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The reason, in the person's words.
    pub why: String,
    /// The name of the person.
    pub by: String,
    /// When it was accepted, in seconds since 1970.
    pub at: u64,
    /// The fingerprint of the stage that ran.
    pub ran: Fingerprint,
}
