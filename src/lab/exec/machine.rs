//! The properties of the machine that records and plans need.

use std::path::Path;

use crate::processes::kilobytes;
use crate::store::{Machine, host};

/// This machine, for a record.
pub fn this_machine(instruction_set: &str) -> Machine {
    Machine {
        host: host(),
        cores: cores(),
        instruction_set: instruction_set.to_owned(),
        runner: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The CPU time so far of this process's threads, and of the programs that it started and that have ended, in seconds.
pub fn cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let own = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    let ticks = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|text| ticks_of_children(&text));
    let of_children = ticks.unwrap_or(0) as f64 / rustix::param::clock_ticks_per_second() as f64;
    (own > 0.0).then_some(own + of_children)
}

/// `cutime` and `cstime` of a text like `/proc/self/stat` together: those that were waited for, with those that they waited for.
fn ticks_of_children(text: &str) -> Option<u64> {
    // The name of the program stands in parentheses, and may have blanks and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(13).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

/// The peak memory of this process, in bytes. `None` on systems without `/proc`.
pub fn peak_memory() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Has the peak memory of this process begin anew. Returns whether the system could.
pub fn reset_peak_memory() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The memory that this process uses now for itself alone, in bytes. `None` on systems without `/proc`.
pub fn own_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    parse_own_memory(&text)?.checked_mul(rustix::param::page_size() as u64)
}

/// The pages of a text like `/proc/self/statm` that are in memory and not shared, as those of files are.
fn parse_own_memory(text: &str) -> Option<u64> {
    let mut pages = text.split(' ').skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

/// `VmHWM` of a text like `/proc/self/status`, in bytes.
fn parse_peak(text: &str) -> Option<u64> {
    kilobytes(text, "VmHWM:")
}

/// The memory that this process may still allocate, in bytes: the least of the system's free memory and of the remainders under the
/// limits of its control groups. `None` when the system reports neither.
pub fn available_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let free = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| parse_available(&text));
    free.into_iter()
        .chain(control_group_memory(&groups, Path::new("/sys/fs/cgroup")))
        .min()
}

/// The memory of this machine, or of the control group that this process is in where that may use less, in bytes.
pub fn total_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let all = std::fs::read_to_string("/proc/meminfo").ok();
    let all = all.and_then(|text| kilobytes(&text, "MemTotal:"));
    all.into_iter()
        .chain(control_group_limit(&groups, Path::new("/sys/fs/cgroup")))
        .min()
}

/// How often the system has killed a process for want of memory in the control group that this process is in; 0 where it does not count.
pub fn memory_kills() -> u64 {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let file = group.map(|group| {
        Path::new("/sys/fs/cgroup")
            .join(group.trim_start_matches('/'))
            .join("memory.events")
    });
    let events = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    parse_memory_kills(&events)
}

/// `oom_kill` of a text like `memory.events`.
fn parse_memory_kills(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    count.unwrap_or(0)
}

/// `MemAvailable` of a text like `/proc/meminfo`, in bytes.
fn parse_available(text: &str) -> Option<u64> {
    kilobytes(text, "MemAvailable:")
}

/// The memory that is left under the limits of the control groups in a text like `/proc/self/cgroup` and of the groups that contain them.
/// `root` is the folder of the control groups.
fn control_group_memory(groups: &str, root: &Path) -> Option<u64> {
    control_groups(groups, root, |group, files| {
        let (limit, used) = (number(&group.join(files.limit))?, number(&group.join(files.used))?);
        // Cached pages of files count as used, but the system frees them before an allocation fails.
        let cached = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = cached
            .lines()
            .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
        Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
    })
}

/// The limit itself.
fn control_group_limit(groups: &str, root: &Path) -> Option<u64> {
    control_groups(groups, root, |group, files| number(&group.join(files.limit)))
}

/// The files of a control group that say how much memory it may use, and uses.
struct MemoryFiles {
    limit: &'static str,
    used: &'static str,
}

/// The least of what is read of each control group.
fn control_groups(groups: &str, root: &Path, read: impl Fn(&Path, &MemoryFiles) -> Option<u64>) -> Option<u64> {
    let lines = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let found = lines.flat_map(|(controllers, group)| {
        // Version 2 has one tree for all controllers, version 1 one for each.
        let (folder, limit, used) = match controllers {
            "" => (root.to_owned(), "memory.max", "memory.current"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => return Vec::new(),
        };
        let files = MemoryFiles { limit, used };
        let group = Path::new(group.trim_start_matches('/'));
        let groups = group.ancestors().map(|group| folder.join(group));
        groups.filter_map(|group| read(&group, &files)).collect()
    });
    found.min()
}

/// A file that has a number in it.
fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_as_the_system_writes_it() {
        assert_eq!(
            parse_available("MemTotal:       32 kB\nMemFree: 8 kB\nMemAvailable:     16 kB\nBuffers: 1 kB\n"),
            Some(16 << 10)
        );
        assert_eq!(parse_available("MemTotal: 32 kB\n"), None);
        assert_eq!(parse_peak("Name:\trunner\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert!(peak_memory().is_none_or(|bytes| bytes > 1 << 20));
        assert!(cpu_seconds().is_some());
        assert_eq!(parse_own_memory("5300 900 700 40 0 300 0\n"), Some(200));
        assert!(own_memory().is_none_or(|bytes| bytes > 1 << 16));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 9 8 7 6 11 12 300 40 20 0 1 0 5\n";
        assert_eq!(ticks_of_children(stat), Some(340));
        assert_eq!(ticks_of_children("7 (a) S 1\n"), None);
        assert_eq!(parse_memory_kills("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n"), 2);
        assert_eq!(parse_memory_kills(""), 0);
    }

    #[test]
    fn the_tightest_group_counts_and_its_cached_files_do_not() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, files: &[(&str, &str)]| {
            let folder = root.path().join(path);
            std::fs::create_dir_all(&folder).unwrap();
            files
                .iter()
                .for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
        };
        group("a/b", &[("memory.max", "max\n"), ("memory.current", "5\n")]);
        assert_eq!(control_group_memory("0::/a/b\n", root.path()), None);
        group(
            "a",
            &[
                ("memory.max", "1000\n"),
                ("memory.current", "300\n"),
                ("memory.stat", "anon 7\ninactive_file 100\n"),
            ],
        );
        assert_eq!(control_group_memory("0::/a/b\n", root.path()), Some(800));
        group("a/b", &[("memory.max", "20\n")]);
        assert_eq!(control_group_memory("0::/a/b\n", root.path()), Some(15));
        group("memory/c", &[("memory.limit_in_bytes", "50\n"), ("memory.usage_in_bytes", "60\n")]);
        assert_eq!(control_group_memory("3:cpu:/\n2:memory:/c\n0::/\n", root.path()), Some(0));
        assert_eq!(control_group_memory("nonsense\n", root.path()), None);
    }
}
