//! The stat cache: digests of files outside the store, so that an unchanged large file is not hashed again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
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
        let file = OutsideFile::at(path)?;
        let hash = || hash::file(&file.path).map_err(StoreError::io("read", &file.path));
        if file.stat.bytes < MIN_CACHED_BYTES {
            return hash();
        }
        if let Some(digest) = self.cached(&file) {
            return Ok(digest);
        }
        let digest = hash()?;
        if file.stat.is_settled(now) {
            // If the cache cannot be written, that only costs time.
            let place = self.cache_entry(&file);
            let bytes = serde_json::to_vec(&CachedDigest { stat: file.stat, digest }).unwrap_or_default();
            let _ = atomic::write(&self.root.join("tmp"), &place, &bytes);
        }
        Ok(digest)
    }

    /// The bytes of a file outside the store that [`Self::file_digest`] would hash, as far as it is worth knowing: 0 for a file that is small
    /// or whose digest is cached.
    pub fn bytes_to_hash(&self, path: &Path) -> u64 {
        let is_large = std::fs::metadata(path).is_ok_and(|about| about.len() >= MIN_CACHED_BYTES);
        if !is_large {
            return 0;
        }
        // What cannot be read is reported where it is hashed.
        let file = OutsideFile::at(path).ok().filter(|file| self.cached(file).is_none());
        file.map_or(0, |file| file.stat.bytes)
    }

    fn cached(&self, file: &OutsideFile) -> Option<Digest> {
        let bytes = std::fs::read(self.cache_entry(file)).ok()?;
        let entry = serde_json::from_slice::<CachedDigest>(&bytes).ok()?;
        (entry.stat == file.stat).then_some(entry.digest)
    }

    fn cache_entry(&self, file: &OutsideFile) -> PathBuf {
        let name = Digest::of(file.path.as_os_str().as_encoded_bytes());
        self.root.join("files").join(format!("{name}.json"))
    }
}

/// A file outside the store.
struct OutsideFile {
    /// Without links in it.
    path: PathBuf,
    stat: FileStat,
}

impl OutsideFile {
    fn at(path: &Path) -> Result<Self, StoreError> {
        let path = path.canonicalize().map_err(StoreError::io("read", path))?;
        let about = std::fs::metadata(&path).map_err(StoreError::io("read", &path))?;
        let stat = FileStat::from_metadata(&about);
        Ok(Self { path, stat })
    }
}
