//! Stages as worker processes on this machine: a crash, a panic or an out-of-memory kill ends one stage, not the run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process_group};

use super::Executor;
use super::machine::memory_kills;
use super::work_order::{WorkOrder, WorkerMessage};
use crate::event::FailureCause;
use crate::processes::{children_of, end_users_of};
use crate::store::Store;

/// Starts workers as processes of the binary `program`, usually this one.
pub struct LocalExecutor {
    program: PathBuf,
    /// The messages of the workers; one thread per worker reads them.
    sender: Sender<(usize, WorkerMessage)>,
    receiver: Receiver<(usize, WorkerMessage)>,
    workers: BTreeMap<usize, WorkerProcess>,
}

/// glibc's allocator returns a freed block to the system when the block has at least this size (bytes). By default it raises the limit
/// to the size of the largest block freed so far, up to 32 MB. It would then keep the buffers that an engine has outgrown: a quarter
/// of its peak memory.
const MMAP_THRESHOLD_VARIABLE: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

/// The time that what a killed worker has left running gets to end.
const LEFT_TIMEOUT: Duration = Duration::from_secs(2);

/// The environment variable that names the GPUs of a process, and the one that has them counted as `nvidia-smi` counts them.
const VISIBLE_GPUS: &str = "CUDA_VISIBLE_DEVICES";
const GPU_ORDER: (&str, &str) = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");

struct WorkerProcess {
    input: Arc<Mutex<WorkerInput>>,
    group: Option<Pid>,
}

/// The standard input of a worker. Its end asks the worker to stop.
enum WorkerInput {
    /// The work order is being written.
    Sending,
    Open(#[expect(dead_code, reason = "held open; closed when it is dropped")] ChildStdin),
    Closed,
}

/// Why no worker has begun the stage.
#[derive(Debug, thiserror::Error)]
enum StartError {
    /// A path that is no UTF-8, for example.
    #[error("its work order cannot be written: {0}")]
    Order(#[from] serde_json::Error),
    #[error("cannot create its log {}: {error}", path.display())]
    Log { path: PathBuf, error: io::Error },
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

impl LocalExecutor {
    pub fn new(program: PathBuf) -> Self {
        let (sender, receiver) = channel();
        Self {
            program,
            sender,
            receiver,
            workers: BTreeMap::new(),
        }
    }

    fn try_start(&mut self, index: usize, order: &WorkOrder, log: &Path, held: &[File]) -> Result<(), StartError> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        let log = File::create(log).map_err(|error| StartError::Log {
            path: log.to_owned(),
            error,
        })?;
        let mut command = Command::new(&self.program);
        command
            // The program may be named by a descriptor; people see this name.
            .arg0("runner")
            .arg("worker")
            // candle sizes its thread pool by this variable and nothing else.
            .env("RAYON_NUM_THREADS", order.threads.to_string())
            .env(MMAP_THRESHOLD_VARIABLE.0, MMAP_THRESHOLD_VARIABLE.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // A group of its own: Ctrl-C reaches the runner only, which then asks its workers to stop.
            .process_group(0);
        if let Some(gpus) = &order.gpus {
            // A stage without one sees none: nothing that it does by itself takes another stage's memory.
            command.envs([(VISIBLE_GPUS, gpus.join(",")), (GPU_ORDER.0, GPU_ORDER.1.to_owned())]);
        }
        let mut child = inherited(held, true).and_then(|()| command.spawn()).map_err(StartError::Worker)?;
        // No worker that is started later has them.
        inherited(held, false).map_err(StartError::Worker)?;
        let pipe = child.stdin.take();
        let input = Arc::new(Mutex::new(WorkerInput::Sending));
        self.workers.insert(
            index,
            WorkerProcess {
                input: Arc::clone(&input),
                group: Pid::from_raw(child.id().cast_signed()),
            },
        );
        let messages = self.sender.clone();
        let (folder, key) = (order.store.clone(), order.fingerprint.key());
        // A worker that does not read must not keep the run from its other stages.
        let sending = std::thread::Builder::new().spawn(move || {
            // A worker that ends before it has read its work order is reported like one that ends later.
            if let Some(pipe) = pipe {
                send_order(pipe, &line, &input);
            }
            drop(line);
            receive(child, index, &messages, || {
                // A worker that was killed could not end what its program has started.
                if let Ok(scratch) = Store::open(&folder).and_then(|store| store.scratch(&key)) {
                    end_users_of(&scratch, LEFT_TIMEOUT, |_| ());
                }
            });
        });
        if let Err(error) = sending {
            self.kill(index);
            return Err(StartError::Worker(error));
        }
        Ok(())
    }
}

/// Whether the processes that are started next get the files.
fn inherited(files: &[File], are_inherited: bool) -> io::Result<()> {
    let flags = if are_inherited { FdFlags::empty() } else { FdFlags::CLOEXEC };
    files.iter().try_for_each(|file| Ok(fcntl_setfd(file, flags)?))
}

/// Writes the work order, and keeps the pipe open until the worker is to stop. A pipe that takes no more is closed: a worker that waits for
/// the rest of its order sees the end.
fn send_order(mut pipe: ChildStdin, line: &[u8], input: &Mutex<WorkerInput>) {
    let sent = pipe.write_all(line).and_then(|()| pipe.flush());
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    *input = match (&*input, sent) {
        (WorkerInput::Sending, Ok(())) => WorkerInput::Open(pipe),
        _ => WorkerInput::Closed,
    };
}

/// Passes on the messages of a worker until it has ended. `clean_up` is called if it ended without a last one.
fn receive(mut child: Child, index: usize, messages: &Sender<(usize, WorkerMessage)>, clean_up: impl FnOnce()) {
    let (begun, kills) = (Instant::now(), memory_kills());
    let mut ended = false;
    // Whatever a library prints there: a line that is no message is read over.
    let output = child.stdout.take().into_iter();
    let lines = output.flat_map(|output| BufReader::new(output).split(b'\n').map_while(Result::ok));
    for line in lines {
        if let Ok(message) = serde_json::from_slice::<WorkerMessage>(&line) {
            ended |= !matches!(message, WorkerMessage::Progress(_) | WorkerMessage::Warned { .. });
            let _ = messages.send((index, message));
        }
    }
    let status = child.wait();
    if !ended {
        clean_up();
        let (error, cause) = match status {
            Ok(status) => describe_exit(status, memory_kills() > kills),
            Err(error) => (error.to_string(), FailureCause::Failed),
        };
        let seconds = begun.elapsed().as_secs_f64();
        let _ = messages.send((index, WorkerMessage::Failed { error, seconds, cause }));
    }
}

impl Executor for LocalExecutor {
    /// A worker that cannot be started is a failure of its stage: other stages may go on.
    fn start(&mut self, index: usize, order: &WorkOrder, log: &Path, held: Vec<File>) -> io::Result<()> {
        if let Err(error) = self.try_start(index, order, log, &held) {
            let failed = WorkerMessage::Failed {
                error: error.to_string(),
                seconds: 0.0,
                cause: FailureCause::Failed,
            };
            let _ = self.sender.send((index, failed));
        }
        Ok(())
    }

    fn next(&mut self, timeout: Duration) -> Option<(usize, WorkerMessage)> {
        self.receiver.recv_timeout(timeout).ok()
    }

    fn stop(&mut self, index: usize) {
        if let Some(worker) = self.workers.get_mut(&index) {
            *worker.input.lock().unwrap_or_else(PoisonError::into_inner) = WorkerInput::Closed;
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(group) = self.workers.get(&index).and_then(|worker| worker.group) {
            // It may have ended by itself. A program that it runs leads a process group of its own.
            let programs = children_of(group.as_raw_nonzero().get()).map(|program| program.id);
            for group in programs.chain([group]) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    fn ended(&mut self, index: usize) {
        self.workers.remove(&index);
    }
}

/// How a worker ended that sent no last message. `lacked_memory` says whether the system has killed a process near it for want of memory.
fn describe_exit(status: ExitStatus, lacked_memory: bool) -> (String, FailureCause) {
    match (status.signal(), status.code()) {
        (Some(9), _) if lacked_memory => (
            "the system has killed its process for want of memory".to_owned(),
            FailureCause::Memory,
        ),
        (Some(9), _) => (
            "its process was killed (signal 9): by hand, or because memory ran out".to_owned(),
            FailureCause::Signal(9),
        ),
        (Some(signal), _) => (format!("its process was ended by signal {signal}"), FailureCause::Signal(signal)),
        (_, Some(101)) => ("its process panicked: an error in the runner".to_owned(), FailureCause::Failed),
        (_, code) => (
            format!("its process ended without a message (exit code {})", code.unwrap_or(-1)),
            FailureCause::Failed,
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use serde_json::json;

    use super::*;
    use crate::config::Resources;
    use crate::event::StageName;
    use crate::exec::StageLimits;
    use crate::fingerprint::Fingerprint;
    use crate::stage::Sandbox;
    use crate::store::Provenance;

    fn order() -> WorkOrder {
        WorkOrder {
            earlier: Vec::new(),
            store: "store".into(),
            fingerprint: Fingerprint::new("mix", 1, json!({})),
            unkeyed_params: serde_json::Map::new(),
            inputs: BTreeMap::new(),
            threads: 1,
            device: "cpu".to_owned(),
            gpus: None,
            limits: StageLimits::default(),
            asked: Resources::default(),
            attempts: Vec::new(),
            sandbox: Sandbox::default(),
            patience: 0,
            stage: StageName::default(),
            experiment: String::new(),
            run: String::new(),
            provenance: Provenance::default(),
            keep: String::new(),
            sign: None,
        }
    }

    /// An order that fills more than a pipe takes at once.
    fn long_order() -> WorkOrder {
        WorkOrder {
            experiment: "x".repeat(1 << 20),
            ..order()
        }
    }

    /// A folder with a program in place of the worker. Another process writes it: a file that is open for writing cannot be run, and a
    /// test beside this one may start a process, which has all files open for a moment.
    fn program(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let mut writer = Command::new("sh");
        writer.args(["-c", r#"printf '%s\n' "$1" > "$2" && chmod +x "$2""#, "sh"]);
        assert!(writer.arg(format!("#!/bin/sh\n{script}")).arg(&path).status().unwrap().success());
        (folder, path)
    }

    /// The error of a stage that fails.
    fn error_of(executor: &mut LocalExecutor) -> String {
        match executor.next(Duration::from_secs(60)) {
            Some((0, WorkerMessage::Failed { error, .. })) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_order_that_cannot_be_written_is_a_failure() {
        let (folder, path) = program("cat > /dev/null");
        let mut executor = LocalExecutor::new(path);
        let order = WorkOrder {
            earlier: Vec::new(),
            store: OsStr::from_bytes(b"b\xffd").into(),
            ..order()
        };
        executor.start(0, &order, &folder.path().join("log"), Vec::new()).unwrap();
        let error = error_of(&mut executor);
        assert_eq!(error, "its work order cannot be written: path contains invalid UTF-8 characters");
    }

    #[test]
    fn a_worker_that_cannot_be_started_is_a_failure_of_its_stage() {
        let folder = tempfile::tempdir().unwrap();
        let mut executor = LocalExecutor::new(folder.path().join("none"));
        executor.start(0, &order(), &folder.path().join("log"), Vec::new()).unwrap();
        assert!(error_of(&mut executor).starts_with("cannot start a worker: No such file"));
        executor.start(0, &order(), &folder.path().join("none/log"), Vec::new()).unwrap();
        assert!(error_of(&mut executor).starts_with("cannot create its log "));
    }

    #[test]
    fn a_worker_that_ends_without_reading_is_a_failure() {
        let (folder, path) = program("exit 3");
        let mut executor = LocalExecutor::new(path);
        executor.start(0, &long_order(), &folder.path().join("log"), Vec::new()).unwrap();
        assert_eq!(error_of(&mut executor), "its process ended without a message (exit code 3)");
    }

    #[test]
    fn a_worker_that_does_not_read_keeps_nobody_waiting() {
        let (folder, path) = program("exec sleep 600");
        let mut executor = LocalExecutor::new(path);
        executor.start(0, &long_order(), &folder.path().join("log"), Vec::new()).unwrap();
        assert!(executor.next(Duration::from_millis(50)).is_none());
        executor.stop(0);
        executor.kill(0);
        assert!(error_of(&mut executor).starts_with("its process was killed"));
    }

    #[test]
    fn what_a_library_prints_is_no_message_and_a_request_to_stop_ends_the_input() {
        let script = r#"printf '\377 not ours\n{"progress":\n'; cat > /dev/null; echo '"stopped"'"#;
        let (folder, path) = program(script);
        let mut executor = LocalExecutor::new(path);
        executor.start(0, &long_order(), &folder.path().join("log"), Vec::new()).unwrap();
        assert!(executor.next(Duration::from_millis(50)).is_none());
        executor.stop(0);
        let message = executor.next(Duration::from_secs(60));
        assert!(matches!(message, Some((0, WorkerMessage::Stopped))), "{message:?}");
    }
}
