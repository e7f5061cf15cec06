//! Files that appear whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use super::work;

/// Writes `bytes` to `path`: a temporary file in `tmp` (same file system), synced, then renamed, then its folder synced. A reader
/// sees the old content or the new, and after a power cut it is one of the two.
///
/// # Errors
/// When the file system says no; `path` is as it was.
pub fn write(tmp: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = temporary(tmp, bytes)?;
    file.as_file().sync_all()?;
    persist(file, path)
}

/// Writes `bytes` to `path` as [`write`] does, for what may be lost or cut in a power cut.
///
/// # Errors
/// When the file system says no; `path` is as it was.
pub fn write_unsynced(tmp: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = temporary(tmp, bytes)?;
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    file.persist(path).map(drop).map_err(|failure| failure.error)
}

/// Writes `bytes` to `path` if nothing is there. Returns whether it did.
///
/// # Errors
/// When the file system says no; `path` is as it was.
pub fn create(tmp: &Path, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = temporary(tmp, bytes)?;
    file.as_file().sync_all()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    match std::fs::hard_link(file.path(), path) {
        Ok(()) => sync_folder(folder).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes many files, each as [`write`] does, with two syncs of the file system instead of two for each.
///
/// # Errors
/// When the file system says no; each path is as it was or as it should be.
pub fn write_all(tmp: &Path, files: &[(std::path::PathBuf, Vec<u8>)]) -> io::Result<()> {
    let temporary: io::Result<Vec<NamedTempFile>> = files.iter().map(|(_, bytes)| temporary(tmp, bytes)).collect();
    sync_all(tmp)?;
    for (file, (path, _)) in temporary?.into_iter().zip(files) {
        make_folder(path.parent().unwrap_or(Path::new(".")))?;
        file.persist(path).map_err(|failure| failure.error)?;
    }
    sync_all(tmp)
}

/// Gives a file the present time of the file server: another host's clock may be an hour off.
///
/// # Errors
/// When the file system says no.
pub fn touch(file: &File) -> io::Result<()> {
    let now = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    let times = rustix::fs::Timestamps {
        last_access: now,
        last_modification: now,
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

/// A read-only file that everybody may read who may enter the store's folders.
fn temporary(tmp: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = work::builder().tempfile_in(tmp)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(0o444))?;
    Ok(file)
}

/// Makes a folder, and those above it that are missing, each with the permissions of the folder that it is in, whatever the mask of
/// this process: so a group that may write to the store's folder may write to all of it.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().unwrap_or(Path::new("."));
    make_folder(above)?;
    match std::fs::create_dir(path) {
        Ok(()) => std::fs::set_permissions(
            path,
            Permissions::from_mode(std::fs::metadata(above)?.permissions().mode() & 0o7777),
        ),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    file.persist(path).map_err(|failure| failure.error)?;
    sync_folder(folder)
}

/// Makes renames in `folder` survive a power cut.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes everything written so far to the file system of `folder` survive a power cut.
///
/// # Errors
/// When it cannot be synced.
pub fn sync_all(folder: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(File::open(folder)?)?;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        rustix::fs::sync();
    }
    Ok(())
}
