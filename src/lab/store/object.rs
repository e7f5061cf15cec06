//! Objects: immutable files and folders named by the digest of their content.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::{Store, StoreError, atomic};
use crate::hash::{self, Digest};

/// An artifact in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub digest: Digest,
    /// The size of all its files.
    pub bytes: u64,
    /// Whether it is a folder of files, or one file.
    pub folder: bool,
}

impl Store {
    /// Moves the file or folder at `path`, which is in a workspace of this store, into the store by rename, after syncing it.
    ///
    /// # Errors
    /// If it contains anything but files and folders, or cannot be read, synced or moved. Then the store is unchanged.
    pub fn take(&self, path: &Path) -> Result<Artifact, StoreError> {
        refuse_links(path)?;
        let artifact = measure(path)?;
        let place = self.object(&artifact.digest);
        if !(self.has(&artifact)? && renew(&place)) {
            // A damaged object of this name makes room.
            self.set_aside(&place)?;
            seal(path, &self.folders()?).map_err(StoreError::io("sync", path))?;
            move_synced(path, &place).map_err(StoreError::io("move into the store", path))?;
        }
        Ok(artifact)
    }

    /// Copies an artifact to `to`, which must not exist, or links its files to those of the store.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn copy_out(&self, artifact: &Artifact, to: &Path, link: bool) -> io::Result<()> {
        copy_with(&self.object(&artifact.digest), to, if link { link_file } else { copy_file })
    }

    /// The permissions of the store's folders.
    fn folders(&self) -> Result<Permissions, StoreError> {
        let about = std::fs::metadata(&self.root).map_err(StoreError::io("read", &self.root))?;
        Ok(Permissions::from_mode(about.permissions().mode() & 0o7777))
    }

    /// Moves the file or folder at `path`, which is in a workspace of this store and has this digest, into the store.
    ///
    /// # Errors
    /// If it cannot be synced or moved. Then the store is unchanged.
    pub(super) fn insert_object(&self, path: &Path, digest: &Digest) -> Result<(), StoreError> {
        seal(path, &self.folders()?).map_err(StoreError::io("sync", path))?;
        move_synced(path, &self.object(digest)).map_err(StoreError::io("move into the store", path))
    }

    /// Moves many objects into the store, with one sync of the file system before and one after instead of several for each.
    ///
    /// # Errors
    /// If they cannot be synced or moved. Those that were moved are complete.
    pub(super) fn insert_objects(&self, objects: &[(PathBuf, Digest)]) -> Result<(), StoreError> {
        if let [(path, digest)] = objects {
            return self.insert_object(path, digest);
        }
        let sync = || atomic::sync_all(&self.root).map_err(StoreError::io("sync", &self.root));
        let folders = self.folders()?;
        for (path, _) in objects {
            set_permissions(path, &folders).map_err(StoreError::io("set the permissions of", path))?;
        }
        sync()?;
        for (path, digest) in objects {
            let place = self.object(digest);
            rename(path, &place).map_err(StoreError::io("move into the store", path))?;
        }
        sync()
    }

    /// Whether an artifact is in the store and has the right size. The content is not hashed.
    ///
    /// A damaged artifact counts as missing: the stage that made it runs again and replaces it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn has(&self, artifact: &Artifact) -> Result<bool, StoreError> {
        let path = self.object(&artifact.digest);
        match std::fs::metadata(&path) {
            Ok(about) => Ok(about.is_dir() == artifact.folder && (artifact.folder || about.len() == artifact.bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }
}

/// The manifest of the folder at `path`: a line for each file, sorted by path, `<digest> <bytes> <path>`.
///
/// # Errors
/// If something in it cannot be read.
pub(super) fn manifest(path: &Path) -> Result<String, StoreError> {
    manifest_and_size(path).map(|(manifest, _)| manifest)
}

/// The manifest of a folder, and the size of all its files.
fn manifest_and_size(path: &Path) -> Result<(String, u64), StoreError> {
    let (mut manifest, mut total) = (String::new(), 0);
    for file in files(path) {
        let file = file.map_err(StoreError::io("read", path))?;
        let bytes = std::fs::metadata(&file).map_err(StoreError::io("read", &file))?.len();
        let digest = hash::file(&file).map_err(StoreError::io("read", &file))?;
        let name = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        manifest.push_str(&format!("{digest} {bytes} {name}\n"));
        total += bytes;
    }
    Ok((manifest, total))
}

/// Whether a path from elsewhere leads only downwards, and is written in the usual way.
pub(super) fn is_safe_path(name: &str) -> bool {
    let path = Path::new(name);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    // `a//b` and `./a` are other ways to write a path: their components, joined, are different.
    let is_clean = path.components().collect::<PathBuf>().as_os_str() == name;
    is_plain && is_clean && !name.is_empty() && !name.contains(['\0', '\\'])
}

/// Copies the file or folder at `from` to `to`, which must not exist.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    copy_with(from, to, copy_file)
}

fn link_file(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)
}

fn copy_with(from: &Path, to: &Path, file: fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
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
            file(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Removes unused work at `path`, if there is any.
pub(super) fn discard(path: &Path) {
    // If this fails, the whole workspace is removed later.
    let _ = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
}

/// Fails if an artifact contains links, whose targets may change or disappear, or other files without content.
fn refuse_links(path: &Path) -> Result<(), StoreError> {
    for entry in WalkDir::new(path).follow_root_links(false) {
        let entry = entry.map_err(|error| StoreError::io("read", path)(error.into()))?;
        if !(entry.file_type().is_file() || entry.file_type().is_dir()) {
            return Err(StoreError::NoFile { path: entry.into_path() });
        }
    }
    Ok(())
}

/// Copies a file. Shares its blocks if the file system supports that.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::options().write(true).create_new(true).open(to)?);
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    io::copy(&mut source, &mut target).map(drop)
}

/// The digest and size of the file or folder at `path`. The digest of a folder is the digest of its manifest: a line for each file, sorted
/// by path, `<digest> <bytes> <path>`.
///
/// # Errors
/// If something in it cannot be read.
pub fn measure(path: &Path) -> Result<Artifact, StoreError> {
    if !path.is_dir() {
        let bytes = std::fs::metadata(path).map_err(StoreError::io("read", path))?.len();
        return Ok(Artifact {
            digest: hash::file(path).map_err(StoreError::io("read", path))?,
            bytes,
            folder: false,
        });
    }
    let (manifest, total) = manifest_and_size(path)?;
    Ok(Artifact {
        digest: Digest::of(manifest.as_bytes()),
        bytes: total,
        folder: true,
    })
}

/// All files of the object at `path`, sorted by path. An object that is a file is its only file.
///
/// # Errors
/// If something in it cannot be read.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    files(path).collect::<io::Result<_>>().map_err(StoreError::io("read", path))
}

/// All files below `folder`, sorted by path; `folder` itself if it is a file.
fn files(folder: &Path) -> impl Iterator<Item = io::Result<PathBuf>> {
    WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_file() => Some(Ok(entry.into_path())),
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        })
}

/// Makes everything at `path` read-only ([`set_permissions`]) and syncs it.
fn seal(path: &Path, folders: &Permissions) -> io::Result<()> {
    set_permissions(path, folders)?;
    for entry in WalkDir::new(path).contents_first(true) {
        File::open(entry?.path())?.sync_all()?;
    }
    Ok(())
}

/// Makes every file at `path` read-only for everybody, and gives its folders the permissions of the store's folders: the mask of the
/// process that made them must not lock out others who share the store.
fn set_permissions(path: &Path, folders: &Permissions) -> io::Result<()> {
    for entry in WalkDir::new(path) {
        let entry = entry?;
        let is_folder = entry.file_type().is_dir();
        let permissions = if is_folder {
            folders.clone()
        } else {
            Permissions::from_mode(0o444)
        };
        std::fs::set_permissions(entry.path(), permissions)?;
    }
    Ok(())
}

/// Whether the object exists. If so, its age starts anew, so that gc does not remove it before a record names it.
fn renew(place: &Path) -> bool {
    match File::open(place) {
        // The object of another user cannot be touched. If gc removes it at this moment, that is a miss.
        Ok(file) => atomic::touch(&file).is_ok() || place.exists(),
        Err(_) => false,
    }
}

/// Renames `path` to `place` and syncs. If another process has moved the same content there in the meantime, that one stays.
fn move_synced(path: &Path, place: &Path) -> io::Result<()> {
    rename(path, place)?;
    let folder = place.parent().unwrap_or(place);
    atomic::sync_folder(folder)?;
    folder.parent().map_or(Ok(()), atomic::sync_folder)
}

fn rename(path: &Path, place: &Path) -> io::Result<()> {
    atomic::make_folder(place.parent().unwrap_or(place))?;
    match atomic::rename(path, place) {
        Err(_) if place.is_dir() => Ok(()),
        renamed => renamed,
    }
}
