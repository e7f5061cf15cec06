//! Runs one stage again, into a store of its own, and compares the outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::super::compare_artifacts::{self, Comparison, Likeness};
use super::stages::{ExperimentStages, StageSite};
use crate::cli::CliError;
use crate::cli::progress::ProgressLine;
use lab::config::Resources;
use lab::event::StageName;
use lab::exec::{self, Executor, LocalExecutor, StageLimits, WorkOrder, WorkerMessage};
use lab::hash::Digest;
use lab::source::SOURCE;
use lab::stage::Sandbox;
use lab::store::{Outputs, Provenance, Record, Store};

/// The longest wait for one message of the worker.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// How stages are run again.
pub(super) struct Again<'a> {
    pub(super) store: &'a Store,
    pub(super) stages: Option<&'a ExperimentStages>,
    /// The program of the workers.
    pub(super) program: &'a Path,
    pub(super) line: &'a ProgressLine,
}

/// What running a stage again found.
pub(super) struct Verdict {
    pub(super) likeness: Likeness,
    /// The outputs that differ, with the first file of each.
    pub(super) differences: Vec<Difference>,
    /// Whether two runs here gave the same outputs; only where some differ from the record's.
    pub(super) is_deterministic: Option<bool>,
}

/// An output that differs.
pub(super) struct Difference {
    pub(super) port: String,
    /// The first file in it that differs; `None` where the output is one file.
    pub(super) file: Option<PathBuf>,
}

/// The outputs of a stage, in a store that is removed when this is dropped.
struct RerunOutputs {
    store: Store,
    outputs: BTreeMap<String, Digest>,
    seconds: f64,
    _workspace: TempDir,
}

impl Again<'_> {
    /// Runs a stage again; where something differs, once more, to tell what the reason is. Returns what was found, or why the stage failed,
    /// and how long the first run took.
    ///
    /// # Errors
    /// When the store cannot be written, or a worker cannot be started.
    pub(super) fn check(&self, key: &Digest, record: &Record) -> Result<(Result<Verdict, String>, f64), CliError> {
        let first = match self.run(key, record)? {
            Ok(first) => first,
            Err((error, seconds)) => return Ok((Err(error), seconds)),
        };
        let old = digests(&record.outputs);
        let (likeness, differences) = compare((self.store, &old), (&first.store, &first.outputs));
        let mut verdict = Verdict {
            likeness,
            differences,
            is_deterministic: None,
        };
        if likeness == Likeness::Different {
            self.line.show("running once more, since it differs");
            let second = self.run(key, record)?;
            verdict.is_deterministic = second.ok().map(|second| {
                let (likeness, _) = compare((&first.store, &first.outputs), (&second.store, &second.outputs));
                likeness < Likeness::Different
            });
        }
        Ok((Ok(verdict), first.seconds))
    }

    /// Runs a stage into a temporary store.
    fn run(&self, key: &Digest, record: &Record) -> Result<Result<RerunOutputs, (String, f64)>, CliError> {
        let workspace = self.store.workspace()?;
        let made = record.outputs.values().map(|artifact| artifact.digest);
        let needed: Vec<Digest> = record.fingerprint.inputs.values().flatten().copied().chain(made).collect();
        let _kept = self.store.protect_for_run(&format!("rerun-{key}"), &needed)?;
        let temporary = Store::open(workspace.path())?;
        let order = self.order(&temporary, record, self.stages.and_then(|stages| stages.site(key)));
        let mut worker = LocalExecutor::new(self.program.to_owned());
        let log = workspace.path().join("log");
        worker.start(0, &order, &log, Vec::new()).map_err(CliError::Program)?;
        loop {
            match worker.next(MESSAGE_TIMEOUT) {
                None | Some((_, WorkerMessage::Warned { .. })) => {}
                Some((_, WorkerMessage::Progress(progress))) => {
                    self.line
                        .show(&format!("{} of {} {}", progress.done, progress.total, progress.unit));
                }
                Some((_, WorkerMessage::Done { outputs, seconds, .. })) => {
                    return Ok(Ok(RerunOutputs {
                        store: temporary,
                        outputs: digests(&outputs),
                        seconds,
                        _workspace: workspace,
                    }));
                }
                Some((_, WorkerMessage::Failed { error, seconds, .. })) => return Ok(Err((error, seconds))),
                Some((_, WorkerMessage::Stopped)) => return Ok(Err(("stopped".to_owned(), 0.0))),
            }
        }
    }

    fn order(&self, temporary: &Store, record: &Record, site: Option<&StageSite>) -> WorkOrder {
        let paths = |digests: &Vec<Digest>| digests.iter().map(|digest| self.store.object(digest)).collect();
        let inputs = record.fingerprint.inputs.iter();
        let mut inputs: BTreeMap<String, Vec<PathBuf>> = inputs.map(|(port, digests)| (port.clone(), paths(digests))).collect();
        if let Some(source) = site.and_then(|site| site.source.clone()) {
            inputs.insert(SOURCE.to_owned(), vec![source]);
        }
        WorkOrder {
            // All is computed anew.
            earlier: Vec::new(),
            store: temporary.folder().to_owned(),
            fingerprint: record.fingerprint.clone(),
            unkeyed_params: site.map(|site| site.unkeyed_params.clone()).unwrap_or_default(),
            inputs,
            shared_log: None,
            threads: exec::cores(),
            device: self.stages.map_or_else(|| "cpu".to_owned(), |stages| stages.device.clone()),
            gpus: None,
            limits: StageLimits::default(),
            asked: Resources::default(),
            attempts: Vec::new(),
            sandbox: self.stages.map_or_else(Sandbox::default, |stages| stages.sandbox.clone()),
            // What is run again here asks no server.
            patience: 0,
            stage: StageName::default(),
            experiment: String::new(),
            run: String::new(),
            provenance: Provenance::default(),
            keep: String::new(),
            sign: None,
        }
    }
}

fn digests(outputs: &Outputs) -> BTreeMap<String, Digest> {
    outputs.iter().map(|(port, artifact)| (port.clone(), artifact.digest)).collect()
}

/// The likeness of two stages' outputs, that of the least alike pair, and the outputs that differ.
fn compare(old: (&Store, &BTreeMap<String, Digest>), new: (&Store, &BTreeMap<String, Digest>)) -> (Likeness, Vec<Difference>) {
    let ((old_store, old), (new_store, new)) = (old, new);
    let (mut likeness, mut differences) = (Likeness::Identical, Vec::new());
    let others = new.keys().filter(|port| !old.contains_key(*port));
    for port in old.keys().chain(others) {
        let found = match (old.get(port), new.get(port)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) => compare_artifacts::compare(&old_store.object(old), &new_store.object(new)),
            _ => Comparison {
                likeness: Likeness::Different,
                first: None,
            },
        };
        // The same files, but other permissions or empty folders.
        let is_different = matches!(found.likeness, Likeness::Identical | Likeness::Different);
        likeness = likeness.max(if is_different { Likeness::Different } else { found.likeness });
        if is_different {
            differences.push(Difference {
                port: port.clone(),
                file: found.first.filter(|file| !file.as_os_str().is_empty()),
            });
        }
    }
    (likeness, differences)
}
