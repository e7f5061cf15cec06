//! A model's folder: `config.json`, `model.safetensors`, `tokenizer.json`, `prompt.json`.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Model, ModelError, config_file, weights_file};
use crate::tokenizer::Tokenizer;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
const PROMPT: &str = "prompt.json";

/// Reads the model in the folder `folder`.
///
/// # Errors
/// When a file is missing, damaged, of a newer format, or does not fit the others; the message names the file and, where it is a
/// tensor's fault, the tensor.
pub fn load(folder: &Path) -> Result<Model, ModelError> {
    let shape = config_file::read(&folder.join(CONFIG))?;
    let path = folder.join(TOKENIZER);
    let tokenizer = Tokenizer::load(&path)?;
    // Models of other programs pad the embedding: more rows than tokens do no harm.
    if tokenizer.vocabulary() > shape.vocabulary {
        return Err(ModelError::Vocabulary {
            path,
            found: tokenizer.vocabulary(),
            expected: shape.vocabulary,
        });
    }
    Ok(Model {
        weights: weights_file::read(&shape, &folder.join(WEIGHTS))?,
        prompt: read_json(&folder.join(PROMPT))?,
        shape,
        tokenizer,
    })
}

impl Model {
    /// Writes the model into the folder `folder`, which is made where it is missing; equal models give equal bytes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        std::fs::create_dir_all(folder).map_err(|error| ModelError::Write {
            path: folder.to_owned(),
            error,
        })?;
        config_file::write(&self.shape, self.tokenizer.end(), &folder.join(CONFIG))?;
        weights_file::write(&self.weights, &folder.join(WEIGHTS))?;
        self.tokenizer.save(&folder.join(TOKENIZER))?;
        write_json(&self.prompt, &folder.join(PROMPT))
    }
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let bytes = std::fs::read(path).map_err(|error| ModelError::Read {
        path: path.to_owned(),
        error,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::Json {
        path: path.to_owned(),
        error,
    })
}

pub(super) fn write_json(value: &impl Serialize, path: &Path) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| ModelError::Json {
        path: path.to_owned(),
        error,
    })?;
    text.push('\n');
    std::fs::write(path, text).map_err(|error| ModelError::Write {
        path: path.to_owned(),
        error,
    })
}
