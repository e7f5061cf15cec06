//! `runner import-task`: a task file of others as a table of an experiment.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use super::out_file::{OutFile, is_stdout};
use super::{CliError, Exit};
use kinds::task_file::{self, ImportedTasks, Remark};

/// Turn a task file of lm-evaluation-harness, or an `eval.yaml`, into a table for an experiment
///
/// What is Python in the file cannot come over, and is named.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportTaskArgs {
    /// The task file, in YAML; of a group, its tasks are looked for in the same folder and below it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write the tables into this file in place of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Prints the tables of the tasks.
///
/// # Errors
/// When the file cannot be read, a task cannot come over, or the output cannot be written.
pub fn import_task(args: &ImportTaskArgs) -> Result<Exit, CliError> {
    let imported = task_file::import(&args.file).map_err(|error| CliError::Usage(error.to_string()))?;
    if !imported.tasks.is_empty() {
        write(args, &imported.toml)?;
    }
    super::print_aside(&left_out(&imported));
    if imported.refused.is_empty() {
        Ok(Exit::Done)
    } else {
        Err(CliError::Usage(refused(&imported)))
    }
}

fn write(args: &ImportTaskArgs, toml: &str) -> Result<(), CliError> {
    let path = match &args.out {
        Some(path) if !is_stdout(path) => path,
        _ => return super::print_data(toml).map(drop),
    };
    let failed = |error| CliError::Write(path.clone(), error);
    let mut out = OutFile::create(path).map_err(failed)?;
    out.write_all(toml.as_bytes()).map_err(failed)?;
    out.finish().map_err(failed)
}

/// What was left out of the tasks that came over.
fn left_out(imported: &ImportedTasks) -> String {
    let mut text = String::new();
    for (name, remarks) in &imported.left_out {
        // Writing to a string does not fail.
        let _ = writeln!(text, "left out of `{name}`:\n{}", listed(remarks));
    }
    text
}

/// Which tasks cannot come over, and why.
fn refused(imported: &ImportedTasks) -> String {
    let mut text = String::new();
    for (name, remarks) in &imported.refused {
        let _ = writeln!(text, "`{name}` cannot come over:\n{}", listed(remarks));
    }
    if !imported.tasks.is_empty() {
        let _ = writeln!(
            text,
            "{} of {} tasks came over",
            imported.tasks.len(),
            imported.tasks.len() + imported.refused.len()
        );
    }
    text + "docs/import-task.md says what to do in place of Python"
}

fn listed(remarks: &[Remark]) -> String {
    let lines: Vec<String> = remarks.iter().map(|remark| format!("  {remark}")).collect();
    lines.join("\n")
}
