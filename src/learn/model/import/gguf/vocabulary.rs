//! The tokenizer of a GGUF file, rebuilt from its tokens and their merges or scores.

use super::header::GgufHeader;
use crate::model::{ModelError, ModelShape};
use crate::tokenizer::{ByteLevel, Piece, PieceKind, PreTokenizer, SentencePiece, SpacePrefix, TokenKind, Tokenizer};

const MODEL_FIELD: &str = "tokenizer.ggml.model";
const PRE_FIELD: &str = "tokenizer.ggml.pre";
const TOKENS_FIELD: &str = "tokenizer.ggml.tokens";
const KINDS_FIELD: &str = "tokenizer.ggml.token_type";
const MERGES_FIELD: &str = "tokenizer.ggml.merges";
const SCORES_FIELD: &str = "tokenizer.ggml.scores";
const BEGIN_FIELD: &str = "tokenizer.ggml.bos_token_id";
const END_FIELD: &str = "tokenizer.ggml.eos_token_id";

/// The allowed number of merges per token. Llama 3 has 280,147 merges for 128,256 tokens, since several merges may give the same token.
const MERGES_PER_TOKEN: usize = 8;

/// The tokens with which a SentencePiece text begins and ends if the file does not name them.
const SENTENCE_PIECE_BEGIN: usize = 1;
const SENTENCE_PIECE_END: u32 = 2;

/// Control tokens that end a message of a conversation. Files of SentencePiece tokenizers often do not name them.
const MESSAGE_ENDS: [&str; 5] = ["<|end|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|endoftext|>"];

/// The tokens of a file, with the numbers of their kinds in llama.cpp.
struct TokenList {
    texts: Vec<String>,
    kinds: Vec<i64>,
}

pub(super) fn tokenizer(header: &GgufHeader, shape: &ModelShape) -> Result<Tokenizer, ModelError> {
    match header.text(MODEL_FIELD)?.unwrap_or("missing") {
        "gpt2" => byte_level(header, shape),
        "llama" => sentence_piece(header, shape),
        other => {
            let known = "gpt2, which is byte-level BPE, and llama, which is SentencePiece";
            Err(header.wrong(MODEL_FIELD, format!("is `{other}` (known: {known})")))
        }
    }
}

fn byte_level(header: &GgufHeader, shape: &ModelShape) -> Result<Tokenizer, ModelError> {
    let pre = header.text(PRE_FIELD)?.unwrap_or("default");
    let Some(pre_tokenizer) = PreTokenizer::named(pre) else {
        let known = PreTokenizer::names().join(", ");
        return Err(header.wrong(PRE_FIELD, format!("is `{pre}` (known: {known})")));
    };
    let tokens = tokens(header, shape)?;
    let merges = header.texts(
        MERGES_FIELD,
        header.listed(MERGES_FIELD)?,
        shape.vocabulary.saturating_mul(MERGES_PER_TOKEN),
    )?;
    let named = header.number(BEGIN_FIELD)?;
    let parts = ByteLevel {
        kinds: tokens.kinds.into_iter().map(kind).collect(),
        merges,
        begin: begin(header, named, pre_tokenizer.begins, tokens.texts.len())?,
        pre_tokenizer,
        tokens: tokens.texts,
    };
    let json = parts
        .json()
        .ok_or_else(|| header.wrong(MERGES_FIELD, "has an entry that is not a pair".to_owned()))?;
    let ends = named_ends(header)?;
    if ends.is_empty() {
        return Err(header.wrong(END_FIELD, "is missing".to_owned()));
    }
    Ok(with_first(Tokenizer::parse(&json, &ends, &header.path)?, named))
}

fn sentence_piece(header: &GgufHeader, shape: &ModelShape) -> Result<Tokenizer, ModelError> {
    let TokenList { texts, kinds } = tokens(header, shape)?;
    let scores = header.floats(SCORES_FIELD, header.listed(SCORES_FIELD)?, shape.vocabulary)?;
    if scores.len() != texts.len() {
        return Err(header.wrong(SCORES_FIELD, format!("has {} entries for {} tokens", scores.len(), texts.len())));
    }
    if let Some(score) = scores.iter().find(|score| !score.is_finite()) {
        return Err(header.wrong(SCORES_FIELD, format!("has the score {score}, but scores must be finite")));
    }
    let pieces = texts.into_iter().zip(scores).zip(kinds).map(|((text, score), kind)| {
        let kind = PieceKind::of(kind);
        Piece { text, score, kind }
    });
    let pieces: Vec<Piece> = pieces.collect();
    let has_prefix = header.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let named = header.number(BEGIN_FIELD)?.or(Some(SENTENCE_PIECE_BEGIN));
    let ends = sentence_piece_ends(header, &pieces)?;
    let parts = SentencePiece {
        begin: begin(header, named, true, pieces.len())?,
        prefix: if has_prefix { SpacePrefix::Each } else { SpacePrefix::Never },
        strips_after: header.text("general.architecture")? == Some("phi3"),
        pieces,
    };
    let json = parts.json().map_err(|error| header.wrong(TOKENS_FIELD, error.to_string()))?;
    Ok(with_first(Tokenizer::parse(&json, &ends, &header.path)?, named))
}

fn tokens(header: &GgufHeader, shape: &ModelShape) -> Result<TokenList, ModelError> {
    let texts = header.texts(TOKENS_FIELD, header.listed(TOKENS_FIELD)?, shape.vocabulary)?;
    let kinds = header.integers(KINDS_FIELD, header.listed(KINDS_FIELD)?, shape.vocabulary)?;
    if kinds.len() != texts.len() {
        return Err(header.wrong(KINDS_FIELD, format!("has {} entries for {} tokens", kinds.len(), texts.len())));
    }
    Ok(TokenList { texts, kinds })
}

/// The kind of token with this number in llama.cpp.
fn kind(number: i64) -> TokenKind {
    match number {
        2 | 3 => TokenKind::Special,
        4 => TokenKind::Whole,
        _ => TokenKind::Ordinary,
    }
}

/// The token `named` with which a text begins, if texts do. If the file does not say whether they do, `by_default` tells.
fn begin(header: &GgufHeader, named: Option<usize>, by_default: bool, tokens: usize) -> Result<Option<u32>, ModelError> {
    let begins = header.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(by_default);
    match named.filter(|_| begins) {
        Some(token) if token >= tokens => Err(header.wrong(BEGIN_FIELD, format!("is {token}, but there are {tokens} tokens"))),
        token => Ok(token.and_then(|token| u32::try_from(token).ok())),
    }
}

/// The tokenizer with the token `named` as the first of texts, even if texts do not begin with it.
fn with_first(tokenizer: Tokenizer, named: Option<usize>) -> Tokenizer {
    match named.and_then(|token| u32::try_from(token).ok()) {
        Some(token) => tokenizer.naming_first(Some(token)),
        None => tokenizer,
    }
}

/// The tokens that end a completion: the end of a text, and the end of a message in a conversation.
fn named_ends(header: &GgufHeader) -> Result<Vec<u32>, ModelError> {
    let mut ends = Vec::new();
    for field in [END_FIELD, "tokenizer.ggml.eot_token_id"] {
        let token = header.number(field)?.and_then(|token| u32::try_from(token).ok());
        ends.extend(token.filter(|token| !ends.contains(token)));
    }
    Ok(ends)
}

/// The tokens that end a completion: those that are named, then those whose texts say so.
fn sentence_piece_ends(header: &GgufHeader, pieces: &[Piece]) -> Result<Vec<u32>, ModelError> {
    let mut ends = named_ends(header)?;
    if ends.is_empty() {
        ends.push(SENTENCE_PIECE_END);
    }
    for (token, piece) in (0..).zip(pieces) {
        let is_end = matches!(piece.kind, PieceKind::Control | PieceKind::Whole) && MESSAGE_ENDS.contains(&piece.text.as_str());
        if is_end && !ends.contains(&token) {
            ends.push(token);
        }
    }
    Ok(ends)
}
