//! A run: its options, its beginning and its end. The parts stand in files of their own:
//!
//! | file | part |
//! |---|---|
//! | `run_loop` | the loop that carries messages between the scheduler, the executor and the parts below |
//! | `stages` | the known facts about each stage: its inputs, its outputs, whether the store has it |
//! | `inputs` | fetches and checks inputs in a thread of its own |
//! | `claims` | leases, the processes that hold other stages, and the artifacts that gc must keep |
//! | `attempts` | how the earlier attempts at each stage ended, and whether there is another one |
//! | `room` | deletes artifacts before the disk is full, where that is allowed |
//! | `doubt` | what to say of a stage that came out otherwise than before |
//! | `orders` | writes the work orders for the executor |
//! | `cancel` | ends single stages on request |
//! | `forecast` | how long the rest of the run may take |
//! | `queue` | what waits, and why |
//! | `log_tail` | the end of a failed stage's log, as a person wants it |
//! | `send_events` | counts stages by their end and sends the events of the run |

mod attempts;
mod cancel;
mod claims;
mod doubt;
mod inputs;
mod log_tail;
mod orders;
mod queue;
mod room;
mod run_loop;
mod send_events;
mod stages;
#[cfg(test)]
mod tests;
mod time_left;

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::Executor;
use super::gpus::Gpu;
use super::origin::RunOrigin;
use super::scheduler::RunLimits;
use crate::event::Reporter;
use crate::plan::{Plan, Resolver};
use crate::runs::RunRequests;
use crate::stage::Sandbox;
use crate::store::remote::Remotes;
use crate::store::{Store, StoreError};
pub use room::MakeRoom;
use run_loop::RunLoop;

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub limits: RunLimits,
    /// The device of stages that ask for no GPU, and of those that do.
    pub device: String,
    pub gpu_device: String,
    /// The GPUs of this machine that stages share.
    pub gpus: Vec<Gpu>,
    /// The folder of their locks, which all users of the machine share.
    pub gpu_locks: PathBuf,
    /// How far the programs of stages are held to their own files.
    pub sandbox: Sandbox,
    /// How long a request to a server that fails is sent again.
    pub patience: Duration,
    /// The run's name: its folder in the store.
    pub run: String,
    /// Remote stores that inputs may come from and that results are uploaded to.
    pub remotes: Remotes,
    pub origin: RunOrigin,
    /// The file of the secret key that signs the records.
    pub sign: Option<PathBuf>,
    /// The values of secrets, which no message has.
    pub hidden: Vec<String>,
    /// What others ask of the run. Whoever starts it looks for requests; the run does what they ask of single stages.
    pub requests: RunRequests,
    /// Whether the run deletes artifacts before the disk is full.
    pub make_room: Option<MakeRoom>,
}

/// How the run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunSummary {
    pub stages: usize,
    pub cached: usize,
    pub ran: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Ended on request.
    pub cancelled: usize,
    pub interrupted: bool,
}

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a worker: {0}")]
    Start(std::io::Error),
    #[error("cannot lock GPUs in {}: {_1}", _0.display())]
    Lock(PathBuf, std::io::Error),
}

/// Runs all stages of the plan that are not in the store. `interrupts` counts the requests to stop: the first one asks the running
/// stages to stop, the second kills them.
///
/// # Errors
/// When the store cannot be read or written. A stage that fails is no error here: it is in the summary.
pub fn run(
    plan: &Plan,
    store: &Store,
    resolver: &Resolver<'_>,
    options: &RunOptions,
    executor: &mut dyn Executor,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<RunSummary, RunError> {
    store.clear_dead_leases();
    store.clear_abandoned_work();
    let mut run = RunLoop::new(plan, store, resolver, options, reporter);
    let ended = run.run(executor, interrupts);
    if ended.is_err() {
        run.kill_all(executor);
    }
    ended?;
    run.write_wishes();
    Ok(run.finish(interrupts))
}
