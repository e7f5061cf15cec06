//! Text ↔ tokens, in Hugging Face's `tokenizer.json` format.
//!
//! Three styles, all without learned merges:
//!
//! | style | tokens | `"3. 12 + 7"` |
//! |---|---|---|
//! | `phrase` | a token for each digit, and one for each maximal run of other characters that occurs at least twice in the training texts | `3` `. ` `1` `2` ` + ` `7` |
//! | `word` | a token for each digit, and one for each word and each other symbol that occurs at least twice, with the space before it | `3` `.` ` ` `1` `2` ` +` ` ` `7` |
//! | `char` | a token for each character | `3` `.` ` ` `1` `2` ` ` `+` ` ` `7` |
//!
//! A phrase or word that is not in the vocabulary is spelt in characters, and a character that is not in it is `<unk>`. All styles are
//! one BPE model without merges (`ignore_merges`: a whole pre-token that is in the vocabulary is one token), so any program that reads
//! `tokenizer.json` tokenises alike.
//!
//! So that a word is the same token at the start of a line as elsewhere, the style `word` reads a text as if a space stood before
//! each line, and leaves those spaces out again when it turns tokens into text.

mod byte_level;
mod limits;
mod positions;
mod pre_tokenizer;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, Vocab};

use crate::catch_panic;

pub use byte_level::{ByteLevel, PRE_TOKENIZERS, TokenKind};
pub use positions::Cursor;
use pre_tokenizer::StylePreTokenizer;

/// Padding; never trained on.
pub const PAD_TOKEN: &str = "<pad>";
/// Ends a completion.
pub const END_TOKEN: &str = "<eos>";
/// A character that the training texts do not have.
pub const UNKNOWN_TOKEN: &str = "<unk>";

/// The special tokens, in the order of their numbers, from 0.
const SPECIAL_TOKENS: [&str; 3] = [PAD_TOKEN, END_TOKEN, UNKNOWN_TOKEN];

/// How texts are cut into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Style")]
pub enum TokenizerStyle {
    /// `phrase` where every question and every solution has digits, else `word`.
    #[default]
    Auto,
    /// One token per digit, one per phrase between digits that occurs at least twice.
    Phrase,
    /// One token per digit, one per word and per other symbol that occurs at least twice.
    Word,
    /// One token per character.
    Char,
}

impl TokenizerStyle {
    /// What [`TokenizerStyle::Auto`] comes to for these texts.
    fn settled(self, texts: &[&str]) -> Self {
        let has_digits = |text: &&str| text.contains(|c: char| c.is_ascii_digit());
        match self {
            // Without digits there is nothing to cut phrases at: a whole text would be one token.
            Self::Auto if texts.iter().all(has_digits) => Self::Phrase,
            Self::Auto => Self::Word,
            style => style,
        }
    }
}

/// Why a tokenizer cannot be built, read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error("cannot build a tokenizer: {0}")]
    Build(tokenizers::Error),
    #[error("cannot read {path}: {error}", path = path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{path} is not a tokenizer: {error}", path = path.display())]
    Format { path: PathBuf, error: tokenizers::Error },
    #[error("{path} is not a tokenizer: {problem}", path = path.display())]
    Unsound { path: PathBuf, problem: String },
    #[error("cannot write {path}: {error}", path = path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("{path} has no token `{END_TOKEN}` to end a completion with", path = path.display())]
    NoEnd { path: PathBuf },
    #[error("{path} has no token {end}, with which the model's `eos_token_id` ends a completion", path = path.display())]
    StrangeEnd { path: PathBuf, end: u32 },
    #[error("cannot tokenise a text: {0}")]
    Encode(tokenizers::Error),
    #[error("cannot turn tokens into text: {0}")]
    Decode(tokenizers::Error),
}

/// Turns text into tokens and tokens into text.
///
/// What the user wrote is text: `<eos>` in it is five characters. Tokenizers of other programs have special tokens of their own, which a
/// prompt's template may name (`<|im_start|>user`), and may begin each prompt with one: see [`Tokenizer::prompt`].
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    /// The same, but for special tokens in a text being special tokens; nothing where there are none but ours.
    marked: Option<Arc<tokenizers::Tokenizer>>,
    /// What a prompt starts with.
    begin: Vec<u32>,
    /// What ends a completion: the first when training, each when sampling. At least one.
    ends: Vec<u32>,
    /// Whether the token starts a new line of positions. [vocabulary]
    resets: Vec<bool>,
}

impl Tokenizer {
    /// The tokenizer of `style` for texts like `texts`; the same texts in another order give the same one.
    ///
    /// # Errors
    /// When the vocabulary is not one that the `tokenizers` crate takes.
    pub fn build<'a>(style: TokenizerStyle, texts: impl IntoIterator<Item = &'a str>) -> Result<Self, TokenizerError> {
        let texts: Vec<&str> = texts.into_iter().collect();
        let cut = StylePreTokenizer::new(style.settled(&texts)).map_err(TokenizerError::Build)?;
        let tokens = vocabulary::collect(&cut, &texts).map_err(TokenizerError::Build)?;
        let numbered = tokens.iter().cloned().zip(0..);
        let model = BPE::builder()
            .vocab_and_merges(numbered.collect::<Vocab>(), Vec::new())
            .ignore_merges(true)
            .unk_token(UNKNOWN_TOKEN.to_owned())
            .build()
            .map_err(TokenizerError::Build)?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner
            .with_normalizer(cut.normalizer)
            .map_err(TokenizerError::Build)?
            .with_pre_tokenizer(Some(cut.pre_tokenizer))
            .with_decoder(Some(cut.decoder));
        let specials = SPECIAL_TOKENS.map(|text| AddedToken::from(text, true));
        inner.add_special_tokens(specials).map_err(TokenizerError::Build)?;
        Self::new(inner, vec![1])
    }

    fn new(mut inner: tokenizers::Tokenizer, ends: Vec<u32>) -> Result<Self, TokenizerError> {
        let (mut marked, mut begin) = (None, Vec::new());
        if !is_ours(&inner) {
            begin = beginning(&inner)?;
            inner.set_encode_special_tokens(false);
            marked = Some(Arc::new(inner.clone()));
        }
        // `<eos>` within a text is five characters, not the end of it (but where digits enclose it, it is the whole pre-token).
        inner.set_encode_special_tokens(true);
        let count = inner.get_vocab(true).into_values().max().map_or(0, |last| last + 1);
        let resets = (0..count)
            .map(|token| inner.id_to_token(token).is_some_and(|text| text.contains(['\n', ':'])))
            .collect();
        Ok(Self {
            inner: Arc::new(inner),
            marked,
            begin,
            ends,
            resets,
        })
    }

    /// The tokenizer whose `tokenizer.json` has the text `json`; one of `ends` ends a completion.
    ///
    /// # Errors
    /// When the text is no tokenizer, or has no such tokens.
    pub fn parse(json: &[u8], ends: &[u32], path: &Path) -> Result<Self, TokenizerError> {
        let unsound = |problem: String| TokenizerError::Unsound {
            path: path.to_owned(),
            problem,
        };
        limits::check(json).map_err(|error| unsound(error.to_string()))?;
        let read = || {
            let mut inner = tokenizers::Tokenizer::from_bytes(json)?;
            // A text is as long as it is: neither cut off nor filled up.
            inner.with_padding(None).with_truncation(None)?;
            Ok(inner)
        };
        let read = catch_panic::call(read).map_err(|panicked| unsound(panicked.to_string()))?;
        let inner = read.map_err(|error| TokenizerError::Format {
            path: path.to_owned(),
            error,
        })?;
        // A token takes more than a byte of the file, and numbers have no gaps to speak of.
        let last = inner.get_vocab(true).into_values().max().unwrap_or_default();
        if last as usize >= json.len() {
            return Err(unsound(format!(
                "its last token has the number {last}, and the file is of {} bytes",
                json.len()
            )));
        }
        if let Some(end) = ends.iter().find(|end| inner.id_to_token(**end).is_none()) {
            let (path, end) = (path.to_owned(), *end);
            return Err(TokenizerError::StrangeEnd { path, end });
        }
        let ours = || {
            let end = inner.token_to_id(END_TOKEN);
            end.ok_or_else(|| TokenizerError::NoEnd { path: path.to_owned() })
        };
        let ends = if ends.is_empty() { vec![ours()?] } else { ends.to_vec() };
        catch_panic::call(|| Self::new(inner, ends)).map_err(|panicked| unsound(panicked.to_string()))?
    }

    /// Reads `tokenizer.json`; one of `ends` ends a completion (`<eos>`, where none is given).
    ///
    /// # Errors
    /// When the file cannot be read, is no tokenizer, or lacks the tokens that end a completion.
    pub fn load(path: &Path, ends: &[u32]) -> Result<Self, TokenizerError> {
        let bytes = std::fs::read(path).map_err(|error| TokenizerError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&bytes, ends, path)
    }

    /// Writes `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TokenizerError> {
        std::fs::write(path, self.json()? + "\n").map_err(|error| TokenizerError::Write {
            path: path.to_owned(),
            error,
        })
    }

    /// The text of `tokenizer.json`; equal tokenizers have equal ones.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(true).map_err(TokenizerError::Build)
    }

    /// The first part of `text` that no token stands for, where there is one.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn stranger<'t>(&self, text: &'t str) -> Result<Option<&'t str>, TokenizerError> {
        let encoding = contained(|| self.inner.encode(text, false)).map_err(TokenizerError::Encode)?;
        let place = encoding.get_ids().iter().position(|token| Some(*token) == self.unknown());
        let (start, end) = match place.and_then(|place| encoding.get_offsets().get(place)) {
            Some(offsets) => *offsets,
            None => return Ok(None),
        };
        Ok(Some(text.get(start..end).unwrap_or(text)))
    }

    /// The tokens of `text`, nothing added.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = contained(|| self.inner.encode_fast(text, false)).map_err(TokenizerError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of a prompt: what a prompt starts with, and those of `text`, in which special tokens are that. A completion that is
    /// tokenised by itself ([`Tokenizer::encode`]) may follow: its border is one between tokens.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let Some(marked) = &self.marked else {
            return self.encode(text);
        };
        let encoding = contained(|| marked.encode_fast(text, false)).map_err(TokenizerError::Encode)?;
        let mut tokens = encoding.get_ids().to_vec();
        // A template may begin as the tokenizer would have it begin.
        if !tokens.starts_with(&self.begin) {
            tokens.splice(0..0, self.begin.iter().copied());
        }
        Ok(tokens)
    }

    /// The text of `tokens`.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        contained(|| self.inner.decode(tokens, false)).map_err(TokenizerError::Decode)
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.resets.len()
    }

    /// The token of all that no other stands for, in tokenizers that have one.
    pub fn unknown(&self) -> Option<u32> {
        self.inner.token_to_id(UNKNOWN_TOKEN)
    }

    /// The token that ends a completion in training.
    pub fn end(&self) -> u32 {
        self.ends.first().copied().unwrap_or_default()
    }

    /// The tokens that end a completion in sampling.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The text of `token`, where there is one.
    pub fn token(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// What a prompt starts with.
    pub fn begin(&self) -> &[u32] {
        &self.begin
    }

    /// Whether the special tokens are those of a tokenizer that was built here.
    pub fn is_ours(&self) -> bool {
        self.marked.is_none()
    }

    /// Whether a new line of positions starts after `token`: its text contains a line break or a colon.
    pub fn resets(&self, token: u32) -> bool {
        self.resets.get(token as usize).copied().unwrap_or(false)
    }
}

/// What the `tokenizers` crate makes of a text; some of its parts panic when a file has settings that contradict each other.
fn contained<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    catch_panic::call(work).unwrap_or_else(|panicked| Err(panicked.into()))
}

/// Whether the special tokens are [`SPECIAL_TOKENS`].
fn is_ours(inner: &tokenizers::Tokenizer) -> bool {
    SPECIAL_TOKENS
        .iter()
        .zip(0..)
        .all(|(text, token)| inner.token_to_id(text) == Some(token))
}

/// What the tokenizer puts before a text.
fn beginning(inner: &tokenizers::Tokenizer) -> Result<Vec<u32>, TokenizerError> {
    let encode = |special| inner.encode_fast("a", special).map_err(TokenizerError::Encode);
    let (bare, whole) = (encode(false)?, encode(true)?);
    let (bare, whole) = (bare.get_ids(), whole.get_ids());
    let place = whole.windows(bare.len().max(1)).position(|part| part == bare);
    Ok(whole.get(..place.unwrap_or(0)).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests;
