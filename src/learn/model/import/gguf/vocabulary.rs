//! The tokenizer of a GGUF file, rebuilt from its tokens and merges.

use super::header::GgufHeader;
use crate::model::{ModelError, ModelShape};
use crate::tokenizer::{ByteLevel, PRE_TOKENIZERS, TokenKind, Tokenizer};

const MODEL_FIELD: &str = "tokenizer.ggml.model";
const PRE_FIELD: &str = "tokenizer.ggml.pre";
const TOKENS_FIELD: &str = "tokenizer.ggml.tokens";
const KINDS_FIELD: &str = "tokenizer.ggml.token_type";
const MERGES_FIELD: &str = "tokenizer.ggml.merges";

/// The allowed number of merges per token. Llama 3 has 280,147 merges for 128,256 tokens, since several merges may give the same token.
const MERGES_PER_TOKEN: usize = 8;

pub(super) fn tokenizer(header: &GgufHeader, shape: &ModelShape) -> Result<Tokenizer, ModelError> {
    let model = header.text(MODEL_FIELD)?.unwrap_or("missing");
    if model != "gpt2" {
        return Err(header.wrong(MODEL_FIELD, format!("is `{model}` (known: gpt2, which is byte-level BPE)")));
    }
    let pre = header.text(PRE_FIELD)?.unwrap_or("default");
    if !PRE_TOKENIZERS.contains(&pre) {
        return Err(header.wrong(PRE_FIELD, format!("is `{pre}` (known: {})", PRE_TOKENIZERS.join(", "))));
    }
    let tokens = header.texts(TOKENS_FIELD, header.listed(TOKENS_FIELD)?, shape.vocabulary)?;
    let kinds = header.integers(KINDS_FIELD, header.listed(KINDS_FIELD)?, shape.vocabulary)?;
    if kinds.len() != tokens.len() {
        return Err(header.wrong(KINDS_FIELD, format!("has {} entries for {} tokens", kinds.len(), tokens.len())));
    }
    let merges = header.texts(
        MERGES_FIELD,
        header.listed(MERGES_FIELD)?,
        shape.vocabulary.saturating_mul(MERGES_PER_TOKEN),
    )?;
    let parts = ByteLevel {
        kinds: kinds.into_iter().map(kind).collect(),
        merges,
        begin: begin(header, pre, tokens.len())?,
        pre_tokenizer: pre.to_owned(),
        tokens,
    };
    let json = parts
        .json()
        .ok_or_else(|| header.wrong(MERGES_FIELD, "has an entry that is not a pair".to_owned()))?;
    Ok(Tokenizer::parse(&json, &ends(header)?, &header.path)?)
}

/// The kind of token with this number in llama.cpp.
fn kind(number: i64) -> TokenKind {
    match number {
        2 | 3 => TokenKind::Special,
        4 => TokenKind::Whole,
        _ => TokenKind::Ordinary,
    }
}

/// The token with which a text begins. If the file does not declare whether there is one, only Llama 3 has it.
fn begin(header: &GgufHeader, pre: &str, tokens: usize) -> Result<Option<u32>, ModelError> {
    let begins = header.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(pre == "llama-bpe");
    let field = "tokenizer.ggml.bos_token_id";
    match header.number(field)?.filter(|_| begins) {
        Some(token) if token >= tokens => Err(header.wrong(field, format!("is {token}, but there are {tokens} tokens"))),
        token => Ok(token.and_then(|token| u32::try_from(token).ok())),
    }
}

/// The tokens that end a completion: the end of a text, and the end of a message in a conversation.
fn ends(header: &GgufHeader) -> Result<Vec<u32>, ModelError> {
    let mut ends = Vec::new();
    for name in ["eos", "eot"] {
        let token = header.number(&format!("tokenizer.ggml.{name}_token_id"))?;
        if let Some(token) = token.and_then(|token| u32::try_from(token).ok())
            && !ends.contains(&token)
        {
            ends.push(token);
        }
    }
    if ends.is_empty() {
        return Err(header.wrong("tokenizer.ggml.eos_token_id", "is missing".to_owned()));
    }
    Ok(ends)
}
