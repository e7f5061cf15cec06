//! Reads the manifest of a folder that a remote sent.

use std::path::PathBuf;

use crate::hash::{Digest, NotADigest};
use crate::store::object::is_safe_path;

/// A manifest is not one of a folder, or must not be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("its list of files is not text")]
    NotText,
    #[error("a line of its list is `{0}`")]
    Line(String),
    #[error("{0}")]
    Digest(String),
    #[error("a file has `{0}` bytes")]
    Bytes(String),
    #[error("a file has the path `{0}`")]
    Path(String),
    #[error("it lists `{0}` twice")]
    Twice(String),
    #[error("its files are too large")]
    TooLarge,
    #[error("its files have {found} bytes instead of {expected}")]
    Total { found: u64, expected: u64 },
}

/// The files that a manifest lists: digest, size and path. A path must stay inside the folder.
pub(super) fn files(manifest: &[u8], total: u64) -> Result<Vec<(Digest, u64, PathBuf)>, ManifestError> {
    let text = std::str::from_utf8(manifest).map_err(|_| ManifestError::NotText)?;
    let (mut files, mut sum) = (Vec::new(), 0u64);
    let mut last = "";
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().ok_or_else(|| ManifestError::Line(line.escape_debug().to_string()));
        let (digest, bytes, name) = (word()?, word()?, word()?);
        let digest: Digest = digest
            .parse()
            .map_err(|error: NotADigest| ManifestError::Digest(error.to_string()))?;
        let bytes: u64 = bytes.parse().map_err(|_| ManifestError::Bytes(bytes.escape_debug().to_string()))?;
        if !is_safe_path(name) {
            return Err(ManifestError::Path(name.escape_debug().to_string()));
        }
        if name == last {
            return Err(ManifestError::Twice(name.to_owned()));
        }
        last = name;
        sum = sum.checked_add(bytes).ok_or(ManifestError::TooLarge)?;
        files.push((digest, bytes, PathBuf::from(name)));
    }
    if sum == total {
        Ok(files)
    } else {
        Err(ManifestError::Total {
            found: sum,
            expected: total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_leads_nowhere_outside() {
        let digest = Digest::of(b"1");
        let line = |path: &str| format!("{digest} 1 {path}\n");
        let read = files((line("a/b c") + &line("d")).as_bytes(), 2).unwrap();
        assert_eq!(read[0], (digest, 1, PathBuf::from("a/b c")));
        for path in ["../x", "/etc/x", "a/../x", "a//b", "./a", "a/", "", ".", "a\\b", "a\0"] {
            let message = files(line(path).as_bytes(), 1).unwrap_err().to_string();
            assert!(
                message.starts_with("a file has the path") || message.starts_with("a line"),
                "{path}: {message}"
            );
        }
        assert_eq!(
            files((line("a") + &line("a")).as_bytes(), 2),
            Err(ManifestError::Twice("a".to_owned()))
        );
        let message = files(line("a").as_bytes(), 2).unwrap_err().to_string();
        assert_eq!(message, "its files have 1 bytes instead of 2");
        assert!(files(b"\xff", 1).is_err() && files(b"x 1 a\n", 1).is_err() && files(b"<html>", 1).is_err());
    }
}
