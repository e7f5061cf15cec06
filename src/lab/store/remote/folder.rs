//! A remote in a folder: another store with the same layout.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::RemoteError;
use crate::hash::Digest;
use crate::store::{Artifact, Store, atomic, copy};

/// The bytes of the record under `key`, or `None` if there is none. A record of which gc has deleted an output there is none for others.
pub(super) fn record(folder: &Store, key: &Digest) -> Result<Option<Bytes>, RemoteError> {
    if folder.has_deleted(key) {
        return Ok(None);
    }
    match std::fs::read(folder.record_path(key)) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RemoteError::Answer(error.to_string())),
    }
}

/// Copies an object to `to`, a path in the store `here`, and checks the copy. Returns whether the remote has the object.
pub(super) fn fetch(folder: &Store, here: &Store, artifact: &Artifact, to: &Path) -> Result<bool, RemoteError> {
    let from = folder.object(&artifact.digest);
    if !from.exists() {
        return Ok(false);
    }
    copy::copy(&from, to).map_err(|error| RemoteError::here("copy an object", error))?;
    let found = here.measure(to).map_err(|error| RemoteError::Here(error.to_string()))?;
    if found.is(artifact) {
        return Ok(true);
    }
    copy::discard(to);
    Err(RemoteError::OtherBytes {
        what: format!("the object {}", artifact.digest.short()),
        why: format!("its digest is {}", found.digest.short()),
    })
}

/// Copies objects and then the record, which is created only if there is none. Returns whether the record is new there.
pub(super) fn push(folder: &Store, from: &Store, key: &Digest, record: &[u8], artifacts: &[Artifact]) -> Result<bool, RemoteError> {
    let here = |error: &dyn std::fmt::Display| RemoteError::Here(error.to_string());
    for artifact in artifacts {
        if !folder.has(artifact).is_ok_and(|has| has) {
            let workspace = folder.workspace().map_err(|error| RemoteError::Answer(error.to_string()))?;
            let to = workspace.path().join("object");
            copy::copy(&from.object(&artifact.digest), &to).map_err(|error| RemoteError::Answer(error.to_string()))?;
            if !folder.measure(&to).map_err(|error| here(&error))?.is(artifact) {
                return Err(RemoteError::Here(format!("the object {} is damaged here", artifact.digest.short())));
            }
            folder
                .insert_object(&to, artifact)
                .map_err(|error| RemoteError::Answer(error.to_string()))?;
        }
    }
    atomic::create(&folder.root.join("tmp"), &folder.record_path(key), record).map_err(|error| RemoteError::Answer(error.to_string()))
}
