//! What the texts of tokens are.

/// What the text of a token is, as far as the place of a token in its number and its line depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenText {
    /// One digit, 0 to 9.
    Digit,
    /// It has a line break; `is_last`: nothing comes after the last one.
    Break { is_last: bool },
    /// White space within a line.
    Blank,
    #[default]
    Other,
}

impl TokenText {
    pub(super) fn of(text: &str) -> Self {
        match text.as_bytes() {
            [digit] if digit.is_ascii_digit() => Self::Digit,
            _ if text.contains('\n') => Self::Break {
                is_last: text.ends_with('\n'),
            },
            _ if !text.is_empty() && text.chars().all(char::is_whitespace) => Self::Blank,
            _ => Self::Other,
        }
    }
}
