//! Runs what the plan says must run.
//!
//! The [`scheduler`] decides what to start, an [`Executor`] starts it, [`run`] carries messages between the two, the store and the
//! reporter. A stage's outputs and record are put into the store by its worker, so that a runner killed at that moment loses nothing.

mod local;
mod machine;
mod origin;
mod run;
mod scheduler;
mod task;
mod worker;

pub use local::Local;
pub use machine::cores;
pub use origin::Origin;
pub use run::{Failure, Options, Summary, run};
pub use scheduler::Limits;
pub use task::{Message, Task};
pub use worker::work;

use std::io;
use std::path::Path;
use std::time::Duration;

/// Where stages run.
pub trait Executor {
    /// Starts stage `index`, whose log goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&mut self, index: usize, task: &Task, log: &Path) -> io::Result<()>;

    /// What a stage says next, waiting for it at most so long. The last message of a stage is not [`Message::Progress`].
    fn next(&mut self, patience: Duration) -> Option<(usize, Message)>;

    /// Asks the stage to stop soon, saving what helps to go on later.
    fn stop(&mut self, index: usize);

    /// Ends the stage at once.
    fn kill(&mut self, index: usize);

    /// The stage has said its last word.
    fn ended(&mut self, index: usize);
}
