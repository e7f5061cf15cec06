//! Files beside artifacts and records that nobody needs: folders of old runs, checkpoints of stages that never ended, downloaded sources.

use std::path::{Path, PathBuf};
use std::time::Duration;

use walkdir::WalkDir;

use super::{Store, StoreError, atomic, tmp};
use crate::hash::Digest;

/// The kind of a leftover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// A run's events and logs.
    Run,
    /// The checkpoint of a stage that was stopped.
    Checkpoint,
    /// A source, which is downloaded again when it is needed.
    Download,
}

/// A folder in which nothing has changed for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    pub kind: LeftoverKind,
    pub bytes: u64,
    path: PathBuf,
}

impl Store {
    /// The leftovers of at least this age. The folder of a run or stage in progress is never a leftover.
    pub(super) fn leftovers(&self, age: Duration) -> Vec<Leftover> {
        let mut found = Vec::new();
        for (kind, part) in [
            (LeftoverKind::Run, "runs"),
            (LeftoverKind::Checkpoint, "scratch"),
            (LeftoverKind::Download, "sources"),
        ] {
            let entries = std::fs::read_dir(self.root.join(part)).into_iter().flatten().filter_map(Result::ok);
            for path in entries.map(|entry| entry.path()) {
                if self.is_leftover(kind, &path, age) {
                    let bytes = bytes(&path);
                    found.push(Leftover { kind, bytes, path });
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    fn is_leftover(&self, kind: LeftoverKind, path: &Path, age: Duration) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_used = match kind {
            LeftoverKind::Run => self.root.join("uses").join(name.as_ref()).exists(),
            LeftoverKind::Checkpoint => name.parse::<Digest>().is_ok_and(|key| self.is_held(&key)),
            LeftoverKind::Download => false,
        };
        // If the age is unknown, the folder stays.
        !is_used && tmp::age(&self.root.join("tmp"), path).is_ok_and(|found| found >= age)
    }

    /// Removes a leftover, unless it is needed by now. Returns whether it did.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(super) fn remove_leftover(&self, leftover: &Leftover, age: Duration) -> Result<bool, StoreError> {
        let path = &leftover.path;
        if !self.is_leftover(leftover.kind, path, age) {
            return Ok(false);
        }
        // By a rename, so that nobody finds half of it.
        let workspace = self.workspace()?;
        match atomic::rename(path, &workspace.path().join("removed")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            moved => moved.map(|()| true).map_err(StoreError::io("remove", path)),
        }
    }
}

fn bytes(path: &Path) -> u64 {
    let files = WalkDir::new(path).into_iter().filter_map(Result::ok);
    let sizes = files.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file);
    sizes.map(|about| about.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::store::Acquired;

    const DAY: Duration = Duration::from_secs(86400);

    fn leave(store: &Store, part: &str, name: &str, days: u32) {
        let folder = store.root.join(part).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("file"), "1234").unwrap();
        for path in [folder.join("file"), folder] {
            std::fs::File::open(path)
                .unwrap()
                .set_modified(SystemTime::now() - DAY * days)
                .unwrap();
        }
    }

    #[test]
    fn only_old_folders_of_ended_processes_are_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let [held, free] = [Digest::of(b"held"), Digest::of(b"free")];
        leave(&store, "runs", "ended", 3);
        leave(&store, "runs", "young", 1);
        leave(&store, "runs", "alive", 3);
        leave(&store, "scratch", &held.to_string(), 3);
        leave(&store, "scratch", &free.to_string(), 3);
        leave(&store, "sources", &free.to_string(), 3);
        let _run = store.protect_for_run("alive", &[]).unwrap();
        let Acquired::Mine(_lease) = store.lease(&held, 0).unwrap() else {
            panic!("nobody else has it");
        };
        let found = store.leftovers(DAY * 2);
        let kinds: Vec<(LeftoverKind, u64)> = found.iter().map(|leftover| (leftover.kind, leftover.bytes)).collect();
        assert_eq!(
            kinds,
            [(LeftoverKind::Run, 4), (LeftoverKind::Checkpoint, 4), (LeftoverKind::Download, 4)]
        );
        // In the meantime its run has continued.
        std::fs::write(found[0].path.join("events"), "1").unwrap();
        let removed: Vec<bool> = found
            .iter()
            .map(|leftover| store.remove_leftover(leftover, DAY * 2).unwrap())
            .collect();
        assert_eq!(removed, [false, true, true]);
        assert_eq!(store.leftovers(Duration::ZERO).len(), 2, "the runs that are not alive");
    }
}
