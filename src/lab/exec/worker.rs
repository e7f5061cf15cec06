//! The worker: runs one stage, puts its outputs and its record into the store, and reports the result.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::machine;
use super::work_order::{WorkOrder, WorkerMessage};
use crate::event::Progress;
use crate::fingerprint::by_purpose;
use crate::source::CONTENT;
use crate::stage::{Caller, Kind, Stage, StageContext, StageError};
use crate::store::{Machine, NotAKey, Outputs, Provenance, Record, SecretKey, Store, StoreError};

/// The shortest time between two progress messages.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The time within which a stage must notice a request to stop. After it the process ends itself, since the runner may be gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// The further time that a stage gets to save a checkpoint, which takes gigabytes when the model is large.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

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
    mut output: impl Write,
) -> bool {
    let begun = Instant::now();
    let mut line = String::new();
    let order = input
        .read_line(&mut line)
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_str::<WorkOrder>(&line));
    let stop = Arc::new(StopRequest::default());
    stop_at_end_of(input, Arc::clone(&stop));
    let ended = match &order {
        Ok(order) => run(kinds, order, instruction_set, caller, &stop, &mut output),
        Err(error) => Err(WorkerError::Order(format!("cannot read the work order: {error}"))),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let message = match ended {
        Ok(outputs) => WorkerMessage::Done { outputs, seconds },
        Err(WorkerError::Stage(StageError::Stopped)) => WorkerMessage::Stopped,
        Err(failure) => WorkerMessage::Failed {
            error: failure.to_string(),
            seconds,
        },
    };
    send(&mut output, &message);
    matches!(message, WorkerMessage::Done { .. })
}

/// A request to stop.
#[derive(Default)]
struct StopRequest {
    requested: AtomicBool,
    /// Whether the stage has asked since.
    noticed: AtomicBool,
}

impl StopRequest {
    /// Whether the stage must stop.
    fn is_requested(&self) -> bool {
        let requested = self.requested.load(Ordering::Relaxed);
        if requested {
            self.noticed.store(true, Ordering::Relaxed);
        }
        requested
    }
}

/// Requests a stop when `input` ends, and ends the process if the stage does not stop in time.
fn stop_at_end_of(mut input: impl Read + Send + 'static, stop: Arc<StopRequest>) {
    std::thread::spawn(move || {
        // Nothing follows the work order but the end of the input.
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        stop.requested.store(true, Ordering::Relaxed);
        std::thread::sleep(STOP_TIMEOUT);
        if stop.noticed.load(Ordering::Relaxed) {
            std::thread::sleep(CHECKPOINT_TIMEOUT);
        }
        #[expect(clippy::disallowed_methods, reason = "the stage does not stop, and no runner waits for it")]
        std::process::exit(1);
    });
}

fn run(
    kinds: &[&'static Kind],
    order: &WorkOrder,
    instruction_set: &str,
    caller: Caller<'_>,
    stop: &StopRequest,
    output: &mut impl Write,
) -> Result<Outputs, WorkerError> {
    let begun = StartTime::now();
    let name = &order.fingerprint.kind;
    let kind = kinds
        .iter()
        .find(|kind| kind.name == name)
        .ok_or_else(|| WorkerError::Order(format!("no kind `{name}`")))?;
    let given = order.inputs.iter().filter(|(_, artifacts)| !artifacts.is_empty());
    let given: Vec<&str> = given.map(|(port, _)| port.as_str()).collect();
    let stage = (kind.parse)(&params(order, kind).into(), &given).map_err(|error| WorkerError::Order(error.to_string()))?;
    let store = Store::open(&order.store)?;
    let key = order.fingerprint.key();
    let (workspace, scratch) = (store.workspace()?, store.scratch(&key)?);
    let (sender, held_by, found) = (ProgressSender::new(output), RefCell::new(None), RefCell::new(None));
    let notes: RefCell<Vec<String>> = RefCell::default();
    let (files, environment_files) = by_purpose(&order.fingerprint.files);
    stage.run(&StageContext {
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
        memory: machine::available_memory(),
        sandbox: &order.sandbox,
        alone: true,
        held_by: &|held| drop(held_by.replace(Some(held.to_owned()))),
        found: &|program| drop(found.replace(Some(program))),
        progress: &|progress| sender.send(progress),
        warn: &|message| sender.warn(message),
        note: &|text| {
            log(text);
            notes.borrow_mut().push(text.to_owned());
        },
        patience: Duration::from_secs(order.patience),
        stop: &|| stop.is_requested(),
    })?;
    let outputs = store_outputs(&store, kind, stage.as_ref(), workspace.path())?;
    let mut record = record(order, outputs.clone(), begun, machine::this_machine(instruction_set));
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

/// Sends the progress of a stage to the runner, at most once per [`PROGRESS_INTERVAL`].
struct ProgressSender<'a, W> {
    output: RefCell<&'a mut W>,
    last: Cell<Option<Instant>>,
}

impl<'a, W: Write> ProgressSender<'a, W> {
    fn new(output: &'a mut W) -> Self {
        Self {
            output: RefCell::new(output),
            last: Cell::new(None),
        }
    }

    fn send(&self, mut progress: Progress) {
        // JSON has no infinities: a message with one would not be read at all.
        progress.readings.retain(|_, reading| reading.is_finite());
        if self.last.get().is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL) {
            self.last.set(Some(Instant::now()));
            send(*self.output.borrow_mut(), &WorkerMessage::Progress(progress));
        }
    }

    /// Tells the runner and the log.
    fn warn(&self, message: &str) {
        log(message);
        let message = message.to_owned();
        send(*self.output.borrow_mut(), &WorkerMessage::Warned { message });
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
            peak_memory: machine::peak_memory(),
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

fn send(output: &mut impl Write, message: &WorkerMessage) {
    // Writing fails when the runner is gone; then the end of `input` stops the stage.
    let _ = serde_json::to_writer(&mut *output, message)
        .map_err(std::io::Error::from)
        .and_then(|()| output.write_all(b"\n"))
        .and_then(|()| output.flush());
}
