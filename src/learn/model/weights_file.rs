//! `model.safetensors`: the weights in f32, with Hugging Face's names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::stored_tensor::{StoredTensor, write_tensors};
use super::tensor_file::TensorFile;
use super::{Array, ModelError, ModelShape, Weights};

/// Writes `weights`; equal weights give equal bytes.
pub(super) fn write(weights: &Weights, path: &Path) -> Result<(), ModelError> {
    // Hugging Face's readers require the framework of the names.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let tensors = weights
        .iter()
        .map(|(name, array)| (name.clone(), StoredTensor::f32(&array.shape, &array.data)));
    write_tensors(tensors, metadata, path).map_err(|error| ModelError::Write {
        path: path.to_owned(),
        error,
    })
}

/// The file of a decoder's weights. They are read one by one.
#[derive(Debug)]
pub struct WeightsFile {
    file: TensorFile,
    /// Names and shapes of the weights.
    parameters: BTreeMap<String, Vec<usize>>,
}

impl WeightsFile {
    /// Opens the file of a decoder of `shape`. It must have exactly the decoder's weights.
    pub(super) fn open(shape: &ModelShape, path: &Path) -> Result<Self, ModelError> {
        let file = TensorFile::open(path)?;
        let names = file.names();
        if shape.is_deeper_than(names.len()) {
            let (path, name) = (path.to_owned(), format!("model.layers.{}.input_layernorm.weight", shape.layers - 1));
            return Err(ModelError::Missing { path, name });
        }
        let parameters = shape.parameters();
        // A tied model's file may repeat the embedding as the output layer.
        let known = |name: &String| parameters.contains_key(name) || (shape.tied && name == "lm_head.weight");
        if let Some(name) = names.into_iter().filter(|name| !known(name)).min() {
            let path = path.to_owned();
            return Err(ModelError::Stranger { path, name });
        }
        for (name, shape) in &parameters {
            file.expect(name, shape)?;
        }
        Ok(Self { file, parameters })
    }

    /// The weight `name` in f32; `None` if the decoder has no such weight.
    ///
    /// # Errors
    /// When it cannot be read, or one of its numbers is not finite.
    pub fn get(&self, name: &str) -> Result<Option<Array>, ModelError> {
        let shape = self.parameters.get(name);
        shape.map(|shape| self.array(name, shape)).transpose()
    }

    /// All weights.
    ///
    /// # Errors
    /// As [`WeightsFile::get`].
    pub fn read(&self) -> Result<Weights, ModelError> {
        let weights = self.parameters.iter();
        weights.map(|(name, shape)| Ok((name.clone(), self.array(name, shape)?))).collect()
    }

    fn array(&self, name: &str, shape: &[usize]) -> Result<Array, ModelError> {
        Ok(Array {
            data: self.file.numbers(name, shape)?,
            shape: shape.to_vec(),
        })
    }
}
