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
use super::task::{Message, Task};

/// Starts workers of the binary `program`: this one, as a rule.
pub struct Local {
    program: PathBuf,
    /// What the workers say, through a thread for each.
    said: Sender<(usize, Message)>,
    heard: Receiver<(usize, Message)>,
    workers: BTreeMap<usize, Worker>,
}

/// glibc's allocator gives a block back to the system when it is freed if it is at least this large (bytes). Left alone it raises the
/// limit to that of the largest block freed so far, up to 32 MB, and from then on keeps an engine's outgrown buffers: a quarter of its peak memory.
const LARGE_BLOCKS: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

struct Worker {
    /// Held open for as long as the worker should go on.
    input: Option<ChildStdin>,
    group: Option<Pid>,
}

impl Local {
    pub fn new(program: PathBuf) -> Self {
        let (said, heard) = channel();
        Self {
            program,
            said,
            heard,
            workers: BTreeMap::new(),
        }
    }
}

impl Executor for Local {
    fn start(&mut self, index: usize, task: &Task, log: &Path) -> io::Result<()> {
        let mut child = Command::new(&self.program)
            .arg("worker")
            // candle sizes its thread pool by this variable and nothing else.
            .env("RAYON_NUM_THREADS", task.threads.to_string())
            .env(LARGE_BLOCKS.0, LARGE_BLOCKS.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            // A group of its own: Ctrl-C is for the runner, which then asks its workers to stop.
            .process_group(0)
            .spawn()?;
        let (mut input, output) = (child.stdin.take(), child.stdout.take());
        let sent = input.as_mut().map_or(Ok(()), |input| {
            serde_json::to_writer(&mut *input, task)?;
            input.write_all(b"\n")?;
            input.flush()
        });
        // A worker that died before it read its task is reported like one that dies later.
        drop(sent);
        self.workers.insert(
            index,
            Worker {
                input,
                group: Pid::from_raw(child.id().cast_signed()),
            },
        );
        let messages = self.said.clone();
        std::thread::spawn(move || {
            let begun = Instant::now();
            let mut ended = false;
            for line in output
                .into_iter()
                .flat_map(|output| BufReader::new(output).lines())
                .map_while(Result::ok)
            {
                if let Ok(message) = serde_json::from_str::<Message>(&line) {
                    ended |= !matches!(message, Message::Progress(_));
                    let _ = messages.send((index, message));
                }
            }
            let status = child.wait();
            if !ended {
                let error = status.map_or_else(|error| error.to_string(), describe);
                let _ = messages.send((
                    index,
                    Message::Failed {
                        error,
                        seconds: begun.elapsed().as_secs_f64(),
                    },
                ));
            }
        });
        Ok(())
    }

    fn next(&mut self, patience: Duration) -> Option<(usize, Message)> {
        self.heard.recv_timeout(patience).ok()
    }

    fn stop(&mut self, index: usize) {
        if let Some(worker) = self.workers.get_mut(&index) {
            worker.input = None;
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(group) = self.workers.get(&index).and_then(|worker| worker.group) {
            // It may have ended by itself. A program that it runs is the head of a group.
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

/// The processes that a process has started. None where there is no `/proc`.
fn children(of: Pid) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let child = |name: &str| {
        let process = Pid::from_raw(name.parse().ok()?)?;
        let status = std::fs::read(format!("/proc/{name}/status")).ok()?;
        // A name may be cut within a letter.
        let status = String::from_utf8_lossy(&status);
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        (Pid::from_raw(parent.trim().parse().ok()?) == Some(of)).then_some(process)
    };
    processes.filter_map(|entry| child(entry.file_name().to_str()?)).collect()
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "its process was killed (signal 9): by hand, or because memory ran out".to_owned(),
        (Some(signal), _) => format!("its process was ended by signal {signal}"),
        (_, Some(101)) => "its process panicked: an error in the runner".to_owned(),
        (_, code) => format!("its process ended without a word (exit code {})", code.unwrap_or(-1)),
    }
}
