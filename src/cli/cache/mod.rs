//! `runner cache`: where the store is, what is in it, keeping house there, and bringing artifacts to remotes and back.

mod amounts;
mod compare_artifacts;
mod gc;
mod protect;
mod rerun;
mod verify;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::experiment::{ExecutionArgs, ExperimentArgs};
use crate::cli::session::{folder, settings};
use crate::cli::{CliError, Exit, print, print_json, push_pull};
use lab::config;
use lab::store::{Size, Store};
use lab::text::bytes;

/// Say where the store is and what it holds, and keep house there
#[derive(Clone, Debug, clap::Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// What to do with the store.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CacheCommand {
    /// Print the store's folder
    Dir(StoreArgs),
    /// Print how much the store holds
    Size {
        #[command(flatten)]
        store: StoreArgs,

        /// Print JSON: `{"objects", "object_bytes", "records", "other_bytes"}`
        #[arg(long)]
        json: bool,
    },
    Push(push_pull::PushArgs),
    Pull(push_pull::PullArgs),
    /// Say which artifacts nobody needs any more and what losing each costs; remove them with `--delete`
    Gc(gc::GcArgs),
    /// Hash everything again and say what is not what its name says
    Verify {
        #[command(flatten)]
        what: verify::VerifyArgs,

        /// Run so many stages again instead, drawn by lot (or the records named), and say whether they put out the same
        #[arg(long, value_name = "N")]
        rerun: Option<std::num::NonZeroUsize>,
    },
    /// Throw out what is damaged; the next run makes it again
    Repair(verify::VerifyArgs),
    /// Keep what the store has of an experiment, whatever its age
    Pin(protect::PinArgs),
    /// List the experiments that are kept
    Pins(protect::PinsArgs),
}

/// Which store.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// The store of this experiment, as its files of settings say (else that of this folder's settings)
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Folder of the store (also `RUNNER_STORE`)
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

impl StoreArgs {
    /// The folder that a run would use.
    fn folder(&self) -> Result<PathBuf, CliError> {
        let Some(file) = &self.file else {
            return Ok(folder(&settings(Path::new(""), self.store.as_deref())?));
        };
        let experiment = ExperimentArgs {
            file: file.clone(),
            store: self.store.clone(),
            ..ExperimentArgs::default()
        };
        let document = experiment.document(&ExecutionArgs::default())?;
        Ok(folder(&config::expand(&document).settings))
    }
}

/// Prints the folder, or what is in it.
///
/// # Errors
/// When the experiment is wrong, or the store cannot be read.
pub fn cache(args: &CacheArgs) -> Result<Exit, CliError> {
    match &args.command {
        CacheCommand::Dir(store) => print(&format!("{}\n", store.folder()?.display())),
        CacheCommand::Push(args) => push_pull::push(args),
        CacheCommand::Pull(args) => push_pull::pull(args),
        CacheCommand::Size { store, json } => {
            let size = Store::open(&store.folder()?)?.size()?;
            if *json { print_json(&json!(size)) } else { print(&as_text(&size)) }
        }
        CacheCommand::Gc(args) => gc::gc(args),
        CacheCommand::Verify { what, rerun: Some(count) } => verify::rerun(what, count.get()),
        CacheCommand::Verify { what, rerun: None } => verify::verify(what, false),
        CacheCommand::Repair(args) => verify::verify(args, true),
        CacheCommand::Pin(args) => protect::pin(args),
        CacheCommand::Pins(args) => protect::pins(args),
    }
}

fn as_text(size: &Size) -> String {
    let Size {
        objects,
        object_bytes,
        records,
        other_bytes,
    } = size;
    format!(
        "{objects} artifacts, {}\n{records} records of stages\n{} of logs, checkpoints and work in progress\n",
        bytes(*object_bytes),
        bytes(*other_bytes)
    )
}
