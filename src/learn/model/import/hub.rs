//! Hugging Face's folders.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo};
use serde_json::{Map, Value};

use super::shards::WeightFiles;
use super::tensor::{Encoding, SourceTensor};
use super::{hub_tokenizer, write};
use crate::model::config_file::{self, Fields, ModelConfig};
use crate::model::json_file::read_json;
use crate::model::{ModelChat, ModelError, ModelShape, TensorFile};
use crate::tokenizer::{Tokenizer, TokenizerError};

pub(super) fn import(source: &Path, with_chat: bool, out: &Path) -> Result<(), ModelError> {
    let config = config_file::read(&source.join("config.json"))?;
    let tokenizer = tokenizer_of(source, &config)?;
    let shape = &config.shape;
    let chat = if with_chat { ModelChat::read(source, &tokenizer)? } else { None };
    let files = WeightFiles::open(source)?;
    write(shape, &tokenizer, chat.as_ref(), &tensors(shape, &files)?, out)
}

/// The chat template of the model in the folder `source`.
pub(super) fn chat(source: &Path) -> Result<Option<ModelChat>, ModelError> {
    let config = config_file::read(&source.join("config.json"))?;
    ModelChat::read(source, &tokenizer_of(source, &config)?)
}

/// The tokenizer, with the ends of a completion that the model's files name.
fn tokenizer_of(source: &Path, ModelConfig { shape, ends, usual_end }: &ModelConfig) -> Result<Tokenizer, ModelError> {
    let mut ends = ends.clone();
    let generation = source.join("generation_config.json");
    if generation.is_file() {
        let more: Map<String, Value> = read_json(&generation)?;
        for end in Fields::new(&generation, &more).tokens("eos_token_id")? {
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
    }
    let tokenizer = match (hub_tokenizer::read(source, shape, &ends), usual_end) {
        (Err(none @ ModelError::Tokenizer(TokenizerError::NoEnd { .. })), Some(end)) => {
            hub_tokenizer::read(source, shape, &[*end]).map_err(|_| none)
        }
        (tokenizer, _) => tokenizer,
    };
    crate::model::chat::with_first(tokenizer?, source)
}

/// The tensors of `shape`, each in its file.
pub(super) fn tensors<'a>(shape: &ModelShape, files: &'a WeightFiles) -> Result<Vec<SourceTensor<'a>>, ModelError> {
    let place = files.place();
    let missing = |name: String| ModelError::Missing {
        path: place.to_owned(),
        name,
    };
    let names = files.names();
    if shape.is_deeper_than(names.len()) {
        let last = shape.layers - 1;
        return Err(missing(format!("model.layers.{last}.input_layernorm.weight")));
    }
    let parameters = shape.parameters();
    let joined: Vec<String> = parameters.keys().filter_map(|name| Some(fused(shape, name)?.0)).collect();
    // A tied model's file may repeat the embedding, and older files contain the rotary angles.
    let known = |name: &&String| {
        parameters.contains_key(*name)
            || joined.contains(*name)
            || (shape.tied && *name == "lm_head.weight")
            || name.ends_with("rotary_emb.inv_freq")
    };
    if let Some(name) = names.iter().filter(|name| !known(name)).min() {
        let (path, name) = (place.to_owned(), name.clone());
        return Err(ModelError::Stranger { path, name });
    }
    let find = |name: &str| files.find(name);
    if shape.tied {
        check_tied(shape, files)?;
    }
    let tensors = parameters.into_iter().map(|(name, expected)| {
        if let Some((file, info)) = find(&name) {
            return tensor(name, expected, 0, file, info);
        }
        let whole = fused(shape, &name).and_then(|(whole, first, rows)| Some((first, rows, find(&whole)?, whole)));
        let Some((first, rows, (file, info), whole)) = whole else {
            return Err(missing(name));
        };
        let columns = expected.last().copied().unwrap_or_default();
        tensor(whole, vec![rows, columns], 0, file, info)?;
        let mut part = tensor(name, info.shape.clone(), first * columns, file, info)?;
        part.shape = expected;
        Ok(part)
    });
    tensors.collect()
}

/// Checks that a tied model's output layer, if its file has one, is the embedding: otherwise the configuration or the file is wrong.
fn check_tied(shape: &ModelShape, files: &WeightFiles) -> Result<(), ModelError> {
    let read = |name: &str| {
        let Some((file, info)) = files.find(name) else { return Ok(None) };
        tensor(name.to_owned(), vec![shape.vocabulary, shape.width], 0, file, info).map(Some)
    };
    let (Some(head), Some(embedding)) = (read("lm_head.weight")?, read("model.embed_tokens.weight")?) else {
        return Ok(());
    };
    if head.equals(&embedding)? {
        return Ok(());
    }
    let problem = "differs from `model.embed_tokens.weight`, but `tie_word_embeddings` in config.json is true".to_owned();
    Err(ModelError::Place {
        path: head.path.to_owned(),
        name: head.name,
        problem,
    })
}

/// The matrix in which Phi-3 joins the weight `name` with others: its name, the weight's first row in it, and its number of rows.
pub(super) fn fused(shape: &ModelShape, name: &str) -> Option<(String, usize, usize)> {
    let (start, part) = name.strip_suffix(".weight")?.rsplit_once('.')?;
    let (queries, keys, hidden) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, shape.feed_forward);
    let (whole, first, rows) = match part {
        "q_proj" => ("qkv_proj", 0, queries + 2 * keys),
        "k_proj" => ("qkv_proj", queries, queries + 2 * keys),
        "v_proj" => ("qkv_proj", queries + keys, queries + 2 * keys),
        "gate_proj" => ("gate_up_proj", 0, 2 * hidden),
        "up_proj" => ("gate_up_proj", hidden, 2 * hidden),
        _ => return None,
    };
    Some((format!("{start}.{whole}.weight"), first, rows))
}

/// A tensor of a file, which must have the shape `expected`, starting at number `first`.
fn tensor<'a>(
    name: String,
    expected: Vec<usize>,
    first: usize,
    file: &'a TensorFile,
    info: &TensorInfo,
) -> Result<SourceTensor<'a>, ModelError> {
    let (path, from, start) = file.source(info);
    if info.shape != expected {
        let (path, found) = (path.to_owned(), info.shape.clone());
        return Err(ModelError::Tensor {
            path,
            name,
            expected,
            found,
        });
    }
    if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        let (path, found) = (path.to_owned(), info.dtype.to_string());
        return Err(ModelError::Type { path, name, found });
    }
    Ok(SourceTensor {
        name,
        shape: expected,
        path,
        file: from,
        start: start + (first * info.dtype.bitsize() / 8) as u64,
        encoding: Encoding::Plain(info.dtype),
        paired: None,
        added: None,
    })
}
