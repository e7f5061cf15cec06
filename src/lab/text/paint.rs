//! Colours, where they are wanted.

/// The colours that are used, by what they mean on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Done, there.
    Green,
    /// To do, waited for.
    Yellow,
    /// Failed.
    Red,
    /// Of less interest.
    Dim,
    /// Of more interest.
    Bold,
}

/// Colours text, or leaves it alone.
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
