//! Importing models of other programs: Hugging Face's folders and GGUF files.
//!
//! Weights are copied from file to file, a few rows at a time. Those of 16 and 32 bits keep their type; quantised ones become f32.

mod adapter;
mod gguf;
mod hub;
mod hub_tokenizer;
mod protobuf;
mod shards;
mod tensor;

use std::path::{Path, PathBuf};

use super::files::Described;
use super::{ModelChat, ModelError, ModelShape, files};
use crate::dataset::Prompt;
use crate::tokenizer::Tokenizer;
use tensor::SourceTensor;

/// Writes the model at `source` to the folder `out`, in the format of [`super::load`]. The source is a Hugging Face folder (`config.json`,
/// `model.safetensors` or its shards, `tokenizer.json`), a `.gguf` file, or a folder with one. Its chat template is kept `with_chat`. Equal
/// sources give equal bytes.
///
/// # Errors
/// When there is no model, it is damaged, or no engine supports it. The message names the file and the place in it.
pub fn import(source: &Path, with_chat: bool, out: &Path) -> Result<(), ModelError> {
    if source.is_dir() && adapter::is_adapter(source) {
        return Err(adapter::lone(source));
    }
    if source.is_dir() && source.join("config.json").is_file() {
        return hub::import(source, with_chat, out);
    }
    gguf::import(&gguf_file(source)?, with_chat, out)
}

/// The chat template of the model at `source`, which [`import`] or [`super::load`] would read, without reading its weights; `None` if it has
/// none.
///
/// # Errors
/// When there is no model, or one of the files that are read is damaged.
pub fn chat_of(source: &Path) -> Result<Option<ModelChat>, ModelError> {
    if source.is_dir() && source.join("config.json").is_file() {
        return hub::chat(source);
    }
    gguf::chat(&gguf_file(source)?)
}

/// Writes the model in the folder `base`, with the adapters in the folder `source` (PEFT's `adapter_config.json` and
/// `adapter_model.safetensors`) merged into its weights, to the folder `out`. Equal sources give equal bytes.
///
/// # Errors
/// When one of them is damaged, or the adapters do not fit the model. The message names the file and the place in it.
pub fn import_adapter(source: &Path, base: &Path, out: &Path) -> Result<(), ModelError> {
    adapter::import(source, base, out)
}

/// The GGUF file `source`, or the only one in the folder `source`.
fn gguf_file(source: &Path) -> Result<PathBuf, ModelError> {
    let none = |problem: &str| ModelError::NoModel {
        path: source.to_owned(),
        problem: problem.to_owned(),
    };
    let read = |error| ModelError::Read {
        path: source.to_owned(),
        error,
    };
    if !source.is_dir() {
        std::fs::metadata(source).map_err(read)?;
        return Ok(source.to_owned());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(source).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf")) {
            found.push(path);
        }
    }
    match found.as_slice() {
        [file] => Ok(file.clone()),
        [] => Err(none("the folder has neither `config.json` nor a `.gguf` file")),
        _ => Err(none("the folder has several `.gguf` files; name one of them")),
    }
}

/// Writes the folder `out`.
fn write(
    shape: &ModelShape,
    tokenizer: &Tokenizer,
    chat: Option<&ModelChat>,
    tensors: &[SourceTensor<'_>],
    out: &Path,
) -> Result<(), ModelError> {
    let described = Described {
        shape,
        tokenizer,
        prompt: &Prompt::text(Prompt::PLAIN),
        chat,
        dtype: tensor::common_type(tensors),
    };
    described.write(out)?;
    tensor::write(tensors, &files::weights(out))
}
