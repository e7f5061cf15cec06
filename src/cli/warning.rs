//! Warnings on standard error.

use std::io::{self, Write};

use super::color;
use lab::text::Color;

/// Prints `warning: MESSAGE`.
pub(super) fn warn(message: impl std::fmt::Display) {
    let paint = color::stderr_paint();
    let label = paint.paint(Color::Yellow, "warning:");
    let text = paint.finish(&format!("{label} {message}\n"));
    // If standard error is closed, the warning is lost.
    let _ = io::stderr().write_all(text.as_bytes());
}
