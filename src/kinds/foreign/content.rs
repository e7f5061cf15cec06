//! The content of a file as text: unpacked, without a byte order mark, and what it is where it is no data set.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::GzDecoder;

use super::magic;
use learn::dataset::{BYTE_ORDER_MARK, DatasetError, file_error};

/// How much of a file is looked at to tell what it is.
const START_BYTES: u64 = 64 << 10;
/// The longest record. A packed file of any size can hold one that does not fit into memory.
const MAX_RECORD_BYTES: u64 = if cfg!(test) { 4 << 20 } else { 256 << 20 };

/// The text of a file.
pub(super) struct Content {
    /// The first bytes, which `reader` reads too.
    pub start: Vec<u8>,
    pub reader: Box<dyn BufRead>,
    /// How many bytes have been read since the last record; whoever takes a record sets it to 0.
    pub since_record: Rc<Cell<u64>>,
}

/// Opens a file.
///
/// # Errors
/// When it cannot be read, or is another thing than a file of rows: an archive, a web page, …
pub(super) fn open(path: &Path) -> Result<Content, DatasetError> {
    let failed = |cause| file_error("read", path, cause);
    let file = File::open(path).map_err(|cause| file_error("open", path, cause))?;
    let mut plain = BufReader::with_capacity(START_BYTES as usize, file);
    let mut start = start_of(&mut plain).map_err(failed)?;
    let mut reader: Box<dyn BufRead> = if start.starts_with(magic::GZIP) {
        plain.rewind().map_err(failed)?;
        let mut unpacked = BufReader::with_capacity(START_BYTES as usize, Unpacked(Some(GzDecoder::new(plain))));
        start = start_of(&mut unpacked).map_err(failed)?;
        if let Some(what) = magic::packed(&start) {
            return Err(no_rows(path, what));
        }
        Box::new(unpacked)
    } else {
        Box::new(plain)
    };
    if let Some(what) = magic::other(&start) {
        return Err(no_rows(path, what));
    }
    reader = Box::new(Cursor::new(start.clone()).chain(reader));
    while start.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
        start.drain(..BYTE_ORDER_MARK.len());
    }
    let since_record = Rc::new(Cell::new(0));
    let bounded = Bounded {
        reader,
        since_record: Rc::clone(&since_record),
    };
    Ok(Content {
        start,
        reader: Box::new(bounded),
        since_record,
    })
}

fn no_rows(path: &Path, what: &'static str) -> DatasetError {
    DatasetError::Content {
        path: path.to_owned(),
        what,
    }
}

fn start_of(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.take(START_BYTES).read_to_end(&mut start)?;
    Ok(start)
}

/// Unpacks the members of a gzip file one after another, and says of a damaged file that it is one.
struct Unpacked<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer).map_err(|cause| {
                let what = match cause.kind() {
                    io::ErrorKind::UnexpectedEof => "it ends in the middle of its packed content: it was cut off",
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "it is a damaged gzip file",
                    _ => return cause,
                };
                io::Error::new(cause.kind(), what)
            })?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.0 = match self.0.take() {
                Some(member) => next_member(member.into_inner())?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// The next member of a gzip file, if there is one. Zeros between members and after them are padding, as for other programs.
fn next_member<R: BufRead>(mut reader: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let available = reader.fill_buf()?;
        let zeros = available.iter().take_while(|byte| **byte == 0).count();
        let rest = available.get(zeros..).unwrap_or_default();
        // As far as it has been read already.
        let begins = rest.iter().zip(magic::GZIP).all(|(byte, expected)| byte == expected);
        let is_over = rest.is_empty();
        reader.consume(zeros);
        match (is_over, begins) {
            (true, _) if zeros == 0 => return Ok(None),
            (true, _) => {}
            (false, true) => return Ok(Some(GzDecoder::new(reader))),
            (false, false) => {
                let what = "something that is not packed follows its packed content";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
    }
}

/// Reads until a record is too long.
struct Bounded {
    reader: Box<dyn BufRead>,
    since_record: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Bounded {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since_record.get() > MAX_RECORD_BYTES {
            let what = format!("no row ends within {} MiB", MAX_RECORD_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.since_record.set(self.since_record.get() + count as u64);
        self.reader.consume(count);
    }
}
