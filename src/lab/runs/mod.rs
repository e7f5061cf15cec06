//! The runs of a store as others see them: how they are, where their logs are, and what is asked of them.
//!
//! | file | part |
//! |---|---|
//! | `status` | what a run tells others in its `status.json` |
//! | `find` | the runs of a store, those that live told from those that ended or were killed |
//! | `logs` | where the log of a stage is |
//! | `requests` | what is asked of a run, and its answers |
//! | `memory` | the memory of a run's workers on this host |

mod find;
mod logs;
mod memory;
mod requests;
mod status;

pub use find::{FoundRun, RunState, find, find_one};
pub use logs::{FoundLog, found_log};
pub use memory::memory_of_workers;
pub use requests::{Answer, Cancel, RunRequest, RunRequests, ask};
pub use status::{RunEnd, RunOrder, RunStatus, RunningStage, StageCounts};
