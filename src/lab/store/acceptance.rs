//! Outputs that a person has accepted for another key: the stage's program was changed, and does the same.
//!
//! An accepted record is a claim of one person about their own store. So it says who made it, when and why, and which stage really ran;
//! it is never sent to a remote or packed into a bundle, and one that comes from elsewhere is refused.

use serde::Deserialize;

use super::{Acceptance, Record, Store, StoreError};
use crate::fingerprint::Fingerprint;
use crate::hash::Digest;

impl Record {
    /// The record that makes the outputs of this one stand for `now`.
    #[must_use]
    pub fn accepted_for(&self, now: Fingerprint, why: &str, by: &str, at: u64) -> Self {
        Self {
            accepted: Some(Acceptance {
                why: why.to_owned(),
                by: by.to_owned(),
                at,
                ran: self.fingerprint.clone(),
            }),
            fingerprint: now,
            // What was signed is the record of the stage that ran.
            signature: None,
            ..self.clone()
        }
    }
}

impl Store {
    /// Whether the record under `key` is an accepted one.
    pub fn is_accepted(&self, key: &Digest) -> bool {
        let record = std::fs::read(self.record_path(key)).ok();
        record.is_some_and(|bytes| is_accepted(&bytes))
    }

    /// Removes the accepted record under `key`. Returns false, and removes nothing, where the stage itself has run.
    ///
    /// # Errors
    /// If the record cannot be removed.
    pub fn undo_acceptance(&self, key: &Digest) -> Result<bool, StoreError> {
        if !self.is_accepted(key) {
            return Ok(false);
        }
        let path = self.record_path(key);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &path)(error)),
        }
    }
}

/// Whether these are the bytes of an accepted record.
pub(super) fn is_accepted(record: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        accepted: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice(record).is_ok_and(|head: Head| head.accepted.is_some())
}
