//! The tokenizer of a Hugging Face folder: `tokenizer.json`, or `tokenizer.model` alone.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::protobuf::{self, FieldValue};
use crate::model::json_file::read_json;
use crate::model::{ModelError, ModelShape, files};
use crate::tokenizer::{Piece, PieceKind, SentencePiece, SpacePrefix, Tokenizer, TokenizerError};

const TOKENIZER_FILE: &str = "tokenizer.json";
const SENTENCE_PIECE_FILE: &str = "tokenizer.model";

/// The tokenizers of Transformers that put a token before each text whatever `tokenizer.json` says.
const BEGINNING_CLASSES: [&str; 4] = [
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "CodeLlamaTokenizer",
    "CodeLlamaTokenizerFast",
];

/// The kind of a SentencePiece model that joins pieces by their scores.
const BPE: u64 = 2;

/// The part of `tokenizer_config.json` that matters.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    tokenizer_class: Option<String>,
    add_bos_token: Option<bool>,
    /// A text, or an object with a `content`.
    bos_token: Value,
    legacy: Option<bool>,
    added_tokens_decoder: BTreeMap<u32, Value>,
}

impl TokenizerConfig {
    fn bos_token(&self) -> Option<&str> {
        self.bos_token.as_str().or_else(|| self.bos_token.get("content")?.as_str())
    }
}

/// Reads the tokenizer of a model of `shape`; `ends` are its end-of-sequence tokens.
pub(super) fn read(source: &Path, shape: &ModelShape, ends: &[u32]) -> Result<Tokenizer, ModelError> {
    let path = source.join("tokenizer_config.json");
    let config: TokenizerConfig = if path.is_file() {
        read_json(&path)?
    } else {
        TokenizerConfig::default()
    };
    let pieces = source.join(SENTENCE_PIECE_FILE);
    if !source.join(TOKENIZER_FILE).is_file() && pieces.is_file() {
        let tokenizer = sentence_piece(source, &pieces, &config, ends)?;
        return files::fits(tokenizer, shape, pieces);
    }
    let tokenizer = files::tokenizer(source, shape, ends)?;
    let class = config.tokenizer_class.as_deref().unwrap_or_default();
    if tokenizer.is_ours() || !BEGINNING_CLASSES.contains(&class) {
        return Ok(tokenizer);
    }
    let begins = config.add_bos_token.unwrap_or(true);
    let Some(text) = config.bos_token().filter(|_| begins) else {
        // Where no token is named, that of `tokenizer.json` stays.
        return Ok(if begins { tokenizer } else { tokenizer.beginning_with(None)? });
    };
    let token = tokenizer.find(text).ok_or_else(|| ModelError::Field {
        path,
        field: "bos_token".to_owned(),
        problem: format!("is {text:?}, which is no token of `{TOKENIZER_FILE}`"),
    })?;
    Ok(tokenizer.beginning_with(Some(token))?)
}

/// Reads a `tokenizer.model`.
fn sentence_piece(source: &Path, path: &Path, config: &TokenizerConfig, ends: &[u32]) -> Result<Tokenizer, ModelError> {
    let bytes = std::fs::read(path).map_err(|error| ModelError::Read {
        path: path.to_owned(),
        error,
    })?;
    let unsound = |problem: String| TokenizerError::Unsound {
        path: path.to_owned(),
        problem,
    };
    let damaged = || {
        unsound(format!(
            "it is damaged, or no file of SentencePiece; add the model's `{TOKENIZER_FILE}`"
        ))
    };
    let mut parts = parts(&bytes).ok_or_else(damaged)?.map_err(|error| unsound(error.to_string()))?;
    let count = parts.pieces.len();
    let has_more = source.join("added_tokens.json").is_file() || config.added_tokens_decoder.keys().any(|token| *token as usize >= count);
    if has_more {
        let problem = format!("the model has tokens beside it (`added_tokens.json`); add the model's `{TOKENIZER_FILE}`");
        return Err(unsound(problem).into());
    }
    if config.legacy == Some(false) && parts.prefix == SpacePrefix::Each {
        parts.prefix = SpacePrefix::First;
    }
    parts.begin = parts.begin.filter(|_| config.add_bos_token.unwrap_or(true));
    let json = parts.json().map_err(|error| unsound(error.to_string()))?;
    let end = ["</s>"].map(|end| parts.pieces.iter().position(|piece| piece.text == end));
    let end: Vec<u32> = end.into_iter().flatten().filter_map(|end| u32::try_from(end).ok()).collect();
    Ok(Tokenizer::parse(&json, if ends.is_empty() { &end } else { ends }, path)?)
}

/// A setting of a tokenizer that is not supported.
#[derive(Debug, thiserror::Error)]
#[error("its `{field}` {problem}, which is not supported; add the model's `{TOKENIZER_FILE}`")]
struct UnsupportedSetting {
    field: &'static str,
    problem: &'static str,
}

/// The parts of a tokenizer; `None` if the file is damaged, or else what is not supported.
fn parts(file: &[u8]) -> Option<Result<SentencePiece, UnsupportedSetting>> {
    let fields = protobuf::fields(file)?;
    let messages = |number: u64| fields.iter().filter(move |(found, _)| *found == number);
    let message = |number: u64| {
        let found = messages(number).next_back();
        found.map_or(Some(Vec::new()), |(_, value)| protobuf::fields(value.bytes()?))
    };
    let (training, normalizer) = (message(2)?, message(3)?);
    let number = |fields: &[(u64, FieldValue<'_>)], wanted: u64, default: u64| {
        let found = fields.iter().rfind(|(found, _)| *found == wanted);
        found.map_or(Some(default), |(_, value)| value.number())
    };
    let pieces: Vec<Piece> = messages(1).map(|(_, value)| piece(value.bytes()?)).collect::<Option<_>>()?;
    if pieces.is_empty() {
        return None;
    }
    let has_table = normalizer
        .iter()
        .any(|(found, value)| *found == 2 && *value != FieldValue::Bytes(&[]));
    let unsupported = [
        ("model_type", number(&training, 3, 1)? != BPE, "is not BPE"),
        ("treat_whitespace_as_suffix", number(&training, 24, 0)? != 0, "is true"),
        ("precompiled_charsmap", has_table, "replaces characters"),
        ("remove_extra_whitespaces", number(&normalizer, 4, 1)? != 0, "is true"),
        ("escape_whitespaces", number(&normalizer, 5, 1)? == 0, "is false"),
    ];
    if let Some((field, _, problem)) = unsupported.into_iter().find(|(_, found, _)| *found) {
        return Some(Err(UnsupportedSetting { field, problem }));
    }
    let begin = u32::try_from(number(&training, 41, 1)?)
        .ok()
        .filter(|begin| (*begin as usize) < pieces.len());
    Some(Ok(SentencePiece {
        pieces,
        prefix: if number(&normalizer, 3, 1)? == 0 {
            SpacePrefix::Never
        } else {
            SpacePrefix::Each
        },
        strips_after: false,
        begin,
    }))
}

fn piece(message: &[u8]) -> Option<Piece> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, PieceKind::Ordinary);
    for (number, value) in protobuf::fields(message)? {
        match number {
            1 => text = String::from_utf8(value.bytes()?.to_vec()).ok()?,
            2 => score = Some(value.float()?).filter(|score| score.is_finite())?.into(),
            3 => kind = PieceKind::of(i64::try_from(value.number()?).ok()?),
            _ => {}
        }
    }
    Some(Piece { text, score, kind })
}
