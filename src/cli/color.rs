//! `--color`: whether the output is coloured.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::OnceLock;

use lab::text::Paint;

/// The `--color` of this process.
static CHOICE: OnceLock<Colors> = OnceLock::new();

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colors {
    #[default]
    Auto,
    Always,
    Never,
}

impl Colors {
    /// Makes this the choice for [`stderr_paint`].
    pub fn set_global(self) {
        // Only `main` sets it, once.
        let _ = CHOICE.set(self);
    }

    pub fn on_stderr(self) -> bool {
        self.on(stderr().is_terminal())
    }

    pub fn paint_stderr(self) -> Paint {
        Paint::new(self.on_stderr())
    }

    pub fn paint_stdout(self) -> Paint {
        Paint::new(self.on(stdout().is_terminal()))
    }

    fn on(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal && allowed_by_environment(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// The colours for warnings, which come from places that have no arguments at hand.
pub(super) fn stderr_paint() -> Paint {
    CHOICE.get().copied().unwrap_or_default().paint_stderr()
}

/// Whether neither `NO_COLOR` (see no-color.org) is set nor the terminal is dumb.
#[expect(clippy::disallowed_methods, reason = "the terminal's variables are for the CLI to read")]
fn allowed_by_environment() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !no_color && !is_dumb
}
