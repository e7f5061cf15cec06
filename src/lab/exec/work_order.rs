//! The messages between the runner and a worker: work orders there, one at a time, progress and the result of each back.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::limits::StageLimits;
use crate::config::Resources;
use crate::event::{FailureCause, Progress, StageName};
use crate::fingerprint::Fingerprint;
use crate::stage::Sandbox;
use crate::store::{FailedAttempt, Outputs, Provenance};

/// One stage to run, with all that a worker needs to know: a line on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkOrder {
    /// The folder of the store.
    pub store: PathBuf,
    pub fingerprint: Fingerprint,
    /// The params that are not in the fingerprint: see [`crate::stage::Stage::unkeyed_params`].
    pub unkeyed_params: Map<String, Value>,
    /// The artifacts by input port.
    pub inputs: BTreeMap<String, Vec<PathBuf>>,
    /// The first outputs of earlier stages that this one adds to.
    #[serde(default)]
    pub earlier: Vec<PathBuf>,
    /// The file of the log, where the worker may get further orders: it is told then where each stage's log goes. `None` for a stage that
    /// has its process to itself.
    #[serde(default)]
    pub shared_log: Option<PathBuf>,
    pub threads: usize,
    pub device: String,
    /// The tokens of the GPUs that the worker sees, as `CUDA_VISIBLE_DEVICES` has them; `None` where no GPU is handed out.
    #[serde(default)]
    pub gpus: Option<Vec<String>>,
    /// What the stage may take.
    #[serde(default)]
    pub limits: StageLimits,
    /// What its resources asked for, for the record.
    #[serde(default)]
    pub asked: Resources,
    /// How its earlier attempts in this run ended, for the record.
    #[serde(default)]
    pub attempts: Vec<FailedAttempt>,
    /// How far a program that the stage starts is held to its own files.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// How long a request to a server that fails is sent again, in seconds.
    pub patience: u64,
    /// For the record.
    pub stage: StageName,
    pub experiment: String,
    pub run: String,
    pub provenance: Provenance,
    /// How long the outputs are to be kept, as [`crate::store::keep_text`] says it.
    #[serde(default)]
    pub keep: String,
    /// The file of the secret key that signs the record.
    pub sign: Option<PathBuf>,
}

/// A message from a worker: one JSON object per line on its standard output. The last one is none of the first two.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerMessage {
    Progress(Progress),
    /// A problem that does not end the stage.
    Warned {
        message: String,
    },
    /// The outputs and the record are in the store.
    Done {
        outputs: Outputs,
        seconds: f64,
        /// Whether the worker waits for another order.
        #[serde(default)]
        takes_more: bool,
    },
    /// The stage failed, or its process did.
    Failed {
        error: String,
        seconds: f64,
        #[serde(default)]
        cause: FailureCause,
    },
    /// The stage stopped on request.
    Stopped,
}

impl WorkerMessage {
    /// Writes the message as a line.
    pub(super) fn send(&self, output: &mut impl Write) {
        // Writing fails when the runner is gone; then the end of the worker's input stops the stage.
        let _ = serde_json::to_writer(&mut *output, self)
            .map_err(std::io::Error::from)
            .and_then(|()| output.write_all(b"\n"))
            .and_then(|()| output.flush());
    }
}
