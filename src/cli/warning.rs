//! Warnings on standard error.

use std::io::{self, Write};

use super::color;
use lab::text::Color;

/// Prints `warning: MESSAGE`.
pub(super) fn warn(message: impl std::fmt::Display) {
    let label = color::stderr_paint().paint(Color::Yellow, "warning:");
    // If standard error is closed, the warning is lost.
    let _ = writeln!(io::stderr(), "{label} {message}");
}
