//! Processes, told apart on all machines that use a store: a number alone is used again, and by every machine.

use std::path::Path;

/// This machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a process of this machine runs that began at that time.
pub(super) fn is_alive(process: u32, since: u64) -> bool {
    began(process).map_or_else(|| exists(process), |began| began == since)
}

/// When a process began: field 22 of `/proc/<process>/stat`, counted after the parenthesised name. `None` where there is no such
/// process or no `/proc`; a zombie has ended, too.
pub(super) fn began(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok())?
}

/// Whether a process of that number runs, where there is no `/proc` to ask.
fn exists(process: u32) -> bool {
    let asked = rustix::process::Pid::from_raw(process.cast_signed()).map(rustix::process::test_kill_process);
    !Path::new("/proc/self/stat").exists() && matches!(asked, Some(Ok(())))
}

/// Within which numbers of processes mean anything: containers of one machine have their own. 0 where there is no `/proc`.
pub(super) fn namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}
