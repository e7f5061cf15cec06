//! `runner man`: the man pages.

use std::path::PathBuf;

use clap::CommandFactory;

use super::environment::path_argument;
use super::{Cli, CliError, Exit};

/// Write the man pages: runner.1, and one for each command
#[derive(Clone, Debug, clap::Args)]
pub struct ManArgs {
    /// The folder to write to; created if missing
    #[arg(value_name = "DIR", value_parser = path_argument())]
    pub folder: PathBuf,
}

/// Writes the pages.
///
/// # Errors
/// When the folder cannot be written to.
pub fn man(args: &ManArgs) -> Result<Exit, CliError> {
    let cannot_write = |error| CliError::Write(args.folder.clone(), error);
    std::fs::create_dir_all(&args.folder).map_err(cannot_write)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(cannot_write)?;
    Ok(Exit::Done)
}
