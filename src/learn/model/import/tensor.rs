//! Copying tensors from a file of another program to `model.safetensors`, a few rows at a time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::model::ModelError;
use crate::model::tensor_file::widening;

/// Numbers in memory at a time. One row may have more.
const COPY_CHUNK: usize = 1 << 18;

/// The encoding of numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Encoding {
    Plain(Dtype),
    /// Blocks of quantised numbers.
    Blocks(GgmlDType),
}

impl Encoding {
    /// The bytes of n numbers; `None` if they are not whole blocks, or too many.
    pub(super) fn bytes(self, numbers: usize) -> Option<usize> {
        match self {
            Self::Plain(dtype) => numbers.checked_mul(dtype.bitsize() / 8),
            Self::Blocks(dtype) if numbers.is_multiple_of(dtype.block_size()) => {
                (numbers / dtype.block_size()).checked_mul(dtype.type_size())
            }
            Self::Blocks(_) => None,
        }
    }

    /// The type in which the numbers are written.
    fn written(self) -> Dtype {
        match self {
            Self::Plain(dtype) => dtype,
            Self::Blocks(_) => Dtype::F32,
        }
    }
}

/// A tensor in a file of another program.
#[derive(Clone, Debug)]
pub(super) struct SourceTensor<'a> {
    pub(super) name: String,
    /// [out, in], or [width]
    pub(super) shape: Vec<usize>,
    pub(super) path: &'a Path,
    pub(super) file: &'a File,
    /// Offset of its first byte in the file.
    pub(super) start: u64,
    pub(super) encoding: Encoding,
    /// If the rotary pairs of each head are neighbouring rows (2i, 2i + 1) instead of half a head apart: the width of a head.
    pub(super) paired: Option<usize>,
    /// What is added to it.
    pub(super) added: Option<Arc<LowRank>>,
}

/// The product of adapters, `scale · B·A`.
#[derive(Debug)]
pub(super) struct LowRank {
    /// [rank, columns]
    pub(super) a: Vec<f32>,
    /// [rows, rank]
    pub(super) b: Vec<f32>,
    pub(super) rank: usize,
    pub(super) scale: f32,
}

impl LowRank {
    /// Adds its rows from `first` on to `rows`, each of `columns` numbers.
    fn add(&self, first: usize, rows: &mut [f32], columns: usize) {
        let mut product = vec![0.0_f32; columns];
        let factors = self.b.chunks_exact(self.rank).skip(first);
        for (row, factors) in rows.chunks_exact_mut(columns).zip(factors) {
            product.fill(0.0);
            for (factor, a) in factors.iter().zip(self.a.chunks_exact(columns)) {
                product.iter_mut().zip(a).for_each(|(sum, a)| *sum += factor * a);
            }
            row.iter_mut().zip(&product).for_each(|(weight, sum)| *weight += self.scale * sum);
        }
    }
}

impl SourceTensor<'_> {
    fn rows(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [rows, columns] => (*rows, *columns),
            shape => (1, shape.iter().product()),
        }
    }

    fn size(&self) -> usize {
        self.shape.iter().product::<usize>() * self.encoding.written().bitsize() / 8
    }

    /// All numbers of the tensor.
    pub(super) fn numbers(&self) -> Result<Vec<f32>, ModelError> {
        self.part(0, self.shape.iter().product())
    }

    /// Whether `other`, of the same shape, has the same numbers.
    pub(super) fn equals(&self, other: &Self) -> Result<bool, ModelError> {
        let count: usize = self.shape.iter().product();
        for first in (0..count).step_by(COPY_CHUNK) {
            let part = COPY_CHUNK.min(count - first);
            if self.part(first, part)? != other.part(first, part)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `count` numbers from number `first` on.
    fn part(&self, first: usize, count: usize) -> Result<Vec<f32>, ModelError> {
        let (bytes, mut numbers) = (self.read(first, count)?, Vec::with_capacity(count));
        let widen = widening(self.encoding.written()).ok_or_else(|| self.wrong("does not contain floating-point numbers"))?;
        widen(&bytes, &mut numbers);
        Ok(numbers)
    }

    /// Offset of the end of its bytes. The tensor must lie within its file.
    pub(super) fn end(&self) -> u64 {
        let bytes = self.encoding.bytes(self.shape.iter().product());
        self.start.saturating_add(bytes.unwrap_or_default() as u64)
    }

    /// Writes its numbers.
    fn copy(&self, out: &mut impl Write, to: &Path) -> Result<(), ModelError> {
        let (rows, columns) = self.rows();
        let mut write = |first: usize, count: usize| {
            let numbers = match &self.added {
                None => self.read(first * columns, count * columns)?,
                Some(added) => self.merged(added, first, count)?,
            };
            out.write_all(&numbers).map_err(|error| ModelError::Write {
                path: to.to_owned(),
                error,
            })
        };
        let Some(head) = self.paired else {
            let step = (COPY_CHUNK / columns.max(1)).max(1);
            return (0..rows).step_by(step).try_for_each(|first| write(first, step.min(rows - first)));
        };
        // Row 2i moves to i, and row 2i + 1 to the second half of the head.
        for first in (0..rows).step_by(head) {
            let head = first..first + head;
            let (even, odd) = (head.clone().step_by(2), head.skip(1).step_by(2));
            even.chain(odd).try_for_each(|row| write(row, 1))?;
        }
        Ok(())
    }

    /// `count` numbers from number `first` on, as the bytes to write.
    fn read(&self, first: usize, count: usize) -> Result<Vec<u8>, ModelError> {
        let size = |numbers| {
            self.encoding
                .bytes(numbers)
                .ok_or_else(|| self.wrong("does not consist of whole blocks"))
        };
        let mut bytes = vec![0; size(count)?];
        let read = self.file.read_exact_at(&mut bytes, self.start + size(first)? as u64);
        read.map_err(|error| ModelError::Read {
            path: self.path.to_owned(),
            error,
        })?;
        let (bytes, numbers) = match self.encoding {
            Encoding::Plain(dtype) => {
                let mut numbers = Vec::with_capacity(count);
                let widen = widening(dtype).ok_or_else(|| self.wrong("does not contain floating-point numbers"))?;
                widen(&bytes, &mut numbers);
                (bytes, numbers)
            }
            Encoding::Blocks(dtype) => {
                let numbers = dequantise(dtype, &bytes, count).map_err(|error| self.wrong(&format!("cannot be dequantised: {error}")))?;
                (numbers.iter().flat_map(|number| number.to_le_bytes()).collect(), numbers)
            }
        };
        match numbers.iter().position(|number| !number.is_finite()) {
            None => Ok(bytes),
            Some(place) => Err(ModelError::NotFinite {
                path: self.path.to_owned(),
                name: self.name.clone(),
                index: first + place,
                number: numbers[place],
            }),
        }
    }

    /// `count` rows from row `first` on with adapters added, as the bytes to write.
    fn merged(&self, added: &LowRank, first: usize, count: usize) -> Result<Vec<u8>, ModelError> {
        let (_, columns) = self.rows();
        let mut numbers = self.part(first * columns, count * columns)?;
        added.add(first, &mut numbers, columns);
        let bytes: Vec<u8> = match self.encoding.written() {
            Dtype::F16 => numbers
                .iter()
                .flat_map(|number| half::f16::from_f32(*number).to_le_bytes())
                .collect(),
            Dtype::BF16 => numbers
                .iter()
                .flat_map(|number| half::bf16::from_f32(*number).to_le_bytes())
                .collect(),
            _ => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        };
        // Rounded to fewer bits, a large number may become infinite.
        let mut written = Vec::with_capacity(numbers.len());
        let widen = widening(self.encoding.written()).ok_or_else(|| self.wrong("does not contain floating-point numbers"))?;
        widen(&bytes, &mut written);
        if written.iter().all(|number| number.is_finite()) {
            Ok(bytes)
        } else {
            Err(self.wrong("is no longer finite when its adapters are merged"))
        }
    }

    fn wrong(&self, problem: &str) -> ModelError {
        ModelError::Place {
            path: self.path.to_owned(),
            name: self.name.clone(),
            problem: problem.to_owned(),
        }
    }
}

fn dequantise(dtype: GgmlDType, bytes: &[u8], count: usize) -> candle_core::Result<Vec<f32>> {
    qtensor_from_ggml(dtype, bytes, vec![count], &Device::Cpu)?
        .dequantize(&Device::Cpu)?
        .to_vec1()
}

/// Hugging Face's name for the type in which the matrices are written.
pub(super) fn common_type(tensors: &[SourceTensor<'_>]) -> &'static str {
    let widest = tensors.iter().map(|tensor| tensor.encoding.written());
    let mut matrices = widest
        .zip(tensors)
        .filter(|(_, tensor)| tensor.shape.len() > 1)
        .map(|(dtype, _)| dtype);
    let first = matrices.next().unwrap_or(Dtype::F32);
    match first {
        Dtype::BF16 if matrices.all(|dtype| dtype == first) => "bfloat16",
        Dtype::F16 if matrices.all(|dtype| dtype == first) => "float16",
        _ => "float32",
    }
}

/// Writes `model.safetensors`.
pub(super) fn write(tensors: &[SourceTensor<'_>], path: &Path) -> Result<(), ModelError> {
    let failed = |error| ModelError::Write {
        path: path.to_owned(),
        error,
    };
    // Wide numbers first, so that all are aligned, as the format's own writers do.
    let mut sorted: Vec<&SourceTensor<'_>> = tensors.iter().collect();
    sorted.sort_by_key(|tensor| (std::cmp::Reverse(tensor.encoding.written().bitsize()), tensor.name.clone()));
    let mut end = 0;
    let infos = sorted.iter().map(|tensor| {
        let start = end;
        end += tensor.size();
        let info = TensorInfo {
            dtype: tensor.encoding.written(),
            shape: tensor.shape.clone(),
            data_offsets: (start, end),
        };
        (tensor.name.clone(), info)
    });
    let note = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(note), infos.collect()).map_err(|error| ModelError::Damaged {
        path: path.to_owned(),
        error,
    })?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| failed(error.into()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    out.write_all(&header).map_err(failed)?;
    for tensor in sorted {
        tensor.copy(&mut out, path)?;
    }
    out.flush().map_err(failed)
}
