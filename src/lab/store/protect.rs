//! Protects the artifacts of an experiment from gc, whatever their age.
//!
//! On disk the folder is called `pins`: the layout of a store does not change with the names in the code.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, atomic};
use crate::hash::Digest;

/// The records and objects that are protected for an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// The experiment as on the command line: file, profiles and overrides.
    pub experiment: String,
    pub keys: Vec<Digest>,
    pub objects: Vec<Digest>,
}

impl Store {
    /// Protects records and objects from gc. Replaces an earlier protection of the same experiment.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn protect(&self, protection: &Protection) -> Result<(), StoreError> {
        let path = self.protection_path(&protection.experiment);
        let bytes = serde_json::to_vec(protection).unwrap_or_default();
        atomic::write(&self.root.join("tmp"), &path, &bytes).map_err(StoreError::io("write", &path))
    }

    /// Ends the protection of an experiment. Returns whether it was protected.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn unprotect(&self, experiment: &str) -> Result<bool, StoreError> {
        let path = self.protection_path(experiment);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true).map_err(StoreError::io("remove", &path)),
        }
    }

    /// All protections, by experiment.
    ///
    /// # Errors
    /// If one cannot be read: gc must not run without it.
    pub fn protections(&self) -> Result<Vec<Protection>, StoreError> {
        let folder = self.root.join("pins");
        let mut protections = Vec::new();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(protections),
            Err(error) => return Err(StoreError::io("read", &folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(StoreError::io("read", &folder))?.path();
            let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
            let protection: Protection = serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
                problem: format!("does not name what is protected ({error}): remove it, and protect the experiment again"),
                path,
            })?;
            protections.push(protection);
        }
        protections.sort_by(|a, b| a.experiment.cmp(&b.experiment));
        Ok(protections)
    }

    fn protection_path(&self, experiment: &str) -> PathBuf {
        self.root.join("pins").join(format!("{}.json", Digest::of(experiment.as_bytes())))
    }
}
