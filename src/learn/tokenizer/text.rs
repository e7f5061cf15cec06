//! Texts as tokens, of which none is a control token.

use std::cell::RefCell;
use std::ops::Range;

use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::normalizer::Range as TextRange;
use tokenizers::{Encoding, Model, NormalizedString, OffsetType, PreTokenizer, Token};

use super::control::{FoundControls, TokenRole};
use super::template::PromptPart;
use super::{Tokenizer, TokenizerError, catch_tokenizers_panic};

/// A character beyond Unicode's planes that have any.
const NO_CHARACTER: &str = "\u{10ffff}";

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Marks such as `<think>` are tokens: in completions.
    WithMarks,
    /// The start of a prompt's text, in which marks are text.
    Start,
    /// A further part of a prompt's text.
    Later,
}

/// The tokens of a text, piece by piece.
pub(super) struct SpelledText {
    encoding: Encoding,
    /// The first character that has no token and leaves no trace.
    dropped: Option<String>,
}

impl SpelledText {
    pub(super) fn ids(&self) -> &[u32] {
        self.encoding.get_ids()
    }
}

impl Tokenizer {
    /// The tokens of `text`. Control tokens in it are text.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = catch_tokenizers_panic(|| self.inner.encode_fast(text, false)).map_err(TokenizerError::Encode)?;
        // A model's vocabulary has its control tokens too, and a piece of the text can be the whole text of one.
        if encoding.get_ids().iter().any(|token| self.role(*token) == TokenRole::Control) {
            return Ok(self.spell(text, Reading::WithMarks)?.encoding.get_ids().to_vec());
        }
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of a prompt: those with which a prompt starts, and those of `text`. In the author's part of the text, outside of the
    /// ranges `filled`, the texts of control tokens stand for them; what is filled in is text. The completion is tokenised separately
    /// ([`Tokenizer::encode`]) and appended, so that the border lies between two tokens.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn prompt(&self, text: &str, filled: &[Range<usize>]) -> Result<Vec<u32>, TokenizerError> {
        let Some(template) = &self.template else {
            return self.encode(text);
        };
        let found = template.controls(text, filled);
        let mut tokens = None;
        if !found.has_strays {
            let whole = catch_tokenizers_panic(|| template.marked.encode_fast(text, false)).map_err(TokenizerError::Encode)?;
            let controls = whole.get_ids().iter().filter(|token| self.role(**token) != TokenRole::Text);
            let asked = found.places.iter().map(|(_, control)| &control.token);
            tokens = controls.eq(asked).then(|| whole.get_ids().to_vec());
        }
        let mut tokens = match tokens {
            Some(tokens) => tokens,
            None => self.by_parts(text, &found)?,
        };
        // The template may already contain the first tokens.
        if !tokens.starts_with(&self.begin) {
            tokens.splice(0..0, self.begin.iter().copied());
        }
        Ok(tokens)
    }

    /// The tokens of a prompt, of whose text each part is cut on its own.
    fn by_parts(&self, text: &str, found: &FoundControls<'_>) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = Vec::new();
        for part in found.parts(text) {
            match part {
                PromptPart::Control(_, token) => tokens.push(token),
                PromptPart::Text(range) => {
                    let reading = Reading::part(range.start == 0);
                    let spelled = self.spell(text.get(range).unwrap_or_default(), reading)?;
                    tokens.extend_from_slice(spelled.encoding.get_ids());
                }
            }
        }
        Ok(tokens)
    }

    /// Whether a text may contain something for which there is no token, judging by its tokens.
    pub fn may_lack(&self, tokens: &[u32]) -> bool {
        self.drops || self.unknown.is_some_and(|unknown| tokens.contains(&unknown))
    }

    /// The first part of a text for which there is no token, or `None`.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn unknown_in_text(&self, text: &str) -> Result<Option<String>, TokenizerError> {
        Ok(self.first_unknown(&self.spell(text, Reading::WithMarks)?, text))
    }

    /// The first part of a prompt ([`Tokenizer::prompt`]) for which there is no token, or `None`.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn unknown_in_prompt(&self, text: &str, filled: &[Range<usize>]) -> Result<Option<String>, TokenizerError> {
        let Some(template) = &self.template else {
            return self.unknown_in_text(text);
        };
        for part in template.controls(text, filled).parts(text) {
            let PromptPart::Text(range) = part else { continue };
            let (reading, text) = (Reading::part(range.start == 0), text.get(range).unwrap_or_default());
            if let Some(unknown) = self.first_unknown(&self.spell(text, reading)?, text) {
                return Ok(Some(unknown));
            }
        }
        Ok(None)
    }

    fn first_unknown(&self, spelled: &SpelledText, text: &str) -> Option<String> {
        let encoding = &spelled.encoding;
        let place = encoding.get_ids().iter().position(|token| Some(*token) == self.unknown);
        let offsets = place.and_then(|place| encoding.get_offsets().get(place));
        let unknown = offsets.map(|(start, end)| text.get(*start..*end).unwrap_or(text).to_owned());
        unknown.or_else(|| spelled.dropped.clone())
    }

    /// The role of a token.
    pub(super) fn role(&self, token: u32) -> TokenRole {
        self.roles.get(token as usize).copied().unwrap_or_default()
    }

    /// The tokens of `text`, in which what would be a control token is spelled, character by character.
    pub(super) fn spell(&self, text: &str, reading: Reading) -> Result<SpelledText, TokenizerError> {
        let spell = || {
            let template = self.template.as_deref();
            let template = template.filter(|template| reading != Reading::WithMarks || template.has_lax_controls);
            let plain = template.and_then(|template| template.plain.as_ref());
            let tokenizer = plain.unwrap_or(&self.inner);
            let mut pieces = tokenizer
                .get_added_vocabulary()
                .extract_and_normalize(tokenizer.get_normalizer(), text);
            let later = template
                .and_then(|template| template.later.as_ref())
                .filter(|_| reading == Reading::Later);
            if let Some(cut) = later.or(tokenizer.get_pre_tokenizer()) {
                cut.pre_tokenize(&mut pieces)?;
            }
            let dropped = RefCell::new(None);
            pieces.tokenize(|piece| {
                let tokens = self.spell_piece(tokenizer.get_model(), piece.get(), reading)?;
                if self.drops && dropped.borrow().is_none() {
                    *dropped.borrow_mut() = first_dropped(tokenizer.get_model(), piece, &tokens)?;
                }
                Ok(tokens)
            })?;
            let encoding = pieces.into_encoding(None, 0, OffsetType::Byte)?;
            let dropped = dropped.into_inner();
            Ok(SpelledText { encoding, dropped })
        };
        catch_tokenizers_panic(spell).map_err(TokenizerError::Encode)
    }

    fn spell_piece(&self, model: &ModelWrapper, piece: &str, reading: Reading) -> tokenizers::Result<Vec<Token>> {
        let mut spelled = Vec::new();
        for token in model.tokenize(piece)? {
            let (start, end) = token.offsets;
            match piece.get(start..end).filter(|text| self.is_spelled(&token, text, reading)) {
                None => spelled.push(token),
                Some(text) => {
                    for (at, character) in text.char_indices() {
                        let tokens = model.tokenize(character.encode_utf8(&mut [0; 4]))?;
                        spelled.extend(tokens.into_iter().map(|token| Token {
                            offsets: (start + at + token.offsets.0, start + at + token.offsets.1),
                            ..token
                        }));
                    }
                }
            }
        }
        Ok(spelled)
    }

    /// Whether the text from which the model made `token` is spelled instead.
    fn is_spelled(&self, token: &Token, text: &str, reading: Reading) -> bool {
        match self.role(token.id) {
            TokenRole::Text => false,
            TokenRole::Mark => reading != Reading::WithMarks,
            // The token for unknown characters stands for them, but not for its own text.
            TokenRole::Control => Some(token.id) != self.unknown || self.token(token.id).is_some_and(|unknown| unknown == text),
        }
    }
}

impl Reading {
    pub(super) fn part(starts: bool) -> Self {
        if starts { Self::Start } else { Self::Later }
    }
}

/// The first character of `piece` of which `tokens` have no trace.
fn first_dropped(model: &ModelWrapper, piece: &NormalizedString, tokens: &[Token]) -> tokenizers::Result<Option<String>> {
    let covered: usize = tokens.iter().map(|token| token.offsets.1.saturating_sub(token.offsets.0)).sum();
    if covered >= piece.len() {
        return Ok(None);
    }
    for (at, character) in piece.get().char_indices() {
        let end = at + character.len_utf8();
        if model.tokenize(character.encode_utf8(&mut [0; 4]))?.is_empty() {
            let original = piece.get_range_original(TextRange::Normalized(at..end));
            return Ok(Some(original.map_or_else(|| character.to_string(), str::to_owned)));
        }
    }
    Ok(None)
}

/// The token that a model gives for unknown characters, if there is one.
pub(super) fn unknown_token(model: &ModelWrapper) -> Option<u32> {
    let text = match model {
        ModelWrapper::BPE(model) => model.get_unk_token().clone()?,
        ModelWrapper::WordLevel(model) => model.unk_token.clone(),
        ModelWrapper::WordPiece(model) => model.unk_token.clone(),
        ModelWrapper::Unigram(model) => {
            let tokens = model.tokenize(NO_CHARACTER).ok()?;
            return tokens.first().filter(|_| tokens.len() == 1).map(|token| token.id);
        }
    };
    model.token_to_id(&text)
}

/// Whether a model gives no token for some characters, not even one for unknown characters.
pub(super) fn drops(model: &ModelWrapper) -> bool {
    let ModelWrapper::BPE(bpe) = model else { return false };
    let known = |text: &str| model.token_to_id(text).is_some();
    let has_bytes = || bpe.byte_fallback && (0..=u8::MAX).all(|byte| known(&format!("<0x{byte:02X}>")));
    let has_byte_characters = || ByteLevel::alphabet().iter().all(|character| known(&character.to_string()));
    unknown_token(model).is_none() && !has_bytes() && !has_byte_characters()
}
