//! What a Parquet file says of itself, held against the file: the reader takes memory for it before it looks.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::thrift::{ThriftItem, ThriftReader};

/// Data may grow so much when it is unpacked, and by so many bytes more; what claims more is damaged.
const GROWTH: u64 = 200;
const SLACK: u64 = 16 << 20;
/// Groups within each other in a schema.
const DEPTH: usize = 32;
/// What ends a file: the length of what stands before it, in four bytes, and a mark of four.
const END: u64 = 8;
/// As the format has it.
const ROW_GROUPS: u64 = i16::MAX as u64;
/// What the encodings are numbered that tell how many values there are within the data, where no check comes before the memory.
const DELTA_LENGTH: i64 = 6;
const DELTA_BYTES: i64 = 7;

/// Checks the footer of a file of so many bytes. One that is not there is left to the reader, which says so.
pub(super) fn footer(file: &File, bytes: u64) -> Result<(), String> {
    let mut file = file;
    let failed = |error: std::io::Error| error.to_string();
    let Some(end) = bytes.checked_sub(END) else { return Ok(()) };
    let mut length = [0; 4];
    file.seek(SeekFrom::Start(end)).map_err(failed)?;
    file.read_exact(&mut length).map_err(failed)?;
    let left = u64::from(u32::from_le_bytes(length));
    let Some(start) = end.checked_sub(left) else { return Ok(()) };
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut schema = SchemaTree::default();
    let mut reader = ThriftReader {
        input: BufReader::new(file),
        left,
    };
    reader.structure(&mut Vec::new(), &mut |path, found| match (path, found) {
        ([2], ThriftItem::List(count)) => {
            schema.elements = count;
            Ok(())
        }
        ([2, 0, 5], ThriftItem::Number(children)) => {
            schema.children = children;
            Ok(())
        }
        ([2, 0], ThriftItem::End) => schema.element(),
        ([4], ThriftItem::List(count)) if count > ROW_GROUPS => Err(format!("it claims {count} groups of rows")),
        _ => Ok(()),
    })
}

/// The schema's tree, which a file has as a list: each element before its children.
#[derive(Default)]
struct SchemaTree {
    elements: u64,
    /// Those of the element that is being read.
    children: i64,
    /// How many are to come, of each group that is open.
    open: Vec<i64>,
}

impl SchemaTree {
    fn element(&mut self) -> Result<(), String> {
        let children = std::mem::take(&mut self.children);
        if children < 0 || children.cast_unsigned() > self.elements {
            return Err(format!("a group of its schema has {children} of {} elements", self.elements));
        }
        if let Some(left) = self.open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            self.open.push(children);
        }
        if self.open.len() > DEPTH {
            return Err(format!("its schema is more than {DEPTH} groups deep"));
        }
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
        Ok(())
    }
}

/// Checks the columns that the footer of a file of so many bytes names, and the head of each page of theirs.
pub(super) fn columns(about: &ParquetMetaData, file: File, bytes: u64) -> Result<(), String> {
    let most = bytes.saturating_mul(GROWTH).saturating_add(SLACK);
    let mut file = BufReader::new(file);
    let mut unpacked = 0_u64;
    for column in about.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let name = column.column_path().string();
        let within = |problem: String| format!("column `{name}` {problem}");
        unread(column).map_err(within)?;
        let size = |size: i64| u64::try_from(size).map_err(|_| within("has a size below 0".to_owned()));
        unpacked = unpacked.saturating_add(size(column.uncompressed_size())?);
        let start = size(column.dictionary_page_offset().unwrap_or(column.data_page_offset()))?;
        let length = size(column.compressed_size())?;
        if start.checked_add(length).is_none_or(|end| end > bytes) {
            return Err(within("ends beyond the file".to_owned()));
        }
        pages(&mut file, start, length, most).map_err(within)?;
    }
    if unpacked > most {
        return Err(format!("it claims to hold {unpacked} bytes in a file of {bytes}"));
    }
    Ok(())
}

fn unread(column: &ColumnChunkMetaData) -> Result<(), String> {
    let packing = match column.compression() {
        Compression::BROTLI(_) => "brotli",
        Compression::LZO => "lzo",
        _ => return Ok(()),
    };
    Err(format!(
        "is packed with {packing}, which is not read: write the file again with zstd, gzip or snappy"
    ))
}

/// Checks the pages of a column, of which none may hold more than `most` bytes.
fn pages(file: &mut BufReader<File>, start: u64, length: u64, most: u64) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let (mut at, end) = (start, start + length);
    while at < end {
        let distance = at.cast_signed() - file.stream_position().map_err(failed)?.cast_signed();
        file.seek_relative(distance).map_err(failed)?;
        let mut page = PageHeader::default();
        let mut reader = ThriftReader {
            input: &mut *file,
            left: end - at,
        };
        reader.structure(&mut Vec::new(), &mut |path, found| {
            if let ThriftItem::Number(number) = found {
                page.take(path, number)?;
            }
            Ok(())
        })?;
        let packed = u64::try_from(page.packed).ok().filter(|packed| *packed <= reader.left);
        let packed = packed.ok_or_else(|| format!("has a page of {} bytes where {} are left", page.packed, reader.left))?;
        let holds = u64::try_from(page.unpacked).ok().filter(|holds| *holds <= most);
        let holds = holds.ok_or_else(|| format!("claims a page of {} bytes", page.unpacked))?;
        // A value of a dictionary takes a byte at least.
        if u64::try_from(page.dictionary).ok().is_none_or(|values| values > holds) {
            return Err(format!("claims {} values in a dictionary of {holds} bytes", page.dictionary));
        }
        at = end - reader.left + packed;
    }
    Ok(())
}

/// What the head of a page says.
#[derive(Default)]
struct PageHeader {
    unpacked: i64,
    packed: i64,
    /// Values of a dictionary.
    dictionary: i64,
}

impl PageHeader {
    fn take(&mut self, path: &[i16], number: i64) -> Result<(), String> {
        match path {
            [2] => self.unpacked = number,
            [3] => self.packed = number,
            [7, 1] => self.dictionary = number,
            [5, 2] | [8, 4] if matches!(number, DELTA_LENGTH | DELTA_BYTES) => {
                return Err(
                    "has texts in a delta encoding, which is not read: write the file again with plain or dictionary encoding".to_owned(),
                );
            }
            _ => {}
        }
        Ok(())
    }
}
