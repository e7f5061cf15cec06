//! Thrift's compact protocol, read over: what the numbers of a Parquet file's structures say, before anything is made of them.

use std::io::Read;

/// Structures within each other; Parquet has six.
const DEPTH: usize = 16;

/// What a structure has at a place: the numbers of the fields that lead to it.
pub(super) enum ThriftItem {
    Number(i64),
    /// A list of so many.
    List(u64),
    /// A structure is over.
    End,
}

/// Is told what is found; refuses it, or not.
pub(super) type VisitItem<'a> = dyn FnMut(&[i16], ThriftItem) -> Result<(), String> + 'a;

/// Bytes of which so many are left.
pub(super) struct ThriftReader<R> {
    pub(super) input: R,
    pub(super) left: u64,
}

impl<R: Read> ThriftReader<R> {
    /// Reads over one structure.
    pub(super) fn structure(&mut self, path: &mut Vec<i16>, visit: &mut VisitItem<'_>) -> Result<(), String> {
        if path.len() > DEPTH {
            return Err(format!("it has structures more than {DEPTH} deep"));
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

    fn value(&mut self, kind: u8, path: &mut Vec<i16>, visit: &mut VisitItem<'_>, listed: bool) -> Result<(), String> {
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
            other => Err(format!("it has a value of the kind {other}, which there is none of")),
        }
    }

    fn list(&mut self, path: &mut Vec<i16>, visit: &mut VisitItem<'_>) -> Result<(), String> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.varint()?,
            count => count.into(),
        };
        self.has(count)?;
        visit(path, ThriftItem::List(count))?;
        // Lists of lists are as deep as structures of structures.
        path.push(0);
        let nested = path.len() > DEPTH;
        for _ in 0..count {
            if nested {
                return Err(format!("it has lists more than {DEPTH} deep"));
            }
            self.value(byte & 15, path, visit, true)?;
        }
        path.pop();
        Ok(())
    }

    fn map(&mut self, path: &mut Vec<i16>, visit: &mut VisitItem<'_>) -> Result<(), String> {
        let count = self.varint()?;
        self.has(count)?;
        if count == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        path.push(0);
        if path.len() > DEPTH {
            return Err(format!("it has maps more than {DEPTH} deep"));
        }
        for _ in 0..count {
            self.value(kinds >> 4, path, visit, true)?;
            self.value(kinds & 15, path, visit, true)?;
        }
        path.pop();
        Ok(())
    }

    /// Whether so many things can be left, of a byte at least.
    fn has(&self, count: u64) -> Result<(), String> {
        if count <= self.left {
            return Ok(());
        }
        Err(format!(
            "it says that {count} values or bytes follow where {} bytes are left",
            self.left
        ))
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.has(1)?;
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(|error| error.to_string())?;
        self.left -= 1;
        Ok(byte[0])
    }

    fn skip(&mut self, count: u64) -> Result<(), String> {
        self.has(count)?;
        let skipped = std::io::copy(&mut self.input.by_ref().take(count), &mut std::io::sink());
        if skipped.map_err(|error| error.to_string())? != count {
            return Err("it ends in the middle of a value".to_owned());
        }
        self.left -= count;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 127).wrapping_shl(shift);
            if byte < 128 {
                return Ok(number);
            }
        }
        Err("it has a number of more than 64 bits".to_owned())
    }

    fn zigzag(&mut self) -> Result<i64, String> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}
