//! Digests of sources.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::hash::{self, Digest};
use crate::source::{DigestAlgorithm, Source, SourcePin};
use crate::store::{Store, StoreError};

/// How far the hashing of a source is, before one of its files.
pub struct HashProgress<'a> {
    pub source: &'a Source,
    /// The name of the file.
    pub file: &'a str,
    /// All its files.
    pub count: usize,
    /// Bytes so far, of `total`; files that are small or known from before count for nothing.
    pub done: u64,
    pub total: u64,
    /// Whether nothing is hashed yet.
    pub is_first: bool,
}

/// The digest of a source's content.
pub(super) fn source_digest(source: &Source, place: &Path, algorithm: DigestAlgorithm, store: &Store) -> Result<SourcePin, StoreError> {
    match algorithm {
        DigestAlgorithm::Blake3 => Ok(file_digests(source, place, store, &mut |_| ())?.0),
        DigestAlgorithm::Sha256 => source.digest(place, algorithm).map_err(cannot_read(place)),
    }
}

/// The BLAKE3 digest of a source's content, and of each file by name. The store caches the digests of unchanged files.
pub(super) fn file_digests(
    source: &Source,
    place: &Path,
    store: &Store,
    progress: &mut dyn FnMut(&HashProgress<'_>),
) -> Result<(SourcePin, BTreeMap<String, Digest>), StoreError> {
    let files = source.list(place).map_err(cannot_read(place))?;
    let bytes: Vec<u64> = files.iter().map(|(_, path)| store.bytes_to_hash(path)).collect();
    let (mut done, total) = (0, bytes.iter().sum());
    let (mut digests, count) = (BTreeMap::new(), files.len());
    for ((name, path), bytes) in files.into_iter().zip(bytes) {
        let file = name.as_str();
        progress(&HashProgress {
            source,
            file,
            count,
            done,
            total,
            is_first: digests.is_empty(),
        });
        let digest = store.file_digest(&path)?;
        digests.insert(name, digest);
        done += bytes;
    }
    Ok((source.together(place, DigestAlgorithm::Blake3, &digests), digests))
}

fn cannot_read(place: &Path) -> impl Fn(io::Error) -> StoreError {
    |source| StoreError::Io {
        action: "read",
        path: place.to_owned(),
        source,
    }
}

/// The digest of a source's address, which names the folder of its download.
pub(super) fn address_digest(source: &Source) -> Digest {
    let Source {
        url,
        hub,
        revision,
        files,
        is_model,
        ..
    } = source;
    hash::value(&serde_json::json!([url, hub, revision, files, is_model]))
}
