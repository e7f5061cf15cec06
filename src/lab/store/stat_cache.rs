//! The stat cache: digests of files outside the store, so that an unchanged large file is not hashed again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, atomic};
use crate::hash::{self, Digest};

/// Hashing a smaller file is faster than reading the cache.
const MIN_CACHED_BYTES: u64 = 1 << 16;

/// A file that has changed within so many seconds may change again without a change of its times.
const SETTLE_SECONDS: i64 = 2;

/// The attributes of a file that change whenever its content does.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct FileStat {
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    device: u64,
}

/// The digest of a file that had these attributes.
#[derive(Serialize, Deserialize)]
struct CachedDigest {
    stat: FileStat,
    digest: Digest,
}

impl FileStat {
    fn from_metadata(about: &Metadata) -> Self {
        Self {
            bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
            inode: about.ino(),
            device: about.dev(),
        }
    }

    /// Whether a change from now on would change one of the times. Both must be old: a copy that keeps the time of its original has an
    /// old one, and may have been written just now.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()).cast_signed();
        [self.modified, self.changed]
            .iter()
            .all(|(seconds, _)| now - seconds > SETTLE_SECONDS)
    }
}

impl Store {
    /// The digest of a file outside the store. It is cached by the file's size, times and inode.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn file_digest(&self, path: &Path) -> Result<Digest, StoreError> {
        self.file_digest_at(path, SystemTime::now())
    }

    /// The same, where it is `now`.
    pub(super) fn file_digest_at(&self, path: &Path, now: SystemTime) -> Result<Digest, StoreError> {
        let path = path.canonicalize().map_err(StoreError::io("read", path))?;
        let about = std::fs::metadata(&path).map_err(StoreError::io("read", &path))?;
        let hash = || hash::file(&path).map_err(StoreError::io("read", &path));
        if about.len() < MIN_CACHED_BYTES {
            return hash();
        }
        let name = Digest::of(path.as_os_str().as_encoded_bytes());
        let place = self.root.join("files").join(format!("{name}.json"));
        let stat = FileStat::from_metadata(&about);
        let known = std::fs::read(&place)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<CachedDigest>(&bytes).ok());
        if let Some(entry) = known.filter(|entry| entry.stat == stat) {
            return Ok(entry.digest);
        }
        let digest = hash()?;
        if stat.is_settled(now) {
            // If the cache cannot be written, that only costs time.
            let bytes = serde_json::to_vec(&CachedDigest { stat, digest }).unwrap_or_default();
            let _ = atomic::write(&self.root.join("tmp"), &place, &bytes);
        }
        Ok(digest)
    }
}
