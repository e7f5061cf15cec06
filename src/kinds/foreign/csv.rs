//! CSV: a line of names, then a line for each record; with quotes, a field may go over several lines.

use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::{Field, ForeignRecord, TakeRecord, line_error};
use learn::dataset::{self, DatasetError};

pub(super) fn records(path: &Path, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let failed = |error: csv::Error| wrong(path, error);
    let mut reader = ReaderBuilder::new().from_path(path).map_err(failed)?;
    let names = reader.headers().map_err(failed)?.clone();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(failed)? {
        let line = record.position().map_or(0, csv::Position::line);
        let fields = names.iter().zip(&record);
        let fields: ForeignRecord = fields
            .map(|(name, text)| (name.trim().to_owned(), Field::Text(text.to_owned())))
            .collect();
        take(fields, line).map_err(|problem| line_error(path, line, problem))?;
    }
    Ok(())
}

fn wrong(path: &Path, error: csv::Error) -> DatasetError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        ErrorKind::Io(cause) => dataset::file_error("read", path, cause),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            line_error(path, line, format!("has {len} fields, and the first line names {expected_len}"))
        }
        ErrorKind::Utf8 { err, .. } => line_error(path, line, format!("field {} is not UTF-8 text", err.field() + 1)),
        other => line_error(path, line, format!("{other:?}")),
    }
}
