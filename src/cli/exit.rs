//! Exit codes: part of the interface.

use std::process::ExitCode;

/// How the process ended, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A stage failed.
    StageFailed = 1,
    /// Wrong usage, or something is wrong with the experiment. (Also what clap ends with.)
    Usage = 2,
    /// `plan --check`: there is work to do.
    WorkToDo = 3,
    /// No stage was selected.
    NothingSelected = 4,
    /// The store is damaged, or cannot be read or written.
    Store = 5,
    /// Interrupted by Ctrl-C or a termination signal: 128 + SIGINT, as shells have it.
    Interrupted = 130,
}

/// For `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 a stage failed, 2 wrong usage or experiment, 3 (plan --check) there is work to do, \
                        4 nothing selected, 5 the store is damaged, 130 interrupted";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
