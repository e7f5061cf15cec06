//! Apache Parquet.
//!
//! The reader trusts the sizes that a file declares. So they are checked against the file first, and a panic of the reader becomes an error
//! about the file.

use std::fmt;
use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field as Cell, Row};

use super::error::ParquetFailure;
use super::{Field, ForeignRecord, TakeRecord, layout, line_error};
use learn::catch_panic;
use learn::dataset::{self, DatasetError};

pub(super) fn records(path: &Path, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let file = File::open(path).map_err(|cause| dataset::file_error("open", path, cause))?;
    let bytes = file.metadata().map_err(|cause| dataset::file_error("read", path, cause))?.len();
    let mut row = 0;
    let read = catch_panic::call(|| read(file, bytes, &mut row, take)).unwrap_or_else(|panicked| Err(broken(panicked)));
    read.map_err(|problem| line_error(path, row, problem))
}

fn read(file: File, bytes: u64, number: &mut u64, take: &mut TakeRecord<'_>) -> Result<(), ParquetFailure> {
    layout::footer(&file, bytes).map_err(broken)?;
    let pages = file.try_clone().map_err(broken)?;
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    if reader.metadata().file_metadata().schema_descr().num_columns() == 0 {
        return Err(ParquetFailure::NoColumns);
    }
    layout::columns(reader.metadata(), pages, bytes)?;
    let rows = reader.get_row_iter(None).map_err(broken)?;
    for row in rows {
        *number += 1;
        take(record(&row.map_err(broken)?), *number)?;
    }
    Ok(())
}

fn broken(error: impl fmt::Display) -> ParquetFailure {
    ParquetFailure::Broken(error.to_string())
}

fn record(row: &Row) -> ForeignRecord {
    let field = |cell: &Cell| match cell {
        Cell::Null => Field::Nothing,
        Cell::Str(text) => Field::Text(text.clone()),
        Cell::Byte(number) => Field::Number((*number).into()),
        Cell::Short(number) => Field::Number((*number).into()),
        Cell::Int(number) => Field::Number((*number).into()),
        Cell::Long(number) => Field::Number((*number).into()),
        Cell::UByte(number) => Field::Number((*number).into()),
        Cell::UShort(number) => Field::Number((*number).into()),
        Cell::UInt(number) => Field::Number((*number).into()),
        Cell::ULong(number) => Field::Number((*number).into()),
        Cell::Float(number) => float(f64::from(*number)),
        Cell::Double(number) => float(*number),
        Cell::ListInternal(_) => Field::Other("a list"),
        Cell::Group(_) | Cell::MapInternal(_) => Field::Other("an object"),
        _ => Field::Other("neither a text nor a number"),
    };
    row.get_column_iter().map(|(name, cell)| (name.clone(), field(cell))).collect()
}

fn float(number: f64) -> Field {
    serde_json::Number::from_f64(number).map_or(Field::Other("not a number"), Field::Number)
}
