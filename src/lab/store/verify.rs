//! Checks that every object and record matches its name, and removes damaged ones.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::index::{StoreEntry, shard_entries};
use super::object::{Artifact, measure};
use super::{RecordError, Store, StoreError, Trust, atomic};
use crate::hash::Digest;

/// An object or record that does not match its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub entry: StoreEntry,
    pub path: PathBuf,
    pub problem: String,
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifySummary {
    pub objects: u64,
    pub bytes: u64,
    pub records: u64,
    /// Sorted by name.
    pub damaged: Vec<Damage>,
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
        Ok(verified)
    }

    /// Removes a damaged object or record; the stage that made it runs again.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn discard(&self, damage: &Damage) -> Result<(), StoreError> {
        self.set_aside(&damage.path)
    }

    /// Hashes an artifact again, and removes it if it is damaged. Returns whether it was.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn discard_damaged(&self, artifact: &Artifact) -> Result<bool, StoreError> {
        let (entry, path) = (StoreEntry::Object(artifact.digest), self.object(&artifact.digest));
        match self.check_entry(entry, path, &|_| ()) {
            (_, Some(damage)) => self.discard(&damage).map(|()| true),
            _ => Ok(false),
        }
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
            StoreEntry::Object(digest) => check_object(&path, &digest),
            StoreEntry::Record(key) => self.check_record(&path, &key),
        };
        seen(*checked.as_ref().unwrap_or(&0));
        match checked {
            Ok(bytes) => (bytes, None),
            // Another process has removed it since it was listed.
            Err(_) if std::fs::symlink_metadata(&path).is_err() => (0, None),
            Err(error) => {
                let problem = error.to_string();
                (0, Some(Damage { entry, path, problem }))
            }
        }
    }

    /// The size of a record, if it is valid. Signatures are not required here.
    fn check_record(&self, path: &Path, key: &Digest) -> Result<u64, DamageError> {
        let bytes = std::fs::read(path).map_err(DamageError::unreadable)?;
        self.clone().trusting(Trust::default()).validate_record(key, &bytes)?;
        Ok(bytes.len() as u64)
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
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl DamageError {
    fn unreadable(error: impl std::fmt::Display) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// The size of an object, if its content matches its name.
fn check_object(path: &Path, digest: &Digest) -> Result<u64, DamageError> {
    let about = std::fs::symlink_metadata(path).map_err(DamageError::unreadable)?;
    if about.file_type().is_symlink() {
        return Err(DamageError::Link);
    }
    let artifact = measure(path).map_err(DamageError::unreadable)?;
    if artifact.digest == *digest {
        Ok(artifact.bytes)
    } else {
        Err(DamageError::OtherContent(artifact.digest))
    }
}
