//! Characters after a backslash, and sets of characters in brackets.

use super::reader::{Done, PatternError, Reader};
use super::sets::{Flags, named_set};

impl Reader {
    /// The character that stands after a backslash.
    pub(super) fn character(&mut self) -> Result<char, PatternError> {
        let start = self.at;
        let Some(c) = self.next() else {
            return Err(self.error("a backslash ends the pattern"));
        };
        let code = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => self.coded(2, 16)?,
            'u' => self.coded(4, 16)?,
            'U' => self.coded(8, 16)?,
            '0'..='7' => {
                self.at -= 1;
                let octal: String = self.chars.iter().skip(self.at).take(3).take_while(|c| c.is_digit(8)).collect();
                self.coded(octal.len(), 8)?
            }
            c if c.is_ascii_alphanumeric() => return Err(PatternError::new(format!(r"`\{c}` is not known"), start)),
            c => u32::from(c),
        };
        char::from_u32(code).ok_or_else(|| PatternError::new("no character has this code", start))
    }

    pub(super) fn coded(&mut self, length: usize, radix: u32) -> Result<u32, PatternError> {
        let digits: String = self.chars.iter().skip(self.at).take(length).collect();
        let code = u32::from_str_radix(&digits, radix)
            .ok()
            .filter(|_| digits.chars().count() == length);
        let code = code.ok_or_else(|| self.error(format!("{length} digits must follow")))?;
        self.at += length;
        Ok(code)
    }

    /// Reads a set of characters after its bracket.
    pub(super) fn class(&mut self, flags: Flags) -> Done {
        let start = self.at;
        let opening = if self.skip("^") { "[^" } else { "[" };
        self.written.push_str(opening);
        let mut first = true;
        loop {
            let Some(c) = self.peek() else {
                return Err(PatternError::new("`]` is missing", start));
            };
            if c == ']' && !first {
                self.at += 1;
                self.written.push(']');
                return Ok(());
            }
            first = false;
            let low = self.member(flags)?;
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            if !is_range {
                if let Some(low) = low {
                    self.literal(low);
                }
                continue;
            }
            self.at += 1;
            let high = self.member(flags)?;
            let (Some(low), Some(high)) = (low, high) else {
                return Err(self.error("a range needs a character at both ends"));
            };
            if high < low {
                return Err(self.error(format!("the range `{low}-{high}` runs backwards")));
            }
            self.literal(low);
            self.written.push('-');
            self.literal(high);
        }
    }

    /// A character of a set; `None` for a set within it, which is written.
    pub(super) fn member(&mut self, flags: Flags) -> Result<Option<char>, PatternError> {
        match self.next() {
            Some('\\') => match self.peek() {
                Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => {
                    self.at += 1;
                    self.written.push_str(&named_set(c, flags));
                    Ok(None)
                }
                _ => self.character().map(Some),
            },
            Some(c) => Ok(Some(c)),
            None => Err(self.error("`]` is missing")),
        }
    }
}
