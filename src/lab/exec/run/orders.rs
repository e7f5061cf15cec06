//! Work orders and logs of the stages that start.

use std::path::PathBuf;

use super::RunOptions;
use super::stages::RunStages;
use crate::event::StageName;
use crate::exec::WorkOrder;
use crate::fingerprint::Fingerprint;
use crate::store::{Provenance, Store, StoreError};
use crate::text::clean_file_name;

/// The longest part of a log's name that comes from the stage.
const LOG_NAME_LENGTH: usize = 100;

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
    pub(super) fn order(&mut self, stages: &RunStages<'_>, index: usize, fingerprint: Fingerprint, threads: usize) -> WorkOrder {
        let origin = &self.options.origin;
        let provenance = self.provenance.get_or_insert_with(|| origin.provenance()).clone();
        let node = stages.node(index);
        WorkOrder {
            store: self.store.folder().to_owned(),
            fingerprint,
            unkeyed_params: node.stage.unkeyed_params(),
            inputs: stages.input_paths(index),
            threads,
            device: self.options.device.clone(),
            sandbox: self.options.sandbox.clone(),
            patience: self.options.patience.as_secs(),
            stage: node.name.clone(),
            experiment: self.experiment.to_owned(),
            run: self.options.run.clone(),
            provenance,
            sign: self.options.sign.clone(),
        }
    }

    /// The file for the stage's log: `0007-standard[2]__seed=1_.log` in the folder of the run.
    pub(super) fn log(&self, index: usize, stage: &StageName) -> Result<PathBuf, StoreError> {
        let name = clean_file_name(&stage.to_string(), "-_.=[]", LOG_NAME_LENGTH);
        let folder = self.store.run_folder(&self.options.run)?;
        Ok(folder.join(format!("{index:04}-{name}.log")))
    }
}
