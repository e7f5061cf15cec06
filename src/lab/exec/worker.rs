//! The worker: runs one stage, puts its outputs and its record into the store, and reports the result.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::StageLimits;
use super::machine;
use super::progress_log::ProgressLog;
use super::watch::{BrokenLimit, StopRequest, Watch};
use super::work_order::{WorkOrder, WorkerMessage};
use crate::event::{FailureCause, Progress};
use crate::fingerprint::by_purpose;
use crate::source::CONTENT;
use crate::stage::{Caller, Kind, Stage, StageContext, StageError};
use crate::store::{Machine, NotAKey, Outputs, Provenance, Record, SecretKey, Store, StoreError};

/// The shortest time between two progress messages.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

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

/// Reads a work order from `input`, runs the stage, and writes messages to `output`. Returns whether the stage succeeded. The end of
/// `input` asks the stage to stop, so that no worker outlives its runner. `instruction_set` is for the record; `caller` reads variables of
/// the environment, since secrets are not part of work orders.
pub fn work(
    kinds: &[&'static Kind],
    instruction_set: &str,
    caller: Caller<'_>,
    mut input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
) -> bool {
    let begun = Instant::now();
    let mut line = String::new();
    let order = input
        .read_line(&mut line)
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_str::<WorkOrder>(&line));
    let (stop, output) = (Arc::new(StopRequest::default()), Arc::new(Mutex::new(output)));
    let limits = order.as_ref().map(|order| order.limits.clone()).unwrap_or_default();
    stop_at_end_of(input, Arc::clone(&stop), limits.clone());
    // Only programs are killed while the worker lives.
    let mut kills_before = u64::MAX;
    let ended = match &order {
        Ok(order) => find(kinds, order).and_then(|kind| {
            let watch = Watch {
                limits,
                stop: Arc::clone(&stop),
                output: Arc::clone(&output),
                begun,
                starts_programs: kind.command_line.is_some(),
            };
            if watch.starts_programs {
                kills_before = machine::memory_kills();
            }
            // Most stages end before the thread would look for the first time.
            if watch.starts_programs || watch.limits.are_any() {
                std::thread::spawn(|| watch.run());
            }
            let sender = ProgressSender::new(&output, &stop, begun);
            run(kind, order, instruction_set, caller, &stop, &sender)
        }),
        Err(error) => Err(WorkerError::Order(format!("cannot read the work order: {error}"))),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let message = match ended {
        Ok(outputs) => WorkerMessage::Done { outputs, seconds },
        Err(failure) => failed(&failure, stop.broken(), machine::memory_kills() > kills_before, seconds),
    };
    // Held to the end of the process: the watch sends no other message after this one.
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    message.send(&mut *output);
    matches!(message, WorkerMessage::Done { .. })
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

/// Requests a stop when `input` ends, and ends the process if the stage does not stop in time.
fn stop_at_end_of(mut input: impl Read + Send + 'static, stop: Arc<StopRequest>, limits: StageLimits) {
    std::thread::spawn(move || {
        // Nothing follows the work order but the end of the input.
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        stop.request();
        stop.wait_for_end(&limits);
        #[expect(clippy::disallowed_methods, reason = "the stage does not stop, and no runner waits for it")]
        std::process::exit(1);
    });
}

/// The kind of the stage.
fn find(kinds: &[&'static Kind], order: &WorkOrder) -> Result<&'static Kind, WorkerError> {
    let name = &order.fingerprint.kind;
    let kind = kinds.iter().find(|kind| kind.name == name).copied();
    kind.ok_or_else(|| WorkerError::Order(format!("no kind `{name}`")))
}

fn run<W: Write>(
    kind: &'static Kind,
    order: &WorkOrder,
    instruction_set: &str,
    caller: Caller<'_>,
    stop: &StopRequest,
    sender: &ProgressSender<'_, W>,
) -> Result<Outputs, WorkerError> {
    let begun = StartTime::now();
    let given = order.inputs.iter().filter(|(_, artifacts)| !artifacts.is_empty());
    let given: Vec<&str> = given.map(|(port, _)| port.as_str()).collect();
    let stage = (kind.parse)(&params(order, kind).into(), &given).map_err(|error| WorkerError::Order(error.to_string()))?;
    let store = Store::open(&order.store)?;
    let key = order.fingerprint.key();
    let (workspace, scratch) = (store.workspace()?, store.scratch(&key)?);
    let (held_by, found) = (RefCell::new(None), RefCell::new(None));
    let notes: RefCell<Vec<String>> = RefCell::default();
    // The log of a program is its own.
    let progress_log = kind.command_line.is_none().then(|| ProgressLog::new(begun.instant.elapsed()));
    let progress_log = RefCell::new(progress_log);
    let (files, environment_files) = by_purpose(&order.fingerprint.files);
    let available = machine::available_memory();
    let ended = stage.run(&StageContext {
        earlier: &order.earlier,
        inputs: &order.inputs,
        digests: &order.fingerprint.inputs,
        outputs: workspace.path(),
        scratch: &scratch,
        files: &files,
        environment_files: &environment_files,
        content: order.fingerprint.params.get(CONTENT).and_then(serde_json::Value::as_str),
        caller,
        seed: order.fingerprint.seed.unwrap_or(0),
        threads: order.threads,
        device: &order.device,
        memory: available.into_iter().chain(order.limits.memory).min(),
        sandbox: &order.sandbox,
        alone: true,
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
        stop: &|| stop.is_requested(),
    });
    sender.send_last();
    ended?;
    let outputs = store_outputs(&store, kind, stage.as_ref(), workspace.path())?;
    let mut record = record(order, outputs.clone(), begun, machine::this_machine(instruction_set));
    record.provenance.peak_memory = machine::peak_memory().into_iter().chain(stop.peak_memory()).max();
    record.provenance.sandbox = held_by.into_inner();
    record.provenance.program = found.into_inner();
    record.provenance.notes = notes.into_inner();
    if let Some(path) = &order.sign {
        record.sign(&signing_key(path)?);
    }
    store.write_record(&record)?;
    store.clear_scratch(&key);
    Ok(outputs)
}

/// Sends the progress of a stage to the runner: at most once per [`PROGRESS_INTERVAL`], and at its end.
struct ProgressSender<'a, W> {
    output: &'a Mutex<W>,
    stop: &'a StopRequest,
    begun: Instant,
    last: Cell<Option<Instant>>,
    /// The progress since then.
    unsent: Cell<Option<Progress>>,
}

impl<'a, W: Write> ProgressSender<'a, W> {
    fn new(output: &'a Mutex<W>, stop: &'a StopRequest, begun: Instant) -> Self {
        Self {
            output,
            stop,
            begun,
            last: Cell::new(None),
            unsent: Cell::new(None),
        }
    }

    fn send(&self, mut progress: Progress) {
        self.stop.sign_of_life(self.begun.elapsed());
        // JSON has no infinities: a message with one would not be read at all.
        progress.readings.retain(|_, reading| reading.is_finite());
        self.unsent.set(Some(progress));
        if self.last.get().is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL) {
            self.last.set(Some(Instant::now()));
            self.send_last();
        }
    }

    /// Sends what came too soon after the message before.
    fn send_last(&self) {
        if let Some(progress) = self.unsent.take() {
            self.message(&WorkerMessage::Progress(progress));
        }
    }

    /// Tells the runner and the log.
    fn warn(&self, message: &str) {
        log(message);
        let message = message.to_owned();
        self.message(&WorkerMessage::Warned { message });
    }

    fn message(&self, message: &WorkerMessage) {
        message.send(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Writes a line to the log, which is the standard error of a worker.
fn log(line: &str) {
    // As for the messages: whoever reads them may be gone.
    let _ = writeln!(std::io::stderr(), "{line}");
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
            cpu_seconds: machine::cpu_seconds(),
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
