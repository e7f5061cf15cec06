//! Identifies processes on all machines that use a store. The process number is not enough: it is reused, and every machine counts
//! its own.

use std::path::Path;

use crate::processes::Process;

/// This machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether this process of this machine is alive. `since` is the time when it began.
pub(super) fn is_alive(process: u32, since: u64) -> bool {
    began(process).map_or_else(|| exists(process), |began| began == since)
}

/// The time when a process began. `None` if there is no such process or no `/proc`. A zombie counts as ended.
pub(super) fn began(process: u32) -> Option<u64> {
    Process::running(process.cast_signed()).map(|process| process.began)
}

/// Whether a process with this number is alive, on systems without `/proc`.
fn exists(process: u32) -> bool {
    let asked = rustix::process::Pid::from_raw(process.cast_signed()).map(rustix::process::test_kill_process);
    !Path::new("/proc/self/stat").exists() && matches!(asked, Some(Ok(())))
}

/// The namespace of process numbers: each container of a machine has its own. 0 without `/proc`.
pub(super) fn namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}
