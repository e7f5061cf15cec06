//! `--color`, and what the terminal can show.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::OnceLock;

use lab::text::Paint;
use supports_unicode::Stream;

/// The `--color` of this process.
static CHOICE: OnceLock<Colors> = OnceLock::new();

/// A narrower terminal (columns) has no room for live lines.
const MIN_WIDTH: u16 = 24;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colors {
    #[default]
    Auto,
    Always,
    Never,
}

impl Colors {
    /// Makes this the choice for [`stderr_paint`] and [`stdout_paint`].
    pub fn set_global(self) {
        // Only `main` sets it, once.
        let _ = CHOICE.set(self);
    }

    pub fn on_stderr(self) -> bool {
        self.on(stderr().is_terminal())
    }

    pub fn paint_stderr(self) -> Paint {
        Paint::new(self.on_stderr()).for_ascii(!supports_unicode::on(Stream::Stderr))
    }

    pub fn paint_stdout(self) -> Paint {
        Paint::new(self.on(stdout().is_terminal())).for_ascii(!supports_unicode::on(Stream::Stdout))
    }

    fn on(self, terminal: bool) -> bool {
        match self {
            Self::Auto => automatic(terminal, &variable),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// The paint for text on standard error from places that have no arguments at hand.
pub(super) fn stderr_paint() -> Paint {
    CHOICE.get().copied().unwrap_or_default().paint_stderr()
}

/// The same for standard output.
pub(super) fn stdout_paint() -> Paint {
    CHOICE.get().copied().unwrap_or_default().paint_stdout()
}

/// Whether standard error is a terminal that can move its cursor and has room for lines that change.
pub(super) fn is_live() -> bool {
    let width = || terminal_size::terminal_size_of(stderr()).map_or(u16::MAX, |(width, _)| width.0);
    stderr().is_terminal() && !is_dumb(&variable) && width() >= MIN_WIDTH
}

/// The size of the terminal at standard error: columns and rows; zeros where it does not know.
pub(super) fn stderr_size() -> (usize, usize) {
    size_of(terminal_size::terminal_size_of(stderr()))
}

/// The same at standard output.
pub(super) fn stdout_size() -> (usize, usize) {
    size_of(terminal_size::terminal_size_of(stdout()))
}

fn size_of(size: Option<(terminal_size::Width, terminal_size::Height)>) -> (usize, usize) {
    size.map_or((0, 0), |(columns, rows)| (columns.0.into(), rows.0.into()))
}

/// `NO_COLOR` (no-color.org) comes first, then `CLICOLOR_FORCE` and `CLICOLOR` (bixense.com/clicolors), then what the terminal is.
fn automatic(terminal: bool, variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let is = |name: &str| variable(name).filter(|value| !value.is_empty()).map(|value| value != "0");
    let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    match (no_color, is("CLICOLOR_FORCE"), is("CLICOLOR")) {
        (true, ..) => false,
        (_, Some(true), _) => true,
        (_, _, Some(false)) => false,
        _ => terminal && !is_dumb(variable),
    }
}

/// Whether the terminal cannot move its cursor: shells in editors, and some build machines.
fn is_dumb(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the terminal's variables are for the CLI to read")]
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_decide_before_the_terminal_does() {
        let on = |terminal, variables: &[(&str, &str)]| {
            let find = |name: &str| {
                let found = variables.iter().find(|(found, _)| *found == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            automatic(terminal, &find)
        };
        let xterm = ("TERM", "xterm");
        assert!(on(true, &[xterm]) && !on(false, &[xterm]));
        assert!(!on(true, &[]) && !on(true, &[("TERM", "dumb")]) && !on(true, &[("TERM", "")]));
        assert!(!on(true, &[xterm, ("NO_COLOR", "1")]) && on(true, &[xterm, ("NO_COLOR", "")]));
        assert!(on(false, &[("CLICOLOR_FORCE", "1")]) && !on(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!on(true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(!on(true, &[xterm, ("CLICOLOR", "0")]) && on(true, &[xterm, ("CLICOLOR", "1")]));
    }
}
