//! `model.safetensors`: the weights in f32, with Hugging Face's names.

use std::collections::HashMap;
use std::path::Path;

use super::stored::{Stored, store};
use super::tensor_file::TensorFile;
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
    let file = TensorFile::open(path)?;
    let names = file.names();
    if shape.is_deeper_than(names.len()) {
        let (path, name) = (path.to_owned(), format!("model.layers.{}.input_layernorm.weight", shape.layers - 1));
        return Err(ModelError::Missing { path, name });
    }
    let parameters = shape.parameters();
    // A tied model's file may repeat the embedding as its head.
    let known = |name: &String| parameters.contains_key(name) || (shape.tied && name == "lm_head.weight");
    if let Some(name) = names.into_iter().filter(|name| !known(name)).min() {
        let path = path.to_owned();
        return Err(ModelError::Stranger { path, name });
    }
    let tensors = parameters.into_iter();
    tensors
        .map(|(name, shape)| {
            let data = file.numbers(&name, &shape)?;
            Ok((name, Array { shape, data }))
        })
        .collect()
}
