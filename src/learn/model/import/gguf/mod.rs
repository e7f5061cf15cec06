//! GGUF files, the format of llama.cpp.

mod chat;
mod fields;
mod header;
mod names;
mod rope;
mod vocabulary;

use std::fs::File;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use safetensors::tensor::Dtype;

use super::hub::fused;
use super::tensor::{Encoding, SourceTensor};
use super::write;
use crate::model::{ModelChat, ModelError, ModelShape};
use header::{GgufHeader, GgufTensor};

/// The supported architectures.
const LLAMA: &str = "llama";
const QWEN2: &str = "qwen2";
const QWEN3: &str = "qwen3";
/// Its matrices are joined as in Hugging Face's folders.
const PHI3: &str = "phi3";

pub(super) fn import(source: &Path, with_chat: bool, out: &Path) -> Result<(), ModelError> {
    let header = GgufHeader::read(source)?;
    let family = fields::family(&header)?;
    let mut shape = fields::shape(&header, family)?;
    let tokenizer = vocabulary::tokenizer(&header, &shape)?;
    let file = File::open(source).map_err(|error| ModelError::Read {
        path: source.to_owned(),
        error,
    })?;
    shape.rope_scaling = rope::scaling(&header, family, &shape, &file)?;
    let chat = if with_chat { chat::of(&header, &tokenizer)? } else { None };
    write(&shape, &tokenizer, chat.as_ref(), &tensors(&header, family, &shape, &file)?, out)
}

/// The chat template of the file `source`.
pub(super) fn chat(source: &Path) -> Result<Option<ModelChat>, ModelError> {
    let header = GgufHeader::read(source)?;
    let shape = fields::shape(&header, fields::family(&header)?)?;
    chat::of(&header, &vocabulary::tokenizer(&header, &shape)?)
}

/// The tensors of `shape`, each with its position in the file.
fn tensors<'a>(header: &'a GgufHeader, family: &str, shape: &ModelShape, file: &'a File) -> Result<Vec<SourceTensor<'a>>, ModelError> {
    let path = &header.path;
    if shape.is_deeper_than(header.tensors.len()) {
        let (path, name) = (path.clone(), format!("blk.{}.attn_norm.weight", shape.layers - 1));
        return Err(ModelError::Missing { path, name });
    }
    let parameters = shape.parameters();
    let whole = |name: &str| fused(shape, name).filter(|_| family == PHI3);
    let theirs = |name: &String| names::gguf_name(&whole(name).map_or_else(|| name.clone(), |(whole, ..)| whole));
    let wanted: Vec<(String, String)> = parameters.keys().map(|name| (theirs(name), name.clone())).collect();
    let known = |name: &&String| rope::is_known(name) || wanted.iter().any(|(theirs, _)| theirs == *name);
    if let Some(name) = header.tensors.keys().find(|name| !known(name)) {
        let (path, name) = (path.clone(), name.clone());
        return Err(ModelError::Stranger { path, name });
    }
    let tensors = wanted.into_iter().map(|(theirs, name)| {
        let expected = parameters.get(&name).cloned().unwrap_or_default();
        let Some(placed) = header.tensors.get(&theirs) else {
            let path = path.clone();
            return Err(ModelError::Missing { path, name: theirs });
        };
        let columns = expected.last().copied().unwrap_or_default();
        let (first, whole) = match whole(&name) {
            Some((_, first, rows)) => (first, vec![rows, columns]),
            None => (0, expected.clone()),
        };
        let encoding = check_tensor(header, &theirs, &whole, placed)?;
        // It is less than the size of the whole, which was found to lie within the file.
        let before = encoding.bytes(first * columns).unwrap_or_default() as u64;
        Ok(SourceTensor {
            paired: (family == LLAMA && names::is_paired(&name)).then_some(shape.head_dim),
            name,
            shape: expected,
            path,
            file,
            start: placed.start + before,
            encoding,
            added: None,
        })
    });
    let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
    check_no_overlap(header, &tensors)?;
    Ok(tensors)
}

/// Checks that no tensors overlap. Otherwise a small file could make a large model.
fn check_no_overlap(header: &GgufHeader, tensors: &[SourceTensor<'_>]) -> Result<(), ModelError> {
    let mut places: Vec<(u64, u64, &str)> = tensors
        .iter()
        .map(|tensor| (tensor.start, tensor.end(), tensor.name.as_str()))
        .collect();
    places.sort_unstable();
    let lapped = places
        .windows(2)
        .find(|pair| matches!(pair, [(_, end, _), (start, ..)] if start < end));
    match lapped {
        Some([(_, end, before), (start, _, name)]) => Err(ModelError::Place {
            path: header.path.clone(),
            name: names::gguf_name(name),
            problem: format!("begins at byte {start}, where `{}` ends at byte {end}", names::gguf_name(before)),
        }),
        _ => Ok(()),
    }
}

/// Checks that a tensor has the shape `expected` and lies within the file; returns its encoding.
fn check_tensor(header: &GgufHeader, name: &str, expected: &[usize], placed: &GgufTensor) -> Result<Encoding, ModelError> {
    let (path, name) = (header.path.clone(), name.to_owned());
    if placed.shape != expected {
        let (expected, found) = (expected.to_vec(), placed.shape.clone());
        return Err(ModelError::Tensor {
            path,
            name,
            expected,
            found,
        });
    }
    let Some(encoding) = encoding(placed.kind) else {
        let problem = format!(
            "has the encoding {} (known: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K)",
            placed.kind
        );
        return Err(ModelError::Place { path, name, problem });
    };
    // A row consists of whole blocks, so that the matrix can be read row by row.
    let row = expected.last().and_then(|columns| encoding.bytes(*columns));
    let count = expected.iter().try_fold(1_usize, |count, side| count.checked_mul(*side));
    let bytes = row.and(count).and_then(|count| encoding.bytes(count));
    let end = bytes.and_then(|bytes| placed.start.checked_add(bytes as u64));
    match end {
        None => Err(ModelError::Place {
            path,
            name,
            problem: format!("has rows that do not consist of whole blocks: its shape is {expected:?}"),
        }),
        Some(end) if end > header.length => Err(ModelError::Place {
            path,
            name,
            problem: format!("ends at byte {end}, but the file has {}", header.length),
        }),
        Some(_) => Ok(encoding),
    }
}

/// The encoding with this number in GGML.
fn encoding(kind: u32) -> Option<Encoding> {
    Some(match kind {
        0 => Encoding::Plain(Dtype::F32),
        1 => Encoding::Plain(Dtype::F16),
        30 => Encoding::Plain(Dtype::BF16),
        2 => Encoding::Blocks(GgmlDType::Q4_0),
        3 => Encoding::Blocks(GgmlDType::Q4_1),
        6 => Encoding::Blocks(GgmlDType::Q5_0),
        7 => Encoding::Blocks(GgmlDType::Q5_1),
        8 => Encoding::Blocks(GgmlDType::Q8_0),
        10 => Encoding::Blocks(GgmlDType::Q2K),
        11 => Encoding::Blocks(GgmlDType::Q3K),
        12 => Encoding::Blocks(GgmlDType::Q4K),
        13 => Encoding::Blocks(GgmlDType::Q5K),
        14 => Encoding::Blocks(GgmlDType::Q6K),
        _ => return None,
    })
}
