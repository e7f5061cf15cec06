//! Files that stand for others: what `git clone` leaves where Git LFS is missing, and the page of a site where a download was expected.

use std::path::Path;

use super::ModelError;

/// The number of bytes that tell.
pub(super) const TELLING_BYTES: usize = 128;

/// Checks that the content that starts with `bytes` is a model's file.
pub(super) fn check(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let text: Vec<u8> = bytes.iter().take(TELLING_BYTES).map(u8::to_ascii_lowercase).collect();
    let text = text.trim_ascii_start();
    let what = if text.starts_with(b"version https://git-lfs") {
        "a pointer of Git LFS"
    } else if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        "a web page"
    } else {
        return Ok(());
    };
    Err(ModelError::StandIn {
        path: path.to_owned(),
        what,
    })
}
