//! Colours on terminals.

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
}

impl Paint {
    /// Colours text if `on`.
    pub fn new(on: bool) -> Self {
        Self { on }
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
}
