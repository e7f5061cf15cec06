//! The header of a GGUF file: its fields and the positions of its tensors. Every length is compared with the remaining bytes before memory
//! is allocated for it, and lists stay in the file until they are read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::model::{ModelError, stand_in};

const MAGIC: &[u8; 4] = b"GGUF";
/// Version 1 had lengths of 32 bits; no program writes it any more.
const SUPPORTED_VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
/// The largest number of dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;
/// Real files have a few dozen fields and a few hundred tensors.
const MAX_FIELDS: u64 = 1 << 16;
const MAX_TENSORS: u64 = 1 << 20;
/// The tensors' data starts at a multiple of this, unless the file declares another alignment.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum GgufValue {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Flag(bool),
    Text(String),
    List(GgufList),
}

/// A list, which stays in the file until it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GgufList {
    kind: u32,
    pub(super) count: u64,
    at: u64,
}

/// Shape and position of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GgufTensor {
    /// The outer dimension first.
    pub(super) shape: Vec<usize>,
    /// GGML's number of the encoding.
    pub(super) kind: u32,
    /// From the start of the file.
    pub(super) start: u64,
}

/// The header of a file.
#[derive(Debug)]
pub(super) struct GgufHeader {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) fields: BTreeMap<String, GgufValue>,
    pub(super) tensors: BTreeMap<String, GgufTensor>,
}

impl GgufHeader {
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let mut reader = GgufReader::open(path)?;
        if &reader.take::<4>()? != MAGIC {
            reader.check_own_content()?;
            return Err(reader.wrong(0, "not a GGUF file".to_owned()));
        }
        let version = reader.number32()?;
        if !SUPPORTED_VERSIONS.contains(&version) {
            return Err(reader.wrong(4, format!("GGUF version {version} (known: 2, 3)")));
        }
        let (tensors, fields) = (reader.number64()?, reader.number64()?);
        // A field takes at least 13 bytes, and a tensor at least 24.
        reader.has("fields", fields, 13)?;
        reader.has("tensors", tensors, 24)?;
        for (what, count, most) in [("fields", fields, MAX_FIELDS), ("tensors", tensors, MAX_TENSORS)] {
            if count > most {
                return Err(reader.wrong(8, format!("{count} {what}, but at most {most} are allowed")));
            }
        }
        let (mut found, mut placed) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..fields {
            let (at, name, kind) = (reader.at, reader.text()?, reader.number32()?);
            let value = reader.value(kind)?;
            reader.once(at, &mut found, name, value)?;
        }
        for _ in 0..tensors {
            let (at, (name, tensor)) = (reader.at, reader.placed()?);
            reader.once(at, &mut placed, name, tensor)?;
        }
        let (fields, mut tensors) = (found, placed);
        let alignment = match fields.get("general.alignment") {
            Some(GgufValue::Unsigned(alignment)) if alignment.is_power_of_two() && *alignment <= 1 << 20 => *alignment,
            _ => DEFAULT_ALIGNMENT,
        };
        let start = reader.at.next_multiple_of(alignment);
        tensors
            .values_mut()
            .for_each(|tensor| tensor.start = tensor.start.saturating_add(start));
        Ok(Self {
            path: path.to_owned(),
            length: reader.length,
            fields,
            tensors,
        })
    }

    /// Reads the texts of a list, at most `most`.
    pub(super) fn texts(&self, name: &str, list: GgufList, most: usize) -> Result<Vec<String>, ModelError> {
        let mut reader = self.list(name, list, most)?;
        if list.kind != kind::TEXT {
            return Err(self.wrong(name, "is not a list of texts".to_owned()));
        }
        (0..list.count).map(|_| reader.text()).collect()
    }

    /// Reads the integers of a list, at most `most`.
    pub(super) fn integers(&self, name: &str, list: GgufList, most: usize) -> Result<Vec<i64>, ModelError> {
        let mut reader = self.list(name, list, most)?;
        let integer = |value| match value {
            GgufValue::Unsigned(number) => i64::try_from(number).ok(),
            GgufValue::Signed(number) => Some(number),
            _ => None,
        };
        let integers = (0..list.count).map(|_| {
            let value = reader.value(list.kind)?;
            integer(value).ok_or_else(|| self.wrong(name, "is not a list of integers".to_owned()))
        });
        integers.collect()
    }

    /// Reads the floating-point numbers of a list, at most `most`.
    pub(super) fn floats(&self, name: &str, list: GgufList, most: usize) -> Result<Vec<f64>, ModelError> {
        let mut reader = self.list(name, list, most)?;
        let floats = (0..list.count).map(|_| match reader.value(list.kind)? {
            GgufValue::Float(number) => Ok(number),
            _ => Err(self.wrong(name, "is not a list of floating-point numbers".to_owned())),
        });
        floats.collect()
    }

    fn list(&self, name: &str, list: GgufList, most: usize) -> Result<GgufReader, ModelError> {
        if list.count > most as u64 {
            return Err(self.wrong(name, format!("has {} entries, but at most {most} are allowed", list.count)));
        }
        let mut reader = GgufReader::open(&self.path)?;
        reader.seek(list.at)?;
        Ok(reader)
    }

    /// An error about a field.
    pub(super) fn wrong(&self, field: &str, problem: String) -> ModelError {
        ModelError::Field {
            path: self.path.clone(),
            field: field.to_owned(),
            problem,
        }
    }
}

/// Type numbers of values.
mod kind {
    pub(super) const TEXT: u32 = 8;
    pub(super) const LIST: u32 = 9;
}

/// The size of a value in bytes, if it is fixed.
fn size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Reads a file from start to end.
struct GgufReader {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
    length: u64,
}

impl GgufReader {
    fn open(path: &Path) -> Result<Self, ModelError> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((BufReader::new(file), length))
        };
        let (file, length) = open().map_err(|error| ModelError::Read {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            at: 0,
            length,
        })
    }

    /// Checks that the content is the file's own, not what stands for it.
    fn check_own_content(&mut self) -> Result<(), ModelError> {
        self.seek(0)?;
        let bytes = self.file.fill_buf().map_err(|error| ModelError::Read {
            path: self.path.clone(),
            error,
        })?;
        stand_in::check(&self.path, bytes)
    }

    fn wrong(&self, at: u64, problem: String) -> ModelError {
        ModelError::Gguf {
            path: self.path.clone(),
            at,
            problem,
        }
    }

    fn failed(&self, error: io::Error) -> ModelError {
        ModelError::Read {
            path: self.path.clone(),
            error,
        }
    }

    /// Checks that the remaining bytes suffice for `count` items of at least `size` bytes.
    fn has(&self, what: &str, count: u64, size: u64) -> Result<(), ModelError> {
        let left = self.length.saturating_sub(self.at);
        if count.checked_mul(size).is_some_and(|bytes| bytes <= left) {
            return Ok(());
        }
        Err(self.wrong(self.at, format!("{count} {what}, but only {left} bytes are left")))
    }

    /// Inserts a value; `at` is its offset, for the error that its name occurs twice.
    fn once<T>(&self, at: u64, all: &mut BTreeMap<String, T>, name: String, value: T) -> Result<(), ModelError> {
        match all.entry(name) {
            Entry::Vacant(place) => drop(place.insert(value)),
            Entry::Occupied(place) => return Err(self.wrong(at, format!("`{}` occurs twice", place.key()))),
        }
        Ok(())
    }

    fn seek(&mut self, at: u64) -> Result<(), ModelError> {
        self.file.seek(SeekFrom::Start(at)).map_err(|error| self.failed(error))?;
        self.at = at;
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), ModelError> {
        let relative = i64::try_from(bytes).map_err(|_| self.wrong(self.at, format!("a length of {bytes} bytes")))?;
        self.file.seek_relative(relative).map_err(|error| self.failed(error))?;
        self.at += bytes;
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        self.has("bytes", N as u64, 1)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn number32(&mut self) -> Result<u32, ModelError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn number64(&mut self) -> Result<u64, ModelError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn text(&mut self) -> Result<String, ModelError> {
        let length = self.number64()?;
        self.has("bytes of text", length, 1)?;
        let at = self.at;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        self.at += length;
        String::from_utf8(bytes).map_err(|_| self.wrong(at, "a text that is not UTF-8".to_owned()))
    }

    fn value(&mut self, kind: u32) -> Result<GgufValue, ModelError> {
        Ok(match kind {
            0 => GgufValue::Unsigned(u8::from_le_bytes(self.take()?).into()),
            1 => GgufValue::Signed(i8::from_le_bytes(self.take()?).into()),
            2 => GgufValue::Unsigned(u16::from_le_bytes(self.take()?).into()),
            3 => GgufValue::Signed(i16::from_le_bytes(self.take()?).into()),
            4 => GgufValue::Unsigned(self.number32()?.into()),
            5 => GgufValue::Signed(i32::from_le_bytes(self.take()?).into()),
            6 => GgufValue::Float(f32::from_le_bytes(self.take()?).into()),
            7 => GgufValue::Flag(self.take::<1>()? != [0]),
            kind::TEXT => GgufValue::Text(self.text()?),
            kind::LIST => GgufValue::List(self.list()?),
            10 => GgufValue::Unsigned(self.number64()?),
            11 => GgufValue::Signed(i64::from_le_bytes(self.take()?)),
            12 => GgufValue::Float(f64::from_le_bytes(self.take()?)),
            other => return Err(self.wrong(self.at - 4, format!("a value of type {other} (known: 0 to 12)"))),
        })
    }

    /// Stores the position of a list and skips it.
    fn list(&mut self) -> Result<GgufList, ModelError> {
        let (kind, count) = (self.number32()?, self.number64()?);
        let at = self.at;
        if kind == kind::TEXT {
            self.has("texts", count, 8)?;
            for _ in 0..count {
                let length = self.number64()?;
                self.has("bytes of text", length, 1)?;
                self.skip(length)?;
            }
        } else {
            let size = size(kind).ok_or_else(|| self.wrong(at, format!("a list of values of kind {kind} (known: 0 to 8, 10 to 12)")))?;
            self.has("values", count, size)?;
            self.skip(count * size)?;
        }
        Ok(GgufList { kind, count, at })
    }

    /// Name, shape and position of a tensor; the position is relative to the start of the tensors' data.
    fn placed(&mut self) -> Result<(String, GgufTensor), ModelError> {
        let (at, name) = (self.at, self.text()?);
        let dimensions = self.number32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(self.wrong(
                at,
                format!("tensor `{name}` has {dimensions} dimensions (at most {MAX_DIMENSIONS})"),
            ));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let side = self.number64()?;
            let side = usize::try_from(side).map_err(|_| self.wrong(at, format!("tensor `{name}` is {side} wide")))?;
            shape.insert(0, side);
        }
        let (kind, start) = (self.number32()?, self.number64()?);
        Ok((name, GgufTensor { shape, kind, start }))
    }
}

/// The number with the fewest digits that is the same in f32, the type in GGUF files: 1e-5 instead of 9.99999974e-6.
pub(super) fn shortest(number: f64) -> f64 {
    (number as f32).to_string().parse().unwrap_or(number)
}
