//! Checks the sizes that a Parquet file declares against the file: the reader takes memory for them before it checks them
//! (docs/decisions/0015-parquet-checked-before-it-is-read.md).

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::error::LayoutError;
use super::thrift::{ThriftItem, ThriftReader};

/// The largest page.
const MAX_PAGE_BYTES: u64 = 256 << 20;
/// The largest pages of a group's columns together: one of each column is held at a time.
const MAX_HELD_BYTES: u64 = 2 << 30;
/// A page may grow by this factor when it is unpacked, and by [`UNPACKED_SLACK`] bytes more; one that declares more is damaged. (zstd packs
/// a text that repeats to a 30,000th.)
const MAX_COMPRESSION_RATIO: u64 = 40_000;
const UNPACKED_SLACK: u64 = 16 << 20;
/// Limit for nested groups in a schema.
const MAX_SCHEMA_DEPTH: usize = 32;
/// Length of a file's end: the length of the footer in four bytes, and four bytes of magic.
const TRAILER_BYTES: u64 = 8;
/// The limit of the format.
const MAX_ROW_GROUPS: u64 = i16::MAX as u64;
/// The numbers of the encodings that have their number of values within the data, which the reader does not check before it takes memory.
const DELTA_LENGTH: i64 = 6;
const DELTA_BYTES: i64 = 7;

/// Checks the footer of a file of `bytes` bytes. The reader reports a missing footer.
pub(super) fn footer(file: &File, bytes: u64) -> Result<(), LayoutError> {
    let mut file = file;
    let Some(end) = bytes.checked_sub(TRAILER_BYTES) else {
        return Ok(());
    };
    let mut length = [0; 4];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut length)?;
    let left = u64::from(u32::from_le_bytes(length));
    let Some(start) = end.checked_sub(left) else { return Ok(()) };
    file.seek(SeekFrom::Start(start))?;
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
        ([4], ThriftItem::List(count)) if count > MAX_ROW_GROUPS => Err(LayoutError::RowGroups(count)),
        _ => Ok(()),
    })
}

/// The tree of the schema, which a file has as a list: each element before its children.
#[derive(Default)]
struct SchemaTree {
    elements: u64,
    /// The number of children of the current element.
    children: i64,
    /// How many children are left of each open group.
    open: Vec<i64>,
}

impl SchemaTree {
    fn element(&mut self) -> Result<(), LayoutError> {
        let children = std::mem::take(&mut self.children);
        if children < 0 || children.cast_unsigned() > self.elements {
            return Err(LayoutError::SchemaChildren {
                children,
                elements: self.elements,
            });
        }
        if let Some(left) = self.open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            self.open.push(children);
        }
        if self.open.len() > MAX_SCHEMA_DEPTH {
            return Err(LayoutError::TooDeep {
                what: "groups of its schema",
                limit: MAX_SCHEMA_DEPTH,
            });
        }
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
        Ok(())
    }
}

/// Checks the columns that the footer of a file of `bytes` bytes lists, and the header of each of their pages.
pub(super) fn columns(about: &ParquetMetaData, file: File, bytes: u64) -> Result<(), LayoutError> {
    let mut file = BufReader::new(file);
    for group in about.row_groups() {
        let mut held = 0_u64;
        for about in group.columns() {
            let within = |problem| LayoutError::Column {
                name: about.column_path().string(),
                problem: Box::new(problem),
            };
            held = held.saturating_add(column(about, &mut file, bytes).map_err(within)?);
        }
        if held > MAX_HELD_BYTES {
            return Err(LayoutError::Held(held));
        }
    }
    Ok(())
}

/// Checks a column, and returns the size of its largest page.
fn column(about: &ColumnChunkMetaData, file: &mut BufReader<File>, bytes: u64) -> Result<u64, LayoutError> {
    unread(about)?;
    let size = |size: i64| u64::try_from(size).map_err(|_| LayoutError::NegativeSize);
    size(about.uncompressed_size())?;
    let start = size(about.dictionary_page_offset().unwrap_or(about.data_page_offset()))?;
    let length = size(about.compressed_size())?;
    if start.checked_add(length).is_none_or(|end| end > bytes) {
        return Err(LayoutError::BeyondFile);
    }
    pages(file, start, length)
}

fn unread(column: &ColumnChunkMetaData) -> Result<(), LayoutError> {
    let packing = match column.compression() {
        Compression::BROTLI(_) => "brotli",
        Compression::LZO => "lzo",
        _ => return Ok(()),
    };
    Err(LayoutError::Compression(packing))
}

/// Checks the pages of a column, and returns the size of the largest.
fn pages(file: &mut BufReader<File>, start: u64, length: u64) -> Result<u64, LayoutError> {
    let (mut at, end) = (start, start + length);
    let mut largest = 0;
    while at < end {
        let distance = at.cast_signed() - file.stream_position()?.cast_signed();
        file.seek_relative(distance)?;
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
        let packed = packed.ok_or(LayoutError::PackedPage {
            packed: page.packed,
            left: reader.left,
        })?;
        let limit = packed.saturating_mul(MAX_COMPRESSION_RATIO).saturating_add(UNPACKED_SLACK);
        let limit = limit.min(MAX_PAGE_BYTES);
        let holds = u64::try_from(page.unpacked).ok().filter(|holds| *holds <= limit);
        let holds = holds.ok_or(LayoutError::UnpackedPage(page.unpacked))?;
        // A value of a dictionary takes a byte at least.
        if u64::try_from(page.dictionary).ok().is_none_or(|values| values > holds) {
            return Err(LayoutError::Dictionary {
                values: page.dictionary,
                bytes: holds,
            });
        }
        largest = largest.max(holds);
        at = end - reader.left + packed;
    }
    Ok(largest)
}

/// The numbers in the header of a page.
#[derive(Default)]
struct PageHeader {
    unpacked: i64,
    packed: i64,
    /// Number of values in a dictionary.
    dictionary: i64,
}

impl PageHeader {
    fn take(&mut self, path: &[i16], number: i64) -> Result<(), LayoutError> {
        match path {
            [2] => self.unpacked = number,
            [3] => self.packed = number,
            [7, 1] => self.dictionary = number,
            [5, 2] | [8, 4] if matches!(number, DELTA_LENGTH | DELTA_BYTES) => {
                return Err(LayoutError::DeltaEncoding);
            }
            _ => {}
        }
        Ok(())
    }
}
