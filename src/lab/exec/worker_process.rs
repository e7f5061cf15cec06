//! One worker process: a thread gives it its stages, one at a time, and passes on what it says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process_group};

use super::machine::memory_kills;
use super::work_order::{WorkOrder, WorkerMessage};
use crate::event::FailureCause;
use crate::hash::Digest;
use crate::processes::{children_of, end_users_of};
use crate::store::Store;

/// glibc's allocator returns a freed block to the system when the block has at least this size (bytes). By default it raises the limit
/// to the size of the largest block freed so far, up to 32 MB. It would then keep the buffers that an engine has outgrown: a quarter
/// of its peak memory.
const MMAP_THRESHOLD_VARIABLE: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

/// The time that what a killed worker has left running gets to end.
const LEFT_TIMEOUT: Duration = Duration::from_secs(2);

/// The environment variable that names the GPUs of a process, and the one that has them counted as `nvidia-smi` counts them.
const VISIBLE_GPUS: &str = "CUDA_VISIBLE_DEVICES";
const GPU_ORDER: (&str, &str) = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");

/// A stage for a worker.
pub(super) struct Assignment {
    pub(super) index: usize,
    /// The work order, as the worker reads it.
    line: Vec<u8>,
    pub(super) shared_log: Option<PathBuf>,
    threads: usize,
    gpus: Option<Vec<String>>,
    store: PathBuf,
    key: Digest,
}

impl Assignment {
    /// # Errors
    /// When the order cannot be written as a line.
    pub(super) fn new(index: usize, order: &WorkOrder) -> serde_json::Result<Self> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        Ok(Self {
            index,
            line,
            shared_log: order.shared_log.clone(),
            threads: order.threads,
            gpus: order.gpus.clone(),
            store: order.store.clone(),
            key: order.fingerprint.key(),
        })
    }
}

/// What is heard of a worker.
pub(super) enum News {
    Said(WorkerMessage),
    /// Its process ended without the last message of its stage, which failed so.
    Ended(WorkerMessage),
}

/// A worker process, as the executor holds it. When it is dropped, the process gets no other stage, and ends after the one that it has.
pub(super) struct WorkerProcess {
    assignments: Sender<Arc<Assignment>>,
    input: Arc<Mutex<WorkerInput>>,
    group: Option<Pid>,
    /// Its other side is gone when the process is.
    end: Receiver<()>,
}

/// The standard input of a worker. Its end asks the worker to stop.
enum WorkerInput {
    /// A work order is being written.
    Sending,
    Open(ChildStdin),
    /// The process reads no more.
    Broken,
    /// By request.
    Closed,
}

impl WorkerProcess {
    /// Starts a process of `program` with its first stage. It keeps the files `held` open.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        program: &Path,
        first: &Arc<Assignment>,
        log: File,
        held: &[File],
        news: Sender<(usize, News)>,
    ) -> io::Result<Self> {
        let mut command = command(program, first, log);
        let mut child = inherited(held, true).and_then(|()| command.spawn())?;
        let group = Pid::from_raw(child.id().cast_signed());
        let output = child.stdout.take().map(BufReader::new);
        let input = Arc::new(Mutex::new(child.stdin.take().map_or(WorkerInput::Broken, WorkerInput::Open)));
        let ((assignments, received), (alive, end)) = (channel(), channel());
        let process = Self {
            assignments,
            input: Arc::clone(&input),
            group,
            end,
        };
        process.assign(Arc::clone(first));
        let attendant = Attendant {
            child,
            input,
            output,
            assignments: received,
            news,
            kills_before: memory_kills(),
            _alive: alive,
        };
        // A worker that does not read must not keep the run from its other stages.
        let attending = std::thread::Builder::new().spawn(move || attendant.attend());
        // No worker that is started later has them.
        let attended = attending.and_then(|_| inherited(held, false));
        attended.inspect_err(|_| process.kill()).map(|()| process)
    }

    /// Gives a process that waits its next stage.
    pub(super) fn assign(&self, assignment: Arc<Assignment>) {
        // The thread waits for it as long as this value lives.
        let _ = self.assignments.send(assignment);
    }

    /// The process gets no further stage. Returns what tells of its end.
    pub(super) fn into_end(self) -> Receiver<()> {
        self.end
    }

    /// Asks the stage to stop. The process gets no other one.
    pub(super) fn stop(&self) {
        *lock(&self.input) = WorkerInput::Closed;
    }

    /// Ends the process at once.
    pub(super) fn kill(&self) {
        self.stop();
        if let Some(group) = self.group {
            // It may have ended by itself. A program that it runs leads a process group of its own.
            let programs = children_of(group.as_raw_nonzero().get()).map(|program| program.id);
            for group in programs.chain([group]) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    /// Whether it was asked to stop, or killed.
    pub(super) fn is_to_end(&self) -> bool {
        matches!(*lock(&self.input), WorkerInput::Closed)
    }
}

fn lock(input: &Mutex<WorkerInput>) -> MutexGuard<'_, WorkerInput> {
    input.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the process of a worker is started.
fn command(program: &Path, first: &Assignment, log: File) -> Command {
    let mut command = Command::new(program);
    command
        // The program may be named by a descriptor; people see this name.
        .arg0("runner")
        .arg("worker")
        // candle sizes its thread pool by this variable and nothing else.
        .env("RAYON_NUM_THREADS", first.threads.to_string())
        .env(MMAP_THRESHOLD_VARIABLE.0, MMAP_THRESHOLD_VARIABLE.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // A group of its own: Ctrl-C reaches the runner only, which then asks its workers to stop.
        .process_group(0);
    if let Some(gpus) = &first.gpus {
        // A stage without one sees none: nothing that it does by itself takes another stage's memory.
        command.envs([(VISIBLE_GPUS, gpus.join(",")), (GPU_ORDER.0, GPU_ORDER.1.to_owned())]);
    }
    command
}

/// Whether the processes that are started next get the files.
fn inherited(files: &[File], are_inherited: bool) -> io::Result<()> {
    let flags = if are_inherited { FdFlags::empty() } else { FdFlags::CLOEXEC };
    files.iter().try_for_each(|file| Ok(fcntl_setfd(file, flags)?))
}

/// The thread that talks to a process.
struct Attendant {
    child: Child,
    input: Arc<Mutex<WorkerInput>>,
    output: Option<BufReader<ChildStdout>>,
    assignments: Receiver<Arc<Assignment>>,
    news: Sender<(usize, News)>,
    /// How often the system had killed a process near it for want of memory when it began.
    kills_before: u64,
    _alive: Sender<()>,
}

impl Attendant {
    /// Gives the process its stages until it takes no more, or there is none; then waits for its end.
    fn attend(mut self) {
        while let Ok(assignment) = self.assignments.recv() {
            let begun = Instant::now();
            // A worker that ends before it has read its work order is reported like one that ends later.
            if !self.send(&assignment.line) {
                let _ = self.news.send((assignment.index, News::Said(WorkerMessage::Stopped)));
                break;
            }
            match self.last_message(assignment.index) {
                Some(WorkerMessage::Done { takes_more: true, .. }) => {}
                Some(_) => break,
                None => {
                    let failed = self.end(&assignment, begun);
                    let _ = self.news.send((assignment.index, News::Ended(failed)));
                    return;
                }
            }
        }
        *lock(&self.input) = WorkerInput::Closed;
        // It may say more than it can while nobody reads.
        let _ = self.output.take().map(|mut output| io::copy(&mut output, &mut io::sink()));
        let _ = self.child.wait();
    }

    /// Writes a work order, and keeps the pipe open until the worker is to stop. A pipe that takes no more is closed: a worker that waits
    /// for the rest of its order sees the end. Returns false if the stage was asked to stop before the worker has heard of it.
    fn send(&self, line: &[u8]) -> bool {
        let mut pipe = {
            let mut input = lock(&self.input);
            match std::mem::replace(&mut *input, WorkerInput::Sending) {
                WorkerInput::Open(pipe) => pipe,
                other => {
                    let was_closed = matches!(other, WorkerInput::Closed);
                    *input = other;
                    return !was_closed;
                }
            }
        };
        let sent = pipe.write_all(line).and_then(|()| pipe.flush());
        let mut input = lock(&self.input);
        if matches!(*input, WorkerInput::Sending) {
            *input = sent.map_or(WorkerInput::Broken, |()| WorkerInput::Open(pipe));
        }
        true
    }

    /// Passes on the messages about a stage up to the last one, which is returned; `None` if the process ends before.
    fn last_message(&mut self, index: usize) -> Option<WorkerMessage> {
        // Whatever a library prints there: a line that is no message is read over.
        let lines = self.output.as_mut()?.split(b'\n').map_while(Result::ok);
        for line in lines {
            let Ok(message) = serde_json::from_slice::<WorkerMessage>(&line) else {
                continue;
            };
            let last = (!matches!(message, WorkerMessage::Progress(_) | WorkerMessage::Warned { .. })).then(|| message.clone());
            let _ = self.news.send((index, News::Said(message)));
            if last.is_some() {
                return last;
            }
        }
        None
    }

    /// How the stage failed whose process has ended without a last message.
    fn end(&mut self, assignment: &Assignment, begun: Instant) -> WorkerMessage {
        let status = self.child.wait();
        // A worker that was killed could not end what its program has started.
        if let Ok(store) = Store::open(&assignment.store) {
            end_users_of(&store.scratch_path(&assignment.key), LEFT_TIMEOUT, |_| ());
        }
        let (error, cause) = match status {
            Ok(status) => describe_exit(status, memory_kills() > self.kills_before),
            Err(error) => (error.to_string(), FailureCause::Failed),
        };
        let seconds = begun.elapsed().as_secs_f64();
        WorkerMessage::Failed { error, seconds, cause }
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
