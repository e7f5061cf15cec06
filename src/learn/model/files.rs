//! A model's folder: `config.json`, `model.safetensors`, `tokenizer.json`, `prompt.json`, and `chat_template.jinja` if it has one.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::chat::SPECIAL_TOKENS;
use super::config_file::ModelConfig;
use super::json_file::{read_json, write_json};
use super::weights_file::WeightsFile;
use super::{Model, ModelChat, ModelError, ModelShape, chat, config_file, weights_file};
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
        chat,
    } = open(folder)?;
    Ok(Model {
        weights: weights.read()?,
        shape,
        tokenizer,
        prompt,
        chat,
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
    let tokenizer = chat::with_first(tokenizer(folder, &shape, &ends)?, folder)?;
    Ok(Model {
        weights: WeightsFile::open(&shape, &folder.join(WEIGHTS_FILE))?,
        prompt: read_json(&folder.join(PROMPT_FILE))?,
        chat: ModelChat::read(folder, &tokenizer)?,
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
        let described = Described {
            shape: &self.shape,
            tokenizer: &self.tokenizer,
            prompt: &self.prompt,
            chat: self.chat.as_ref(),
            dtype: "float32",
        };
        described.write(folder)?;
        weights_file::write(&self.weights, &folder.join(WEIGHTS_FILE))
    }
}

/// What the files of a model's folder are made of, except its weights.
pub(super) struct Described<'a> {
    pub(super) shape: &'a ModelShape,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) prompt: &'a Prompt,
    pub(super) chat: Option<&'a ModelChat>,
    /// Hugging Face's name for the weights' type.
    pub(super) dtype: &'a str,
}

impl Described<'_> {
    /// Writes all files of a model's folder except its weights.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ModelError> {
        std::fs::create_dir_all(folder).map_err(|error| ModelError::Write {
            path: folder.to_owned(),
            error,
        })?;
        config_file::write(self.shape, self.tokenizer, self.dtype, &folder.join(CONFIG_FILE))?;
        self.tokenizer.save(&folder.join(TOKENIZER_FILE))?;
        if !self.tokenizer.is_ours() || self.chat.is_some() {
            write_json(&self.tokenizer_config(), &folder.join(TOKENIZER_CONFIG_FILE))?;
        }
        if let Some(chat) = self.chat {
            chat.write(folder)?;
        }
        write_json(self.prompt, &folder.join(PROMPT_FILE))
    }

    /// The settings that Transformers needs besides `tokenizer.json`.
    fn tokenizer_config(&self) -> Value {
        let text = |token: Option<u32>| token.and_then(|token| self.tokenizer.token(token));
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": text(self.tokenizer.first()),
            "eos_token": text(Some(self.tokenizer.end())),
            "clean_up_tokenization_spaces": false,
            "model_max_length": self.shape.context,
        });
        if let (Some(chat), Some(fields)) = (self.chat, config.as_object_mut()) {
            // The template is written with the special tokens of the model's own files.
            for name in SPECIAL_TOKENS {
                match chat.special_tokens.get(name) {
                    Some(token) => fields.insert(name.to_owned(), json!(token)),
                    None => fields.get_mut(name).map(Value::take),
                };
            }
        }
        config
    }
}

/// The path of the weights in a model's folder.
pub(super) fn weights(folder: &Path) -> PathBuf {
    folder.join(WEIGHTS_FILE)
}
