//! Digests of sources.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::hash::{self, Digest, hex};
use crate::source::{Algorithm, Pin, Source};
use crate::store::{Store, StoreError};

/// The digest of a source's content: of the file, or where the source is several of what `sha256sum` prints for them, by name.
pub(super) fn of(source: &Source, place: &Path, algorithm: Algorithm, store: &Store) -> Result<Pin, StoreError> {
    match algorithm {
        Algorithm::Blake3 => Ok(by_name(source, place, store)?.0),
        Algorithm::Sha256 => {
            let digests = each(source, place, |path| sha256(path).map_err(cannot_read(place)))?;
            Ok(together(source, place, algorithm, &digests))
        }
    }
}

/// [`of`] by BLAKE3, and the digest of each file by name.
pub(super) fn by_name(source: &Source, place: &Path, store: &Store) -> Result<(Pin, BTreeMap<String, Digest>), StoreError> {
    let digests = each(source, place, |path| store.file_digest(path))?;
    Ok((together(source, place, Algorithm::Blake3, &digests), digests))
}

fn cannot_read(place: &Path) -> impl Fn(io::Error) -> StoreError {
    |source| StoreError::Io {
        action: "read",
        path: place.to_owned(),
        source,
    }
}

/// What `digest` makes of each file of the source, by name.
fn each<D>(source: &Source, place: &Path, digest: impl Fn(&Path) -> Result<D, StoreError>) -> Result<BTreeMap<String, D>, StoreError> {
    let files = source.list(place).map_err(cannot_read(place))?;
    files.into_iter().map(|(name, path)| Ok((name, digest(&path)?))).collect()
}

/// The digest of a source whose files have these.
fn together<D: Display>(source: &Source, place: &Path, algorithm: Algorithm, digests: &BTreeMap<String, D>) -> Pin {
    let is_file = !place.is_dir() || source.files.len() == 1;
    let digest = match digests.first_key_value() {
        Some((_, digest)) if is_file && digests.len() == 1 => digest.to_string(),
        _ => {
            let lines: String = digests.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
            match algorithm {
                Algorithm::Sha256 => hex(&Sha256::digest(lines.as_bytes())),
                Algorithm::Blake3 => Digest::of(lines.as_bytes()).to_string(),
            }
        }
    };
    Pin { algorithm, digest }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// A name for what comes from one place: where its download is kept.
pub(super) fn of_place(source: &Source) -> Digest {
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
