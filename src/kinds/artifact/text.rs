//! Texts for people: Markdown or plain, in UTF-8.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::ArtifactError;

/// The bytes that are checked at once.
const CHUNK: usize = 64 << 10;

/// Checks that a file is UTF-8.
///
/// # Errors
/// When it cannot be read, or is not.
pub fn check(path: &Path) -> Result<(), ArtifactError> {
    let file = File::open(path);
    let is_text = file.and_then(is_utf8).map_err(ArtifactError::io("read", path))?;
    if is_text {
        Ok(())
    } else {
        Err(ArtifactError::NoText { path: path.to_owned() })
    }
}

fn is_utf8(mut file: impl Read) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK];
    let mut held = 0;
    loop {
        let read = file.read(&mut chunk[held..])?;
        let end = held + read;
        match std::str::from_utf8(&chunk[..end]) {
            Ok(_) => held = 0,
            // The end may be the beginning of a character.
            Err(error) if error.error_len().is_none() && read > 0 => {
                let valid = error.valid_up_to();
                chunk.copy_within(valid..end, 0);
                held = end - valid;
            }
            Err(_) => return Ok(false),
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = to.len().min(1);
            self.0.read(&mut to[..count])
        }
    }

    #[test]
    fn characters_may_be_cut_and_must_end() {
        let text = "aé–🙂".as_bytes();
        assert!(is_utf8(Slow(text)).unwrap() && is_utf8(text).unwrap());
        assert!(!is_utf8(Slow(&text[..text.len() - 1])).unwrap());
        assert!(!is_utf8(&b"a\xff"[..]).unwrap());
        assert!(is_utf8(&b""[..]).unwrap());
    }
}
