//! Apache Parquet.
//!
//! The reader trusts what a file says of itself: sizes are held against the file first, and a panic within it is an error about the file.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::Compression;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field as Cell, Row};

use super::{Field, Record, Take, line_error};
use crate::dataset::lines::{self, DatasetError};

/// Data may grow so much when it is unpacked, and by so many bytes more; what claims more is damaged.
const GROWTH: u64 = 200;
const SLACK: u64 = 16 << 20;

pub(super) fn records(path: &Path, take: &mut Take<'_>) -> Result<(), DatasetError> {
    let file = File::open(path).map_err(|cause| lines::file_error("open", path, cause))?;
    let bytes = file.metadata().map_err(|cause| lines::file_error("read", path, cause))?.len();
    let mut row = 0;
    let read = catch_unwind(AssertUnwindSafe(|| read(file, bytes, &mut row, take)));
    match read {
        Ok(read) => read.map_err(|problem| line_error(path, row, problem)),
        Err(_) => Err(line_error(path, row, "not a Parquet file that can be read: it contradicts itself")),
    }
}

fn read(file: File, bytes: u64, number: &mut u64, take: &mut Take<'_>) -> Result<(), String> {
    let broken = |error: parquet::errors::ParquetError| format!("not a Parquet file that can be read: {error}");
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    check(reader.metadata(), bytes)?;
    let rows = reader.get_row_iter(None).map_err(broken)?;
    for row in rows {
        *number += 1;
        take(record(&row.map_err(broken)?), *number)?;
    }
    Ok(())
}

fn check(about: &ParquetMetaData, bytes: u64) -> Result<(), String> {
    let columns = about.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let mut unpacked = 0u64;
    for column in columns {
        let unread = match column.compression() {
            Compression::BROTLI(_) => Some("brotli"),
            Compression::LZO => Some("lzo"),
            _ => None,
        };
        if let Some(packing) = unread {
            let name = column.column_path().string();
            return Err(format!(
                "column `{name}` is packed with {packing}, which is not read: write the file again with zstd, gzip or snappy"
            ));
        }
        let size = |size: i64| u64::try_from(size).map_err(|_| "a column's size is below 0".to_owned());
        unpacked = unpacked.saturating_add(size(column.uncompressed_size())?);
        let (start, length) = (
            column.dictionary_page_offset().unwrap_or(column.data_page_offset()),
            size(column.compressed_size())?,
        );
        let end = u64::try_from(start).ok().and_then(|start| start.checked_add(length));
        if end.is_none_or(|end| end > bytes) {
            return Err(format!("column `{}` ends beyond the file", column.column_path().string()));
        }
    }
    if unpacked > bytes.saturating_mul(GROWTH).saturating_add(SLACK) {
        return Err(format!("it claims to hold {unpacked} bytes in a file of {bytes}"));
    }
    Ok(())
}

fn record(row: &Row) -> Record {
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
    serde_json::Number::from_f64(number).map_or(Field::Other("no number"), Field::Number)
}
