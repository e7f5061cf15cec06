//! Whether to use colours.

use std::io::{IsTerminal, stderr, stdout};

use lab::text::Paint;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colors {
    #[default]
    Auto,
    Always,
    Never,
}

impl Colors {
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
            Self::Auto => terminal && wanted(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Whether neither `NO_COLOR` (see no-color.org) nor a dumb terminal speaks against colours.
#[expect(clippy::disallowed_methods, reason = "the terminal's variables are for the CLI to read")]
fn wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !refused && !dumb
}
