//! `model.safetensors`: the weights in f32, with Hugging Face's names.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::stored::{Stored, store};
use super::{Array, ModelError, Shape, Weights};

/// Writes `weights`; equal weights give equal bytes.
pub(super) fn write(weights: &Weights, path: &Path) -> Result<(), ModelError> {
    // Hugging Face's readers want to know for which framework the names are.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let tensors = weights
        .iter()
        .map(|(name, array)| (name.clone(), Stored::f32(&array.shape, &array.data)));
    store(tensors, metadata, path).map_err(|error| ModelError::Write {
        path: path.to_owned(),
        error,
    })
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
