//! Conversations as tokens.

use std::ops::Range;

use super::control::{TokenRole, overlaps};
use super::template::PromptPart;
use super::text::Reading;
use super::{Tokenizer, TokenizerError};
use crate::dataset::FilledPrompt;

/// The text of a conversation, of which parts are not the template's.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConversationText<'a> {
    pub text: &'a str,
    /// What is text throughout: control tokens and marks in it are text.
    pub filled: &'a [Range<usize>],
    /// What the model says: control tokens in it are text, and marks such as `<think>` are tokens.
    pub written: &'a [Range<usize>],
    /// Where tokens must not go across the ends: what a model learns from.
    pub said: &'a [Range<usize>],
}

/// A conversation as tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationTokens {
    pub tokens: Vec<u32>,
    /// The tokens of each part of [`ConversationText::said`].
    pub said: Vec<Range<usize>>,
}

/// Adds tokens, and notes how many there are before each place in the text.
struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    text: &'a str,
    /// In their order.
    places: Vec<usize>,
    /// For the first of the places. [places]
    counts: Vec<usize>,
    tokens: Vec<u32>,
}

impl Tokenizer {
    /// The tokens of a conversation that a chat template has written. The template has all control tokens that it wants: those with which
    /// other texts begin are not put before it.
    ///
    /// What the model says is cut from the rest, so that the tokens before it are those of a prompt that ends there.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn conversation(&self, conversation: ConversationText<'_>) -> Result<ConversationTokens, TokenizerError> {
        let ConversationText {
            text,
            filled,
            written,
            said,
        } = conversation;
        let mut places: Vec<usize> = said.iter().flat_map(|said| [said.start, said.end]).collect();
        places.sort_unstable();
        places.dedup();
        let mut writer = Writer {
            tokenizer: self,
            text,
            places,
            counts: Vec::new(),
            tokens: Vec::new(),
        };
        let found = self.template.as_ref().map(|template| template.controls(text, filled));
        let mut found = found.unwrap_or_default();
        // In what the model has written, control tokens are text.
        found
            .places
            .retain(|(place, control)| !(self.is_control(control.token) && overlaps(place, written)));
        for part in found.parts(text) {
            match part {
                PromptPart::Control(start, token) => {
                    writer.note(start);
                    writer.tokens.push(token);
                }
                PromptPart::Text(range) => writer.text(range)?,
            }
        }
        writer.note(text.len());
        let count = |place: usize| {
            let number = writer.places.binary_search(&place).ok();
            number
                .and_then(|number| writer.counts.get(number).copied())
                .unwrap_or(writer.tokens.len())
        };
        let said = said.iter().map(|said| count(said.start)..count(said.end)).collect();
        Ok(ConversationTokens {
            said,
            tokens: writer.tokens,
        })
    }

    /// The first part of a conversation for which there is no token, or `None`.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn unknown_in_conversation(&self, conversation: ConversationText<'_>) -> Result<Option<String>, TokenizerError> {
        let ConversationText { text, filled, written, .. } = conversation;
        let filled: Vec<Range<usize>> = filled.iter().chain(written).cloned().collect();
        self.unknown_in_prompt(text, &filled)
    }

    /// The tokens of a prompt for a question: of a text, or of a conversation.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn filled_prompt(&self, prompt: &FilledPrompt) -> Result<Vec<u32>, TokenizerError> {
        if prompt.is_whole {
            return Ok(self.conversation(text_of(prompt))?.tokens);
        }
        self.prompt(&prompt.text, &prompt.filled)
    }

    /// The first part of a prompt for a question for which there is no token, or `None`.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn unknown_in_filled(&self, prompt: &FilledPrompt) -> Result<Option<String>, TokenizerError> {
        self.unknown_in_conversation(text_of(prompt))
    }

    /// The same tokenizer, but `tokens` end a completion too.
    ///
    /// # Errors
    /// When the `tokenizers` crate fails.
    pub fn also_ending_with(self, tokens: impl IntoIterator<Item = u32>) -> Result<Self, TokenizerError> {
        let mut ends = self.ends.clone();
        ends.extend(tokens.into_iter().filter(|token| !self.ends.contains(token)));
        if ends.len() == self.ends.len() {
            return Ok(self);
        }
        Ok(Self {
            // The model's files may have named another.
            first: self.first,
            ..Self::new(tokenizers::Tokenizer::clone(&self.inner), ends)?
        })
    }

    /// Whether `token` is a control token, which is no part of a text.
    pub fn is_control(&self, token: u32) -> bool {
        self.role(token) == TokenRole::Control
    }
}

/// A prompt as a conversation of which nothing is to be learned.
fn text_of(prompt: &FilledPrompt) -> ConversationText<'_> {
    ConversationText {
        text: &prompt.text,
        filled: &prompt.filled,
        written: &prompt.answers,
        said: &[],
    }
}

impl Writer<'_> {
    /// Adds the tokens of a part of the text that has no control tokens, cut at the places in it.
    fn text(&mut self, range: Range<usize>) -> Result<(), TokenizerError> {
        let mut at = range.start;
        while at < range.end {
            self.note(at);
            let next = self.places.get(self.counts.len()).copied();
            let end = next.map_or(range.end, |next| next.min(range.end));
            let reading = Reading::part(at == 0);
            let spelled = self.tokenizer.spell(self.text.get(at..end).unwrap_or_default(), reading)?;
            self.tokens.extend_from_slice(spelled.ids());
            at = end;
        }
        Ok(())
    }

    /// Notes the places up to `at`, before which all tokens are there.
    fn note(&mut self, at: usize) {
        while self.places.get(self.counts.len()).is_some_and(|place| *place <= at) {
            self.counts.push(self.tokens.len());
        }
    }
}
