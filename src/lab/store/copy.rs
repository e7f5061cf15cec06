//! Copies of files and folders, which nobody else has open.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use walkdir::WalkDir;

use super::StoreError;
use super::tmp::remove_folder;

/// Copies the file or folder at `from` to `to`, which must not exist.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let inside = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let target = if inside.as_os_str().is_empty() {
            to.to_owned()
        } else {
            to.join(inside)
        };
        if entry.file_type().is_dir() {
            std::fs::create_dir(&target)?;
        } else {
            copy_file(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Removes unused work at `path`, if there is any.
pub(super) fn discard(path: &Path) {
    // If this fails, the whole workspace is removed later.
    let _ = if path.is_dir() {
        remove_folder(path)
    } else {
        std::fs::remove_file(path)
    };
}

/// Fails if an artifact contains links, whose targets may change or disappear, or other files without content.
pub(super) fn refuse_links(path: &Path) -> Result<(), StoreError> {
    for entry in WalkDir::new(path).follow_root_links(false) {
        let entry = entry.map_err(|error| StoreError::io("read", path)(error.into()))?;
        if !(entry.file_type().is_file() || entry.file_type().is_dir()) {
            return Err(StoreError::NoFile { path: entry.into_path() });
        }
    }
    Ok(())
}

/// Copies a file to a new one, which is executable if the old one is. Shares its blocks if the file system supports that.
pub(super) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    // A program that still runs may have put a link or a pipe in its place.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let mut source = File::options().read(true).custom_flags(flags.cast_signed()).open(from)?;
    let about = source.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    let mode = if is_executable(&about) { 0o777 } else { 0o666 };
    let mut target = File::options().write(true).create_new(true).mode(mode).open(to)?;
    if shares_blocks(&target, &source) {
        return Ok(());
    }
    io::copy(&mut source, &mut target).map(drop)
}

/// Has a new file share the blocks of another. Returns whether the file system can.
pub fn shares_blocks(target: &File, source: &File) -> bool {
    #[cfg(target_os = "linux")]
    let is_shared = rustix::fs::ioctl_ficlone(target, source).is_ok();
    #[cfg(not(target_os = "linux"))]
    let is_shared = {
        let _ = (target, source);
        false
    };
    is_shared
}

/// Replaces the files at `path` that have other names, or belong to other users, by copies.
pub(super) fn separate(path: &Path, folders: &Permissions) -> Result<(), StoreError> {
    // A file server may call this user by another number, so that of this process does not tell.
    let workspace = path.parent().unwrap_or(path);
    let user = std::fs::metadata(workspace).map_err(StoreError::io("read", workspace))?.uid();
    for entry in WalkDir::new(path).follow_root_links(false) {
        let entry = entry.map_err(|error| StoreError::io("read", path)(error.into()))?;
        let file = entry.path();
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(StoreError::NoFile { path: entry.into_path() });
        }
        let about = entry.metadata().map_err(|error| StoreError::io("read", file)(error.into()))?;
        if about.nlink() > 1 || about.uid() != user {
            replace_by_copy(file, path, folders).map_err(StoreError::io("copy", file))?;
        }
    }
    Ok(())
}

/// Replaces a file of the folder `whole`, or the file `whole` itself, by a copy, and leaves its other names alone.
fn replace_by_copy(file: &Path, whole: &Path, folders: &Permissions) -> io::Result<()> {
    let folder = file.parent().unwrap_or(whole);
    if file != whole {
        // The program may have made its folder read-only.
        std::fs::set_permissions(folder, folders.clone())?;
    }
    let copied = tempfile::Builder::new()
        .prefix(".copy")
        .tempdir_in(whole.parent().unwrap_or(folder))?;
    let copied = copied.path().join("file");
    copy_file(file, &copied)?;
    std::fs::rename(&copied, file)
}

/// Whether anybody may execute a file.
pub(super) fn is_executable(about: &Metadata) -> bool {
    about.permissions().mode() & 0o111 != 0
}

/// Makes a file executable.
pub(super) fn make_executable(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(0o755))
}
