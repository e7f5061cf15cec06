//! Writing safetensors files without copies of the numbers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, View};
use safetensors::{SafeTensorError, serialize_to_file};

/// A tensor to be written to a file.
pub struct StoredTensor<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: Cow<'a, [u8]>,
}

impl<'a> StoredTensor<'a> {
    pub fn f32(shape: &'a [usize], data: &'a [f32]) -> Self {
        Self {
            dtype: Dtype::F32,
            shape,
            bytes: le_bytes(data),
        }
    }

    pub fn f64(shape: &'a [usize], data: impl Iterator<Item = f64>) -> Self {
        Self {
            dtype: Dtype::F64,
            shape,
            bytes: Cow::Owned(data.flat_map(f64::to_le_bytes).collect()),
        }
    }
}

/// The little-endian bytes of numbers. On little-endian processors they are not copied.
pub fn le_bytes(data: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(data))
    } else {
        Cow::Owned(data.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
}

impl View for StoredTensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes named tensors to the file `path`. Equal tensors give equal bytes (the crate sorts by name).
///
/// # Errors
/// When the file cannot be written.
pub fn write_tensors<'a>(
    tensors: impl IntoIterator<Item = (String, StoredTensor<'a>)>,
    metadata: HashMap<String, String>,
    path: &Path,
) -> std::io::Result<()> {
    serialize_to_file(tensors, Some(metadata), path).map_err(|error| match error {
        SafeTensorError::IoError(error) => error,
        other => std::io::Error::other(other),
    })
}
