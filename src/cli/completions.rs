//! `runner completions`: completions for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, CliError, Exit};

/// Print the completions for a shell
///
/// For bash, for example: `runner completions bash > ~/.local/share/bash-completion/completions/runner`
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// When standard output cannot be written to.
pub fn completions(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "runner", &mut script);
    super::write_out(&String::from_utf8_lossy(&script))
}
