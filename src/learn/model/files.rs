//! A model's folder: `config.json`, `model.safetensors`, `tokenizer.json`, `prompt.json`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::config_file::ModelConfig;
use super::json_file::{read_json, write_json};
use super::weights_file::WeightsFile;
use super::{Model, ModelError, ModelShape, config_file, weights_file};
use crate::dataset::Prompt;
use crate::tokenizer::Tokenizer;

const CONFIG_FILE: &str = "config.json";
const WEIGHTS_FILE: &str = "model.safetensors";
const TOKENIZER_FILE: &str = "tokenizer.json";
const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
const PROMPT_FILE: &str = "prompt.json";

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
    folder.join(CONFIG_FILE).is_file()
}

/// Opens the model in the folder `folder` without reading its weights.
///
/// # Errors
/// When a file is missing, damaged, of a newer format, or inconsistent with the others. The message names the file and, if one is wrong,
/// the tensor.
pub fn open(folder: &Path) -> Result<Model<WeightsFile>, ModelError> {
    let ModelConfig { shape, ends, .. } = config_file::read(&folder.join(CONFIG_FILE))?;
    let tokenizer = tokenizer(folder, &shape, &ends)?;
    Ok(Model {
        weights: WeightsFile::open(&shape, &folder.join(WEIGHTS_FILE))?,
        prompt: read_json(&folder.join(PROMPT_FILE))?,
        shape,
        tokenizer,
    })
}

/// Reads the tokenizer of a model of `shape`, from our folder or Hugging Face's; `ends` are its end-of-sequence tokens.
pub(super) fn tokenizer(folder: &Path, shape: &ModelShape, ends: &[u32]) -> Result<Tokenizer, ModelError> {
    let path = folder.join(TOKENIZER_FILE);
    fits(Tokenizer::load(&path, ends)?, shape, path)
}

/// Checks that the tokenizer read from `path` has no more tokens than a model of `shape`.
pub(super) fn fits(tokenizer: Tokenizer, shape: &ModelShape, path: PathBuf) -> Result<Tokenizer, ModelError> {
    // Other programs pad the embedding, so it may have more rows than there are tokens.
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
    /// Writes the model to the folder `folder`, which is created if missing. Equal models give equal bytes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        describe(&self.shape, &self.tokenizer, &self.prompt, "float32", folder)?;
        weights_file::write(&self.weights, &folder.join(WEIGHTS_FILE))
    }
}

/// Writes all files of a model's folder except its weights; `dtype` is Hugging Face's name for the weights' type.
pub(super) fn describe(shape: &ModelShape, tokenizer: &Tokenizer, prompt: &Prompt, dtype: &str, folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir_all(folder).map_err(|error| ModelError::Write {
        path: folder.to_owned(),
        error,
    })?;
    config_file::write(shape, tokenizer, dtype, &folder.join(CONFIG_FILE))?;
    tokenizer.save(&folder.join(TOKENIZER_FILE))?;
    if !tokenizer.is_ours() {
        write_json(&tokenizer_config(shape, tokenizer), &folder.join(TOKENIZER_CONFIG_FILE))?;
    }
    write_json(prompt, &folder.join(PROMPT_FILE))
}

/// The settings that Transformers needs besides `tokenizer.json`.
fn tokenizer_config(shape: &ModelShape, tokenizer: &Tokenizer) -> Value {
    let text = |token: Option<u32>| token.and_then(|token| tokenizer.token(token));
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": text(tokenizer.begin().first().copied()),
        "eos_token": text(Some(tokenizer.end())),
        "clean_up_tokenization_spaces": false,
        "model_max_length": shape.context,
    })
}

/// The path of the weights in a model's folder.
pub(super) fn weights(folder: &Path) -> PathBuf {
    folder.join(WEIGHTS_FILE)
}
