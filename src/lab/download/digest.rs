//! Digests of sources.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::hash::{self, Digest};
use crate::source::{DigestAlgorithm, Source, SourcePin};
use crate::store::{Store, StoreError};

/// The digest of a source's content.
pub(super) fn source_digest(source: &Source, place: &Path, algorithm: DigestAlgorithm, store: &Store) -> Result<SourcePin, StoreError> {
    match algorithm {
        DigestAlgorithm::Blake3 => Ok(file_digests(source, place, store)?.0),
        DigestAlgorithm::Sha256 => source.digest(place, algorithm).map_err(cannot_read(place)),
    }
}

/// The BLAKE3 digest of a source's content, and of each file by name. The store caches the digests of unchanged files.
pub(super) fn file_digests(source: &Source, place: &Path, store: &Store) -> Result<(SourcePin, BTreeMap<String, Digest>), StoreError> {
    let files = source.list(place).map_err(cannot_read(place))?.into_iter();
    let digests = files.map(|(name, path)| Ok((name, store.file_digest(&path)?)));
    let digests = digests.collect::<Result<BTreeMap<_, _>, StoreError>>()?;
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
