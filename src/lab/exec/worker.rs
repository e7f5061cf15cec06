//! The worker's side: runs one stage, puts its outputs and its record into the store, and says so.

use std::cell::Cell;
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::machine;
use super::task::{Message, Task};
use crate::event::Progress;
use crate::source::CONTENT;
use crate::stage::{Kind, Stage, StageContext, StageError};
use crate::store::{NotAKey, Outputs, Provenance, Record, SecretKey, Store, StoreError};

/// Progress is told at most this often.
const PULSE: Duration = Duration::from_millis(100);

/// A stage that has not noticed within this time that it is to stop is ended: whoever asked may be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// One that has noticed saves what helps to go on later: gigabytes, where the model is large.
const SAVING: Duration = Duration::from_secs(10 * 60);

/// Why a task ended without outputs.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Task(String),
}

/// Reads a task from `input`, runs it, and writes messages to `output`. The end of `input` asks the stage to stop, so that no worker
/// outlives its runner. `instruction_set` is for the record; `secret` reads the environment: what is secret never comes with the task. Returns whether the stage ended well.
pub fn work(
    kinds: &[&'static Kind],
    instruction_set: &str,
    secret: impl Fn(&str) -> Option<String>,
    mut input: impl BufRead + Send + 'static,
    mut output: impl Write,
) -> bool {
    let begun = Instant::now();
    let mut line = String::new();
    let task: Result<Task, String> = input
        .read_line(&mut line)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(&line).map_err(|error| error.to_string()));
    let stop = Arc::new(Stop::default());
    watch(input, Arc::clone(&stop));
    let ended = match &task {
        Ok(task) => run(kinds, task, instruction_set, &secret, &stop, &mut output),
        Err(problem) => Err(Failure::Task(format!("cannot read the task: {problem}"))),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let message = match ended {
        Ok(outputs) => Message::Done { outputs, seconds },
        Err(Failure::Stage(StageError::Stopped)) => Message::Stopped,
        Err(failure) => Message::Failed {
            error: failure.to_string(),
            seconds,
        },
    };
    say(&mut output, &message);
    matches!(message, Message::Done { .. })
}

/// The wish that the stage should stop.
#[derive(Default)]
struct Stop {
    said: AtomicBool,
    noticed: AtomicBool,
}

impl Stop {
    fn asked(&self) -> bool {
        let said = self.said.load(Ordering::Relaxed);
        if said {
            self.noticed.store(true, Ordering::Relaxed);
        }
        said
    }
}

/// Says to `stop` when `input` ends, and ends the process if the stage does not care.
fn watch(mut input: impl Read + Send + 'static, stop: Arc<Stop>) {
    std::thread::spawn(move || {
        // Nothing follows the task; what counts is the end.
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        stop.said.store(true, Ordering::Relaxed);
        std::thread::sleep(PATIENCE);
        if stop.noticed.load(Ordering::Relaxed) {
            std::thread::sleep(SAVING);
        }
        #[expect(clippy::disallowed_methods, reason = "the stage does not stop, and nobody waits for it any more")]
        std::process::exit(1);
    });
}

fn run(
    kinds: &[&'static Kind],
    task: &Task,
    instruction_set: &str,
    secret_of: &dyn Fn(&str) -> Option<String>,
    stop: &Stop,
    output: &mut impl Write,
) -> Result<Outputs, Failure> {
    let begun = (jiff::Timestamp::now(), Instant::now());
    let name = &task.fingerprint.kind;
    let kind = kinds
        .iter()
        .find(|kind| kind.name == name)
        .ok_or_else(|| Failure::Task(format!("no kind `{name}`")))?;
    let given = task.inputs.iter().filter(|(_, artifacts)| !artifacts.is_empty());
    let given: Vec<&str> = given.map(|(port, _)| port.as_str()).collect();
    let stage = (kind.parse)(&params(task).into(), &given).map_err(|error| Failure::Task(error.to_string()))?;
    let held = stage.secret().and_then(secret_of);
    let store = Store::open(&task.store)?;
    let key = task.fingerprint.key();
    let (workspace, scratch) = (store.workspace()?, store.scratch(&key)?);
    let last = Cell::new(None::<Instant>);
    let output = std::cell::RefCell::new(output);
    let progress = |progress: Progress| {
        let due = last.get().is_none_or(|last| last.elapsed() >= PULSE);
        if due {
            last.set(Some(Instant::now()));
            say(*output.borrow_mut(), &Message::Progress(progress));
        }
    };
    stage.run(&StageContext {
        inputs: &task.inputs,
        outputs: workspace.path(),
        scratch: &scratch,
        files: &task.fingerprint.files,
        content: task.fingerprint.params.get(CONTENT).and_then(serde_json::Value::as_str),
        secret: held.as_deref(),
        seed: task.fingerprint.seed.unwrap_or(0),
        threads: task.threads,
        device: &task.device,
        memory: machine::memory(),
        progress: &progress,
        stop: &|| stop.asked(),
    })?;
    let outputs = take(&store, kind, stage.as_ref(), workspace.path())?;
    let mut record = Record::new(task.fingerprint.clone(), outputs.clone());
    record.stage.clone_from(&task.stage.name);
    record.variant.clone_from(&task.stage.variant);
    record.experiment.clone_from(&task.experiment);
    record.run.clone_from(&task.run);
    record.started = begun.0.as_second().cast_unsigned();
    record.seconds = begun.1.elapsed().as_secs_f64();
    record.threads = task.threads;
    record.machine = machine::this(instruction_set);
    record.provenance = Provenance {
        cpu_seconds: machine::cpu_seconds(),
        peak_memory: machine::peak_memory(),
        ..task.provenance.clone()
    };
    if let Some(path) = &task.sign {
        record.sign(&secret(path)?);
    }
    store.write_record(&record)?;
    store.clear_scratch(&key);
    Ok(outputs)
}

/// The stage's params: those in the key, but for the content of its source, and those that are not.
fn params(task: &Task) -> serde_json::Value {
    let mut params = task.fingerprint.params.clone();
    if let Some(params) = params.as_object_mut() {
        params.remove(CONTENT);
        params.extend(task.unkeyed_params.clone());
    }
    params
}

/// The key in the file.
fn secret(path: &Path) -> Result<SecretKey, Failure> {
    let cannot = |why: String| Failure::Task(format!("cannot sign the record with the key in {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    text.parse().map_err(|error: NotAKey| cannot(error.to_string()))
}

/// Takes every output port's artifact into the store.
fn take(store: &Store, kind: &Kind, stage: &dyn Stage, workspace: &Path) -> Result<Outputs, Failure> {
    let outputs = kind.outputs_of(stage);
    outputs
        .iter()
        .map(|port| {
            let path = workspace.join(port.name.as_ref());
            if !path.exists() {
                return Err(Failure::Task(format!(
                    "the stage wrote nothing at its output `{}`: this is an error in kind `{}`",
                    port.name, kind.name
                )));
            }
            Ok((port.name.to_string(), store.take(&path)?))
        })
        .collect()
}

fn say(output: &mut impl Write, message: &Message) {
    // A runner that is gone cannot be told; `watch` sees that it is.
    let _ = serde_json::to_writer(&mut *output, message)
        .map_err(std::io::Error::from)
        .and_then(|()| output.write_all(b"\n"))
        .and_then(|()| output.flush());
}
