//! The runs of a store as others see them: how they are, where their logs are, and what is asked of them.
//!
//! | file | part |
//! |---|---|
//! | `status` | what a run tells others in its `status.json` |
//! | `find` | the runs of a store, those that live told from those that ended or were killed |
//! | `logs` | where the log of a stage is |
//! | `outcomes` | how the stages of a run have ended so far |
//! | `losses` | the losses of a training that runs |
//! | `growing` | a file that another process writes on |
//! | `requests` | what is asked of a run, and its answers |
//! | `memory` | the memory of a run's workers on this host |

mod find;
mod growing;
mod logs;
mod losses;
mod memory;
mod outcomes;
mod requests;
mod status;

pub use find::{FoundRun, RunState, find, find_one};
pub use logs::{FoundLog, found_log};
pub use losses::RunningLosses;
pub use memory::memory_of_workers;
pub use outcomes::{RunOutcomes, StageOutcome};
pub use requests::{Answer, Cancel, RunRequest, RunRequests, ask};
pub use status::{RunEnd, RunOrder, RunStatus, RunningStage, StageCounts};
