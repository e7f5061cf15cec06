//! `runner stop` and `runner cancel`: end a run, or one stage of it, from another terminal or host.

use std::path::PathBuf;
use std::time::Duration;

use super::{RunsArgs, WhichArgs};
use crate::cli::environment::path_argument;
use crate::cli::{CliError, Exit, print};
use lab::runs::{Answer, Cancel, FoundRun, RunRequest, ask};
use lab::store::Store;

/// A run looks for requests every second, unless it is busy reading large files.
const PATIENCE: Duration = Duration::from_secs(30);

/// End a run as Ctrl-C in its terminal does: running stages stop, and a training saves a checkpoint first
///
/// A second time, or with `--now`, they are killed. Works from another terminal and from another host that has the same store.
#[derive(Clone, Debug, clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    pub runs: RunsArgs,

    /// Kill the running stages, as the second Ctrl-C does
    #[arg(long)]
    pub now: bool,
}

/// End one stage of a run that goes on; stages that need it are skipped, the others go on
///
/// A training saves a checkpoint first: the next run goes on from there. A stage that waits is taken out of the run.
#[derive(Clone, Debug, clap::Args)]
pub struct CancelArgs {
    /// The experiment's file
    #[arg(value_name = "FILE", value_parser = path_argument())]
    pub file: PathBuf,

    /// The stage, such as `standard[2]`
    pub stage: String,

    /// The variant of the stage; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = crate::cli::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    #[command(flatten)]
    pub of: WhichArgs,

    /// Kill the stage, and do not ask it to end
    #[arg(long)]
    pub now: bool,
}

/// Asks the run to end.
///
/// # Errors
/// When no run goes on, several do, or the request cannot be written.
pub fn stop(args: &StopArgs) -> Result<Exit, CliError> {
    let runs = args.runs.open()?;
    let run = runs.one_alive()?;
    let request = if args.now { RunRequest::Kill } else { RunRequest::Stop };
    send(&runs.store, &run, &request)
}

/// Asks the run to end a stage.
///
/// # Errors
/// When no run of the experiment goes on, several do, it has no such stage, or the request cannot be written.
pub fn cancel(args: &CancelArgs) -> Result<Exit, CliError> {
    let runs = args.of.open(Some(&args.file))?;
    let run = runs.one_alive()?;
    let request = RunRequest::Cancel(Cancel {
        stage: args.stage.clone(),
        variants: args.variants.clone(),
        now: args.now,
    });
    send(&runs.store, &run, &request)
}

/// Waits until the run has taken the request, and says so.
fn send(store: &Store, run: &FoundRun, request: &RunRequest) -> Result<Exit, CliError> {
    let name = &run.status.run;
    match ask(store, name, request, PATIENCE)? {
        Some(Answer::Done(said)) => print(&format!("run {name}: {said}\n")),
        Some(Answer::Nothing(said)) => Err(CliError::NothingSelected(format!("run {name}: {said}"))),
        None => Err(CliError::NoAnswer(format!(
            "run {name} (process {} on {}) does not answer; `runner status` shows whether it lives",
            run.status.holder.process(),
            run.status.holder.host()
        ))),
    }
}
