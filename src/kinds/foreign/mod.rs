//! Data sets in the formats of other programs: JSON Lines, JSON, CSV and Parquet, read record by record.
//!
//! The format is detected from the content of a file, because a path is never part of a key. Memory stays near the size of one record (of
//! a page, for Parquet), whatever size a file declares.

mod csv;
mod error;
mod json;
mod layout;
mod parquet;
mod thrift;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as Read, Serialize};
use serde_json::Value;

use learn::dataset::{DatasetError, file_error};

pub use error::{FieldTypeError, RecordRefused};

/// How a file is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Read, JsonSchema)]
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
    /// A line of names, then a line for each record.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// The fields of one record, by name.
pub type ForeignRecord = BTreeMap<String, Field>;

/// One value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Nothing,
    Text(String),
    Number(serde_json::Number),
    /// A value that is neither; its type in words.
    Other(&'static str),
}

/// Is called with each record of a file and the number of its line (in Parquet, of its row), from 1. An error ends the reading.
pub type TakeRecord<'a> = dyn FnMut(ForeignRecord, u64) -> Result<(), RecordRefused> + 'a;

/// Reads a file record by record.
///
/// # Errors
/// When the file cannot be read, has another format, or `take` refuses a record; the message names the file and the line.
pub fn records(path: &Path, format: FileFormat, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let format = match format {
        FileFormat::Auto => format_of(path).map_err(|cause| file_error("read", path, cause))?,
        given => given,
    };
    match format {
        FileFormat::Jsonl | FileFormat::Auto => json::lines(path, take),
        FileFormat::Json => json::list(path, take),
        FileFormat::Csv => csv::records(path, take),
        FileFormat::Parquet => parquet::records(path, take),
    }
}

fn format_of(path: &Path) -> std::io::Result<FileFormat> {
    let mut file = BufReader::new(File::open(path)?);
    let start = file.fill_buf()?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    Ok(match start.trim_ascii_start() {
        [b'P', b'A', b'R', b'1', ..] => FileFormat::Parquet,
        [b'[', ..] => FileFormat::Json,
        [b'{', ..] | [] => FileFormat::Jsonl,
        _ => FileFormat::Csv,
    })
}

fn line_error(path: &Path, line: u64, problem: impl fmt::Display) -> DatasetError {
    DatasetError::Line {
        path: path.to_owned(),
        line,
        problem: problem.to_string(),
    }
}

impl Field {
    /// The field as a value of a row; `None` if it is missing.
    ///
    /// # Errors
    /// When it is neither text nor number.
    pub fn value(self) -> Result<Option<Value>, FieldTypeError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Text(text) => Ok(Some(text.into())),
            Self::Number(number) => Ok(Some(number.into())),
            Self::Other(what) => Err(FieldTypeError(what)),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

/// Reads a value. Lists and objects, which no row has, are skipped without keeping them.
struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other("true or false"))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field, E> {
        Ok(Field::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
        Ok(Field::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field, E> {
        Ok(serde_json::Number::from_f64(number).map_or(Field::Other("not a number"), Field::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Field, E> {
        Ok(Field::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Field, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other("an object"))
    }
}

#[cfg(test)]
mod tests;
