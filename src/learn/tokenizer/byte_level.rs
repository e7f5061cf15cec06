//! Byte-level BPE tokenizers (GPT-2 and its descendants), built from tokens and merges as stored in GGUF files.

use serde_json::{Value, json};

/// How texts are cut before pairs are merged, and what else goes with it.
#[derive(Debug)]
pub struct PreTokenizer {
    /// The names in GGUF files. Those after the first stand for the same.
    names: &'static [&'static str],
    /// Cuts around each match, one after the other.
    cuts: &'static [&'static str],
    /// Cuts each digit before that.
    digits: bool,
    /// Cuts as GPT-2 does after that.
    as_gpt2: bool,
    /// Whether characters are composed first.
    composes: bool,
    /// Whether there are tokens that no merges produce.
    ignores_merges: bool,
    /// Whether a text begins with a token if the file does not say.
    pub begins: bool,
}

impl PreTokenizer {
    const GPT2: Self = Self {
        names: &["gpt-2", "default", "phi-2"],
        cuts: &[],
        digits: false,
        as_gpt2: true,
        composes: false,
        ignores_merges: false,
        begins: false,
    };
}

/// The supported pre-tokenizers.
static PRE_TOKENIZERS: [PreTokenizer; 7] = [
    PreTokenizer::GPT2,
    // Llama 3's pre-tokens: contractions, words with the character before them, up to three digits, runs of symbols, line breaks, white space.
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3"],
        cuts: &[r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
        as_gpt2: false,
        ignores_merges: true,
        begins: true,
        ..PreTokenizer::GPT2
    },
    // Qwen 2's: the same, but with single digits.
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen", "megrez"],
        cuts: &[r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
        as_gpt2: false,
        composes: true,
        ..PreTokenizer::GPT2
    },
    PreTokenizer {
        names: &["smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b"],
        digits: true,
        ..PreTokenizer::GPT2
    },
    // Mistral's after SentencePiece: words end before a capital letter.
    PreTokenizer {
        names: &["tekken"],
        cuts: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        as_gpt2: false,
        ignores_merges: true,
        begins: true,
        ..PreTokenizer::GPT2
    },
    PreTokenizer {
        names: &["deepseek-coder"],
        cuts: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
        as_gpt2: false,
        ..PreTokenizer::GPT2
    },
    PreTokenizer {
        names: &["deepseek-v3"],
        cuts: &[
            r"\p{N}{1,3}",
            r"[一-龥぀-ゟ゠-ヿ]+",
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        ],
        as_gpt2: false,
        ..PreTokenizer::GPT2
    },
];

impl PreTokenizer {
    /// The pre-tokenizer with this name in GGUF files.
    pub fn named(name: &str) -> Option<&'static Self> {
        PRE_TOKENIZERS.iter().find(|known| known.names.contains(&name))
    }

    /// All names.
    pub fn names() -> Vec<&'static str> {
        PRE_TOKENIZERS.iter().flat_map(|known| known.names).copied().collect()
    }

    fn json(&self) -> Value {
        let split = |pattern: &&str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        let digits = self.digits.then(|| json!({ "type": "Digits", "individual_digits": true }));
        let mut cuts: Vec<Value> = digits.into_iter().chain(self.cuts.iter().map(split)).collect();
        if cuts.is_empty() {
            return byte_level(self.as_gpt2);
        }
        cuts.push(byte_level(self.as_gpt2));
        json!({ "type": "Sequence", "pretokenizers": cuts })
    }
}

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
    pub pre_tokenizer: &'static PreTokenizer,
    /// The token with which a text begins.
    pub begin: Option<u32>,
}

impl ByteLevel {
    /// The content of `tokenizer.json`; `None` if a merge does not have two parts.
    pub fn json(&self) -> Option<Vec<u8>> {
        let merges: Option<Vec<(&str, &str)>> = self.merges.iter().map(|merge| merge.split_once(' ')).collect();
        let vocabulary: serde_json::Map<String, Value> = self.tokens.iter().cloned().zip((0..).map(Value::from)).collect();
        let value = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": self.added(),
            "normalizer": self.pre_tokenizer.composes.then(|| json!({ "type": "NFC" })),
            "pre_tokenizer": self.pre_tokenizer.json(),
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
                "ignore_merges": self.pre_tokenizer.ignores_merges,
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
        text.map_or_else(|| byte_level(true), |(begin, text)| begin_with(begin, text))
    }
}

/// The part of a tokenizer that puts a token before each text.
pub(super) fn begin_with(token: u32, text: &str) -> Value {
    let special = |kind: u32| json!({ "SpecialToken": { "id": text, "type_id": kind } });
    let sequence = |id: &str, kind: u32| json!({ "Sequence": { "id": id, "type_id": kind } });
    json!({
        "type": "TemplateProcessing",
        "single": [special(0), sequence("A", 0)],
        "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
        "special_tokens": { text: { "id": text, "ids": [token], "tokens": [text] } },
    })
}

fn byte_level(cuts: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cuts })
}
