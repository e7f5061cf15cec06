//! Colours on terminals.

use super::escape::{in_ascii, printable_lines};

/// The colours in use, each with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Done, present.
    Green,
    /// To do, waiting.
    Yellow,
    /// Failed.
    Red,
    /// Less important.
    Dim,
    /// More important.
    Bold,
}

/// Colours text, or returns it unchanged when colours are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    on: bool,
    is_ascii: bool,
}

/// What begins each of our sequences.
const CODES: [&str; 6] = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"];

impl Paint {
    /// Colours text if `on`.
    pub fn new(on: bool) -> Self {
        Self { on, is_ascii: false }
    }

    /// Whether text is coloured.
    pub fn is_on(self) -> bool {
        self.on
    }

    /// For a terminal that shows no Unicode, if `is_ascii`.
    #[must_use]
    pub fn for_ascii(self, is_ascii: bool) -> Self {
        Self { is_ascii, ..self }
    }

    /// Whether the terminal shows no Unicode.
    pub fn is_ascii(self) -> bool {
        self.is_ascii
    }

    /// `text` between the escape sequences for `color`.
    pub fn paint(self, color: Color, text: &str) -> String {
        if !self.on {
            return text.to_owned();
        }
        let code = match color {
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Red => 31,
            Color::Dim => 2,
            Color::Bold => 1,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A text of several lines as it may be printed: without control characters but for our own colours (if they are on), and without
    /// Unicode signs of ours where the terminal shows none. Everything that is printed goes through here, whatever it is made of.
    pub fn finish(self, text: &str) -> String {
        let clean = if self.on && text.contains('\x1b') {
            keep_codes(text)
        } else {
            printable_lines(text).into_owned()
        };
        if self.is_ascii { in_ascii(&clean) } else { clean }
    }
}

/// Cleans the pieces between our colours.
fn keep_codes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, code)) = next_code(rest) {
        out += &printable_lines(&rest[..at]);
        out += code;
        rest = &rest[at + code.len()..];
    }
    out + &printable_lines(rest)
}

/// The first of our sequences in a text.
fn next_code(text: &str) -> Option<(usize, &'static str)> {
    let escapes = text.match_indices('\x1b');
    let code = |at: usize| CODES.into_iter().find(|code| text[at..].starts_with(code));
    escapes.into_iter().find_map(|(at, _)| Some((at, code(at)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_colours_come_through_and_only_when_they_are_on() {
        let text = Paint::new(true).paint(Color::Red, "a\x1b[2Jb") + "\x1b]0;title\x07\x1b[35mc\nd\r";
        assert_eq!(Paint::new(true).finish(&text), "\x1b[31mab\x1b[0mc\nd");
        assert_eq!(Paint::new(false).finish(&text), "abc\nd");
        assert_eq!(Paint::new(false).for_ascii(true).finish("✓ a"), "+ a");
    }
}
