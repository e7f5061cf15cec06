//! What stays in a store beside artifacts and records: the folders of runs, checkpoints of stages that never ended, downloaded sources.

use std::path::{Path, PathBuf};
use std::time::Duration;

use walkdir::WalkDir;

use super::{Store, StoreError, atomic, work};
use crate::hash::Digest;

/// What a leftover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A run's events and logs.
    Run,
    /// Where a stage was when it was stopped.
    Checkpoint,
    /// A source that is fetched again when it is needed.
    Download,
}

/// A folder that nothing has changed in for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    pub kind: Kind,
    pub bytes: u64,
    path: PathBuf,
}

impl Store {
    /// The leftovers of at least this age. Those of a run or stage that is going on are none, however quiet it is.
    pub(super) fn leftovers(&self, age: Duration) -> Vec<Leftover> {
        let mut found = Vec::new();
        for (kind, part) in [(Kind::Run, "runs"), (Kind::Checkpoint, "scratch"), (Kind::Download, "sources")] {
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

    fn is_leftover(&self, kind: Kind, path: &Path, age: Duration) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_used = match kind {
            Kind::Run => self.root.join("uses").join(name.as_ref()).exists(),
            Kind::Checkpoint => name.parse::<Digest>().is_ok_and(|key| self.is_held(&key)),
            Kind::Download => false,
        };
        // What cannot be looked at is left alone.
        !is_used && work::age(&self.root.join("tmp"), path).is_ok_and(|found| found >= age)
    }

    /// Removes a leftover that still is one. Returns whether it did.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn remove_leftover(&self, leftover: &Leftover, age: Duration) -> Result<bool, StoreError> {
        let path = &leftover.path;
        if !self.is_leftover(leftover.kind, path, age) {
            return Ok(false);
        }
        // At once, so that nobody finds half of it.
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
    fn what_is_old_and_of_nobody_alive_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let [held, free] = [Digest::of(b"held"), Digest::of(b"free")];
        leave(&store, "runs", "ended", 3);
        leave(&store, "runs", "young", 1);
        leave(&store, "runs", "alive", 3);
        leave(&store, "scratch", &held.to_string(), 3);
        leave(&store, "scratch", &free.to_string(), 3);
        leave(&store, "sources", &free.to_string(), 3);
        let _run = store.begin_use("alive", &[]).unwrap();
        let Acquired::Mine(_lease) = store.lease(&held, 0).unwrap() else {
            panic!("nobody else has it");
        };
        let found = store.leftovers(DAY * 2);
        let kinds: Vec<(Kind, u64)> = found.iter().map(|leftover| (leftover.kind, leftover.bytes)).collect();
        assert_eq!(kinds, [(Kind::Run, 4), (Kind::Checkpoint, 4), (Kind::Download, 4)]);
        // Its run has gone on in the meantime.
        std::fs::write(found[0].path.join("events"), "1").unwrap();
        let removed: Vec<bool> = found
            .iter()
            .map(|leftover| store.remove_leftover(leftover, DAY * 2).unwrap())
            .collect();
        assert_eq!(removed, [false, true, true]);
        assert_eq!(store.leftovers(Duration::ZERO).len(), 2, "the runs that are not alive");
    }
}
