//! A model's folder: `config.json`, `model.safetensors`, `tokenizer.json`, `prompt.json`.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::config_file::Config;
use super::weights_file::WeightsFile;
use super::{Model, ModelError, Shape, config_file, weights_file};
use crate::dataset::Prompt;
use crate::tokenizer::Tokenizer;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const PROMPT: &str = "prompt.json";

/// Reads the model in the folder `folder`.
///
/// # Errors
/// As [`open`], and when a weight cannot be read or is not finite.
pub fn load(folder: &Path) -> Result<Model, ModelError> {
    let Model {
        shape,
        weights,
        tokenizer,
        prompt,
    } = open(folder)?;
    Ok(Model {
        weights: weights.read()?,
        shape,
        tokenizer,
        prompt,
    })
}

/// Whether `folder` is that of a model, as far as its names tell.
pub fn is_model(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// Opens the model in the folder `folder`: its weights stay in their file.
///
/// # Errors
/// When a file is missing, damaged, of a newer format, or does not fit the others; the message names the file and, where it is a
/// tensor's fault, the tensor.
pub fn open(folder: &Path) -> Result<Model<WeightsFile>, ModelError> {
    let Config { shape, ends } = config_file::read(&folder.join(CONFIG))?;
    let tokenizer = tokenizer(folder, &shape, &ends)?;
    Ok(Model {
        weights: WeightsFile::open(&shape, &folder.join(WEIGHTS))?,
        prompt: read_json(&folder.join(PROMPT))?,
        shape,
        tokenizer,
    })
}

/// Reads the tokenizer of the model of `shape` in a folder of ours or of Hugging Face's; `ends` are its end-of-sequence tokens.
pub(super) fn tokenizer(folder: &Path, shape: &Shape, ends: &[u32]) -> Result<Tokenizer, ModelError> {
    let path = folder.join(TOKENIZER);
    let tokenizer = Tokenizer::load(&path, ends)?;
    // Models of other programs pad the embedding: more rows than tokens do no harm.
    if tokenizer.vocabulary() > shape.vocabulary {
        return Err(ModelError::Vocabulary {
            path,
            found: tokenizer.vocabulary(),
            expected: shape.vocabulary,
        });
    }
    Ok(tokenizer)
}

impl Model {
    /// Writes the model into the folder `folder`, which is made where it is missing; equal models give equal bytes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        describe(&self.shape, &self.tokenizer, &self.prompt, "float32", folder)?;
        weights_file::write(&self.weights, &folder.join(WEIGHTS))
    }
}

/// Writes all files of a model's folder but its weights, which are of the type that Hugging Face calls `dtype`.
pub(super) fn describe(shape: &Shape, tokenizer: &Tokenizer, prompt: &Prompt, dtype: &str, folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir_all(folder).map_err(|error| ModelError::Write {
        path: folder.to_owned(),
        error,
    })?;
    config_file::write(shape, tokenizer, dtype, &folder.join(CONFIG))?;
    tokenizer.save(&folder.join(TOKENIZER))?;
    if !tokenizer.is_ours() {
        write_json(&tokenizer_config(shape, tokenizer), &folder.join(TOKENIZER_CONFIG))?;
    }
    write_json(prompt, &folder.join(PROMPT))
}

/// What Transformers has to be told of a tokenizer, beside `tokenizer.json`.
fn tokenizer_config(shape: &Shape, tokenizer: &Tokenizer) -> Value {
    let text = |token: Option<u32>| token.and_then(|token| tokenizer.token(token));
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": text(tokenizer.begin().first().copied()),
        "eos_token": text(Some(tokenizer.end())),
        "clean_up_tokenization_spaces": false,
        "model_max_length": shape.context,
    })
}

/// The file of the weights in a model's folder.
pub(super) fn weights(folder: &Path) -> PathBuf {
    folder.join(WEIGHTS)
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
