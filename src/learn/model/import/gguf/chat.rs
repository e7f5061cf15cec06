//! The chat template of a GGUF file.

use super::header::GgufHeader;
use crate::chat::SpecialTokens;
use crate::model::{ModelChat, ModelError};
use crate::tokenizer::Tokenizer;

const TEMPLATE_FIELD: &str = "tokenizer.chat_template";

/// The special tokens that templates know, and the fields with their numbers.
const TOKENS: [(&str, &str); 6] = [
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

/// The file's chat template, if it has one. Where a file does not name the tokens with which a text begins and ends, they are those of the
/// tokenizer.
pub(super) fn of(header: &GgufHeader, tokenizer: &Tokenizer) -> Result<Option<ModelChat>, ModelError> {
    let Some(template) = header.text(TEMPLATE_FIELD)? else {
        return Ok(None);
    };
    let mut special_tokens = SpecialTokens::new();
    for (name, field) in TOKENS {
        // A number that names no token is none.
        let token = header.number(field).ok().flatten().and_then(|token| u32::try_from(token).ok());
        let token = match (token, name) {
            (None, "bos_token") => tokenizer.begin().first().copied(),
            (None, "eos_token") => Some(tokenizer.end()),
            (token, _) => token,
        };
        let text = token.and_then(|token| tokenizer.token(token));
        special_tokens.extend(text.map(|text| (name.to_owned(), text)));
    }
    Ok(Some(ModelChat {
        template: template.to_owned(),
        special_tokens,
    }))
}
