//! Warnings on standard error.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::color;
use lab::text::Color;

/// What has been warned of.
static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Prints `warning: MESSAGE`, once: a command that reads its experiment again warns of nothing twice.
pub(super) fn warn(message: impl std::fmt::Display) {
    let message = message.to_string();
    if !TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(message.clone()) {
        return;
    }
    let paint = color::stderr_paint();
    let label = paint.paint(Color::Yellow, "warning:");
    let text = paint.finish(&format!("{label} {message}\n"));
    // If standard error is closed, the warning is lost.
    let _ = io::stderr().write_all(text.as_bytes());
}
