//! What a run tells others: `runs/<run>/status.json`. The file's time is the run's heartbeat.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lease::LeaseHolder;
use super::process::{host, namespace};
use super::{Store, StoreError, atomic, tmp};

/// The name of the file in the folder of a run.
const STATUS: &str = "status.json";

/// A run may be alive that began before so many others, since it is then listed in `uses` too.
const RECENT: usize = 200;

/// The process of a run, told from others of its number, also by other hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunHolder(LeaseHolder);

/// The file in which a run tells others how it is.
#[derive(Clone, Debug)]
pub struct RunFile {
    tmp: PathBuf,
    path: PathBuf,
}

/// What a run has told last.
#[derive(Clone, Debug)]
pub struct RunFileText {
    pub bytes: Vec<u8>,
    tmp: PathBuf,
    path: PathBuf,
}

impl Store {
    /// The file of the run `run`. Its folder is made.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn run_file(&self, run: &str) -> Result<RunFile, StoreError> {
        Ok(RunFile {
            tmp: self.root.join("tmp"),
            path: self.run_folder(run)?.join(STATUS),
        })
    }

    /// What the run `run` has told last; `None` if it has told nothing.
    pub fn read_run_file(&self, run: &str) -> Option<RunFileText> {
        let path = self.run_path(run).join(STATUS);
        let (bytes, tmp) = (std::fs::read(&path).ok()?, self.root.join("tmp"));
        Some(RunFileText { bytes, tmp, path })
    }

    /// The folder of a run, whether it exists or not.
    pub fn run_path(&self, run: &str) -> PathBuf {
        self.root.join("runs").join(run)
    }

    /// The names of all runs, the newest last.
    pub fn runs(&self) -> Vec<String> {
        names(&self.root.join("runs"))
    }

    /// The names of the runs that may be alive, and of the newest: each is looked at, and there may be thousands of old ones.
    pub fn recent_runs(&self) -> Vec<String> {
        let mut runs = self.runs();
        let old = runs.len().saturating_sub(RECENT);
        let mut recent = runs.split_off(old);
        let used = names(&self.root.join("uses"));
        recent.extend(used.into_iter().filter(|run| runs.binary_search(run).is_ok()));
        recent.sort();
        recent
    }

    /// Whether the process of a run is alive that has told this: by its number on this host, else by the age of what it told.
    pub fn is_run_alive(&self, holder: &RunHolder, told: &RunFileText) -> bool {
        holder.0.is_alive(&self.root.join("tmp"), &told.path)
    }
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn own_age(path: &Path) -> io::Result<Duration> {
    let modified = std::fs::metadata(path)?.modified()?;
    Ok(std::time::SystemTime::now().duration_since(modified).unwrap_or_default())
}

impl RunFileText {
    /// How long ago the run has told this, by the clock of the file server.
    pub fn age(&self) -> Duration {
        let age = tmp::age(&self.tmp, &self.path);
        // In a store that may only be read, the clock of this host stands for that of the file server.
        age.or_else(|_| own_age(&self.path)).unwrap_or_default()
    }
}

impl RunFile {
    /// Replaces what the run tells. It is not synced: a power failure ends the run too.
    ///
    /// # Errors
    /// If it cannot be written. Then the file is as before.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        atomic::write_unsynced(&self.tmp, &self.path, bytes)
    }
}

impl RunHolder {
    /// This process.
    pub fn this_process() -> Self {
        Self(LeaseHolder::this_process(0))
    }

    /// The name of its host.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Its number.
    pub fn process(&self) -> u32 {
        self.0.process
    }

    /// Whether it is a process of this host, whose number means the same here.
    pub fn is_here(&self) -> bool {
        self.0.host == host() && self.0.namespace == namespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_run_is_told_from_one_that_lives() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(store.read_run_file("a").is_none());
        store.run_file("a").unwrap().write(b"hello").unwrap();
        let told = store.read_run_file("a").unwrap();
        assert_eq!(told.bytes, b"hello");
        let this = RunHolder::this_process();
        assert!(this.is_here() && store.is_run_alive(&this, &told));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut dead = this.clone();
        dead.0.process = child.id();
        assert!(!store.is_run_alive(&dead, &told));
        // Of another host nothing is known but the heartbeat.
        let mut elsewhere = dead;
        elsewhere.0.host = "elsewhere".to_owned();
        assert!(!elsewhere.is_here() && store.is_run_alive(&elsewhere, &told));
        let file = std::fs::File::options().write(true).open(&told.path);
        let past = std::time::SystemTime::now() - 2 * super::super::lease::LEASE_EXPIRY;
        file.unwrap_or_else(|_| std::fs::File::open(&told.path).unwrap())
            .set_modified(past)
            .unwrap();
        assert!(!store.is_run_alive(&elsewhere, &told));
        assert!(store.read_run_file("a").unwrap().age() >= super::super::lease::LEASE_EXPIRY);
    }

    #[test]
    fn what_may_live_is_among_the_recent_runs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (0..300).for_each(|k| drop(store.run_file(&format!("2026-{k:03}")).unwrap()));
        let _old = store.protect_for_run("2026-007", &[]).unwrap();
        let _rerun = store.protect_for_run("rerun-x", &[]).unwrap();
        let recent = store.recent_runs();
        assert_eq!(
            (recent.len(), recent[0].as_str(), recent[1].as_str()),
            (201, "2026-007", "2026-100")
        );
        assert_eq!(recent.last().unwrap(), "2026-299");
    }
}
