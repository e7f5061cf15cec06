//! Exit codes: part of the interface.

use std::process::ExitCode;

/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A stage failed or was cancelled, or a run does not answer.
    StageFailed = 1,
    /// Wrong usage, or an error in the experiment. Clap exits with this code too.
    Usage = 2,
    /// `plan --check`: a stage has to run.
    WorkToDo = 3,
    /// No stage was selected, or what was is not there: no such artifact, no store.
    NothingSelected = 4,
    /// The store is damaged, or cannot be read or written.
    Store = 5,
    /// Interrupted by Ctrl-C or a termination signal: 128 + SIGINT, the convention of shells.
    Interrupted = 130,
}

/// For `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 a stage failed or was cancelled, 2 wrong usage or an error in the experiment, 3 (plan --check) a stage has to run, \
                        4 nothing selected or no store, 5 the store is damaged, 130 interrupted";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
