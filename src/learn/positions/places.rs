//! The places of digits, and of the lines that work on them.

use crate::tokenizer::{TokenText, Tokenizer};

/// The indices of the tokens of a prompt.
///
/// A digit has its place in its number, counted from the right (units: 1); every other token has 0. The last token opens the first line of the
/// completion, and has 1:
///
/// | token | `Question: ` | `3` | `8` | `1` | ` + ` | `2` | `\nAnswer:\n` |
/// |---|---|---|---|---|---|---|---|
/// | index | 0 | 3 | 2 | 1 | 0 | 1 | 1 |
pub(super) fn prompt(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u32> {
    let mut place = 0_u32;
    let from_the_right = tokens.iter().rev().map(|token| {
        place = match tokenizer.text_of(*token) {
            TokenText::Digit => place.saturating_add(1),
            _ => 0,
        };
        place
    });
    let mut indices: Vec<u32> = from_the_right.collect();
    if let Some(last) = indices.first_mut() {
        *last = 1;
    }
    indices.reverse();
    indices
}

/// Counts indices along a completion.
///
/// A token has its line, from 1. Of the digits of a number the first has the line, and each further one counts one less, but not below 0: an
/// answer, which is read from the left, counts down along the lines in which its digits were found. A token with a line break belongs to the
/// line that it opens, whose first token it predicts.
///
/// | token | `1` | `. ` | `1` | ` + ` | `2` | … | `\nThus, the answer is ` | `3` | `8` | `3` | `.` | `<eos>` |
/// |---|---|---|---|---|---|---|---|---|---|---|---|---|
/// | index | 1 | 1 | 1 | 1 | 1 | … | 4 | 4 | 3 | 2 | 4 | 4 |
///
/// With `wide = k`, in a line that begins with a digit, each digit after the first of its k-th number raises the line by one, before it is
/// counted: a line takes as many indices as that number has digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlaceCursor {
    wide: u32,
    line: u32,
    /// Digits of the current number so far.
    run: u32,
    /// Numbers of the line so far.
    numbers: u32,
    counts: WideCount,
}

/// Whether `wide` counts in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WideCount {
    /// The next token decides.
    Open,
    Yes,
    No,
}

impl PlaceCursor {
    /// A cursor at the start of a completion.
    pub(super) fn new(wide: usize) -> Self {
        Self {
            wide: u32::try_from(wide).unwrap_or(u32::MAX),
            line: 1,
            run: 0,
            numbers: 0,
            counts: WideCount::Open,
        }
    }

    /// Returns the index of `token` and moves past it.
    pub(super) fn advance(&mut self, tokenizer: &Tokenizer, token: u32) -> u32 {
        match tokenizer.text_of(token) {
            TokenText::Digit => {
                self.run = self.run.saturating_add(1);
                if self.counts == WideCount::Open {
                    self.counts = WideCount::Yes;
                }
                if self.run == 1 {
                    self.numbers = self.numbers.saturating_add(1);
                } else if self.numbers == self.wide && self.counts == WideCount::Yes {
                    self.line = self.line.saturating_add(1);
                }
            }
            TokenText::Break { is_last } => {
                self.line = self.line.saturating_add(1);
                (self.run, self.numbers) = (0, 0);
                self.counts = if is_last { WideCount::Open } else { WideCount::No };
            }
            TokenText::Blank => self.run = 0,
            TokenText::Other => {
                self.run = 0;
                if self.counts == WideCount::Open {
                    self.counts = WideCount::No;
                }
            }
        }
        self.line.saturating_sub(self.run.saturating_sub(1))
    }
}
