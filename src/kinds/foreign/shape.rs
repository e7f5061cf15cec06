//! Whether a file is one JSON value or has records, and a file that is one value.

use std::io::{BufRead, Read};
use std::path::Path;

use super::bare_numbers::BareNumbers;
use super::content::{self, Content};
use super::{FileFormat, format_of};
use learn::dataset::{DatasetError, file_error};

/// What a file of metrics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileShape {
    /// One JSON value: an object over any number of lines, a list, a number.
    Document,
    /// Records in this format: JSON Lines, CSV or Parquet.
    Records(FileFormat),
}

/// Tells from the content of a file what it is. An object on one line alone is a document.
///
/// # Errors
/// When the file cannot be read, or is another thing: an archive, a web page, text in UTF-16.
pub fn file_shape(path: &Path) -> Result<FileShape, DatasetError> {
    let content = content::open(path)?;
    Ok(match format_of(&content.start) {
        FileFormat::Json => FileShape::Document,
        FileFormat::Jsonl if is_document(content).map_err(|cause| file_error("read", path, cause))? => FileShape::Document,
        FileFormat::Csv if is_number(&content::open(path)?.start) => FileShape::Document,
        format => FileShape::Records(format),
    })
}

/// Whether the first line is no whole object, or the only line.
fn is_document(content: Content) -> std::io::Result<bool> {
    let mut reader = BareNumbers::new(content.reader);
    let mut line = Vec::new();
    while line.trim_ascii().is_empty() {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(true);
        }
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_err() {
        return Ok(true);
    }
    content.since_record.set(0);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(true);
        }
        if !line.trim_ascii().is_empty() {
            return Ok(false);
        }
    }
}

/// Whether the whole file is a number.
fn is_number(start: &[u8]) -> bool {
    let text = std::str::from_utf8(start.trim_ascii()).unwrap_or_default();
    text.len() < 64 && text.parse::<f64>().is_ok()
}

/// The text of a file that is one JSON value, with the bare words `NaN`, `Infinity` and `-Infinity` as texts.
///
/// # Errors
/// When the file cannot be read, is another thing than text, or has more than 256 MiB.
pub fn document(path: &Path) -> Result<Vec<u8>, DatasetError> {
    let mut text = Vec::new();
    let read = BareNumbers::new(content::open(path)?.reader).read_to_end(&mut text);
    read.map_err(|cause| file_error("read", path, cause))?;
    Ok(text)
}
