//! The shape of a folder: the paths and sizes of everything in it, as one number, for a quick check that nothing is missing.

use std::fs::DirEntry;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Adds up a number for each file and empty folder, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    sum: u32,
    /// The size of all files.
    pub bytes: u64,
}

impl Shape {
    /// The shape of the folder at `path`, read without opening its files. `None` if there is no folder, or if it has something in it that no
    /// artifact has.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        let mut shape = Self::default();
        let read = std::fs::read_dir(path).and_then(|entries| shape.add_folder(entries, &mut Vec::new()));
        match read {
            Ok(is_plain) => Ok(is_plain.then_some(shape)),
            // Perhaps something in it, which was removed just now.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds everything in a folder, whose path in the artifact is `name`. Returns whether all of it may be in an artifact.
    fn add_folder(&mut self, entries: std::fs::ReadDir, name: &mut Vec<u8>) -> io::Result<bool> {
        let (length, mut is_empty) = (name.len(), true);
        for entry in entries {
            let entry: DirEntry = entry?;
            is_empty = false;
            if length > 0 {
                name.push(b'/');
            }
            name.extend_from_slice(entry.file_name().as_bytes());
            // Not that of a link's target.
            let about = entry.metadata()?;
            if about.is_file() {
                self.add_file(name, about.len());
            } else if !(about.is_dir() && self.add_folder(std::fs::read_dir(entry.path())?, name)?) {
                return Ok(false);
            }
            name.truncate(length);
        }
        if is_empty && length > 0 {
            self.add_empty_folder(name);
        }
        Ok(true)
    }

    pub(super) fn add_file(&mut self, path: &[u8], bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.add(path, &bytes.to_le_bytes());
    }

    pub(super) fn add_empty_folder(&mut self, path: &[u8]) {
        self.add(path, b"/");
    }

    fn add(&mut self, path: &[u8], size: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(path).update(b"\0").update(size);
        let [first, second, third, fourth, ..] = *hasher.finalize().as_bytes();
        self.sum = self.sum.wrapping_add(u32::from_le_bytes([first, second, third, fourth]));
    }

    /// The number.
    pub(super) fn number(&self) -> u32 {
        self.sum
    }
}
