//! Pins: artifacts that are kept for an experiment, whatever their age.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, atomic};
use crate::hash::Digest;

/// What is kept, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// What names the experiment on the command line: file, profiles and changes.
    pub experiment: String,
    pub keys: Vec<Digest>,
    pub objects: Vec<Digest>,
}

impl Store {
    /// Keeps it from now on, in place of an earlier pin of the same experiment.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn pin(&self, pin: &Pin) -> Result<(), StoreError> {
        let path = self.pin_path(&pin.experiment);
        let bytes = serde_json::to_vec(pin).unwrap_or_default();
        atomic::write(&self.root.join("tmp"), &path, &bytes).map_err(StoreError::io("write", &path))
    }

    /// Ends a pin; whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn unpin(&self, experiment: &str) -> Result<bool, StoreError> {
        let path = self.pin_path(experiment);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true).map_err(StoreError::io("remove", &path)),
        }
    }

    /// All pins, by experiment.
    ///
    /// # Errors
    /// When one cannot be read: then nobody can tell what is to be kept.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let folder = self.root.join("pins");
        let mut pins = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(StoreError::io("read", &folder))? {
            let path = entry.map_err(StoreError::io("read", &folder))?.path();
            let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
            let pin: Pin = serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
                problem: format!("is not a pin ({error}): remove it, and pin the experiment again"),
                path,
            })?;
            pins.push(pin);
        }
        pins.sort_by(|a, b| a.experiment.cmp(&b.experiment));
        Ok(pins)
    }

    fn pin_path(&self, experiment: &str) -> std::path::PathBuf {
        self.root.join("pins").join(format!("{}.json", Digest::of(experiment.as_bytes())))
    }
}
