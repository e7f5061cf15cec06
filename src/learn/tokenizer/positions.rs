//! The learned positions: the line and column of a token.

use super::Tokenizer;

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
pub struct Cursor {
    line: u32,
    column: u32,
}

impl Cursor {
    /// Returns line and column of `token` and moves past it.
    pub fn advance(&mut self, tokenizer: &Tokenizer, token: u32) -> (u32, u32) {
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

    /// Returns lines and columns of `tokens` and moves past them. The tables have `lines` and `columns` rows: later positions share the last
    /// row, and a table without rows has no positions (an empty list). [tokens] each
    pub fn positions(&mut self, tokenizer: &Tokenizer, tokens: &[u32], lines: usize, columns: usize) -> (Vec<u32>, Vec<u32>) {
        let places: Vec<_> = tokens.iter().map(|&token| self.advance(tokenizer, token)).collect();
        let within = |rows: usize, part: fn(&(u32, u32)) -> u32| match u32::try_from(rows).unwrap_or(u32::MAX) {
            0 => Vec::new(),
            rows => places.iter().map(|place| part(place).min(rows - 1)).collect(),
        };
        (within(lines, |place| place.0), within(columns, |place| place.1))
    }
}
