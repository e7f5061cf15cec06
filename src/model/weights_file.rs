//! `model.safetensors`: the weights in f32, with Hugging Face's names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use super::{Array, ModelError, Shape, Weights};

/// Writes `weights`; equal weights give equal bytes (the crate sorts by name).
pub(super) fn write(weights: &Weights, path: &Path) -> Result<(), ModelError> {
    let damaged = |error| ModelError::Damaged {
        path: path.to_owned(),
        error,
    };
    // Hugging Face's readers want to know for which framework the names are.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = serialize(weights, metadata).map_err(damaged)?;
    std::fs::write(path, bytes).map_err(|error| ModelError::Write {
        path: path.to_owned(),
        error,
    })
}

fn serialize(weights: &Weights, metadata: HashMap<String, String>) -> Result<Vec<u8>, SafeTensorError> {
    let bytes: BTreeMap<_, Vec<u8>> = weights
        .iter()
        .map(|(name, array)| (name, array.data.iter().flat_map(|x| x.to_le_bytes()).collect()))
        .collect();
    let views = weights
        .iter()
        .zip(bytes.values())
        .map(|((name, array), bytes)| Ok((name, TensorView::new(Dtype::F32, array.shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    safetensors::serialize(views, Some(metadata))
}

/// Reads the weights of a decoder of `shape`, and no others; half-precision tensors are widened.
pub(super) fn read(shape: &Shape, path: &Path) -> Result<Weights, ModelError> {
    let bytes = std::fs::read(path).map_err(|error| ModelError::Read {
        path: path.to_owned(),
        error,
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| ModelError::Damaged {
        path: path.to_owned(),
        error,
    })?;
    let parameters = shape.parameters();
    // A tied model's file may repeat the embedding as its head.
    let known = |name: &str| parameters.contains_key(name) || (shape.tied && name == "lm_head.weight");
    if let Some(name) = file.names().into_iter().filter(|name| !known(name)).min() {
        return Err(ModelError::Stranger {
            path: path.to_owned(),
            name: name.to_owned(),
        });
    }
    let tensors = parameters.into_iter();
    tensors
        .map(|(name, expected)| {
            let array = array(&file, &name, expected, path)?;
            Ok((name, array))
        })
        .collect()
}

fn array(file: &SafeTensors<'_>, name: &str, expected: Vec<usize>, path: &Path) -> Result<Array, ModelError> {
    let (path, name) = (path.to_owned(), name.to_owned());
    let Ok(view) = file.tensor(&name) else {
        return Err(ModelError::Missing { path, name });
    };
    if view.shape() != expected {
        let found = view.shape().to_vec();
        return Err(ModelError::Tensor {
            path,
            name,
            expected,
            found,
        });
    }
    match widened(&view) {
        Some(data) => Ok(Array { shape: expected, data }),
        None => Err(ModelError::Type {
            path,
            name,
            found: view.dtype().to_string(),
        }),
    }
}

/// The numbers of `view` in f32, or nothing where its type is not a floating-point one of 16 or 32 bits.
fn widened(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => Some(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
        Dtype::F16 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|two| half::f16::from_le_bytes(*two).to_f32())
                .collect(),
        ),
        Dtype::BF16 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|two| half::bf16::from_le_bytes(*two).to_f32())
                .collect(),
        ),
        _ => None,
    }
}
