//! The processes that a stage's program starts: which are left, and how they are ended.
//!
//! The worker is the sub-reaper of all that it starts: whatever detaches itself (`setsid`, a double fork, `nohup`) becomes its child when its
//! own parent ends. So all is ended when the worker has no child left. Where the worker was killed, what is left of its program is known by
//! the scratch folder: it has it in its environment, or a file in it open, or works there.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The environment variable in which a program is told its scratch folder.
pub const SCRATCH_VARIABLE: &str = "RUNNER_SCRATCH";

/// The interval at which is looked again whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// One process, as `/proc/<number>/stat` describes it.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its number.
    pub id: Pid,
    parent: i32,
    /// When it began, in the kernel's ticks since the machine was started.
    pub began: u64,
    /// Whether it belongs to a terminal, as what a person has started there. No program of a stage does.
    has_terminal: bool,
    /// Whether it has ended, and its parent has not asked for its status yet.
    has_ended: bool,
}

impl Process {
    /// The process of this number; `None` where there is none, and on systems without `/proc`.
    pub fn of(id: i32) -> Option<Self> {
        // The name in parentheses may hold anything.
        let stat = fs::read(format!("/proc/{id}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?);
        Some(Self {
            id: Pid::from_raw(id)?,
            parent: parent.parse().ok()?,
            has_terminal: fields.nth(2)? != "0",
            began: fields.nth(14)?.parse().ok()?,
            has_ended: matches!(state, "Z" | "X"),
        })
    }

    /// The process of this number, unless it has ended. A zombie counts as ended.
    pub fn running(id: i32) -> Option<Self> {
        Self::of(id).filter(|process| !process.has_ended)
    }

    /// This process.
    pub fn this() -> Option<Self> {
        Self::of(std::process::id().cast_signed())
    }

    /// The number of its parent.
    pub fn parent(&self) -> i32 {
        self.parent
    }

    /// Whether this process, and no other of the same number, still runs.
    pub fn runs(&self) -> bool {
        Self::running(self.id.as_raw_nonzero().get()).is_some_and(|now| now.began == self.began)
    }

    /// Ends it at once.
    pub fn kill(&self) {
        // It may have ended in the meantime.
        let _ = kill_process(self.id, Signal::KILL);
    }
}

/// Makes this process the parent of all that its descendants leave behind.
pub fn adopt_descendants() {
    // Without it, only what stays in the program's process group is ended with it.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Kills all descendants of this process, and waits until they have ended. Returns whether they have, within this time.
pub fn end_descendants(within: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let left: Vec<Process> = children().into_iter().filter(|child| !child.has_ended).collect();
        if left.is_empty() {
            return true;
        }
        if begun.elapsed() > within {
            return false;
        }
        left.iter().for_each(Process::kill);
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Takes note of the end of adopted processes, so that they do not fill the table of processes; that of `program` is asked for elsewhere.
pub fn bury(program: u32) {
    let adopted = children()
        .into_iter()
        .filter(|child| child.id.as_raw_nonzero().get().cast_unsigned() != program);
    for child in adopted.filter(|child| child.has_ended) {
        let _ = waitpid(Some(child.id), WaitOptions::NOHANG);
    }
}

/// The children of this process, those that have ended included.
fn children() -> Vec<Process> {
    let this = std::process::id().cast_signed();
    let Some(ids) = listed_children("self") else {
        return children_of(this).collect();
    };
    ids.into_iter()
        .filter_map(Process::of)
        .filter(|child| child.parent == this)
        .collect()
}

/// The children of any process. Empty on systems without `/proc`.
pub fn children_of(id: i32) -> impl Iterator<Item = Process> {
    all().filter(move |process| process.parent == id)
}

/// The memory that this process and all its descendants use, in bytes: what each has for itself, and the largest part that one shares with
/// others. Pages of files do not count, since the system frees them when it needs memory. `None` on systems without `/proc`.
pub fn memory_with_descendants() -> Option<u64> {
    let (mut own, mut shared) = (0, 0);
    let mut open = vec![std::process::id().cast_signed()];
    while let Some(id) = open.pop() {
        // One that has ended since it was listed.
        let Some(used) = memory_of(id) else { continue };
        own += used.own;
        shared = used.shared.max(shared);
        open.extend(listed_children(&id.to_string()).unwrap_or_default());
    }
    (own > 0).then_some(own + shared)
}

/// The memory of this process, in bytes, as [`memory_with_descendants`] counts it.
pub fn memory_in_use() -> Option<u64> {
    memory_of(std::process::id().cast_signed()).map(|used| used.own + used.shared)
}

/// The memory of one process, in bytes.
struct UsedMemory {
    own: u64,
    shared: u64,
}

fn memory_of(id: i32) -> Option<UsedMemory> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    Some(UsedMemory {
        own: kilobytes(&text, "RssAnon:")?,
        shared: kilobytes(&text, "RssShmem:").unwrap_or(0),
    })
}

/// A line `<name> <number> kB` of a text like `/proc/<number>/status`, in bytes.
pub fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// The numbers of the children of the threads of a process (`self`, or its number); `None` where the kernel does not list them.
fn listed_children(of: &str) -> Option<Vec<i32>> {
    let mut ids = Vec::new();
    for thread in fs::read_dir(format!("/proc/{of}/task")).ok()? {
        let Ok(thread) = thread else { continue };
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => ids.extend(text.split_whitespace().filter_map(|id| id.parse::<i32>().ok())),
            // The thread has ended since it was listed.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return None,
        }
    }
    Some(ids)
}

/// All processes of this machine. None on systems without `/proc`.
pub fn all() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?))
}

/// The processes that were started for the scratch folder `scratch`, have a file in it open for writing, or work in it without a terminal,
/// but for this one.
fn users_of(scratch: &Path) -> Vec<Process> {
    let this = std::process::id().cast_signed();
    let others = all().filter(|process| process.id.as_raw_nonzero().get() != this && !process.has_ended);
    others
        .filter(|process| was_started_for(process, scratch) || writes_below(process, scratch) || works_in(process, scratch))
        .collect()
}

/// Kills the processes of this user that were started for the scratch folder `scratch`, until there is none or the time has passed. Returns
/// whether there is none; `told` is called once for each.
pub fn end_users_of(scratch: &Path, within: Duration, mut told: impl FnMut(&Process)) -> bool {
    let (begun, mut known) = (Instant::now(), Vec::new());
    loop {
        let left = users_of(scratch);
        if left.is_empty() {
            return true;
        }
        if begun.elapsed() > within {
            return false;
        }
        for process in &left {
            if !known.contains(&process.id) {
                known.push(process.id);
                told(process);
            }
            process.kill();
        }
        std::thread::sleep(10 * LOOK_INTERVAL);
    }
}

/// Whether a process's environment has a scratch folder at or below `scratch`. Processes of other users cannot be asked.
fn was_started_for(process: &Process, scratch: &Path) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{}/environ", process.id)) else {
        return false;
    };
    let folder = scratch.as_os_str().as_bytes();
    let is_below = |variable: &[u8]| {
        let value = variable
            .strip_prefix(SCRATCH_VARIABLE.as_bytes())
            .and_then(|value| value.strip_prefix(b"="));
        let rest = value.and_then(|value| value.strip_prefix(folder));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    environment.split(|byte| *byte == 0).any(is_below)
}

/// Whether a process has a file below `folder` open for writing. A person who only looks at the files is left alone.
fn writes_below(process: &Process, folder: &Path) -> bool {
    let place = format!("/proc/{}", process.id);
    let opened = fs::read_dir(format!("{place}/fd")).into_iter().flatten().filter_map(Result::ok);
    opened
        .filter(|file| fs::read_link(file.path()).is_ok_and(|path| path.starts_with(folder)))
        .any(|file| {
            let about = fs::read_to_string(format!("{place}/fdinfo/{}", file.file_name().to_string_lossy()));
            about.is_ok_and(|about| is_open_for_writing(&about))
        })
}

/// Whether a process that no person has at a terminal is in the folder, or was told a path in it and is held by a sandbox: it may open files
/// there at any time.
fn works_in(process: &Process, folder: &Path) -> bool {
    if process.has_terminal {
        return false;
    }
    let place = format!("/proc/{}", process.id);
    if fs::read_link(format!("{place}/cwd")).is_ok_and(|path| path.starts_with(folder)) {
        return true;
    }
    let words = fs::read(format!("{place}/cmdline")).unwrap_or_default();
    names(&words, folder) && fs::read_to_string(format!("{place}/status")).is_ok_and(|status| status.contains("NoNewPrivs:\t1"))
}

/// Whether the words of a process name the folder, or something in it.
fn names(words: &[u8], folder: &Path) -> bool {
    let folder = folder.as_os_str().as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    words
        .windows(folder.len().max(1))
        .enumerate()
        .any(|(start, part)| part == folder && is_end(words.get(start + part.len())))
}

/// Whether a text like `/proc/<number>/fdinfo/<file>` tells of writing.
fn is_open_for_writing(about: &str) -> bool {
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & 0o3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_of_its_number() {
        let this = Process::this().unwrap();
        assert!(this.runs());
        let other = Process {
            began: this.began + 1,
            ..this
        };
        assert!(!other.runs());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id().cast_signed()).unwrap();
        assert!(process.runs());
        process.kill();
        // Until its status is asked for, it is a zombie.
        while process.runs() {
            std::thread::sleep(LOOK_INTERVAL);
        }
        child.wait().unwrap();
    }

    #[test]
    fn the_memory_of_descendants_counts() {
        // In this order: the first look at `/proc` takes some memory itself.
        let (alone, before) = (memory_in_use().unwrap(), memory_with_descendants().unwrap());
        assert!(alone > 1 << 20 && before >= alone, "{alone} {before}");
        // A shell whose variable has 64 MB, in a process below another one.
        let script = "sh -c 'x=$(head -c 64000000 /dev/zero | tr \\\\0 a); echo ready; sleep 60; echo ${#x}'; :";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let after = memory_with_descendants().unwrap();
        for process in children_of(child.id().cast_signed()) {
            children_of(process.id.as_raw_nonzero().get()).for_each(|process| process.kill());
            process.kill();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(after > before + 60_000_000, "{before} {after}");
    }

    #[test]
    fn writers_are_told_from_readers() {
        assert!(is_open_for_writing("pos:\t0\nflags:\t0100001\nmnt_id:\t29\n"));
        assert!(is_open_for_writing("pos:\t0\nflags:\t02\n"));
        assert!(!is_open_for_writing("pos:\t0\nflags:\t0100000\n"));
        assert!(!is_open_for_writing(""));
    }

    #[test]
    fn the_words_of_a_process_name_a_folder() {
        let folder = Path::new("/s/scratch/ab12");
        let named = |words: &[u8]| names(words, folder);
        assert!(named(b"sh\0-c\0while :; do echo >> /s/scratch/ab12/kept/ckpt; done\0"));
        assert!(named(b"tool\0--out=/s/scratch/ab12\0") && named(b"/s/scratch/ab12"));
        assert!(!named(b"tool\0/s/scratch/ab123/kept\0") && !named(b"") && !named(b"tool\0/s/scratch"));
    }

    #[test]
    fn a_process_is_found_by_its_scratch_folder() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("key");
        let other = folder.path().join("key2");
        fs::create_dir_all(&scratch).unwrap();
        fs::create_dir_all(&other).unwrap();
        let start = |command: &mut std::process::Command| command.arg("60").spawn().unwrap();
        let mut ours = start(std::process::Command::new("sleep").env("RUNNER_SCRATCH", scratch.join("kept")));
        let mut theirs = start(std::process::Command::new("sleep").env("RUNNER_SCRATCH", other.join("kept")));
        let writes = fs::File::create(scratch.join("log")).unwrap();
        let mut writer = start(std::process::Command::new("sleep").env_clear().stdout(writes));
        let reads = fs::File::open(scratch.join("log")).unwrap();
        let mut reader = start(std::process::Command::new("sleep").env_clear().stdin(reads));
        // It has nothing of the stage but its folder.
        let mut inside = start(std::process::Command::new("sleep").env_clear().current_dir(&scratch));
        let has_terminal = Process::of(inside.id().cast_signed()).unwrap().has_terminal;
        let mut found: Vec<u32> = users_of(&scratch)
            .iter()
            .map(|process| process.id.as_raw_nonzero().get().cast_unsigned())
            .collect();
        found.sort_unstable();
        let mut expected = vec![ours.id(), writer.id()];
        if !has_terminal {
            expected.push(inside.id());
        }
        expected.sort_unstable();
        for child in [&mut ours, &mut theirs, &mut writer, &mut reader, &mut inside] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found, expected);
    }
}
