//! Data sets and metrics in the formats of other programs: JSON Lines, JSON, CSV and Parquet, read record by record.
//!
//! The format is detected from the content of a file, because a path is never part of a key: gzip, byte order marks and separators too. What
//! is no data set is named as what it is (`magic`). Memory stays near the size of one record (of a page, for Parquet), whatever size a
//! file declares or unpacks to.

mod bare_numbers;
mod chat;
mod content;
mod csv;
mod error;
mod json;
mod layout;
mod magic;
mod parquet;
mod record;
mod shape;
mod thrift;

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use bare_numbers::BareNumbers;
use learn::dataset::DatasetError;

pub use chat::{Chat, chat};
pub use error::{ChatError, FieldError, RecordRefused};
pub use record::{Field, ForeignRecord};
pub use shape::{FileShape, document, file_shape};

/// How a file is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Format")]
pub enum FileFormat {
    /// Detected from the first bytes of the file.
    #[default]
    Auto,
    /// An object a line.
    Jsonl,
    /// A list of objects.
    Json,
    /// A line of names, then a line for each record; separated by commas, tabs, semicolons or bars.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Is called with each record of a file and the number of its line (in Parquet, of its row), from 1. An error ends the reading.
pub type TakeRecord<'a> = dyn FnMut(ForeignRecord, u64) -> Result<(), RecordRefused> + 'a;

/// How the records of a file are found in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileLayout {
    pub format: FileFormat,
    /// What separates the fields of CSV; told from the first line if it is not given.
    pub separator: Option<u8>,
    /// Whether JSON may have the bare words `NaN`, `Infinity` and `-Infinity`, which are read as texts.
    pub bare_numbers: bool,
}

/// Reads a file record by record. One that is packed with gzip is unpacked.
///
/// # Errors
/// When the file cannot be read, has another format, or `take` refuses a record; the message names the file and the line.
pub fn records(path: &Path, layout: FileLayout, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let mut content = content::open(path)?;
    let format = match layout.format {
        FileFormat::Auto => format_of(&content.start),
        given => given,
    };
    if layout.bare_numbers && matches!(format, FileFormat::Jsonl | FileFormat::Auto | FileFormat::Json) {
        content.reader = Box::new(BareNumbers::new(content.reader));
    }
    match format {
        FileFormat::Jsonl | FileFormat::Auto => json::lines(path, content, take),
        FileFormat::Json => json::list(path, content, take),
        FileFormat::Csv => csv::records(path, content, layout.separator, take),
        FileFormat::Parquet => parquet::records(path, take),
    }
}

fn format_of(start: &[u8]) -> FileFormat {
    if start.starts_with(magic::PARQUET) {
        return FileFormat::Parquet;
    }
    match start.trim_ascii_start() {
        [b'[', ..] => FileFormat::Json,
        [b'{', ..] | [] => FileFormat::Jsonl,
        _ => FileFormat::Csv,
    }
}

fn line_error(path: &Path, line: u64, problem: impl fmt::Display) -> DatasetError {
    DatasetError::Line {
        path: path.to_owned(),
        line,
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests;
