//! Stages as worker processes on this machine: a crash, a panic or an out-of-memory kill ends one stage, not the run.
//!
//! A stage that shares its worker is given to one that has ended another stage and waits (`docs/decisions/0025`). Where the process of
//! such a worker ends by itself, its stage runs again in a new process: what the stages before it left there may be the cause.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::Executor;
use super::work_order::{WorkOrder, WorkerMessage};
use super::worker_process::{Assignment, News, WorkerProcess};
use crate::event::FailureCause;

/// The time that workers which wait for a stage have to end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts workers as processes of the binary `program`, usually this one.
pub struct LocalExecutor {
    program: PathBuf,
    /// The news of the workers; one thread per worker reads them.
    sender: Sender<(usize, News)>,
    receiver: Receiver<(usize, News)>,
    running: BTreeMap<usize, RunningWorker>,
    /// Workers that wait for another stage.
    idle: Vec<WorkerProcess>,
}

/// A worker with its stage.
struct RunningWorker {
    process: WorkerProcess,
    assignment: Arc<Assignment>,
    /// Whether the process has run other stages before.
    is_used: bool,
    /// Whether the stage has ended and the process waits for another one.
    takes_more: bool,
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
            running: BTreeMap::new(),
            idle: Vec::new(),
        }
    }

    fn try_start(&mut self, index: usize, order: &WorkOrder, log: &Path, held: &[File]) -> Result<(), StartError> {
        let assignment = Arc::new(Assignment::new(index, order)?);
        let log = create_log(log)?;
        // There are no more workers than stages may run at once.
        match self.idle.pop().filter(|_| order.shared_log.is_some()) {
            Some(process) => {
                process.assign(Arc::clone(&assignment));
                self.insert(process, assignment, true);
            }
            None => self.start_process(assignment, log, held)?,
        }
        Ok(())
    }

    /// Gives a stage to a new process.
    fn start_process(&mut self, assignment: Arc<Assignment>, log: File, held: &[File]) -> Result<(), StartError> {
        let process = WorkerProcess::start(&self.program, &assignment, log, held, self.sender.clone());
        self.insert(process.map_err(StartError::Worker)?, assignment, false);
        Ok(())
    }

    fn insert(&mut self, process: WorkerProcess, assignment: Arc<Assignment>, is_used: bool) {
        let index = assignment.index;
        let worker = RunningWorker {
            process,
            assignment,
            is_used,
            takes_more: false,
        };
        self.running.insert(index, worker);
    }

    /// A process has ended without the last message of its stage. One that had run other stages may have ended because of these: then the
    /// stage runs again in a process of its own, unless it was to end.
    fn ended_by_itself(&mut self, index: usize, failed: WorkerMessage) -> WorkerMessage {
        let WorkerMessage::Failed { error, .. } = &failed else {
            return failed;
        };
        let again = self
            .running
            .get(&index)
            .filter(|worker| worker.is_used && !worker.process.is_to_end());
        let Some(assignment) = again.map(|worker| Arc::clone(&worker.assignment)) else {
            return failed;
        };
        let message = format!("{error}; other stages had run in it, so this one runs again in a process of its own");
        let log = assignment.shared_log.as_deref().unwrap_or(Path::new(""));
        let started = create_log(log).and_then(|log| self.start_process(Arc::clone(&assignment), log, &[]));
        started.map_or(failed, |()| WorkerMessage::Warned { message })
    }
}

impl Drop for LocalExecutor {
    /// Has the workers that wait end, so that none of them is left when the run has ended.
    fn drop(&mut self) {
        let ends: Vec<_> = self.idle.drain(..).map(WorkerProcess::into_end).collect();
        let until = Instant::now() + END_TIMEOUT;
        for end in ends {
            // Nothing is sent; the sender is gone when the process is.
            let _ = end.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

fn create_log(path: &Path) -> Result<File, StartError> {
    let path = path.to_owned();
    File::create(&path).map_err(|error| StartError::Log { path, error })
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
            let _ = self.sender.send((index, News::Said(failed)));
        }
        Ok(())
    }

    fn next(&mut self, timeout: Duration) -> Option<(usize, WorkerMessage)> {
        let (index, news) = self.receiver.recv_timeout(timeout).ok()?;
        let message = match news {
            News::Said(message) => message,
            News::Ended(failed) => self.ended_by_itself(index, failed),
        };
        if let WorkerMessage::Done { takes_more, .. } = message
            && let Some(worker) = self.running.get_mut(&index)
        {
            worker.takes_more = takes_more;
        }
        Some((index, message))
    }

    fn stop(&mut self, index: usize) {
        if let Some(worker) = self.running.get(&index) {
            worker.process.stop();
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(worker) = self.running.get(&index) {
            worker.process.kill();
        }
    }

    fn ended(&mut self, index: usize) {
        if let Some(worker) = self.running.remove(&index)
            && worker.takes_more
            && !worker.process.is_to_end()
        {
            self.idle.push(worker.process);
        }
    }
}
