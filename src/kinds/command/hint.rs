//! What the log of a failed program tells of the sandbox: what it was refused, and how that is allowed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::sandbox::Sandbox;

/// The part of the log that is looked at.
const TAIL_LENGTH: u64 = 16 << 10;

/// The words with which programs say that the system refused something.
const REFUSALS: [&str; 5] = ["permission denied", "permissionerror", "eacces", "cross-device link", "exdev"];

/// The words of a line with which programs of containers say that they may not mount.
const NO_MOUNT: &str = "operation not permitted";
const MOUNTS: [&str; 5] = ["mount", "namespace", "pivot", " private", " slave"];

/// The words with which Python says that it finds no module: it does not tell one that it may not read from one that is not there.
const NO_MODULE: &str = "ModuleNotFoundError";

/// The advice for a program that failed, if its log says that it was refused a file that the sandbox does not allow. `folder` is the one in
/// which the program ran.
pub(super) fn hint(sandbox: &Sandbox, folder: &Path) -> Option<String> {
    advice(sandbox, folder, &tail()?)
}

/// The end of the log, which is what this process writes errors to.
fn tail() -> Option<String> {
    let mut log = File::open("/proc/self/fd/2").ok()?;
    let about = log.metadata().ok()?;
    if !about.is_file() {
        return None;
    }
    log.seek(SeekFrom::Start(about.len().saturating_sub(TAIL_LENGTH))).ok()?;
    let mut tail = Vec::new();
    log.take(TAIL_LENGTH).read_to_end(&mut tail).ok()?;
    Some(String::from_utf8_lossy(&tail).into_owned())
}

fn advice(sandbox: &Sandbox, folder: &Path, log: &str) -> Option<String> {
    let is_refusal = |line: &&str| {
        let line = line.to_lowercase();
        REFUSALS.iter().any(|word| line.contains(word))
    };
    let refused: Vec<&str> = log.lines().filter(is_refusal).collect();
    let paths = || refused.iter().flat_map(|line| paths_in(line, folder));
    let lists = |held: &str| format!("the sandbox held the program to its own files (`sandbox = \"{held}\"`): ");
    let held = sandbox.held_by();
    let is_held = matches!(held, "writes" | "reads");
    if let Some(path) = paths().find(|path| !sandbox.may_read(path) && is_open_to_user(path, Access::READ_OK)) {
        return Some(format!(
            "{}it may not read {}, which the stage does not declare; bring it in as an input, as a `source`, or as a file among the words of `run`",
            lists(held),
            path.display()
        ));
    }
    let is_link = |line: &&&str| ["cross-device", "exdev"].iter().any(|word| line.to_lowercase().contains(word));
    if let (Some(line), true) = (refused.iter().find(is_link), is_held) {
        let from = paths_in(line, folder)
            .into_iter()
            .find(|path| path.exists() && !sandbox.may_write(path));
        let file = from.map_or_else(|| "a file from elsewhere".to_owned(), |path| path.display().to_string());
        return Some(format!(
            "{}{file} cannot be linked into its folders, where it could be written to; copy it",
            lists(held)
        ));
    }
    if let Some(path) = paths().find(|path| sandbox.is_input(path)) {
        return Some(format!(
            "inputs are read only, and so is their folder ({}); work on a copy",
            path.display()
        ));
    }
    let is_writable = |path: &PathBuf| {
        let place = if path.exists() { Some(path.as_path()) } else { path.parent() };
        place.is_some_and(|place| is_open_to_user(place, Access::WRITE_OK))
    };
    if let Some(path) = paths().find(|path| !sandbox.may_write(path) && is_writable(path)) {
        return Some(format!(
            "{}it may not write to {}; write to an output or to RUNNER_SCRATCH, or allow it in the settings: `writes = [\"{}\"]`",
            lists(held),
            path.display(),
            // Only what is there can be allowed.
            path.ancestors().find(|path| path.exists()).unwrap_or(&path).display()
        ));
    }
    if held == "reads" && refused.is_empty() && log.contains(NO_MODULE) {
        return Some(format!(
            "{}if the module is installed, its folder is not one that the program may read; start it with the `python` of its environment, \
             or put its `bin` first in PATH (`env = {{ PATH = \"…\" }}`)",
            lists(held)
        ));
    }
    let is_mount = |line: &str| {
        let line = line.to_lowercase();
        line.contains(NO_MOUNT) && MOUNTS.iter().any(|word| line.contains(word))
    };
    if is_held && log.lines().any(is_mount) {
        return Some(format!(
            "{}no program in the sandbox may mount folders, as containers do; name the container's program in an environment or first in \
             `run`, or set `sandbox = \"off\"`",
            lists(held)
        ));
    }
    // What was refused may not be named. What is named, and is no matter of the sandbox, was refused for another reason.
    (is_held && !refused.is_empty() && paths().next().is_none()).then(|| {
        format!(
            "{}if that refused what its log tells of, the settings `writes` and `sandbox` allow more",
            lists(held)
        )
    })
}

/// Whether the user may do so, without the sandbox.
fn is_open_to_user(path: &Path, access: Access) -> bool {
    rustix::fs::access(path, access).is_ok()
}

/// The paths that a line of a log names, as the program sees them.
fn paths_in(line: &str, folder: &Path) -> Vec<PathBuf> {
    let is_end = |c: char| c.is_whitespace() || "'\"`:,;()[]<>=‘’“”".contains(c);
    let words = line.split(is_end).filter(|word| word.contains('/') && word.len() > 1);
    words.map(|word| folder.join(word.trim_end_matches(['.', '/']))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_between_quotes_and_colons() {
        let found = |line: &str| {
            let paths = paths_in(line, Path::new("/work"));
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("PermissionError: [Errno 13] Permission denied: '/data/a.csv'"), "/data/a.csv");
        assert_eq!(found("sh: 1: cannot create /data/out.txt: Permission denied"), "/data/out.txt");
        assert_eq!(found("cat: ../x/y: Permission denied"), "/work/../x/y");
        assert_eq!(
            found("sed: couldn't open temporary file ‘/a/b/sedX’: Permission denied"),
            "/a/b/sedX"
        );
        assert_eq!(found("Permission denied"), "");
    }
}
