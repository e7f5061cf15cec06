//! Lists the objects and records of the store, folder by folder.

use std::io;
use std::path::{Path, PathBuf};

use super::{Store, StoreError};
use crate::hash::Digest;

/// A record or an object, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreEntry {
    /// A record, by its stage key.
    Record(Digest),
    /// An object, by the digest of its content.
    Object(Digest),
    /// What is left of an object that gc deleted, by the digest that it had.
    Tombstone(Digest),
}

impl Store {
    /// The records and objects whose names begin with these hexadecimal digits, at least two.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn find_by_prefix(&self, prefix: &str) -> Result<Vec<StoreEntry>, StoreError> {
        let prefix = prefix.to_lowercase();
        let Some(folder) = prefix.get(..2) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (part, entry) in [
            ("records", StoreEntry::Record as fn(Digest) -> StoreEntry),
            ("objects", StoreEntry::Object as fn(Digest) -> StoreEntry),
        ] {
            let names = shard_entries(&self.root.join(part).join(folder))?;
            let fitting = names.into_iter().filter(|(digest, _)| digest.to_string().starts_with(&prefix));
            found.extend(fitting.map(|(digest, _)| entry(digest)));
        }
        found.sort();
        Ok(found)
    }

    /// The folders that hold the entries of a part of the store (`objects` or `records`).
    pub(super) fn shards(&self, part: &'static str) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root.join(part);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &folder)(error)),
        };
        let mut shards: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        shards.sort();
        Ok(shards)
    }
}

/// The entries of one such folder, sorted by name. Files whose names are not digests are ignored.
pub(super) fn shard_entries(folder: &Path) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", folder)(error)),
    };
    let first = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut found: Vec<(Digest, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("read", folder))?;
        let name = entry.file_name();
        let rest = name.to_str().unwrap_or_default();
        let rest = rest.strip_suffix(".json").unwrap_or(rest);
        found.extend(format!("{first}{rest}").parse().ok().map(|digest| (digest, entry.path())));
    }
    found.sort();
    Ok(found)
}
