//! The records of a file as values that keep their order, NaN and infinities.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use learn::dataset::{DatasetError, ExactNumber};
use serde::de::DeserializeSeed;

use super::super::ArtifactError;
use super::super::MetricsProblem;
use crate::foreign::{self, Field, FileFormat, FileLayout, ForeignRecord, RecordRefused};
use crate::metrics::{MetricMap, MetricValue, NotFinite, ValueReader};

/// The largest file.
const MAX_BYTES: u64 = 1 << 30;

/// A file, and the name that messages have for it.
#[derive(Clone, Copy)]
pub(super) struct NamedFile<'a> {
    pub name: &'a str,
    pub path: &'a Path,
}

impl<'a> NamedFile<'a> {
    pub fn of((name, path): &'a (String, PathBuf)) -> Self {
        Self { name, path }
    }

    /// The error for this file, or for a line of it.
    pub fn problem(&self, problem: MetricsProblem) -> ArtifactError {
        let file = self.name.to_owned();
        ArtifactError::Metrics { file, problem }
    }

    /// The error with the name of the file for its path.
    pub fn named(&self, mut error: DatasetError) -> ArtifactError {
        match &mut error {
            DatasetError::File { path, .. }
            | DatasetError::Content { path, .. }
            | DatasetError::Format { path, .. }
            | DatasetError::Line { path, .. } => *path = PathBuf::from(self.name),
        }
        error.into()
    }

    /// The error for line `line` of the file, from 1.
    pub fn on_line(&self, line: u64, problem: String) -> ArtifactError {
        let path = PathBuf::from(self.name);
        DatasetError::Line { path, line, problem }.into()
    }

    /// Checks that it is a file, and its size.
    pub fn check(&self) -> Result<(), ArtifactError> {
        let about = fs::metadata(self.path).map_err(ArtifactError::io("read", Path::new(self.name)))?;
        if !about.is_file() {
            return Err(self.problem(MetricsProblem::NoFile));
        }
        if about.len() > MAX_BYTES {
            return Err(self.problem(MetricsProblem::TooLarge(about.len() >> 20)));
        }
        Ok(())
    }
}

/// Is called with each row.
pub(super) type TakeRow<'a> = dyn FnMut(MetricMap) -> Result<(), RecordRefused> + 'a;

/// Reads the rows of a file. With `bare_numbers`, JSON may have NaN and infinities as bare words.
///
/// # Errors
/// When the file cannot be read or has another format, a name stands twice in a row, or `take` refuses one.
pub(super) fn read_rows(file: NamedFile<'_>, format: FileFormat, bare_numbers: bool, take: &mut TakeRow<'_>) -> Result<(), ArtifactError> {
    let layout = FileLayout {
        format,
        separator: None,
        bare_numbers,
    };
    let read = foreign::records(file.path, layout, &mut |record, _| take(row(record, format)?));
    read.map_err(|error| file.named(error))
}

fn row(ForeignRecord(fields): ForeignRecord, format: FileFormat) -> Result<MetricMap, RecordRefused> {
    let mut known = BTreeSet::new();
    let mut entries = Vec::new();
    for (name, field) in fields {
        let value = match field {
            Field::Text(text) if format == FileFormat::Csv => cell(text),
            other => value(other)?,
        };
        // Lines that end with a separator have a column without a name and without values.
        if name.is_empty() && value == MetricValue::Other(serde_json::Value::Null) {
            continue;
        }
        if !known.insert(name.clone()) {
            return Err(format!("`{name}` stands twice").into());
        }
        entries.push((name, value));
    }
    Ok(entries.into_iter().collect())
}

fn value(field: Field) -> Result<MetricValue, RecordRefused> {
    Ok(match field {
        Field::Text(text) => NotFinite::of_text(&text).map_or_else(|| MetricValue::Other(text.into()), MetricValue::NotFinite),
        Field::Number(number) => exact(&number),
        Field::Truth(truth) => MetricValue::Other(truth.into()),
        Field::Packed(raw) => {
            let mut reader = serde_json::Deserializer::from_str(raw.get());
            ValueReader::strict(0)
                .deserialize(&mut reader)
                .map_err(|error| problem_of(&error))?
        }
        Field::List(items) => MetricValue::of_list(items.into_iter().map(value).collect::<Result<_, _>>()?),
        Field::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(name, field)| Ok::<_, RecordRefused>((name, value(field)?)));
            MetricValue::Map(fields.collect::<Result<_, _>>()?)
        }
        Field::Nothing | Field::Other(_) => MetricValue::Other(serde_json::Value::Null),
    })
}

/// The message of an error without its place.
pub(super) fn problem_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

/// A cell of CSV: a number or a truth as programs write them, nothing if it is blank, or else the text.
fn cell(text: String) -> MetricValue {
    let word = text.trim();
    if let Some(number) = ExactNumber::parse(word) {
        return exact(&number);
    }
    match word.to_ascii_lowercase().as_str() {
        "" => MetricValue::Other(serde_json::Value::Null),
        "true" => MetricValue::Other(true.into()),
        "false" => MetricValue::Other(false.into()),
        "nan" | "-nan" | "+nan" => f64::NAN.into(),
        "inf" | "infinity" | "+inf" | "+infinity" => f64::INFINITY.into(),
        "-inf" | "-infinity" => f64::NEG_INFINITY.into(),
        // `.5`, `1.`, `+1`; digits after a zero are a name: `0012`.
        lower => match lower.parse::<f64>() {
            Ok(number) if !lower.trim_start_matches(['-', '+']).starts_with('0') => number.into(),
            _ => MetricValue::Other(text.into()),
        },
    }
}

/// A whole number with its digits, as far as 64 bits have them; else the nearest float.
fn exact(number: &ExactNumber) -> MetricValue {
    let text = number.as_str();
    let whole = text.parse::<u64>().map(MetricValue::from).ok();
    let whole = whole.or_else(|| text.parse::<i64>().map(MetricValue::from).ok().filter(|_| text != "-0"));
    whole.unwrap_or_else(|| text.parse::<f64>().unwrap_or(f64::NAN).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_what_programs_mean() {
        for (text, value) in [
            ("0.5", "0.5"),
            (" 1e-05 ", "0.00001"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9007199254740993", "-9007199254740993"),
            ("1e400", "\"Infinity\""),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("nan", "\"NaN\""),
            ("-inf", "\"-Infinity\""),
            ("True", "true"),
            ("", "null"),
            ("0012", "\"0012\""),
            (" a ", "\" a \""),
        ] {
            assert_eq!(serde_json::to_string(&cell(text.to_owned())).unwrap(), value, "{text}");
        }
    }
}
