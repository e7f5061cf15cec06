//! Tokenizers in Hugging Face's `tokenizer.json` format.
//!
//! There are three styles, all without learned merges:
//!
//! | style | tokens | `"3. 12 + 7"` |
//! |---|---|---|
//! | `phrase` | each digit, and each maximal run of other characters that occurs at least twice in the training texts | `3` `. ` `1` `2` ` + ` `7` |
//! | `word` | each digit, and each word or other symbol with the space before it that occurs at least twice | `3` `.` ` ` `1` `2` ` +` ` ` `7` |
//! | `char` | each character | `3` `.` ` ` `1` `2` ` ` `+` ` ` `7` |
//!
//! A phrase or word that is not in the vocabulary is split into characters, and an unknown character becomes `<unk>`. All styles are BPE
//! models without merges (`ignore_merges`: a whole pre-token that is in the vocabulary is one token), so any program that reads
//! `tokenizer.json` gives the same tokens for texts without `<pad>`, `<eos>` and `<unk>`, which are text here.
//!
//! The style `word` adds a space before each line, so that a word is the same token at the start of a line as elsewhere. Decoding removes
//! these spaces.

mod byte_level;
mod control;
mod conversation;
mod limits;
mod pre_tokenizer;
mod sentence_piece;
mod template;
mod text;
mod token_text;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, PostProcessorWrapper};

use crate::catch_panic;

pub use byte_level::{ByteLevel, PreTokenizer, TokenKind};
pub use conversation::{ConversationText, ConversationTokens};
pub use sentence_piece::{Piece, PieceError, PieceKind, SentencePiece, SpacePrefix};
pub use token_text::TokenText;

use byte_level::begin_with;
use control::TokenRole;
use limits::DeclaredToken;
use pre_tokenizer::StylePreTokenizer;
use template::TemplateReader;

/// Padding; never trained on.
pub const PAD_TOKEN: &str = "<pad>";
/// Ends a completion.
pub const END_TOKEN: &str = "<eos>";
/// A character that does not occur in the training texts.
pub const UNKNOWN_TOKEN: &str = "<unk>";

/// The special tokens, in the order of their ids, from 0.
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
    /// Replaces [`TokenizerStyle::Auto`] by the style for these texts.
    fn settled(self, texts: &[&str]) -> Self {
        let has_digits = |text: &&str| text.contains(|c: char| c.is_ascii_digit());
        match self {
            // Without digits a whole text would be one phrase.
            Self::Auto if texts.iter().all(has_digits) => Self::Phrase,
            Self::Auto => Self::Word,
            style => style,
        }
    }
}

/// A tokenizer cannot be built, read, written or used.
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
    #[error("{path} has no token {end}, which is the model's `eos_token_id`", path = path.display())]
    StrangeEnd { path: PathBuf, end: u32 },
    #[error("cannot tokenise a text: {0}")]
    Encode(tokenizers::Error),
    #[error("cannot decode tokens: {0}")]
    Decode(tokenizers::Error),
}

/// Encodes text as tokens and decodes tokens to text.
///
/// In a text, `<eos>` is five characters, not a special token. Tokenizers of other programs have their own special tokens. A prompt's
/// template may contain them (`<|im_start|>user`), and a prompt may start with one: see [`Tokenizer::prompt`].
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Special tokens in a text are text, unless a piece of the text is one of them as a whole.
    inner: Arc<tokenizers::Tokenizer>,
    /// Reads templates with special tokens; `None` if the tokenizer was built here.
    template: Option<Arc<TemplateReader>>,
    /// The tokens with which a prompt starts.
    begin: Vec<u32>,
    /// The token that is named the first of texts, whether or not it is put before them.
    first: Option<u32>,
    /// The tokens that end a completion, at least one. Training uses the first, sampling all.
    ends: Vec<u32>,
    /// Whether a new line of positions starts after the token. [vocabulary]
    resets: Vec<bool>,
    /// What the texts of the tokens are. [vocabulary]
    texts: Vec<TokenText>,
    /// What the tokens stand for. [vocabulary]
    roles: Vec<TokenRole>,
    /// The token for unknown characters, if there is one.
    unknown: Option<u32>,
    /// Whether some characters have no token, not even that for unknown ones.
    drops: bool,
}

impl Tokenizer {
    /// Builds a tokenizer of `style` for texts like `texts`. The order of the texts does not matter.
    ///
    /// # Errors
    /// When the `tokenizers` crate refuses the vocabulary.
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
        let is_ours = is_ours(&inner);
        let begin = if is_ours { Vec::new() } else { beginning(&inner)? };
        inner.set_encode_special_tokens(true);
        let count = inner.get_vocab(true).into_values().max().map_or(0, |last| last + 1);
        let resets = (0..count)
            .map(|token| inner.id_to_token(token).is_some_and(|text| text.contains(['\n', ':'])))
            .collect();
        let texts = (0..count).map(|token| inner.id_to_token(token).map_or(TokenText::Other, |text| TokenText::of(&text)));
        let texts = texts.collect();
        let unknown = text::unknown_token(inner.get_model());
        let added = inner.get_added_tokens_decoder();
        let role = |token: u32| match added.get(&token) {
            // Whatever the file says of them.
            _ if Some(token) == unknown || ends.contains(&token) || begin.contains(&token) => TokenRole::Control,
            added => added.map(TokenRole::of).unwrap_or_default(),
        };
        let roles: Vec<TokenRole> = (0..count).map(role).collect();
        let template = (!is_ours).then(|| TemplateReader::new(&inner, &roles).map(Arc::new));
        Ok(Self {
            template: template.transpose().map_err(TokenizerError::Build)?,
            first: begin.first().copied(),
            begin,
            ends,
            resets,
            texts,
            roles,
            unknown,
            drops: text::drops(inner.get_model()),
            inner: Arc::new(inner),
        })
    }

    /// Parses the content of a `tokenizer.json`; `ends` are the tokens that end a completion (default: `<eos>`).
    ///
    /// # Errors
    /// When the text is not a tokenizer, or does not have these tokens.
    pub fn parse(json: &[u8], ends: &[u32], path: &Path) -> Result<Self, TokenizerError> {
        let unsound = |problem: String| TokenizerError::Unsound {
            path: path.to_owned(),
            problem,
        };
        let declared = limits::check(json).map_err(|error| unsound(error.to_string()))?;
        let read = || {
            let mut inner = tokenizers::Tokenizer::from_bytes(json)?;
            // Texts are neither truncated nor padded.
            inner.with_padding(None).with_truncation(None)?;
            Ok(inner)
        };
        let read = catch_panic::call(read).map_err(|panicked| unsound(panicked.to_string()))?;
        let inner = read.map_err(|error| TokenizerError::Format {
            path: path.to_owned(),
            error,
        })?;
        // A token takes more than a byte of the file, and there are almost no gaps between ids.
        let last = inner.get_vocab(true).into_values().max().unwrap_or_default();
        if last as usize >= json.len() {
            return Err(unsound(format!(
                "its last token has the id {last}, but the file has only {} bytes",
                json.len()
            )));
        }
        let is_misplaced = |token: &&DeclaredToken| inner.token_to_id(&token.content).is_some_and(|found| found != token.id);
        if let Some(DeclaredToken { id, content }) = declared.iter().find(is_misplaced) {
            return Err(unsound(format!(
                "its added token {content:?} cannot have the id {id}: ids before it are missing, or it occurs twice"
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

    /// The same tokenizer, but texts begin with `token`, or with none.
    ///
    /// # Errors
    /// When there is no such token, or the `tokenizers` crate fails.
    pub fn beginning_with(self, token: Option<u32>) -> Result<Self, TokenizerError> {
        let text = token.map(|token| Ok((token, self.token(token).ok_or("there is no such token to begin with")?)));
        let text = text.transpose().map_err(TokenizerError::Build)?;
        let wanted: Vec<u32> = token.into_iter().collect();
        if wanted == self.begin {
            return Ok(self);
        }
        let mut inner = tokenizers::Tokenizer::clone(&self.inner);
        let begin = text.map(|(token, text)| serde_json::from_value::<PostProcessorWrapper>(begin_with(token, &text)));
        inner.with_post_processor(begin.transpose().map_err(|error| TokenizerError::Build(error.into()))?);
        Self::new(inner, self.ends)
    }

    /// The same tokenizer, but `token`, if there is such a token, is named the first of texts. Prompts start as before.
    pub fn naming_first(self, token: Option<u32>) -> Self {
        let first = token.filter(|token| self.token(*token).is_some());
        Self { first, ..self }
    }

    /// Reads a `tokenizer.json`; `ends` are the tokens that end a completion (default: `<eos>`).
    ///
    /// # Errors
    /// When the file cannot be read, is not a tokenizer, or does not have the tokens that end a completion.
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

    /// The content of `tokenizer.json`. Equal tokenizers give equal texts.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(true).map_err(TokenizerError::Build)
    }

    /// The text of `tokens`.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        catch_tokenizers_panic(|| self.inner.decode(tokens, false)).map_err(TokenizerError::Decode)
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.resets.len()
    }

    /// The token that ends a completion in training.
    pub fn end(&self) -> u32 {
        self.ends.first().copied().unwrap_or_default()
    }

    /// The tokens that end a completion in sampling.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The text of `token`, or `None` if there is no such token.
    pub fn token(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// The token with this text, or `None` if there is no such token.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// The tokens with which a prompt starts.
    pub fn begin(&self) -> &[u32] {
        &self.begin
    }

    /// The token that is named the first of texts (`bos_token`), whether or not prompts start with it.
    pub fn first(&self) -> Option<u32> {
        self.first
    }

    /// Whether the tokenizer was built here, judging by its special tokens.
    pub fn is_ours(&self) -> bool {
        self.template.is_none()
    }

    /// What the text of `token` is.
    pub fn text_of(&self, token: u32) -> TokenText {
        self.texts.get(token as usize).copied().unwrap_or_default()
    }

    /// Whether a new line of positions starts after `token`, because its text contains a line break or a colon.
    pub fn resets(&self, token: u32) -> bool {
        self.resets.get(token as usize).copied().unwrap_or(false)
    }
}

/// Calls the `tokenizers` crate, some of whose parts panic if settings of a file contradict each other.
fn catch_tokenizers_panic<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    catch_panic::call(work).unwrap_or_else(|panicked| Err(panicked.into()))
}

/// Whether the special tokens are [`SPECIAL_TOKENS`].
fn is_ours(inner: &tokenizers::Tokenizer) -> bool {
    SPECIAL_TOKENS
        .iter()
        .zip(0..)
        .all(|(text, token)| inner.token_to_id(text) == Some(token))
}

/// The tokens that the tokenizer adds before a text.
fn beginning(inner: &tokenizers::Tokenizer) -> Result<Vec<u32>, TokenizerError> {
    let encode = |special| inner.encode_fast("a", special).map_err(TokenizerError::Encode);
    let (bare, whole) = (encode(false)?, encode(true)?);
    let (bare, whole) = (bare.get_ids(), whole.get_ids());
    let place = whole.windows(bare.len().max(1)).position(|part| part == bare);
    Ok(whole.get(..place.unwrap_or(0)).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests;
