//! Thrift's compact protocol: reads over the structures of a Parquet file and reports their numbers, before memory is taken for them.

use std::io::Read;

use super::error::LayoutError;

/// Limit for nested structures; Parquet nests six.
const MAX_THRIFT_DEPTH: usize = 16;

fn too_deep(what: &'static str) -> LayoutError {
    LayoutError::TooDeep {
        what,
        limit: MAX_THRIFT_DEPTH,
    }
}

/// A part of a structure. Its path is the list of the field numbers that lead to it.
pub(super) enum ThriftItem {
    Number(i64),
    /// A list of this length.
    List(u64),
    /// The end of a structure.
    End,
}

/// Is called with the path of each part; an error ends the reading.
pub(super) type VisitItem<'a> = dyn FnMut(&[i16], ThriftItem) -> Result<(), LayoutError> + 'a;

/// Reads from `input`, of which `left` bytes are left.
pub(super) struct ThriftReader<R> {
    pub(super) input: R,
    pub(super) left: u64,
}

impl<R: Read> ThriftReader<R> {
    /// Reads over one structure.
    pub(super) fn structure(&mut self, path: &mut Vec<i16>, visit: &mut VisitItem<'_>) -> Result<(), LayoutError> {
        if path.len() > MAX_THRIFT_DEPTH {
            return Err(too_deep("structures"));
        }
        let mut field = 0_i16;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return visit(path, ThriftItem::End);
            }
            field = match byte >> 4 {
                0 => self.zigzag()? as i16,
                more => field.wrapping_add(i16::from(more)),
            };
            path.push(field);
            self.value(byte & 15, path, visit, false)?;
            path.pop();
        }
    }

    fn value(&mut self, kind: u8, path: &mut Vec<i16>, visit: &mut VisitItem<'_>, listed: bool) -> Result<(), LayoutError> {
        match kind {
            1 | 2 if !listed => Ok(()),
            1..=3 => self.skip(1),
            4..=6 => {
                let number = self.zigzag()?;
                visit(path, ThriftItem::Number(number))
            }
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(length)
            }
            9 | 10 => self.list(path, visit),
            11 => self.map(path, visit),
            12 => self.structure(path, visit),
            13 => self.skip(16),
            other => Err(LayoutError::UnknownType(other)),
        }
    }

    fn list(&mut self, path: &mut Vec<i16>, visit: &mut VisitItem<'_>) -> Result<(), LayoutError> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.varint()?,
            count => count.into(),
        };
        self.check_left(count)?;
        visit(path, ThriftItem::List(count))?;
        // Lists of lists are as deep as structures of structures.
        path.push(0);
        let nested = path.len() > MAX_THRIFT_DEPTH;
        for _ in 0..count {
            if nested {
                return Err(too_deep("lists"));
            }
            self.value(byte & 15, path, visit, true)?;
        }
        path.pop();
        Ok(())
    }

    fn map(&mut self, path: &mut Vec<i16>, visit: &mut VisitItem<'_>) -> Result<(), LayoutError> {
        let count = self.varint()?;
        self.check_left(count)?;
        if count == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        path.push(0);
        if path.len() > MAX_THRIFT_DEPTH {
            return Err(too_deep("maps"));
        }
        for _ in 0..count {
            self.value(kinds >> 4, path, visit, true)?;
            self.value(kinds & 15, path, visit, true)?;
        }
        path.pop();
        Ok(())
    }

    /// Checks that `count` things of at least one byte each can be left.
    fn check_left(&self, count: u64) -> Result<(), LayoutError> {
        if count <= self.left {
            return Ok(());
        }
        Err(LayoutError::TooMany { count, left: self.left })
    }

    fn byte(&mut self) -> Result<u8, LayoutError> {
        self.check_left(1)?;
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.left -= 1;
        Ok(byte[0])
    }

    fn skip(&mut self, count: u64) -> Result<(), LayoutError> {
        self.check_left(count)?;
        let skipped = std::io::copy(&mut self.input.by_ref().take(count), &mut std::io::sink());
        if skipped? != count {
            return Err(LayoutError::Truncated);
        }
        self.left -= count;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, LayoutError> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 127).wrapping_shl(shift);
            if byte < 128 {
                return Ok(number);
            }
        }
        Err(LayoutError::NumberTooLong)
    }

    fn zigzag(&mut self) -> Result<i64, LayoutError> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}
