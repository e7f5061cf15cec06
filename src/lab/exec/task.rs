//! What goes between the runner and a worker: one task there, messages back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::{Progress, StageName};
use crate::fingerprint::Fingerprint;
use crate::store::{Outputs, Provenance};

/// One stage to run, with all that a worker needs to know: the first line on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The folder of the store.
    pub store: PathBuf,
    pub fingerprint: Fingerprint,
    /// The params that the fingerprint has not: see [`crate::stage::Stage::unkeyed_params`].
    pub unkeyed_params: Map<String, Value>,
    /// The artifacts by input port.
    pub inputs: BTreeMap<String, Vec<PathBuf>>,
    pub threads: usize,
    pub device: String,
    /// For the record.
    pub stage: StageName,
    pub experiment: String,
    pub run: String,
    pub provenance: Provenance,
    /// The file of the secret key that signs the record.
    pub sign: Option<PathBuf>,
}

/// What a worker says, one JSON object a line on its standard output. The last is not `Progress`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    Progress(Progress),
    /// The outputs and the record are in the store.
    Done {
        outputs: Outputs,
        seconds: f64,
    },
    /// The stage failed, or its process did.
    Failed {
        error: String,
        seconds: f64,
    },
    /// It stopped as it was asked to.
    Stopped,
}
