//! Whether everything in the store is what its name says, and taking out what is not.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::listing::{Named, shard};
use super::object::{Artifact, measure};
use super::{Store, StoreError, atomic};

/// Something that is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub named: Named,
    pub path: PathBuf,
    pub problem: String,
}

/// What came of looking at everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub objects: u64,
    pub bytes: u64,
    pub records: u64,
    /// By name.
    pub damaged: Vec<Damage>,
}

impl Store {
    /// Hashes all objects again and reads all records, or those that are `named`. `seen` is told the bytes of each, from many threads.
    ///
    /// # Errors
    /// When a folder cannot be read. What cannot be read itself is damaged.
    pub fn verify(&self, named: Option<&[Named]>, seen: &(dyn Fn(u64) + Sync)) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        for (part, is_record) in [("records", true), ("objects", false)] {
            // A folder at a time: what is held in memory does not grow with the store.
            for folder in self.shards(part)? {
                let entries = shard(&folder)?.into_iter().map(|(digest, path)| {
                    let named = if is_record { Named::Record(digest) } else { Named::Object(digest) };
                    (named, path)
                });
                let wanted = |entry: &(Named, PathBuf)| named.is_none_or(|named| named.contains(&entry.0));
                let entries: Vec<_> = entries.filter(wanted).collect();
                let looked: Vec<_> = entries.into_par_iter().map(|(named, path)| self.look(named, path, seen)).collect();
                for (bytes, damage) in looked {
                    verified.records += u64::from(is_record);
                    verified.objects += u64::from(!is_record);
                    verified.bytes += if is_record { 0 } else { bytes };
                    verified.damaged.extend(damage);
                }
            }
        }
        Ok(verified)
    }

    /// Takes something that is damaged out of the store; the stage that made it runs again.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&self, damage: &Damage) -> Result<(), StoreError> {
        self.set_aside(&damage.path)
    }

    /// Hashes an artifact again, and takes it out of the store if it is not what its name says. Whether it was.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard_damaged(&self, artifact: &Artifact) -> Result<bool, StoreError> {
        let (named, path) = (Named::Object(artifact.digest), self.object(&artifact.digest));
        match self.look(named, path, &|_| ()) {
            (_, Some(damage)) => self.discard(&damage).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Removes what is at `path`, if anything is: at once, so that nobody sees half a folder.
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

    /// The size of one entry, and what is wrong with it.
    fn look(&self, named: Named, path: PathBuf, seen: &(dyn Fn(u64) + Sync)) -> (u64, Option<Damage>) {
        let looked = match named {
            Named::Object(digest) => object(&path, &digest.to_string()),
            Named::Record(key) => std::fs::read(&path)
                .map_err(|error| format!("cannot be read: {error}"))
                .and_then(|bytes| {
                    let admitted = self.clone().trusting(super::Trust::default()).admit(&key, &bytes);
                    admitted.map_err(|refused| refused.to_string())?;
                    Ok(bytes.len() as u64)
                }),
        };
        seen(*looked.as_ref().unwrap_or(&0));
        match looked {
            Ok(bytes) => (bytes, None),
            // Removed since it was listed: another process works here.
            Err(_) if std::fs::symlink_metadata(&path).is_err() => (0, None),
            Err(problem) => (0, Some(Damage { named, path, problem })),
        }
    }
}

/// The size of an object, if it is what its name says.
fn object(path: &Path, name: &str) -> Result<u64, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot be read: {error}");
    let about = std::fs::symlink_metadata(path).map_err(|error| cannot(&error))?;
    if about.file_type().is_symlink() {
        return Err("it is a link and no object".to_owned());
    }
    let artifact = measure(path).map_err(|error| cannot(&error))?;
    if artifact.digest.to_string() == name {
        Ok(artifact.bytes)
    } else {
        Err(format!("its content is another: {}", artifact.digest.short()))
    }
}
