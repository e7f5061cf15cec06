//! The memory of a run's workers on this host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::find::FoundRun;
use crate::processes::{Process, all};

/// The memory in bytes that the worker of each running stage has now, with all that it has started, by the path of its log. Empty for a
/// run of another host or user, and on systems without `/proc`.
pub fn memory_of_workers(run: &FoundRun) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    if !run.is_alive() || !run.status.holder.is_here() {
        return found;
    }
    let processes: Vec<Process> = all().collect();
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for process in &processes {
        children
            .entry(process.parent())
            .or_default()
            .push(process.id.as_raw_nonzero().get());
    }
    let runner = run.status.holder.process().cast_signed();
    for worker in children.get(&runner).into_iter().flatten() {
        // A worker writes its log as its standard error.
        let Ok(log) = std::fs::read_link(format!("/proc/{worker}/fd/2")) else {
            continue;
        };
        let (mut bytes, mut open) = (0, vec![*worker]);
        while let Some(process) = open.pop() {
            bytes += resident(process).unwrap_or(0);
            open.extend(children.get(&process).into_iter().flatten());
        }
        found.insert(log, bytes);
    }
    found
}

/// The resident memory of a process, in bytes.
fn resident(process: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
