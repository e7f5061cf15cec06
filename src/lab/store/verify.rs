//! Checks that every object and record matches its name, and removes damaged ones.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Artifact;
use super::index::{StoreEntry, shard_entries};
use super::manifest::Manifest;
use super::{Derived, RecordError, Store, StoreError, Trust, atomic};
use crate::hash::Digest;

/// An object or record that does not match its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub entry: StoreEntry,
    pub path: PathBuf,
    pub problem: String,
    /// The content is right, and nobody but the store may write to it as soon as the permissions are corrected.
    is_writable: bool,
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifySummary {
    pub objects: u64,
    pub bytes: u64,
    pub records: u64,
    /// Sorted by name.
    pub damaged: Vec<Damage>,
    /// The records of stages that may have read a damaged artifact, or something that was made of it. Sorted by key.
    pub derived: Vec<Derived>,
}

impl Store {
    /// Hashes all objects again and reads all records, or only `selected`. Calls `seen` with the bytes of each, from several threads.
    ///
    /// # Errors
    /// If a folder cannot be read. A file that cannot be read is damaged.
    pub fn verify(&self, selected: Option<&[StoreEntry]>, seen: &(dyn Fn(u64) + Sync)) -> Result<VerifySummary, StoreError> {
        let mut verified = VerifySummary::default();
        for (part, is_record) in [("records", true), ("objects", false)] {
            // One folder at a time, so that the memory does not grow with the store.
            for folder in self.shards(part)? {
                let entries = shard_entries(&folder)?.into_iter().map(|(digest, path)| {
                    let entry = if is_record {
                        StoreEntry::Record(digest)
                    } else {
                        StoreEntry::Object(digest)
                    };
                    (entry, path)
                });
                let wanted = |(entry, _): &(StoreEntry, PathBuf)| selected.is_none_or(|selected| selected.contains(entry));
                let entries: Vec<_> = entries.filter(wanted).collect();
                let checked: Vec<_> = entries
                    .into_par_iter()
                    .map(|(entry, path)| self.check_entry(entry, path, seen))
                    .collect();
                for (bytes, damage) in checked {
                    verified.records += u64::from(is_record);
                    verified.objects += u64::from(!is_record);
                    verified.bytes += if is_record { 0 } else { bytes };
                    verified.damaged.extend(damage);
                }
            }
        }
        let is_wanted = |entry: &StoreEntry| selected.is_none_or(|selected| selected.contains(entry));
        let tombstones = self.damaged_tombstones()?.into_iter();
        let tombstones = tombstones.map(|(digest, path, problem)| Damage {
            entry: StoreEntry::Tombstone(digest),
            path,
            problem,
            is_writable: false,
        });
        verified.damaged.extend(tombstones.filter(|damage| is_wanted(&damage.entry)));
        let objects = verified.damaged.iter().filter_map(Damage::lost_object).collect();
        let damaged = |key: &Digest| verified.damaged.iter().any(|damage| damage.entry == StoreEntry::Record(*key));
        verified.derived = self.derived_from(&objects)?;
        verified.derived.retain(|derived| !damaged(&derived.key));
        Ok(verified)
    }

    /// Removes everything damaged, and what was derived from it; the stages that made them run again. Wrong permissions are corrected.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn repair(&self, verified: &VerifySummary) -> Result<(), StoreError> {
        // Before the artifacts: afterwards nothing would tell that these records are in doubt.
        self.discard_derived(&verified.derived)?;
        for Damage {
            entry, path, is_writable, ..
        } in &verified.damaged
        {
            if *is_writable {
                self.make_read_only(path)?;
            } else {
                self.set_aside(path)?;
            }
            // What is missing now was not deleted.
            if let (StoreEntry::Object(digest) | StoreEntry::Tombstone(digest), false) = (entry, *is_writable) {
                self.unbury(digest);
            }
        }
        Ok(())
    }

    /// Hashes an artifact again, and removes it if it is damaged, with the records of the stages that may have read it. Returns whether it
    /// was.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn discard_damaged(&self, artifact: &Artifact) -> Result<bool, StoreError> {
        let (entry, path) = (StoreEntry::Object(artifact.digest), self.object(&artifact.digest));
        let (_, damage) = self.check_entry(entry, path, &|_| ());
        let Some(object) = damage.as_ref().and_then(Damage::lost_object) else {
            return Ok(false);
        };
        // The artifacts of these records stay: they may be needed by the run that asks.
        self.discard_records(&self.derived_from(&[object].into())?)?;
        self.set_aside(&self.object(&object))?;
        self.unbury(&object);
        Ok(true)
    }

    /// Removes `path`, if it exists, by a rename, so that nobody sees half a folder.
    pub(super) fn set_aside(&self, path: &Path) -> Result<(), StoreError> {
        if std::fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        let workspace = self.workspace()?;
        match atomic::rename(path, &workspace.path().join("damaged")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            moved => moved.map_err(StoreError::io("remove", path)),
        }
    }

    /// The size of one entry, and its damage, if it has any.
    fn check_entry(&self, entry: StoreEntry, path: PathBuf, seen: &(dyn Fn(u64) + Sync)) -> (u64, Option<Damage>) {
        let checked = match entry {
            StoreEntry::Object(digest) => self.check_object(&path, &digest),
            StoreEntry::Record(key) => self.check_record(&path, &key),
            // They are checked together: see `damaged_tombstones`.
            StoreEntry::Tombstone(_) => Ok(0),
        };
        seen(*checked.as_ref().unwrap_or(&0));
        match checked {
            Ok(bytes) => (bytes, None),
            // Another process has removed it since it was listed.
            Err(_) if std::fs::symlink_metadata(&path).is_err() => (0, None),
            Err(error) => {
                let damage = Damage {
                    entry,
                    path,
                    problem: error.to_string(),
                    is_writable: matches!(error, DamageError::Writable),
                };
                (0, Some(damage))
            }
        }
    }

    /// The size of a record, if it is valid. Signatures are not required here.
    fn check_record(&self, path: &Path, key: &Digest) -> Result<u64, DamageError> {
        let bytes = std::fs::read(path).map_err(DamageError::unreadable)?;
        self.clone().trusting(Trust::default()).validate_own_record(key, &bytes)?;
        Ok(bytes.len() as u64)
    }

    /// The size of an object, if its content matches its name, and nobody may write to it.
    fn check_object(&self, path: &Path, digest: &Digest) -> Result<u64, DamageError> {
        let about = std::fs::symlink_metadata(path).map_err(DamageError::unreadable)?;
        if about.file_type().is_symlink() {
            return Err(DamageError::Link);
        }
        let manifest = self.manifest(path).map_err(DamageError::unreadable)?;
        let artifact = manifest.artifact();
        if artifact.digest != *digest {
            match manifest.single_file() {
                // Earlier versions gave a file that is itself a manifest the digest of its content.
                Some((content, false)) if content == *digest => {}
                Some((content, true)) if content == *digest => return Err(DamageError::Executable(false)),
                Some((content, false)) if Manifest::executable(content, artifact.bytes).artifact().digest == *digest => {
                    return Err(DamageError::Executable(true));
                }
                _ => return Err(DamageError::OtherContent(artifact.digest)),
            }
        }
        if self.is_writable(path).map_err(DamageError::unreadable)? {
            return Err(DamageError::Writable);
        }
        Ok(artifact.bytes)
    }
}

impl Damage {
    /// The object, if its content is not what it was.
    fn lost_object(&self) -> Option<Digest> {
        match self.entry {
            StoreEntry::Object(digest) if !self.is_writable => Some(digest),
            _ => None,
        }
    }
}

/// The damage of an object or record.
#[derive(Debug, thiserror::Error)]
enum DamageError {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("it is a link and not an object")]
    Link,
    #[error("its content is another: {}", .0.short())]
    OtherContent(Digest),
    #[error("its permissions allow to write to it")]
    Writable,
    #[error("its permissions are not what they were: it was {}executable", if *.0 { "" } else { "not " })]
    Executable(bool),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl DamageError {
    fn unreadable(error: impl std::fmt::Display) -> Self {
        Self::Unreadable(error.to_string())
    }
}
