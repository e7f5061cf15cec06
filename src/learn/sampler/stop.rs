//! Stop strings: texts that end a response.

use crate::tokenizer::{Tokenizer, TokenizerError};

/// The texts that end a response.
#[derive(Clone, Copy)]
pub(super) struct StopStrings<'a>(pub(super) &'a [String]);

impl StopStrings<'_> {
    /// Whether the text of `tokens` contains a stop string that ends in the last token.
    pub(super) fn reached(self, tokenizer: &Tokenizer, tokens: &[u32]) -> Result<bool, TokenizerError> {
        let Some(longest) = self.0.iter().map(String::len).max() else {
            return Ok(false);
        };
        // A token has at least one byte, and a character that the window cuts has at most three bytes before it. Some tokenizers remove a
        // space from the start of what they decode.
        let window = tokens.len().saturating_sub(longest + 4);
        let tail = tokenizer.decode(tokens.get(window..).unwrap_or(tokens))?;
        Ok(self.first(&tail).is_some())
    }

    /// The offset of the first stop string in `text`.
    pub(super) fn first(self, text: &str) -> Option<usize> {
        self.0.iter().filter_map(|stop| text.find(stop)).min()
    }
}
