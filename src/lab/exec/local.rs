//! Stages as worker processes on this machine: a crash, a panic or an out-of-memory kill ends one stage, not the run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Executor;
use super::work_order::{WorkOrder, WorkerMessage};

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

struct WorkerProcess {
    /// Open until the worker is asked to stop.
    input: Option<ChildStdin>,
    group: Option<Pid>,
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
}

impl Executor for LocalExecutor {
    fn start(&mut self, index: usize, order: &WorkOrder, log: &Path) -> io::Result<()> {
        let mut child = Command::new(&self.program)
            .arg("worker")
            // candle sizes its thread pool by this variable and nothing else.
            .env("RAYON_NUM_THREADS", order.threads.to_string())
            .env(MMAP_THRESHOLD_VARIABLE.0, MMAP_THRESHOLD_VARIABLE.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            // A group of its own: Ctrl-C reaches the runner only, which then asks its workers to stop.
            .process_group(0)
            .spawn()?;
        let (mut input, output) = (child.stdin.take(), child.stdout.take());
        let sent = input.as_mut().map_or(Ok(()), |input| {
            serde_json::to_writer(&mut *input, order)?;
            input.write_all(b"\n")?;
            input.flush()
        });
        // A worker that died before it read its work order is reported like one that dies later.
        drop(sent);
        self.workers.insert(
            index,
            WorkerProcess {
                input,
                group: Pid::from_raw(child.id().cast_signed()),
            },
        );
        let messages = self.sender.clone();
        std::thread::spawn(move || {
            let begun = Instant::now();
            let mut ended = false;
            for line in output
                .into_iter()
                .flat_map(|output| BufReader::new(output).lines())
                .map_while(Result::ok)
            {
                if let Ok(message) = serde_json::from_str::<WorkerMessage>(&line) {
                    ended |= !matches!(message, WorkerMessage::Progress(_) | WorkerMessage::Warned { .. });
                    let _ = messages.send((index, message));
                }
            }
            let status = child.wait();
            if !ended {
                let error = status.map_or_else(|error| error.to_string(), describe_exit);
                let _ = messages.send((
                    index,
                    WorkerMessage::Failed {
                        error,
                        seconds: begun.elapsed().as_secs_f64(),
                    },
                ));
            }
        });
        Ok(())
    }

    fn next(&mut self, timeout: Duration) -> Option<(usize, WorkerMessage)> {
        self.receiver.recv_timeout(timeout).ok()
    }

    fn stop(&mut self, index: usize) {
        if let Some(worker) = self.workers.get_mut(&index) {
            worker.input = None;
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(group) = self.workers.get(&index).and_then(|worker| worker.group) {
            // It may have ended by itself. A program that it runs leads a process group of its own.
            let programs = children(group);
            for group in programs.into_iter().chain([group]) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    fn ended(&mut self, index: usize) {
        self.workers.remove(&index);
    }
}

/// The child processes of a process. Empty on systems without `/proc`.
fn children(of: Pid) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let child = |name: &str| {
        let process = Pid::from_raw(name.parse().ok()?)?;
        let status = std::fs::read(format!("/proc/{name}/status")).ok()?;
        // The name of a process may be cut within a character.
        let status = String::from_utf8_lossy(&status);
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        (Pid::from_raw(parent.trim().parse().ok()?) == Some(of)).then_some(process)
    };
    processes.filter_map(|entry| child(entry.file_name().to_str()?)).collect()
}

fn describe_exit(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "its process was killed (signal 9): by hand, or because memory ran out".to_owned(),
        (Some(signal), _) => format!("its process was ended by signal {signal}"),
        (_, Some(101)) => "its process panicked: an error in the runner".to_owned(),
        (_, code) => format!("its process ended without a message (exit code {})", code.unwrap_or(-1)),
    }
}
