//! Names that begin with a dot.

use std::ffi::OsStr;
use std::path::Path;

pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a file or folder of `place` is hidden, or in one that is.
pub(super) fn is_hidden_in(path: &Path, place: &Path) -> bool {
    path.strip_prefix(place).unwrap_or(path).iter().any(is_hidden)
}
