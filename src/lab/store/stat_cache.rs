//! The stat cache: digests of files outside the store, so that an unchanged large file is not hashed again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, atomic};
use crate::hash::{self, Digest};

/// Hashing a smaller file is faster than reading the cache.
const MIN_CACHED_BYTES: u64 = 1 << 16;

/// A file that has changed within this time may change again without a change of its times.
const SETTLE_TIME: Duration = Duration::from_secs(2);

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
}

impl Store {
    /// The digest of a file outside the store. It is cached by the file's size, times and inode.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn file_digest(&self, path: &Path) -> Result<Digest, StoreError> {
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
        if is_settled(&about) {
            // If the cache cannot be written, that only costs time.
            let bytes = serde_json::to_vec(&CachedDigest { stat, digest }).unwrap_or_default();
            let _ = atomic::write(&self.root.join("tmp"), &place, &bytes);
        }
        Ok(digest)
    }
}

fn is_settled(about: &Metadata) -> bool {
    about
        .modified()
        .is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age > SETTLE_TIME))
}
