//! Tombstones: what gc deleted, so that its absence is no damage and no miss.
//!
//! `gone/ab/cdef….json` says of an artifact what it was, when it was deleted and why; `kept/ab/cdef…/` has the small files of it that a
//! report reads. A tombstone counts only where the object is absent, and only for a record that describes the same artifact: it never
//! makes a hit of anything that has no record. So it may stand where the object still is, or is again, and nobody is misled.
//!
//! It is written before the object goes. A process that is killed between the two leaves an object with a tombstone, which is an object.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::copy::copy_file;
use super::index::shard_entries;
use super::{Artifact, Outputs, Store, StoreError, atomic, tmp};
use crate::hash::{self, Digest};

/// The newest version of the format. One of a later version is as if it were not there: then the stage runs again.
const TOMBSTONE_FORMAT: u32 = 1;

/// A larger file of a deleted artifact is not kept.
const MAX_KEPT_BYTES: u64 = 16 << 20;

/// What is known of an artifact that gc deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    format: u32,
    #[serde(flatten)]
    pub artifact: Artifact,
    /// When it was deleted, in seconds since 1970, by the clock of the file server.
    pub deleted: u64,
    /// The rule by which it was deleted, for people: `older than 30d`.
    pub why: String,
    /// The files of it that are kept, with their digests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Digest>,
}

impl Tombstone {
    /// The day on which it was deleted: `2026-11-30`.
    pub fn day(&self) -> String {
        let at = i64::try_from(self.deleted).ok();
        let at = at.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        at.map_or_else(|| "an unknown day".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
    }
}

/// Whether the outputs of a record are in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// All are, but for those at these ports, which gc deleted.
    Accounted { deleted: BTreeSet<String> },
    /// One is absent, or damaged, and gc did not delete it.
    Missing { port: String, digest: Digest },
}

/// An artifact that is about to be deleted.
#[derive(Clone, Debug)]
pub(super) struct Burial {
    pub artifact: Artifact,
    pub why: String,
}

impl Store {
    /// What is known of an artifact that is not in the store because gc deleted it. `None` for one that is there, or that was never
    /// deleted by gc; a tombstone that cannot be read, or is of something else, is none.
    pub fn tombstone(&self, artifact: &Artifact) -> Option<Tombstone> {
        self.tombstone_of(artifact).filter(|_| !self.has(artifact).unwrap_or(true))
    }

    /// The tombstone of this artifact, whether it is there or not.
    fn tombstone_of(&self, artifact: &Artifact) -> Option<Tombstone> {
        self.tombstone_file(&artifact.digest).filter(|found| found.artifact.is(artifact))
    }

    /// The tombstone of this digest, whether the object is there or not.
    fn tombstone_file(&self, digest: &Digest) -> Option<Tombstone> {
        let found: Tombstone = serde_json::from_slice(&std::fs::read(self.tombstone_path(digest)).ok()?).ok()?;
        (found.format <= TOMBSTONE_FORMAT && found.artifact.digest == *digest).then_some(found)
    }

    /// Whether these outputs of a record are in the store, or were deleted by gc.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn presence(&self, outputs: &Outputs) -> Result<Presence, StoreError> {
        let mut deleted = BTreeSet::new();
        for (port, artifact) in outputs {
            if self.has(artifact)? {
                continue;
            }
            if self.tombstone_of(artifact).is_none() {
                return Ok(Presence::Missing {
                    port: port.clone(),
                    digest: artifact.digest,
                });
            }
            deleted.insert(port.clone());
        }
        Ok(Presence::Accounted { deleted })
    }

    /// Whether gc deleted an output of the stage `key`.
    pub fn has_deleted(&self, key: &Digest) -> bool {
        let outputs = self.outputs(key).ok().flatten().unwrap_or_default();
        matches!(self.presence(&outputs), Ok(Presence::Accounted { deleted }) if !deleted.is_empty())
    }

    /// The tombstones that cannot be read or are of something else, and the kept files that are not what they were; by digest.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub(super) fn damaged_tombstones(&self) -> Result<Vec<(Digest, PathBuf, String)>, StoreError> {
        let mut damaged = Vec::new();
        for folder in self.shards("gone")? {
            for (digest, path) in shard_entries(&folder)? {
                let Some(found) = self.tombstone_file(&digest) else {
                    // Another process may have removed it since it was listed.
                    if path.exists() {
                        damaged.push((digest, path, "it is not a tombstone".to_owned()));
                    }
                    continue;
                };
                let kept = self.kept_path(&digest);
                let is_other = |(name, digest): &(&String, &Digest)| hash::file(&kept.join(name)).is_ok_and(|found| found != **digest);
                if let Some((name, _)) = found.kept.iter().find(is_other) {
                    damaged.push((digest, kept.join(name), "its content is another".to_owned()));
                }
            }
        }
        Ok(damaged)
    }

    /// The folder with what is left of an artifact that gc deleted, if anything is.
    pub fn kept(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.kept_path(digest)).filter(|path| path.is_dir())
    }

    /// Where an artifact is, or what is left of it.
    pub fn readable(&self, digest: &Digest) -> PathBuf {
        let object = self.object(digest);
        if object.exists() {
            object
        } else {
            self.kept(digest).unwrap_or(object)
        }
    }

    pub(super) fn tombstone_path(&self, digest: &Digest) -> PathBuf {
        self.sharded("gone", digest, ".json")
    }

    fn kept_path(&self, digest: &Digest) -> PathBuf {
        self.sharded("kept", digest, "")
    }

    /// Writes the tombstones of artifacts that are about to be deleted, and keeps those of their files that have one of these `names`.
    /// All of it is on disk when this returns. An artifact that is not there gets none.
    ///
    /// # Errors
    /// If they cannot be written. Then nothing may be deleted.
    pub(super) fn bury(&self, burials: &[Burial], names: &[&str], deleted: u64) -> Result<(), StoreError> {
        let mut files = Vec::new();
        for Burial { artifact, why } in burials {
            if !self.has(artifact)? {
                continue;
            }
            let kept = if artifact.folder {
                self.keep_files(&artifact.digest, names)?
            } else {
                BTreeMap::new()
            };
            let tombstone = Tombstone {
                format: TOMBSTONE_FORMAT,
                artifact: *artifact,
                deleted,
                why: why.clone(),
                kept,
            };
            let bytes = serde_json::to_vec(&tombstone).unwrap_or_default();
            files.push((self.tombstone_path(&artifact.digest), bytes));
        }
        let tmp = self.root.join("tmp");
        match files.as_slice() {
            [] => Ok(()),
            [(path, bytes)] => atomic::write(&tmp, path, bytes).map_err(StoreError::io("write", path)),
            files => atomic::write_all(&tmp, files).map_err(StoreError::io("write to", &tmp)),
        }
    }

    /// Copies the files of an artifact that have one of these names to where they stay. Returns those that stay, with their digests.
    fn keep_files(&self, digest: &Digest, names: &[&str]) -> Result<BTreeMap<String, Digest>, StoreError> {
        let (object, place) = (self.object(digest), self.kept_path(digest));
        let is_small = |about: std::fs::Metadata| about.is_file() && about.len() <= MAX_KEPT_BYTES;
        let is_wanted = |name: &&&str| std::fs::symlink_metadata(object.join(name)).is_ok_and(is_small);
        let found: Vec<&str> = names.iter().filter(is_wanted).copied().collect();
        if found.is_empty() {
            return Ok(BTreeMap::new());
        }
        let copied = || -> io::Result<BTreeMap<String, Digest>> {
            let folder = tmp::builder().tempdir_in(self.root.join("tmp"))?;
            let inside = folder.path().join("kept");
            atomic::make_folder(&inside)?;
            let mut kept = BTreeMap::new();
            for name in found {
                let to = inside.join(name);
                copy_file(&object.join(name), &to)?;
                std::fs::set_permissions(&to, Permissions::from_mode(0o444))?;
                std::fs::File::open(&to)?.sync_all()?;
                kept.insert(name.to_owned(), hash::file(&to)?);
            }
            atomic::sync_folder(&inside)?;
            let above = place.parent().unwrap_or(&place);
            atomic::make_folder(above)?;
            // Those of an earlier deletion of the same artifact are the same.
            match atomic::rename(&inside, &place) {
                Err(_) if place.is_dir() => {}
                renamed => renamed?,
            }
            // The temporary folder has the permissions of this process alone.
            let about = std::fs::metadata(&self.root)?;
            std::fs::set_permissions(&place, Permissions::from_mode(about.permissions().mode() & 0o7777)).or_else(|error| {
                // It belongs to another user, who has set them.
                if error.kind() == io::ErrorKind::PermissionDenied {
                    Ok(())
                } else {
                    Err(error)
                }
            })?;
            atomic::sync_folder(above)?;
            Ok(kept)
        };
        match copied() {
            // Another process has deleted the artifact meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !object.exists() => Ok(BTreeMap::new()),
            copied => copied.map_err(StoreError::io("keep files of", &object)),
        }
    }

    /// Removes what tells that an artifact was deleted: it is there again, or nothing names it any more.
    pub(super) fn unbury(&self, digest: &Digest) {
        // What stays misleads nobody.
        let _ = std::fs::remove_file(self.tombstone_path(digest));
        let kept = self.kept_path(digest);
        if kept.exists() {
            self.discard_kept(&kept);
        }
    }

    /// By a rename, so that nobody reads half of it.
    fn discard_kept(&self, place: &Path) {
        let Ok(workspace) = self.workspace() else { return };
        let _ = std::fs::rename(place, workspace.path().join("kept"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_artifact(store: &Store) -> Artifact {
        let workspace = store.workspace().unwrap();
        let path = workspace.path().join("model");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("training.jsonl"), "a curve").unwrap();
        std::fs::write(path.join("weights"), "many bytes").unwrap();
        store.take(&path).unwrap()
    }

    fn burial(artifact: Artifact) -> [Burial; 1] {
        let why = "older than 30d".to_owned();
        [Burial { artifact, why }]
    }

    #[test]
    fn a_tombstone_counts_only_where_the_object_is_gone_and_for_the_same_artifact() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let artifact = folder_artifact(&store);
        store.bury(&burial(artifact), &["training.jsonl"], 1_796_000_000).unwrap();
        assert_eq!(store.tombstone(&artifact), None, "it is still there");
        std::fs::remove_dir_all(store.object(&artifact.digest)).unwrap();
        let found = store.tombstone(&artifact).unwrap();
        assert_eq!((found.why.as_str(), found.day().as_str()), ("older than 30d", "2026-11-30"));
        let kept = store.kept(&artifact.digest).unwrap();
        assert_eq!(std::fs::read_to_string(kept.join("training.jsonl")).unwrap(), "a curve");
        assert_eq!(std::fs::read_dir(kept).unwrap().count(), 1, "the weights are gone");
        let other = Artifact {
            bytes: artifact.bytes + 1,
            ..artifact
        };
        assert_eq!(store.tombstone(&other), None, "a record that says something else of it");
        assert_eq!(folder_artifact(&store), artifact);
        assert!(!store.tombstone_path(&artifact.digest).exists() && store.kept(&artifact.digest).is_none());
    }

    #[test]
    fn a_tombstone_that_cannot_be_read_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let artifact = folder_artifact(&store);
        store.bury(&burial(artifact), &[], 1).unwrap();
        std::fs::remove_dir_all(store.object(&artifact.digest)).unwrap();
        let path = store.tombstone_path(&artifact.digest);
        let text = std::fs::read_to_string(&path).unwrap();
        for (other, is_one) in [
            (text.clone(), true),
            (text.replace("\"format\":1", "\"format\":2"), false),
            (text.replace(&artifact.digest.to_string(), &Digest::of(b"other").to_string()), false),
            (text[..text.len() / 2].to_owned(), false),
            (String::new(), false),
        ] {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, &other).unwrap();
            assert_eq!(store.tombstone(&artifact).is_some(), is_one, "{other}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_buried() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let artifact = Artifact::file(Digest::of(b"never here"), 10);
        store.bury(&burial(artifact), &[], 1).unwrap();
        assert_eq!(store.tombstone(&artifact), None);
    }
}
