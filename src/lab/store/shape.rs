//! The shape of a folder: the paths and sizes of everything in it, as one number, for a quick check that nothing is missing.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

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
        match shape.add_folder(CWD, path.as_os_str().as_bytes(), &mut Vec::new()) {
            Ok(is_plain) => Ok(is_plain.then_some(shape)),
            // Perhaps something in it, which was removed just now. The last is a link.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds everything in the folder `at` of another folder; `name` is its path in the artifact. Returns whether all of it may be in an
    /// artifact.
    ///
    /// A run of hits does this for every folder, so it makes no more system calls than it must.
    fn add_folder(&mut self, above: BorrowedFd<'_>, at: &[u8], name: &mut Vec<u8>) -> Result<bool, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(above, at, flags, Mode::empty())?;
        let (length, mut is_empty) = (name.len(), true);
        let mut is_plain = true;
        each_entry(folder.as_fd(), |entry| {
            is_empty = false;
            if length > 0 {
                name.push(b'/');
            }
            name.extend_from_slice(entry.to_bytes());
            let about = rustix::fs::statat(&folder, entry, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(about.st_mode) {
                FileType::RegularFile => self.add_file(name, about.st_size.cast_unsigned()),
                FileType::Directory => is_plain &= self.add_folder(folder.as_fd(), entry.to_bytes(), name)?,
                _ => is_plain = false,
            }
            name.truncate(length);
            Ok(())
        })?;
        if is_empty && length > 0 {
            self.add_empty_folder(name);
        }
        Ok(is_plain)
    }

    pub(super) fn add_file(&mut self, path: &[u8], bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.add(path, &bytes.to_le_bytes());
    }

    pub(super) fn add_empty_folder(&mut self, path: &[u8]) {
        self.add(path, b"/");
    }

    fn add(&mut self, path: &[u8], size: &[u8]) {
        // At once: to begin a hash and add to it takes longer than the hash of so few bytes.
        let text = [path, b"\0", size].concat();
        let [first, second, third, fourth, ..] = *blake3::hash(&text).as_bytes();
        self.sum = self.sum.wrapping_add(u32::from_le_bytes([first, second, third, fourth]));
    }

    /// The number.
    pub(super) fn number(&self) -> u32 {
        self.sum
    }
}

/// Calls `act` with the name of everything in a folder.
#[cfg(target_os = "linux")]
fn each_entry(folder: BorrowedFd<'_>, mut act: impl FnMut(&CStr) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 2048];
    let mut entries = rustix::fs::RawDir::new(folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            act(entry.file_name())?;
        }
    }
    Ok(())
}

/// Calls `act` with the name of everything in a folder.
#[cfg(not(target_os = "linux"))]
fn each_entry(folder: BorrowedFd<'_>, mut act: impl FnMut(&CStr) -> Result<(), Errno>) -> Result<(), Errno> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            act(entry.file_name())?;
        }
    }
    Ok(())
}
