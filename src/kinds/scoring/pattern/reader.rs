//! Goes through a pattern of Python, and writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no regular expression: {reason} (at character {at})")]
pub struct PatternError {
    reason: String,
    /// The place in the pattern, from 0, in characters.
    at: usize,
}

impl PatternError {
    pub(super) fn new(reason: impl Into<String>, at: usize) -> Self {
        let reason = reason.into();
        Self { reason, at }
    }
}

/// A pattern that is being read, and what is written of it.
pub(super) struct Reader {
    pub chars: Vec<char>,
    pub at: usize,
    pub written: String,
    /// The number of each group with a name.
    pub names: BTreeMap<String, usize>,
    pub groups: usize,
}

pub(super) type Done = Result<(), PatternError>;

impl Reader {
    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    /// Goes past `text` if it comes next.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        let comes = text
            .chars()
            .enumerate()
            .all(|(place, c)| self.chars.get(self.at + place) == Some(&c));
        if comes {
            self.at += text.chars().count();
        }
        comes
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> PatternError {
        PatternError::new(reason, self.at)
    }

    /// The text up to `end`, which is passed.
    pub(super) fn until(&mut self, end: char) -> Result<String, PatternError> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some(c) if c == end => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(self.error(format!("`{end}` is missing"))),
            }
        }
    }

    pub(super) fn digits(&mut self) -> String {
        let mut digits = String::new();
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            digits.push(digit);
            self.at += 1;
        }
        digits
    }

    pub(super) fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() {
            self.written.push(c);
        } else {
            let _ = write!(self.written, r"\x{{{:x}}}", u32::from(c));
        }
    }
}
