//! What there is in the folder of a program before it begins.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// What there is in the folder of a program before it begins: its files, and links to its inputs. Unchanged, it is no output that a
/// pattern finds.
pub(super) struct FilesBefore(BTreeMap<PathBuf, Option<FileState>>);

/// What changes when a file is written.
type FileState = (u64, u64, i64, i64);

fn state(about: &Metadata) -> Option<FileState> {
    about
        .is_file()
        .then(|| (about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}

impl FilesBefore {
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in WalkDir::new(folder).min_depth(1) {
            let entry = entry?;
            let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            files.insert(path.to_owned(), state(&entry.metadata()?));
        }
        Ok(Self(files))
    }

    /// Whether what is at `path`, from `folder`, was there before.
    pub(super) fn has(&self, folder: &Path, path: &Path) -> bool {
        let now = || fs::symlink_metadata(folder.join(path)).ok().and_then(|about| state(&about));
        self.0.get(path).is_some_and(|before| *before == now())
    }
}
