//! Hugging Face's folders.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use safetensors::tensor::Dtype;
use serde::Deserialize;

use super::tensor::{Encoding, Tensor};
use super::write;
use crate::model::config_file::{self, Config, Ends};
use crate::model::files::read_json;
use crate::model::{ModelError, Shape, TensorFile};
use crate::tokenizer::Tokenizer;

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Which shard has which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The part of `generation_config.json` that matters.
#[derive(Deserialize)]
struct Generation {
    #[serde(default)]
    eos_token_id: Option<Ends>,
}

pub(super) fn import(source: &Path, out: &Path) -> Result<(), ModelError> {
    let Config { shape, mut ends } = config_file::read(&source.join("config.json"))?;
    let generation = source.join("generation_config.json");
    if generation.is_file() {
        let more: Generation = read_json(&generation)?;
        for end in more.eos_token_id.map(Ends::list).unwrap_or_default() {
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
    }
    let path = source.join("tokenizer.json");
    let tokenizer = Tokenizer::load(&path, &ends)?;
    if tokenizer.vocabulary() > shape.vocabulary {
        return Err(ModelError::Vocabulary {
            path,
            found: tokenizer.vocabulary(),
            expected: shape.vocabulary,
        });
    }
    let files = open(source)?;
    write(&shape, &tokenizer, &tensors(&shape, source, &files)?, out)
}

/// The files of the weights.
fn open(source: &Path) -> Result<Vec<TensorFile>, ModelError> {
    let index = source.join(INDEX);
    if !index.is_file() {
        return Ok(vec![TensorFile::open(&source.join(WEIGHTS))?]);
    }
    let Index { weight_map } = read_json(&index)?;
    let mut names: Vec<String> = weight_map.into_values().collect();
    names.sort();
    names.dedup();
    let shards = names.iter().map(|name| {
        let plain = Path::new(name).components().collect::<Vec<_>>();
        if !matches!(plain.as_slice(), [Component::Normal(_)]) {
            return Err(ModelError::Field {
                path: index.clone(),
                field: "weight_map".to_owned(),
                problem: format!("names {name:?}, which is no file of this folder"),
            });
        }
        TensorFile::open(&source.join(name))
    });
    shards.collect()
}

/// The tensors that `shape` needs, each in its file.
fn tensors<'a>(shape: &Shape, source: &Path, files: &'a [TensorFile]) -> Result<Vec<Tensor<'a>>, ModelError> {
    let place = match files {
        [_] => source.join(WEIGHTS),
        _ => source.join(INDEX),
    };
    let missing = |name: String| ModelError::Missing { path: place.clone(), name };
    let names: Vec<String> = files.iter().flat_map(TensorFile::names).collect();
    if shape.layers > names.len() {
        let last = shape.layers - 1;
        return Err(missing(format!("model.layers.{last}.input_layernorm.weight")));
    }
    let parameters = shape.parameters();
    // A tied model's file may repeat the embedding; older ones hold the rotary angles.
    let known = |name: &&String| {
        parameters.contains_key(*name) || (shape.tied && *name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq")
    };
    if let Some(name) = names.iter().filter(|name| !known(name)).min() {
        let (path, name) = (place.clone(), name.clone());
        return Err(ModelError::Stranger { path, name });
    }
    let tensors = parameters.into_iter().map(|(name, expected)| {
        let found = files.iter().find_map(|file| Some((file, file.info(&name)?)));
        let Some((file, info)) = found else {
            return Err(missing(name));
        };
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
        Ok(Tensor {
            name,
            shape: expected,
            path,
            file: from,
            start,
            encoding: Encoding::Plain(info.dtype),
            paired: None,
        })
    });
    tensors.collect()
}
