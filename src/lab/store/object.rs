//! Objects: immutable files and folders named by the digest of their content.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::copy::{copy, is_executable, refuse_links, separate};
use super::manifest::Manifest;
use super::shape::Shape;
use super::{Artifact, Store, StoreError, atomic, tmp};

impl Store {
    /// Moves the file or folder at `path`, which is in a workspace of this store, into the store by rename, after syncing it. A file that
    /// has other names (hard links) is copied, so that nobody can change the artifact through them.
    ///
    /// Nobody else may have a file in it open: where that cannot be excluded, [`Store::take_copy`] is right.
    ///
    /// # Errors
    /// If it contains anything but files and folders, has a name that no artifact may have, or cannot be read, synced or moved. Then the
    /// store is unchanged.
    pub fn take(&self, path: &Path) -> Result<Artifact, StoreError> {
        separate(path, &self.folders()?)?;
        let artifact = self.measure(path)?;
        self.insert(path, &artifact)?;
        Ok(artifact)
    }

    /// Copies the file or folder at `path` into the store: for what processes that still run may have open, and could change later. The
    /// copy shares its blocks with `path` if the file system supports that.
    ///
    /// # Errors
    /// As those of [`Store::take`].
    pub fn take_copy(&self, path: &Path) -> Result<Artifact, StoreError> {
        refuse_links(path)?;
        let workspace = self.workspace()?;
        let copied = workspace.path().join("copy");
        copy(path, &copied).map_err(StoreError::io("copy", path))?;
        self.take(&copied)
    }

    /// The digest and size of the file or folder at `path`.
    ///
    /// # Errors
    /// If something in it cannot be read, or cannot be part of an artifact.
    pub(super) fn measure(&self, path: &Path) -> Result<Artifact, StoreError> {
        self.manifest(path).map(|manifest| manifest.artifact())
    }

    /// The manifest of the file or folder at `path`.
    ///
    /// # Errors
    /// If something in it cannot be read, or cannot be part of an artifact.
    pub(super) fn manifest(&self, path: &Path) -> Result<Manifest, StoreError> {
        Manifest::of(path, &|| self.keeps_modes())
    }

    /// Whether the store's file system keeps the permissions of files. Some, such as FAT, show all files as executable.
    fn keeps_modes(&self) -> bool {
        *self.keeps_modes.get_or_init(|| {
            let probe = || -> io::Result<u32> {
                let file = tmp::builder().tempfile_in(self.root.join("tmp"))?;
                file.as_file().set_permissions(Permissions::from_mode(0o444))?;
                Ok(file.as_file().metadata()?.permissions().mode() & 0o777)
            };
            // In a store that cannot be written, the permissions are taken for what they say.
            probe().map_or(true, |mode| mode == 0o444)
        })
    }

    /// Whether the permissions of a file of the object at `path` allow to write to it.
    pub(super) fn is_writable(&self, path: &Path) -> Result<bool, StoreError> {
        for file in files(path) {
            let about = file.and_then(std::fs::symlink_metadata).map_err(StoreError::io("read", path))?;
            if about.permissions().mode() & 0o222 != 0 {
                return Ok(self.keeps_modes());
            }
        }
        Ok(false)
    }

    /// Makes the files of the object at `path` read-only.
    pub(super) fn make_read_only(&self, path: &Path) -> Result<(), StoreError> {
        set_permissions(path, &self.folders()?).map_err(StoreError::io("set the permissions of", path))
    }

    /// Moves an artifact into the store, unless it is there, undamaged.
    fn insert(&self, path: &Path, artifact: &Artifact) -> Result<(), StoreError> {
        if self.has(artifact)? && !self.discard_damaged(artifact)? && renew(&self.object(&artifact.digest)) {
            self.unbury(&artifact.digest);
            return Ok(());
        }
        self.insert_object(path, artifact)
    }

    /// Copies an artifact to `to`, which must not exist. The copy shares its blocks with the store if the file system supports that.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn copy_out(&self, artifact: &Artifact, to: &Path) -> io::Result<()> {
        copy(&self.object(&artifact.digest), to)
    }

    /// Whether the file or folder at `path`, which is outside of the store, has the content of an artifact. What cannot be one has not.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_copy(&self, path: &Path, artifact: &Artifact) -> Result<bool, StoreError> {
        let about = std::fs::symlink_metadata(path).map_err(StoreError::io("read", path))?;
        let is_like = if artifact.folder {
            about.is_dir()
        } else {
            about.is_file() && about.len() == artifact.bytes
        };
        if !is_like {
            return Ok(false);
        }
        match self.measure(path) {
            Ok(found) => Ok(found.digest == artifact.digest),
            Err(StoreError::NoFile { .. } | StoreError::Name { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The permissions of the store's folders.
    fn folders(&self) -> Result<Permissions, StoreError> {
        let about = std::fs::metadata(&self.root).map_err(StoreError::io("read", &self.root))?;
        Ok(Permissions::from_mode(about.permissions().mode() & 0o7777))
    }

    /// Moves the file or folder at `path`, which is in a workspace of this store and is this artifact, into the store.
    ///
    /// # Errors
    /// If it cannot be synced or moved. Then the store is unchanged.
    pub(super) fn insert_object(&self, path: &Path, artifact: &Artifact) -> Result<(), StoreError> {
        self.make_room(artifact)?;
        seal(path, &self.folders()?).map_err(StoreError::io("sync", path))?;
        move_synced(path, &self.object(&artifact.digest)).map_err(StoreError::io("move into the store", path))?;
        self.unbury(&artifact.digest);
        Ok(())
    }

    /// Removes a damaged object that has the place of this artifact.
    fn make_room(&self, artifact: &Artifact) -> Result<(), StoreError> {
        if self.has(artifact)? {
            return Ok(());
        }
        self.set_aside(&self.object(&artifact.digest))
    }

    /// Moves many objects into the store, with one sync of the file system before and one after instead of several for each.
    ///
    /// # Errors
    /// If they cannot be synced or moved. Those that were moved are complete.
    pub(super) fn insert_objects(&self, objects: &[(PathBuf, Artifact)]) -> Result<(), StoreError> {
        if let [(path, artifact)] = objects {
            return self.insert_object(path, artifact);
        }
        let sync = || atomic::sync_all(&self.root).map_err(StoreError::io("sync", &self.root));
        let folders = self.folders()?;
        for (path, _) in objects {
            set_permissions(path, &folders).map_err(StoreError::io("set the permissions of", path))?;
        }
        sync()?;
        for (path, artifact) in objects {
            self.make_room(artifact)?;
            let place = self.object(&artifact.digest);
            rename(path, &place).map_err(StoreError::io("move into the store", path))?;
        }
        sync()?;
        objects.iter().for_each(|(_, artifact)| self.unbury(&artifact.digest));
        Ok(())
    }

    /// Whether an artifact is in the store, with the right size, and a folder with the right files. The content is not hashed.
    ///
    /// A damaged artifact counts as missing: the stage that made it runs again and replaces it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn has(&self, artifact: &Artifact) -> Result<bool, StoreError> {
        let path = self.object(&artifact.digest);
        if !artifact.folder {
            return match std::fs::symlink_metadata(&path) {
                Ok(about) => Ok(about.is_file() && about.len() == artifact.bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(StoreError::io("read", &path)(error)),
            };
        }
        let shape = Shape::of(&path).map_err(StoreError::io("read", &path))?;
        Ok(shape.is_some_and(|shape| shape.bytes == artifact.bytes && artifact.shape.is_none_or(|number| number == shape.number())))
    }
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

/// Makes every file at `path` read-only for everybody, and executable if it was, and gives its folders the permissions of the store's
/// folders: the mask of the process that made them must not lock out others who share the store.
fn set_permissions(path: &Path, folders: &Permissions) -> io::Result<()> {
    for entry in WalkDir::new(path) {
        let entry = entry?;
        let is_folder = entry.file_type().is_dir();
        let permissions = if is_folder {
            folders.clone()
        } else {
            Permissions::from_mode(if is_executable(&entry.metadata()?) { 0o555 } else { 0o444 })
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
        Err(_) if path.is_dir() && place.is_dir() => Ok(()),
        renamed => renamed,
    }
}
