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

mod cut;
mod positions;
mod vocabulary;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, Vocab};

use cut::Cut;
pub use positions::Cursor;

/// Padding; never trained on.
pub const PAD: &str = "<pad>";
/// Ends a completion.
pub const END: &str = "<eos>";
/// A character that the training texts do not have.
pub const UNKNOWN: &str = "<unk>";

/// The special tokens, in the order of their numbers, from 0.
const SPECIALS: [&str; 3] = [PAD, END, UNKNOWN];

/// How texts are cut into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Style {
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

impl Style {
    /// What [`Style::Auto`] comes to for these texts.
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
    #[error("cannot write {path}: {error}", path = path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("{path} has no token `{END}` to end a completion with", path = path.display())]
    NoEnd { path: PathBuf },
    #[error("cannot tokenise a text: {0}")]
    Encode(tokenizers::Error),
    #[error("cannot turn tokens into text: {0}")]
    Decode(tokenizers::Error),
}

/// Turns text into tokens and tokens into text.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    end: u32,
    /// Whether the token starts a new line of positions. [vocabulary]
    resets: Vec<bool>,
}

impl Tokenizer {
    /// The tokenizer of `style` for texts like `texts`; the same texts in another order give the same one.
    ///
    /// # Errors
    /// When the vocabulary is not one that the `tokenizers` crate takes.
    pub fn build<'a>(style: Style, texts: impl IntoIterator<Item = &'a str>) -> Result<Self, TokenizerError> {
        let texts: Vec<&str> = texts.into_iter().collect();
        let cut = Cut::new(style.settled(&texts)).map_err(TokenizerError::Build)?;
        let tokens = vocabulary::collect(&cut, &texts).map_err(TokenizerError::Build)?;
        let numbered = tokens.iter().cloned().zip(0..);
        let model = BPE::builder()
            .vocab_and_merges(numbered.collect::<Vocab>(), Vec::new())
            .ignore_merges(true)
            .unk_token(UNKNOWN.to_owned())
            .build()
            .map_err(TokenizerError::Build)?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner
            .with_normalizer(cut.normalizer)
            .map_err(TokenizerError::Build)?
            .with_pre_tokenizer(Some(cut.pre_tokenizer))
            .with_decoder(Some(cut.decoder));
        let specials = SPECIALS.map(|text| AddedToken::from(text, true));
        inner.add_special_tokens(specials).map_err(TokenizerError::Build)?;
        Ok(Self::new(inner, 1))
    }

    fn new(mut inner: tokenizers::Tokenizer, end: u32) -> Self {
        // `<eos>` within a text is five characters, not the end of it (but where digits enclose it, it is the whole pre-token).
        inner.set_encode_special_tokens(true);
        let count = inner.get_vocab_size(true) as u32;
        let resets = (0..count)
            .map(|token| inner.id_to_token(token).is_some_and(|text| text.contains(['\n', ':'])))
            .collect();
        Self { inner, end, resets }
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be read, is no tokenizer, or lacks the token that ends a completion.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = std::fs::read(path).map_err(|error| TokenizerError::Read {
            path: path.to_owned(),
            error,
        })?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| TokenizerError::Format {
            path: path.to_owned(),
            error,
        })?;
        let end = inner
            .token_to_id(END)
            .ok_or_else(|| TokenizerError::NoEnd { path: path.to_owned() })?;
        Ok(Self::new(inner, end))
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
        let encoding = self.inner.encode(text, false).map_err(TokenizerError::Encode)?;
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
        let encoding = self.inner.encode_fast(text, false).map_err(TokenizerError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `tokens`.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, false).map_err(TokenizerError::Decode)
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.resets.len()
    }

    /// The token of all that no other stands for, in tokenizers that have one.
    pub fn unknown(&self) -> Option<u32> {
        self.inner.token_to_id(UNKNOWN)
    }

    /// The token that ends a completion.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Whether a new line of positions starts after `token`: its text contains a line break or a colon.
    pub fn resets(&self, token: u32) -> bool {
        self.resets.get(token as usize).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
