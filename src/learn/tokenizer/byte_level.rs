//! Byte-level BPE tokenizers (GPT-2 and its descendants), built from tokens and merges as stored in GGUF files.

use serde_json::{Value, json};

/// The supported pre-tokenizers, by their names in GGUF files.
pub const PRE_TOKENIZERS: &[&str] = &["default", "gpt-2", "llama-bpe", "qwen2", "smollm"];

/// Llama 3's pre-tokens: contractions, words with the character before them, up to three digits, runs of symbols, line breaks, white space.
const LLAMA3_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen 2's pre-tokens: the same, but with single digits.
const QWEN2_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Ordinary,
    /// A control token without text, such as the end of a completion.
    Special,
    /// A text that is always a token of its own.
    Whole,
}

/// The parts of a byte-level BPE tokenizer.
#[derive(Clone, Debug)]
pub struct ByteLevel {
    /// The texts of the tokens by id; bytes are encoded as in GPT-2.
    pub tokens: Vec<String>,
    /// The kinds of the tokens by id.
    pub kinds: Vec<TokenKind>,
    /// Pairs separated by a space, in the order of merging.
    pub merges: Vec<String>,
    /// One of [`PRE_TOKENIZERS`].
    pub pre_tokenizer: String,
    /// The token with which a text begins.
    pub begin: Option<u32>,
}

impl ByteLevel {
    /// The content of `tokenizer.json`; `None` if the pre-tokenizer is unknown, or a merge does not have two parts.
    pub fn json(&self) -> Option<Vec<u8>> {
        let merges: Option<Vec<(&str, &str)>> = self.merges.iter().map(|merge| merge.split_once(' ')).collect();
        let vocabulary: serde_json::Map<String, Value> = self.tokens.iter().cloned().zip((0..).map(Value::from)).collect();
        let value = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": self.added(),
            "normalizer": (self.pre_tokenizer == "qwen2").then(|| json!({ "type": "NFC" })),
            "pre_tokenizer": pre_tokenizer(&self.pre_tokenizer)?,
            "post_processor": self.post_processor(),
            "decoder": byte_level(true),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                // Llama 3 has tokens that no merges produce.
                "ignore_merges": self.pre_tokenizer == "llama-bpe",
                "vocab": vocabulary,
                "merges": merges?,
            },
        });
        Some(value.to_string().into_bytes())
    }

    fn added(&self) -> Vec<Value> {
        let tokens = self.tokens.iter().zip(&self.kinds).enumerate();
        let added = tokens.filter(|(_, (_, kind))| **kind != TokenKind::Ordinary);
        let added = added.map(|(token, (text, kind))| {
            json!({
                "id": token,
                "content": text,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": *kind == TokenKind::Special,
            })
        });
        added.collect()
    }

    fn post_processor(&self) -> Value {
        let text = self.begin.and_then(|begin| Some((begin, self.tokens.get(begin as usize)?)));
        let Some((begin, text)) = text else {
            return byte_level(true);
        };
        let special = |kind: u32| json!({ "SpecialToken": { "id": text, "type_id": kind } });
        let sequence = |id: &str, kind: u32| json!({ "Sequence": { "id": id, "type_id": kind } });
        json!({
            "type": "TemplateProcessing",
            "single": [special(0), sequence("A", 0)],
            "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
            "special_tokens": { text: { "id": text, "ids": [begin], "tokens": [text] } },
        })
    }
}

fn byte_level(cuts: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cuts })
}

fn pre_tokenizer(name: &str) -> Option<Value> {
    let sequence = |first: Value, cuts| json!({ "type": "Sequence", "pretokenizers": [first, byte_level(cuts)] });
    let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    match name {
        "default" | "gpt-2" => Some(byte_level(true)),
        "smollm" => Some(sequence(json!({ "type": "Digits", "individual_digits": true }), true)),
        "llama-bpe" => Some(sequence(split(LLAMA3_PATTERN), false)),
        "qwen2" => Some(sequence(split(QWEN2_PATTERN), false)),
        _ => None,
    }
}
