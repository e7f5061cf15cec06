//! Lines and columns.

use crate::tokenizer::Tokenizer;

/// Counts lines and columns along a sequence.
///
/// The line is the number of earlier tokens with a line break or a colon. The column is the number of tokens since the last of them (or
/// the start). So digits of the same place value have the same column in their line:
///
/// | token | `Question: ` | `3` | ` + ` | `4` | `\nAnswer:\n` | `7` | `<eos>` |
/// |---|---|---|---|---|---|---|---|
/// | line | 0 | 1 | 1 | 1 | 1 | 2 | 2 |
/// | column | 0 | 0 | 1 | 2 | 3 | 0 | 1 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LineCursor {
    line: u32,
    column: u32,
}

impl LineCursor {
    /// Returns line and column of `token` and moves past it.
    pub(super) fn advance(&mut self, tokenizer: &Tokenizer, token: u32) -> (u32, u32) {
        let place = (self.line, self.column);
        *self = if tokenizer.resets(token) {
            Self {
                line: self.line + 1,
                column: 0,
            }
        } else {
            Self {
                line: self.line,
                column: self.column + 1,
            }
        };
        place
    }
}
