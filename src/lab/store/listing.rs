//! What is there: the names of objects and records, folder by folder.

use std::io;
use std::path::{Path, PathBuf};

use super::{Store, StoreError};
use crate::hash::Digest;

/// Something in the store that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A record, by its stage's key.
    Record(Digest),
    /// An object, by the digest of its content.
    Object(Digest),
}

impl Store {
    /// The records and objects whose names begin with these hexadecimal digits, two at least.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn named(&self, beginning: &str) -> Result<Vec<Named>, StoreError> {
        let beginning = beginning.to_lowercase();
        let Some(folder) = beginning.get(..2) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (part, named) in [
            ("records", Named::Record as fn(Digest) -> Named),
            ("objects", Named::Object as fn(Digest) -> Named),
        ] {
            let names = shard(&self.root.join(part).join(folder))?;
            let fitting = names.into_iter().filter(|(digest, _)| digest.to_string().starts_with(&beginning));
            found.extend(fitting.map(|(digest, _)| named(digest)));
        }
        found.sort();
        Ok(found)
    }

    /// The folders of a part (`objects`, `records`) in which its entries are.
    pub(super) fn shards(&self, part: &'static str) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root.join(part);
        let entries = std::fs::read_dir(&folder).map_err(StoreError::io("read", &folder))?;
        let mut shards: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        shards.sort();
        Ok(shards)
    }
}

/// The entries of one such folder, sorted by name; what is not named by a digest is none of the store's.
pub(super) fn shard(folder: &Path) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
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
