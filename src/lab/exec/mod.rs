//! Runs the stages that the plan needs and the store lacks.
//!
//! The [`scheduler`] decides what to start, an [`Executor`] starts it, and [`run`] carries messages between these two, the store and
//! the reporter. The worker of a stage puts its outputs and its record into the store, so nothing is lost when the runner is killed.

mod gpus;
mod limits;
mod local;
mod machine;
mod origin;
mod progress_log;
mod progress_sender;
mod run;
mod scheduler;
mod shared_process;
mod watch;
mod work_order;
mod worker;
mod worker_process;

pub use gpus::{Gpu, GpuPool, GpuRequest};
pub use limits::StageLimits;
pub use local::LocalExecutor;
pub use machine::{cores, this_machine, total_memory};
pub use origin::RunOrigin;
pub use run::{MakeRoom, RunError, RunOptions, RunSummary, run};
pub use scheduler::{RunLimits, stages_at_once};
pub use work_order::{WorkOrder, WorkerMessage};
pub use worker::work;

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Runs stages, on this machine or elsewhere.
pub trait Executor {
    /// Starts stage `index`, whose log goes to `log`. Its processes keep the files `held` open, whose locks end with them.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&mut self, index: usize, order: &WorkOrder, log: &Path, held: Vec<File>) -> io::Result<()>;

    /// The next message of any stage; `None` when there is none within `timeout`. The last message of a stage is not
    /// [`WorkerMessage::Progress`].
    fn next(&mut self, timeout: Duration) -> Option<(usize, WorkerMessage)>;

    /// Asks the stage to stop soon and to save a checkpoint first.
    fn stop(&mut self, index: usize);

    /// Ends the stage at once.
    fn kill(&mut self, index: usize);

    /// Releases the resources of a stage whose last message has arrived.
    fn ended(&mut self, index: usize);
}
