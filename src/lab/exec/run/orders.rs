//! Work orders and logs of the stages that start.

use std::path::PathBuf;

use super::RunOptions;
use super::stages::RunStages;
use crate::config::Resources;
use crate::event::StageName;
use crate::exec::{StageLimits, WorkOrder};
use crate::fingerprint::{Fingerprint, FingerprintChange};
use crate::plan::Node;
use crate::stage::AddsTo;
use crate::store::{FailedAttempt, Provenance, Record, Store, StoreError, keep_text};
use crate::text::clean_file_name;

/// The longest part of a log's name that comes from the stage.
const LOG_NAME_LENGTH: usize = 100;

/// The most earlier stages whose outputs a stage is shown.
const MAX_EARLIER: usize = 100;

/// What the run gives a stage.
pub(super) struct Given {
    pub(super) log: PathBuf,
    pub(super) threads: usize,
    /// The names of its GPUs; `None` where the run hands out none.
    pub(super) gpus: Option<Vec<String>>,
    pub(super) limits: StageLimits,
    /// How its earlier attempts ended.
    pub(super) attempts: Vec<FailedAttempt>,
}

/// Writes the work orders of a run.
pub(super) struct OrderWriter<'a> {
    store: &'a Store,
    options: &'a RunOptions,
    experiment: &'a str,
    /// The part that all records of the run have in common: known from the first start on, since finding it runs `git status`.
    provenance: Option<Provenance>,
}

impl<'a> OrderWriter<'a> {
    pub(super) fn new(store: &'a Store, options: &'a RunOptions, experiment: &'a str) -> Self {
        Self {
            store,
            options,
            experiment,
            provenance: None,
        }
    }

    /// The work order for a stage.
    pub(super) fn order(&mut self, stages: &RunStages<'_>, index: usize, fingerprint: Fingerprint, given: Given) -> WorkOrder {
        let origin = &self.options.origin;
        let provenance = self.provenance.get_or_insert_with(|| origin.provenance()).clone();
        let node = stages.node(index);
        let earlier = node.stage.adds_to().map(|adds| earlier(self.store, node, &fingerprint, adds));
        let shared_log = may_share_worker(node, &given).then_some(given.log);
        WorkOrder {
            store: self.store.folder().to_owned(),
            earlier: earlier.unwrap_or_default(),
            fingerprint,
            unkeyed_params: node.stage.unkeyed_params(),
            inputs: stages.input_paths(index),
            shared_log,
            threads: given.threads,
            device: if given.gpus.as_ref().is_some_and(|gpus| !gpus.is_empty()) {
                self.options.gpu_device.clone()
            } else {
                self.options.device.clone()
            },
            gpus: given.gpus,
            limits: given.limits,
            asked: node.resources.clone(),
            attempts: given.attempts,
            sandbox: self.options.sandbox.clone(),
            patience: self.options.patience.as_secs(),
            stage: node.name.clone(),
            experiment: self.experiment.to_owned(),
            run: self.options.run.clone(),
            provenance,
            keep: keep_text(&node.keep),
            sign: self.options.sign.clone(),
        }
    }

    /// The file for the stage's log: `0007-standard[2]__seed=1_.log` in the folder of the run, and `….attempt2.log` for a second attempt.
    pub(super) fn log(&self, index: usize, stage: &StageName, earlier_attempts: usize) -> Result<PathBuf, StoreError> {
        let name = clean_file_name(&stage.to_string(), "-_.=[]", LOG_NAME_LENGTH);
        let folder = self.store.run_folder(&self.options.run)?;
        let attempt = match earlier_attempts {
            0 => String::new(),
            earlier => format!(".attempt{}", earlier + 1),
        };
        Ok(folder.join(format!("{index:04}-{name}{attempt}.log")))
    }
}

/// Whether a worker may run the stage after others, and others after it: a stage with resources of its own has its process to itself.
fn may_share_worker(node: &Node, given: &Given) -> bool {
    let has_gpus = given.gpus.as_ref().is_some_and(|gpus| !gpus.is_empty());
    node.kind.shares_worker && node.resources == Resources::default() && given.threads == 1 && !has_gpus
}

/// The first outputs of the stages in the store that differ from this one in what `adds` names alone; the latest first.
fn earlier(store: &Store, node: &Node, now: &Fingerprint, adds: AddsTo) -> Vec<PathBuf> {
    let is_left_out = |change: &FingerprintChange| match change {
        FingerprintChange::Param { name, .. } => adds.params.contains(&name.as_str()),
        FingerprintChange::Input { port, .. } => adds.inputs.contains(&port.as_str()),
        _ => false,
    };
    let mut found: Vec<Record> = store
        .records()
        .filter(|record| record.fingerprint.kind == now.kind && record.accepted.is_none())
        .filter(|record| FingerprintChange::between(&record.fingerprint, now).iter().all(is_left_out))
        .collect();
    found.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.stage.cmp(&b.stage)));
    found.truncate(MAX_EARLIER);
    let first = node.outputs.first().map_or("", |output| output.name.as_ref());
    let digests = found.iter().filter_map(|record| record.outputs.get(first));
    digests
        .filter(|artifact| store.has(artifact).unwrap_or(false))
        .map(|artifact| store.object(&artifact.digest))
        .collect()
}
