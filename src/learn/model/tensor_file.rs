//! Reading safetensors files. The header is checked as a whole, and tensors are read one by one, so that only they take memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::{ModelError, stand_in};

/// The format's limit on the size of the header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Numbers read at a time.
const READ_CHUNK: usize = 1 << 16;

/// A safetensors file.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the numbers start.
    start: u64,
}

impl TensorFile {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// When it cannot be read, or its header does not match its content.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let read = |error| ModelError::Read {
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(read)?;
        let header = header(&file).map_err(read)?;
        let (metadata, start) = header.map_err(|error| {
            let mut begin = [0; stand_in::TELLING_BYTES];
            let read = file.read_at(&mut begin, 0).unwrap_or_default();
            stand_in::check(path, &begin[..read]).err().unwrap_or_else(|| ModelError::Damaged {
                path: path.to_owned(),
                error,
            })
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            metadata,
            start,
        })
    }

    /// The text under `key` in the header's metadata.
    pub fn note(&self, key: &str) -> Option<&str> {
        Some(self.metadata.metadata().as_ref()?.get(key)?.as_str())
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Type and shape of the tensor `name`, or `None`.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// The bytes of a tensor.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn bytes(&self, info: &TensorInfo) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        self.file.read_exact_at(&mut bytes, self.place(info))?;
        Ok(bytes)
    }

    /// The file, with its path, and the offset of a tensor.
    pub(super) fn source(&self, info: &TensorInfo) -> (&Path, &File, u64) {
        (&self.path, &self.file, self.place(info))
    }

    fn place(&self, info: &TensorInfo) -> u64 {
        self.start + info.data_offsets.0 as u64
    }

    /// The tensor `name`, which must have the shape `expected`, and the function that reads its numbers.
    ///
    /// # Errors
    /// When it is missing, has the wrong shape, or its type is not F32, F16 or BF16.
    pub(super) fn expect(&self, name: &str, expected: &[usize]) -> Result<(&TensorInfo, Widen), ModelError> {
        let (path, name) = (self.path.clone(), name.to_owned());
        let Some(info) = self.info(&name) else {
            return Err(ModelError::Missing { path, name });
        };
        if info.shape != expected {
            let (expected, found) = (expected.to_vec(), info.shape.clone());
            return Err(ModelError::Tensor {
                path,
                name,
                expected,
                found,
            });
        }
        let Some(widen) = widening(info.dtype) else {
            let found = info.dtype.to_string();
            return Err(ModelError::Type { path, name, found });
        };
        Ok((info, widen))
    }

    /// The numbers of the tensor `name`, which must have the shape `expected`, in f32.
    ///
    /// # Errors
    /// When it is missing, has the wrong shape, its type is not F32, F16 or BF16, or a number is not finite.
    pub fn numbers(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ModelError> {
        let (info, widen) = self.expect(name, expected)?;
        let size = info.dtype.bitsize() / 8;
        let count = expected.iter().product();
        let (mut numbers, mut bytes) = (Vec::with_capacity(count), vec![0; READ_CHUNK.min(count) * size]);
        while numbers.len() < count {
            let part = &mut bytes[..READ_CHUNK.min(count - numbers.len()) * size];
            let at = self.place(info) + (numbers.len() * size) as u64;
            let read = self.file.read_exact_at(part, at);
            read.map_err(|error| ModelError::Read {
                path: self.path.clone(),
                error,
            })?;
            let before = numbers.len();
            widen(part, &mut numbers);
            if let Some(index) = numbers[before..].iter().position(|number| !number.is_finite()) {
                let index = before + index;
                let (path, name, number) = (self.path.clone(), name.to_owned(), numbers[index]);
                return Err(ModelError::NotFinite { path, name, index, number });
            }
        }
        Ok(numbers)
    }
}

/// Converts bytes to f32 numbers and appends them.
pub(super) type Widen = fn(&[u8], &mut Vec<f32>);

/// The conversion of numbers of this type; `None` unless it is F32, F16 or BF16.
pub(super) fn widening(dtype: Dtype) -> Option<Widen> {
    match dtype {
        Dtype::F32 => Some(|bytes, out| out.extend(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)))),
        Dtype::F16 => Some(|bytes, out| out.extend(bytes.as_chunks().0.iter().map(|two| half::f16::from_le_bytes(*two).to_f32()))),
        Dtype::BF16 => Some(|bytes, out| out.extend(bytes.as_chunks().0.iter().map(|two| half::bf16::from_le_bytes(*two).to_f32()))),
        _ => None,
    }
}

/// The header, and the offset of the numbers.
fn header(file: &File) -> io::Result<Result<(Metadata, u64), SafeTensorError>> {
    let length = file.metadata()?.len();
    let mut eight = [0; 8];
    if length < eight.len() as u64 {
        return Ok(Err(SafeTensorError::HeaderTooSmall));
    }
    (&*file).read_exact(&mut eight)?;
    let size = u64::from_le_bytes(eight);
    if size > MAX_HEADER_BYTES {
        return Ok(Err(SafeTensorError::HeaderTooLarge));
    }
    if size > length - eight.len() as u64 {
        return Ok(Err(SafeTensorError::InvalidHeaderLength));
    }
    let mut text = vec![0; size as usize];
    (&*file).read_exact(&mut text)?;
    let start = eight.len() as u64 + size;
    let metadata = serde_json::from_slice(&text).map_err(SafeTensorError::InvalidHeaderDeserialization);
    Ok(metadata.and_then(|metadata: Metadata| {
        check(&metadata, length - start)?;
        Ok((metadata, start))
    }))
}

/// Checks that the tensors lie end to end, have the sizes of their shapes, and fill all `length` bytes.
fn check(metadata: &Metadata, length: u64) -> Result<(), SafeTensorError> {
    let mut end = 0;
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let (from, to) = info.data_offsets;
        if from != end || to < from {
            return Err(SafeTensorError::InvalidOffset(name));
        }
        let count = info.shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side));
        let bits = count.and_then(|count| count.checked_mul(info.dtype.bitsize()));
        if bits.ok_or(SafeTensorError::ValidationOverflow)? != (to - from).saturating_mul(8) {
            return Err(SafeTensorError::TensorInvalidInfo);
        }
        end = to;
    }
    if end as u64 == length {
        Ok(())
    } else {
        Err(SafeTensorError::MetadataIncompleteBuffer)
    }
}
