//! The origin of a run, for the records of its stages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::hash;
use crate::store::{Code, Provenance};

/// The origin of a run, as the command line knows it.
#[derive(Clone, Debug, Default)]
pub struct RunOrigin {
    /// The experiment's file.
    pub experiment: PathBuf,
    /// The program of the workers: a path that leads to the same build whatever becomes of the file it was started from.
    pub program: PathBuf,
    /// The user's name.
    pub user: String,
}

impl RunOrigin {
    /// The provenance that all records of the run share. It takes as long as `git status`, so it is computed when the first stage starts.
    pub(super) fn provenance(&self) -> Provenance {
        Provenance {
            user: self.user.clone(),
            code: repository_state(&self.experiment),
            // Of the very file that runs, which another one may have replaced under its name: no cache knows it by its path. No reason to
            // fail: a program that cannot be read may still run.
            build: hash::file(&self.program).ok(),
            ..Provenance::default()
        }
    }
}

/// The state of the repository that contains `file`; `None` without a repository or without `git`.
fn repository_state(file: &Path) -> Option<Code> {
    let file = file.canonicalize().ok()?;
    let status = git(&file, &["status", "--porcelain=v2", "--branch", "--untracked-files=no"])?;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    let commit = text.lines().find_map(|line| line.strip_prefix("# branch.oid "))?;
    let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_changed = text.lines().any(|line| !line.starts_with('#'));
    let name = file.file_name()?.to_str()?;
    let is_known = || git(&file, &["ls-files", "--error-unmatch", "--", name]).is_some();
    is_commit.then(|| Code {
        commit: commit.to_owned(),
        dirty: is_changed || !is_known(),
    })
}

/// The output of a git command in the folder of `file`; `None` when it fails. Changes no files, and starts no program that the
/// repository's configuration names.
fn git(file: &Path, words: &[&str]) -> Option<Output> {
    let output = Command::new("git")
        .arg("-C")
        .arg(file.parent()?)
        .args(["-c", "core.fsmonitor=false"])
        .args(words)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_clean_until_something_differs_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        std::fs::write(&file, "a").unwrap();
        let run = |words: &[&str]| {
            let name = ["-c", "user.name=n", "-c", "user.email=n@example.org"];
            let mut command = Command::new("git");
            let command = command.arg("-C").arg(folder.path()).args(name).args(words).stdout(Stdio::null());
            command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        assert!(run(&["init"]), "this test needs git");
        assert_eq!(repository_state(&file), None, "there is no commit yet");
        assert!(run(&["add", "x.toml"]) && run(&["commit", "-m", "one"]));
        let clean = repository_state(&file).unwrap();
        assert!(!clean.dirty && clean.commit.len() == 40, "{clean:?}");
        std::fs::write(folder.path().join("cache"), "what is not in the repository does not count").unwrap();
        assert_eq!(repository_state(&file), Some(clean.clone()));
        let other = folder.path().join("y.toml");
        std::fs::write(&other, "an experiment that nobody can find again").unwrap();
        assert!(repository_state(&other).unwrap().dirty);
        std::fs::write(&file, "b").unwrap();
        assert_eq!(repository_state(&file), Some(Code { dirty: true, ..clean }));
    }
}
