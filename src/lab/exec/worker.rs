//! The worker: runs a stage, or several small ones in turn, puts the outputs and the record of each into the store, and reports the
//! result.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::StageLimits;
use super::machine;
use super::progress_log::ProgressLog;
use super::progress_sender::{ProgressSender, log};
use super::shared_process::{SharedProcess, WorkerPlace};
use super::watch::{BrokenLimit, StopRequest, Watch};
use super::work_order::{WorkOrder, WorkerMessage};
use crate::event::FailureCause;
use crate::fingerprint::by_purpose;
use crate::source::CONTENT;
use crate::stage::{Caller, Kind, Stage, StageContext, StageError};
use crate::store::{Machine, NotAKey, Outputs, Provenance, Record, SecretKey, Store, StoreError};

/// Why a stage ended without outputs.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Order(String),
}

/// Reads work orders from `input`, one line each, runs their stages, and writes messages to `output`. Returns whether the last stage
/// succeeded. Only after a stage that shares its worker is there a further order; all others have the process to themselves. The end of
/// `input` asks the stage to stop, so that no worker outlives its runner. `instruction_set` is for records; `caller` reads variables of
/// the environment, since secrets are not part of work orders.
pub fn work(
    kinds: &[&'static Kind],
    instruction_set: &str,
    caller: Caller<'_>,
    mut input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
) -> bool {
    let mut line = String::new();
    let mut order = input.read_line(&mut line).map_err(serde_json::Error::io).and_then(|_| parse(&line));
    let limits = order.as_ref().map(|order| order.limits.clone()).unwrap_or_default();
    let worker = Worker {
        kinds,
        machine: machine::this_machine(instruction_set),
        caller,
        stop: Arc::default(),
        output: Arc::new(Mutex::new(output)),
        place: RefCell::default(),
    };
    let further = further_orders(input, Arc::clone(&worker.stop), limits);
    let mut process = SharedProcess::new();
    loop {
        let ended = worker.serve(order, &process);
        let WorkerMessage::Done { takes_more, .. } = ended else {
            return false;
        };
        let Some(line) = further.recv().ok().filter(|_| takes_more) else {
            return true;
        };
        order = parse(&line);
        process.begin_further_stage();
    }
}

fn parse(line: &str) -> serde_json::Result<WorkOrder> {
    serde_json::from_str(line)
}

/// Passes on the lines that follow the first work order. At the end of `input`, requests a stop, and ends the process if the stage does not
/// stop in time.
fn further_orders(input: impl BufRead + Send + 'static, stop: Arc<StopRequest>, limits: StageLimits) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        input.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        stop.request();
        // A worker that waits for an order ends now.
        drop(sender);
        stop.wait_for_end(&limits);
        #[expect(clippy::disallowed_methods, reason = "the stage does not stop, and no runner waits for it")]
        std::process::exit(1);
    });
    receiver
}

/// What a worker keeps from one stage to the next.
struct Worker<'a, W> {
    kinds: &'a [&'static Kind],
    /// For records.
    machine: Machine,
    caller: Caller<'a>,
    stop: Arc<StopRequest>,
    output: Arc<Mutex<W>>,
    place: RefCell<Option<WorkerPlace>>,
}

impl<W: Write + Send + 'static> Worker<'_, W> {
    /// Runs the stage of an order, and sends and returns its last message.
    fn serve(&self, order: serde_json::Result<WorkOrder>, process: &SharedProcess) -> WorkerMessage {
        let begun = Instant::now();
        // Only programs are killed while the worker lives.
        let mut kills_before = u64::MAX;
        let order = order.map_err(|error| WorkerError::Order(format!("cannot read the work order: {error}")));
        let ended = order.and_then(|order| {
            let kind = find(self.kinds, &order)?;
            order.shared_log.as_deref().map_or(Ok(()), write_log_to)?;
            if kind.command_line.is_some() {
                kills_before = machine::memory_kills();
            }
            self.watch(kind, &order.limits, begun);
            let sender = ProgressSender::new(&self.output, &self.stop, begun);
            let outputs = self.run(kind, &order, process, &sender)?;
            Ok((outputs, order.shared_log.is_some()))
        });
        let seconds = begun.elapsed().as_secs_f64();
        let message = match ended {
            Ok((outputs, is_shared)) => WorkerMessage::Done {
                outputs,
                seconds,
                takes_more: is_shared && !process.has_grown(),
            },
            Err(failure) => failed(&failure, self.stop.broken(), machine::memory_kills() > kills_before, seconds),
        };
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        message.send(&mut *output);
        if matches!(message, WorkerMessage::Done { takes_more: true, .. }) {
            drop(output);
        } else {
            // Held to the end of the process: the watch sends no other message after this one.
            std::mem::forget(output);
        }
        message
    }

    /// Watches the stage from a thread of its own, which ends with the process. Most stages end before it would look for the first time.
    fn watch(&self, kind: &Kind, limits: &StageLimits, begun: Instant) {
        let starts_programs = kind.command_line.is_some();
        if starts_programs || limits.are_any() {
            let watch = Watch {
                limits: limits.clone(),
                stop: Arc::clone(&self.stop),
                output: Arc::clone(&self.output),
                begun,
                starts_programs,
            };
            std::thread::spawn(|| watch.run());
        }
    }
}

/// The last message of a stage that gave no outputs. A limit that it has broken is the reason, whatever came of that. `lacked_memory` says
/// whether the system has killed a process near it for want of memory.
fn failed(failure: &WorkerError, broken: Option<&BrokenLimit>, lacked_memory: bool, seconds: f64) -> WorkerMessage {
    let (error, cause) = match (failure, broken) {
        (_, Some(broken)) => (broken.message.clone(), broken.cause),
        (WorkerError::Stage(StageError::Stopped), None) => {
            log("stopped on request");
            return WorkerMessage::Stopped;
        }
        (
            WorkerError::Stage(StageError::Ended {
                cause: FailureCause::Signal(9),
                message,
            }),
            None,
        ) if lacked_memory => (
            format!("{message}; the system has killed it for want of memory"),
            FailureCause::Memory,
        ),
        (WorkerError::Stage(StageError::Ended { cause, message }), None) => (message.clone(), *cause),
        (other, None) => (other.to_string(), FailureCause::Failed),
    };
    WorkerMessage::Failed { error, seconds, cause }
}

/// The kind of the stage.
fn find(kinds: &[&'static Kind], order: &WorkOrder) -> Result<&'static Kind, WorkerError> {
    let name = &order.fingerprint.kind;
    let kind = kinds.iter().find(|kind| kind.name == name).copied();
    kind.ok_or_else(|| WorkerError::Order(format!("no kind `{name}`")))
}

impl<W: Write> Worker<'_, W> {
    /// Runs the stage, and puts its outputs and its record into the store.
    fn run(
        &self,
        kind: &'static Kind,
        order: &WorkOrder,
        process: &SharedProcess,
        sender: &ProgressSender<'_, W>,
    ) -> Result<Outputs, WorkerError> {
        let begun = StartTime::now();
        let given = order.inputs.iter().filter(|(_, artifacts)| !artifacts.is_empty());
        let given: Vec<&str> = given.map(|(port, _)| port.as_str()).collect();
        let stage = (kind.parse)(&params(order, kind).into(), &given).map_err(|error| WorkerError::Order(error.to_string()))?;
        let place = WorkerPlace::take(&self.place, &order.store)?;
        let (store, workspace) = (&place.store, place.workspace.path());
        let key = order.fingerprint.key();
        let (scratch, available) = if kind.shares_worker {
            (store.scratch_path(&key), None)
        } else {
            (store.scratch(&key)?, machine::available_memory())
        };
        let (held_by, found) = (RefCell::new(None), RefCell::new(None));
        let notes: RefCell<Vec<String>> = RefCell::default();
        // The log of a program is its own.
        let progress_log = kind.command_line.is_none().then(|| ProgressLog::new(begun.instant.elapsed()));
        let progress_log = RefCell::new(progress_log);
        let (files, environment_files) = by_purpose(&order.fingerprint.files);
        let ended = stage.run(&StageContext {
            earlier: &order.earlier,
            inputs: &order.inputs,
            digests: &order.fingerprint.inputs,
            outputs: workspace,
            scratch: &scratch,
            files: &files,
            environment_files: &environment_files,
            content: order.fingerprint.params.get(CONTENT).and_then(serde_json::Value::as_str),
            caller: self.caller,
            seed: order.fingerprint.seed.unwrap_or(0),
            threads: order.threads,
            device: &order.device,
            memory: available.into_iter().chain(order.limits.memory).min(),
            sandbox: &order.sandbox,
            alone: order.shared_log.is_none(),
            held_by: &|held| drop(held_by.replace(Some(held.to_owned()))),
            found: &|program| drop(found.replace(Some(program))),
            progress: &|progress| {
                let line = |logged: &mut ProgressLog| logged.line(begun.instant.elapsed(), &progress);
                progress_log.borrow_mut().as_mut().and_then(line).iter().for_each(|line| log(line));
                sender.send(progress);
            },
            warn: &|message| sender.warn(message),
            note: &|text| {
                log(text);
                notes.borrow_mut().push(text.to_owned());
            },
            patience: Duration::from_secs(order.patience),
            grace: order.limits.grace(),
            stop: &|| self.stop.is_requested(),
        });
        sender.send_last();
        ended?;
        let outputs = store_outputs(store, kind, stage.as_ref(), workspace)?;
        let mut record = record(order, outputs.clone(), begun, self.machine.clone());
        record.provenance.cpu_seconds = process.cpu_seconds();
        record.provenance.peak_memory = process.peak_memory().into_iter().chain(self.stop.peak_memory()).max();
        record.provenance.sandbox = held_by.into_inner();
        record.provenance.program = found.into_inner();
        record.provenance.notes = notes.into_inner();
        if let Some(path) = &order.sign {
            record.sign(&signing_key(path)?);
        }
        store.write_record(&record)?;
        if !kind.shares_worker {
            store.clear_scratch(&key);
        }
        place.give_back(&self.place);
        Ok(outputs)
    }
}

/// Has the log, which is the standard error of this process, go to this file from now on.
fn write_log_to(path: &Path) -> Result<(), WorkerError> {
    let open = || rustix::stdio::dup2_stderr(File::options().create(true).append(true).open(path)?).map_err(std::io::Error::from);
    open().map_err(|error| WorkerError::Order(format!("cannot write its log {}: {error}", path.display())))
}

/// The moment at which a stage began, by the calendar and by the steady clock.
#[derive(Clone, Copy)]
struct StartTime {
    date: jiff::Timestamp,
    instant: Instant,
}

impl StartTime {
    fn now() -> Self {
        Self {
            date: jiff::Timestamp::now(),
            instant: Instant::now(),
        }
    }
}

/// The record of the stage, which ends now.
fn record(order: &WorkOrder, outputs: Outputs, begun: StartTime, machine: Machine) -> Record {
    Record {
        stage: order.stage.name.clone(),
        variant: order.stage.variant.clone(),
        experiment: order.experiment.clone(),
        run: order.run.clone(),
        started: begun.date.as_second().cast_unsigned(),
        seconds: begun.instant.elapsed().as_secs_f64(),
        threads: order.threads,
        machine,
        provenance: Provenance {
            asked: order.asked.clone(),
            gpus: order.gpus.clone().unwrap_or_default(),
            attempts: order.attempts.clone(),
            ..order.provenance.clone()
        },
        keep: order.keep.clone(),
        ..Record::new(order.fingerprint.clone(), outputs)
    }
}

/// The stage's params: those in the key, but for the content of its source, and those that are not.
fn params(order: &WorkOrder, kind: &Kind) -> serde_json::Value {
    let mut params = kind.with_implied((*order.fingerprint.params).clone());
    if let Some(params) = params.as_object_mut() {
        params.remove(CONTENT);
        params.extend(order.unkeyed_params.clone());
    }
    params
}

/// Reads the signing key.
fn signing_key(path: &Path) -> Result<SecretKey, WorkerError> {
    let cannot = |why: String| WorkerError::Order(format!("cannot sign the record with the key in {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    text.parse().map_err(|error: NotAKey| cannot(error.to_string()))
}

/// Moves the artifact of every output port into the store.
fn store_outputs(store: &Store, kind: &Kind, stage: &dyn Stage, workspace: &Path) -> Result<Outputs, WorkerError> {
    let outputs = kind.outputs_of(stage);
    outputs
        .iter()
        .map(|port| {
            let path = workspace.join(port.name.as_ref());
            if !path.exists() {
                return Err(WorkerError::Order(format!(
                    "the stage did not write its output `{}`: this is an error in kind `{}`",
                    port.name, kind.name
                )));
            }
            Ok((port.name.to_string(), store.take(&path)?))
        })
        .collect()
}
