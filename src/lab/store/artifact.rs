//! What records say of an artifact.

use serde::{Deserialize, Serialize};

use crate::hash::Digest;

/// An artifact in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub digest: Digest,
    /// The size of all its files.
    pub bytes: u64,
    /// Whether it is a folder of files, or one file.
    pub folder: bool,
    /// The version of its manifest: 2 for what version 1 cannot say, such as executable files and empty folders.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub(super) manifest: u32,
    /// For a folder, the number of its [`Shape`]; records of earlier versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shape: Option<u32>,
}

/// The version of manifests that needs no mention.
fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_first(version: &u32) -> bool {
    *version == 1
}

impl Artifact {
    /// A file that is not executable.
    pub fn file(digest: Digest, bytes: u64) -> Self {
        Self {
            digest,
            bytes,
            folder: false,
            manifest: 1,
            shape: None,
        }
    }

    /// Whether its digest is that of a manifest, and not that of its only file.
    pub(super) fn has_manifest(&self) -> bool {
        self.folder || self.manifest > 1
    }

    /// Whether both are the same content. Records of earlier versions do not have its shape.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same_shape = self.shape.is_none() || other.shape.is_none() || self.shape == other.shape;
        (self.digest, self.bytes, self.folder, self.manifest) == (other.digest, other.bytes, other.folder, other.manifest) && same_shape
    }
}
