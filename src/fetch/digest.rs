//! Digests of sources.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::hash::{self, Digest, hex};
use crate::source::{Algorithm, Pin, Source};
use crate::store::{Store, StoreError};

/// The digest of a source's content: of the file, or where the source is several of what `sha256sum` prints for them, by name.
pub(super) fn of(source: &Source, place: &Path, algorithm: Algorithm, store: &Store) -> Result<Pin, StoreError> {
    let read = |source: io::Error| StoreError::Io {
        action: "read",
        path: place.to_owned(),
        source,
    };
    let files = source.list(place).map_err(read)?;
    let one = |path: &Path| match algorithm {
        Algorithm::Sha256 => sha256(path).map_err(read),
        Algorithm::Blake3 => store.file_digest(path).map(|digest| digest.to_string()),
    };
    let digest = match files.as_slice() {
        [(_, path)] if !place.is_dir() || source.files.len() == 1 => one(path)?,
        files => {
            let mut lines = String::new();
            for (name, path) in files {
                lines.push_str(&format!("{}  {name}\n", one(path)?));
            }
            match algorithm {
                Algorithm::Sha256 => hex(&Sha256::digest(lines.as_bytes())),
                Algorithm::Blake3 => Digest::of(lines.as_bytes()).to_string(),
            }
        }
    };
    Ok(Pin { algorithm, digest })
}

/// The digest of each file of the source, by name.
pub(super) fn by_name(source: &Source, place: &Path, store: &Store) -> Result<BTreeMap<String, Digest>, StoreError> {
    let files = source.list(place).map_err(|source| StoreError::Io {
        action: "read",
        path: place.to_owned(),
        source,
    })?;
    let one = |(name, path): (String, PathBuf)| Ok((name, store.file_digest(&path)?));
    files.into_iter().map(one).collect()
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
