//! Hugging Face's folders.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use safetensors::tensor::{Dtype, TensorInfo};
use serde::Deserialize;

use super::tensor::{Encoding, SourceTensor};
use super::{hub_tokenizer, write};
use crate::model::config_file::{self, EndTokens, ModelConfig};
use crate::model::json_file::read_json;
use crate::model::{ModelError, ModelShape, TensorFile};

const WEIGHTS_FILE: &str = "model.safetensors";
const SHARD_INDEX_FILE: &str = "model.safetensors.index.json";

/// The shard of each tensor.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// The part of `generation_config.json` that matters.
#[derive(Deserialize)]
struct GenerationConfig {
    #[serde(default)]
    eos_token_id: Option<EndTokens>,
}

pub(super) fn import(source: &Path, out: &Path) -> Result<(), ModelError> {
    let ModelConfig { shape, mut ends } = config_file::read(&source.join("config.json"))?;
    let generation = source.join("generation_config.json");
    if generation.is_file() {
        let more: GenerationConfig = read_json(&generation)?;
        for end in more.eos_token_id.map(EndTokens::list).unwrap_or_default() {
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
    }
    let tokenizer = hub_tokenizer::read(source, &shape, &ends)?;
    let files = open(source)?;
    write(&shape, &tokenizer, &tensors(&shape, source, &files)?, out)
}

/// The files of the weights.
fn open(source: &Path) -> Result<Vec<TensorFile>, ModelError> {
    let index = source.join(SHARD_INDEX_FILE);
    if !index.is_file() {
        return Ok(vec![TensorFile::open(&source.join(WEIGHTS_FILE))?]);
    }
    let ShardIndex { weight_map } = read_json(&index)?;
    let mut names: Vec<String> = weight_map.into_values().collect();
    names.sort();
    names.dedup();
    let shards = names.iter().map(|name| {
        let plain = Path::new(name).components().collect::<Vec<_>>();
        if !matches!(plain.as_slice(), [Component::Normal(_)]) {
            return Err(ModelError::Field {
                path: index.clone(),
                field: "weight_map".to_owned(),
                problem: format!("names {name:?}, which is not a file in this folder"),
            });
        }
        TensorFile::open(&source.join(name))
    });
    shards.collect()
}

/// The tensors of `shape`, each in its file.
fn tensors<'a>(shape: &ModelShape, source: &Path, files: &'a [TensorFile]) -> Result<Vec<SourceTensor<'a>>, ModelError> {
    let place = match files {
        [_] => source.join(WEIGHTS_FILE),
        _ => source.join(SHARD_INDEX_FILE),
    };
    let missing = |name: String| ModelError::Missing { path: place.clone(), name };
    let names: Vec<String> = files.iter().flat_map(TensorFile::names).collect();
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
        let (path, name) = (place.clone(), name.clone());
        return Err(ModelError::Stranger { path, name });
    }
    let find = |name: &str| files.iter().find_map(|file| Some((file, file.info(name)?)));
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

/// The matrix in which Phi-3 joins the weight `name` with others: its name, the weight's first row in it, and its number of rows.
fn fused(shape: &ModelShape, name: &str) -> Option<(String, usize, usize)> {
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
    })
}
