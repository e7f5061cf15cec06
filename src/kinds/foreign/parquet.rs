//! Apache Parquet.
//!
//! The reader trusts the sizes that a file declares. So they are checked against the file first, and a panic of the reader becomes an error
//! about the file.

use std::fmt;
use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field as Cell, Row};
use serde::Serialize;

use super::error::ParquetFailure;
use super::{Field, ForeignRecord, TakeRecord, layout, line_error};
use learn::catch_panic;
use learn::dataset::{self, DatasetError, ExactNumber};

/// The most decimals of a number; a file may declare more.
const MAX_SCALE: i32 = 76;

pub(super) fn records(path: &Path, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let file = File::open(path).map_err(|cause| dataset::file_error("open", path, cause))?;
    let bytes = file.metadata().map_err(|cause| dataset::file_error("read", path, cause))?.len();
    let mut row = 0;
    let read = catch_panic::call(|| read(file, bytes, &mut row, take)).unwrap_or_else(|panicked| Err(broken(panicked)));
    read.map_err(|problem| match row {
        0 => DatasetError::Format {
            path: path.to_owned(),
            problem: problem.to_string(),
        },
        row => line_error(path, row, problem),
    })
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
    ForeignRecord(row.get_column_iter().map(|(name, cell)| (name.clone(), field(cell))).collect())
}

fn field(cell: &Cell) -> Field {
    match cell {
        Cell::Null => Field::Nothing,
        Cell::Str(text) => Field::Text(text.clone()),
        Cell::Byte(number) => whole(number),
        Cell::Short(number) => whole(number),
        Cell::Int(number) => whole(number),
        Cell::Long(number) => whole(number),
        Cell::UByte(number) => whole(number),
        Cell::UShort(number) => whole(number),
        Cell::UInt(number) => whole(number),
        Cell::ULong(number) => whole(number),
        // As the shortest text that is the number in its own precision.
        Cell::Float16(number) => float(&number.to_f32()),
        Cell::Float(number) => float(number),
        Cell::Double(number) => float(number),
        Cell::Decimal(number) => decimal(number.data(), number.scale()),
        Cell::ListInternal(items) => Field::List(items.elements().iter().map(field).collect()),
        Cell::Group(row) => Field::Object(record(row).0),
        Cell::MapInternal(_) => Field::Other("a map"),
        Cell::Bool(truth) => Field::Truth(*truth),
        Cell::Bytes(_) => Field::Other("bytes that the file does not call a text"),
        Cell::Date(_) => Field::Other("a date"),
        Cell::TimeMillis(_) | Cell::TimeMicros(_) => Field::Other("a time of day"),
        Cell::TimestampMillis(_) | Cell::TimestampMicros(_) => Field::Other("a timestamp"),
    }
}

fn number(text: &str) -> Field {
    ExactNumber::parse(text).map_or(Field::Other("not a number"), Field::Number)
}

fn whole(value: &impl fmt::Display) -> Field {
    number(&value.to_string())
}

/// Infinities and what is no number are null in JSON, and so no number.
fn float(value: &impl Serialize) -> Field {
    number(&serde_json::to_string(value).unwrap_or_default())
}

/// The number of these bytes, a whole number from its highest byte on, divided by 10^`scale`, with all its digits.
fn decimal(bytes: &[u8], scale: i32) -> Field {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 128) { 255 } else { 0 };
    let leading = bytes
        .iter()
        .take_while(|byte| **byte == sign)
        .count()
        .min(bytes.len().saturating_sub(16));
    let significant = bytes.get(leading..).unwrap_or_default();
    let mut whole = [sign; 16];
    let Some(place) = whole.len().checked_sub(significant.len()) else {
        return Field::Other("a number of more than 128 bits");
    };
    if let Some(low) = whole.get_mut(place..) {
        low.copy_from_slice(significant);
    }
    let value = i128::from_be_bytes(whole);
    let Ok(scale) = usize::try_from(scale.clamp(0, MAX_SCALE)) else {
        return Field::Other("not a number");
    };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (before, after) = digits.split_at_checked(digits.len() - scale).unwrap_or((&digits, ""));
    let sign = if value < 0 { "-" } else { "" };
    match after {
        "" => number(&format!("{sign}{before}")),
        after => number(&format!("{sign}{before}.{after}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::{Compression, ZstdLevel};
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// The same prompt of 6 kB in each of 8,000 rows, in one page.
    #[test]
    fn a_page_is_read_however_well_it_is_packed() {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false)
            .set_data_page_size_limit(64 << 20);
        let schema = Arc::new(parse_message_type("message m { required binary prompt (UTF8); }").unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::new(properties.build())).unwrap();
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let prompt = "a prompt that repeats itself. ".repeat(200);
        let prompts = vec![ByteArray::from(prompt.as_str()); 8_000];
        column.typed::<ByteArrayType>().write_batch(&prompts, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        file.close().unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
        let mut rows = 0;
        let taken = records(&path, &mut |record, row| {
            rows = row;
            assert!(matches!(record.0.as_slice(), [(_, Field::Text(text))] if *text == prompt));
            Ok(())
        });
        taken.unwrap();
        assert_eq!(rows, 8_000);
    }

    #[test]
    fn decimals_keep_all_their_digits() {
        let said = |value: i128, scale| match decimal(&value.to_be_bytes(), scale) {
            Field::Number(number) => number.as_str().to_owned(),
            other => other.what().to_owned(),
        };
        for (value, scale, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (25, 2, "0.25"),
            (-5, 2, "-0.05"),
            (10, 1, "1.0"),
            (123_456, 3, "123.456"),
            (-12_345_678_901_234_567_890_123, 0, "-12345678901234567890123"),
        ] {
            assert_eq!(said(value, scale), text);
        }
        for bytes in [&[][..], &[5], &[0; 40], &[255; 40]] {
            assert!(matches!(decimal(bytes, 0), Field::Number(_)), "{bytes:?}");
        }
        assert!(matches!(decimal(&[1; 40], 0), Field::Other(_)));
    }
}
