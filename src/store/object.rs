//! Objects: immutable files and folders named by the digest of their content.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::{Store, StoreError, atomic};
use crate::hash::{self, Digest};

/// An artifact in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub digest: Digest,
    /// Of all its files.
    pub bytes: u64,
    /// A folder of files, or one file.
    pub folder: bool,
}

impl Store {
    /// Takes the file or folder at `path` (in a workspace of this store) into the store by rename. What is in it is synced first.
    ///
    /// # Errors
    /// When it cannot be read, synced or moved; the store is as it was.
    pub fn take(&self, path: &Path) -> Result<Artifact, StoreError> {
        let artifact = measure(path)?;
        let place = self.object(&artifact.digest);
        if !place.exists() {
            seal(path).map_err(StoreError::io("sync", path))?;
            put(path, &place).map_err(StoreError::io("move into the store", path))?;
        }
        Ok(artifact)
    }

    /// Whether an artifact is in the store, whole as far as a glance can tell.
    ///
    /// # Errors
    /// When it is there, but a file of another size or not a file.
    pub fn has(&self, artifact: &Artifact) -> Result<bool, StoreError> {
        let path = self.object(&artifact.digest);
        match std::fs::metadata(&path) {
            Ok(about) if about.is_dir() == artifact.folder && (artifact.folder || about.len() == artifact.bytes) => Ok(true),
            Ok(about) => {
                let problem = if about.is_dir() == artifact.folder {
                    format!(
                        "has {} bytes instead of {}: remove it, and the stage that made it runs again",
                        about.len(),
                        artifact.bytes
                    )
                } else {
                    "is a folder instead of a file or the other way round: remove it, and the stage that made it runs again".to_owned()
                };
                Err(StoreError::Damaged { path, problem })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }
}

/// The digest and size of the file or folder at `path`. A folder's digest is that of its manifest: a line for each file, sorted by
/// path, `<digest> <bytes> <path>`.
///
/// # Errors
/// When something in it cannot be read.
pub fn measure(path: &Path) -> Result<Artifact, StoreError> {
    if !path.is_dir() {
        let bytes = std::fs::metadata(path).map_err(StoreError::io("read", path))?.len();
        return Ok(Artifact {
            digest: hash::file(path).map_err(StoreError::io("read", path))?,
            bytes,
            folder: false,
        });
    }
    let (mut manifest, mut total) = (String::new(), 0);
    for file in files(path) {
        let file = file.map_err(StoreError::io("read", path))?;
        let bytes = std::fs::metadata(&file).map_err(StoreError::io("read", &file))?.len();
        let digest = hash::file(&file).map_err(StoreError::io("read", &file))?;
        let name = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        manifest.push_str(&format!("{digest} {bytes} {name}\n"));
        total += bytes;
    }
    Ok(Artifact {
        digest: Digest::of(manifest.as_bytes()),
        bytes: total,
        folder: true,
    })
}

/// All files of the object at `path`, sorted by path; an object that is a file is its only one.
///
/// # Errors
/// When something in it cannot be read.
pub fn files_of(path: &Path) -> Result<Vec<std::path::PathBuf>, StoreError> {
    files(path).collect::<io::Result<_>>().map_err(StoreError::io("read", path))
}

/// All files below `folder` (or `folder` itself, where it is a file), sorted by path.
fn files(folder: &Path) -> impl Iterator<Item = io::Result<std::path::PathBuf>> {
    WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_file() => Some(Ok(entry.into_path())),
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        })
}

/// Syncs every file and folder at `path` and makes the files read-only.
fn seal(path: &Path) -> io::Result<()> {
    for entry in WalkDir::new(path).contents_first(true) {
        let entry = entry?;
        if entry.file_type().is_file() {
            std::fs::set_permissions(entry.path(), Permissions::from_mode(0o444))?;
        }
        File::open(entry.path())?.sync_all()?;
    }
    Ok(())
}

/// Renames `path` to `place`. Another process may have put the same content there at the same moment: then that one serves.
fn put(path: &Path, place: &Path) -> io::Result<()> {
    let folder = place.parent().unwrap_or(place);
    std::fs::create_dir_all(folder)?;
    match std::fs::rename(path, place) {
        Err(_) if place.is_dir() => Ok(()),
        renamed => renamed,
    }?;
    atomic::sync_folder(folder)?;
    folder.parent().map_or(Ok(()), atomic::sync_folder)
}
