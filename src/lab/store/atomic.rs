//! Writes files that appear complete or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

use super::tmp;

/// Writes `bytes` to `path`: to a temporary file in `tmp` (same file system), which is synced and renamed; then the folder is synced. A
/// reader sees the old content or the new one, also after a power failure.
///
/// # Errors
/// If the file system fails. Then `path` is unchanged.
pub fn write(tmp: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = temporary(tmp, bytes)?;
    file.as_file().sync_all()?;
    persist(&file, path)
}

/// Writes `bytes` to `path` as [`write`] does, but without syncing: a power failure may lose or truncate the file.
///
/// # Errors
/// If the file system fails. Then `path` is unchanged.
pub fn write_unsynced(tmp: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = temporary(tmp, bytes)?;
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    rename(file.path(), path)
}

/// Writes `bytes` to `path` unless it exists. Returns whether it did.
///
/// # Errors
/// If the file system fails. Then `path` is unchanged.
pub fn create(tmp: &Path, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = temporary(tmp, bytes)?;
    file.as_file().sync_all()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let is_new = link(file.path(), path)?;
    if is_new {
        sync_folder(folder)?;
    }
    Ok(is_new)
}

/// Renames `from` to `to`, and replaces a file there.
///
/// # Errors
/// If the file system fails, and `from` did not arrive at `to` ([`check_arrival`]).
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    check_arrival(from, to, || std::fs::rename(from, to))
}

/// Makes `to` another name of the file `from`, unless it exists. Returns whether it did.
///
/// # Errors
/// If the file system fails, and `to` is not that file ([`check_arrival`]).
pub fn link(from: &Path, to: &Path) -> io::Result<bool> {
    match check_arrival(from, to, || std::fs::hard_link(from, to)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file server may rename a file and its reply may be lost. The client then asks again, and gets an error: the file does not exist,
/// or the name is taken. So an error of `act` counts only if the file `what` did not arrive at `to`.
fn check_arrival(what: &Path, to: &Path, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let identity = |path: &Path| std::fs::symlink_metadata(path).map(|about| (about.dev(), about.ino()));
    let before = identity(what);
    match (act(), before) {
        (Err(_), Ok(before)) if identity(to).is_ok_and(|after| after == before) => Ok(()),
        (ended, _) => ended,
    }
}

/// Writes many files, each as [`write`] does, with two syncs of the file system instead of two for each file.
///
/// # Errors
/// If the file system fails. Then each file has its old or its new content.
pub fn write_all(tmp: &Path, files: &[(std::path::PathBuf, Vec<u8>)]) -> io::Result<()> {
    let temporary: io::Result<Vec<NamedTempFile>> = files.iter().map(|(_, bytes)| temporary(tmp, bytes)).collect();
    sync_all(tmp)?;
    for (file, (path, _)) in temporary?.into_iter().zip(files) {
        make_folder(path.parent().unwrap_or(Path::new(".")))?;
        rename(file.path(), path)?;
    }
    sync_all(tmp)
}

/// Sets the time of a file to now, by the clock of the file server: a host's clock may be an hour off.
///
/// # Errors
/// If the file system fails.
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

/// A temporary read-only file. Everybody who may enter the store's folders may read it.
fn temporary(tmp: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tmp::builder().tempfile_in(tmp)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(0o444))?;
    Ok(file)
}

/// Creates a folder and its missing parents, each with the permissions of its parent, whatever the mask of this process: a group that may
/// write to the store's folder may write to all of it.
///
/// # Errors
/// If it cannot be created.
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

fn persist(file: &NamedTempFile, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    rename(file.path(), path)?;
    sync_folder(folder)
}

/// Makes renames in `folder` survive a power failure.
///
/// # Errors
/// If the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes everything that was written to the file system of `folder` survive a power failure.
///
/// # Errors
/// If it cannot be synced.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A server does the work and its answer is lost: the result is that of the second request.
    fn lost(act: io::Result<()>, again: io::Result<()>) -> io::Result<()> {
        act.unwrap();
        assert!(again.is_err());
        again
    }

    #[test]
    fn a_lost_reply_does_not_hide_what_took_effect() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&to, "old").unwrap();
        std::fs::write(&from, "new").unwrap();
        let rename = || std::fs::rename(&from, &to);
        check_arrival(&from, &to, || lost(rename(), rename())).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        let name = folder.path().join("name");
        let link = || std::fs::hard_link(&to, &name);
        check_arrival(&to, &name, || lost(link(), link())).unwrap();
        assert!(!super::link(&from, &name).is_ok_and(|is_new| is_new), "nothing to link");
    }

    #[test]
    fn a_file_that_did_not_arrive_is_an_error_and_an_existing_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&to, "old").unwrap();
        assert_eq!(rename(&from, &to).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&from, "new").unwrap();
        assert!(!link(&from, &to).unwrap());
        let refused = || Err(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(
            check_arrival(&from, &to, refused).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
    }
}
