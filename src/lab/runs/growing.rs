//! A file that another process writes on, read as it grows.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest line that is read; the rest of it is read over.
const MAX_LINE: usize = 1 << 20;

/// A file of lines, of which each call gives those that have come since.
#[derive(Debug)]
pub(super) struct GrowingFile {
    path: PathBuf,
    /// Opened when it is there.
    file: Option<File>,
    /// What follows the last line feed.
    open: Vec<u8>,
}

impl GrowingFile {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            open: Vec::new(),
        }
    }

    /// Calls `line` with each line that has been ended since the last call. A file that cannot be read has none.
    pub(super) fn read(&mut self, mut line: impl FnMut(&[u8])) {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = file.read(&mut buffer) {
            for part in buffer.get(..count).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
                if self.open.len() < MAX_LINE {
                    self.open.extend_from_slice(part);
                }
                if let Some(ended) = part.strip_suffix(b"\n").map(|_| std::mem::take(&mut self.open)) {
                    line(ended.trim_ascii_end());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_are_read_once_and_when_they_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut growing = GrowingFile::new(&path);
        let mut read = || {
            let mut lines = Vec::new();
            growing.read(|line| lines.push(String::from_utf8_lossy(line).into_owned()));
            lines
        };
        assert_eq!(read(), [""; 0]);
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(read(), ["one"]);
        file.write_all(b"o\r\n\n").unwrap();
        assert_eq!(read(), ["two", ""]);
        assert_eq!(read(), [""; 0]);
    }
}
