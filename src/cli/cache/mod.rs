//! `runner cache`: the location and size of the store, its housekeeping, and uploads to remotes and downloads from them.

mod compare_artifacts;
mod gc;
mod protect;
mod rerun;
mod verify;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::experiment::{ExecutionArgs, ExperimentArgs, StoreFolderArgs};
use crate::cli::session::{folder, open_store, settings};
use crate::cli::{CliError, Exit, print, print_data, print_json, push_pull};
use lab::config;
use lab::store::{Store, StoreSize};
use lab::text::bytes;

/// Inspect, clean, check and share the store
#[derive(Clone, Debug, clap::Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// The subcommands of `runner cache`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CacheCommand {
    /// Print the folder of the store
    Dir {
        #[command(flatten)]
        store: StoreArgs,

        /// Print JSON: `{"path"}`
        #[arg(long)]
        json: bool,
    },
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
    /// List the artifacts that can be deleted and the cost of recomputing them; delete them with `--delete`
    Gc(gc::GcArgs),
    Protect(protect::ProtectArgs),
    Unprotect(protect::UnprotectArgs),
    Protected(protect::ProtectedArgs),
    /// Re-hash every artifact and record and report damage
    Verify {
        #[command(flatten)]
        args: verify::VerifyArgs,

        #[command(flatten)]
        rerun: rerun::RerunArgs,
    },
    /// Remove damaged artifacts and records; the next run computes them again
    Repair(verify::VerifyArgs),
}

/// The store of an experiment or of this folder.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// Use the store of this experiment [default: the store of the current folder's settings]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub store: StoreFolderArgs,
}

impl StoreArgs {
    /// Opens the store.
    fn open(&self) -> Result<Store, CliError> {
        open_store(&self.folder()?)
    }

    /// The folder that a run would use.
    fn folder(&self) -> Result<PathBuf, CliError> {
        let Some(file) = &self.file else {
            return folder(&settings(Path::new(""), &self.store)?);
        };
        let experiment = ExperimentArgs {
            file: file.clone(),
            store: self.store.clone(),
            ..ExperimentArgs::default()
        };
        let document = experiment.document(&ExecutionArgs::default())?;
        folder(&config::expand(&document).settings)
    }
}

/// Runs a subcommand.
///
/// # Errors
/// When the experiment is wrong, or the store cannot be read.
pub fn cache(args: &CacheArgs) -> Result<Exit, CliError> {
    match &args.command {
        CacheCommand::Dir { store, json } => {
            let path = store.folder()?;
            if *json {
                print_json(&json!({"path": path}))
            } else {
                print_data(&format!("{}\n", path.display()))
            }
        }
        CacheCommand::Push(args) => push_pull::push(args),
        CacheCommand::Pull(args) => push_pull::pull(args),
        CacheCommand::Size { store, json } => {
            let size = store.open()?.size()?;
            if *json { print_json(&json!(size)) } else { print(&as_text(&size)) }
        }
        CacheCommand::Gc(args) => gc::gc(args),
        CacheCommand::Protect(args) => protect::protect(args),
        CacheCommand::Unprotect(args) => protect::unprotect(args),
        CacheCommand::Protected(args) => protect::protected(args),
        CacheCommand::Verify { args, rerun } => {
            rerun.check()?;
            match rerun.rerun {
                Some(count) => verify::rerun(args, rerun, count.get()),
                None => verify::verify(args, false),
            }
        }
        CacheCommand::Repair(args) => verify::verify(args, true),
    }
}

fn as_text(size: &StoreSize) -> String {
    let StoreSize {
        objects,
        object_bytes,
        records,
        other_bytes,
    } = size;
    format!(
        "{objects} artifacts, {}\n{records} records\n{} of logs, checkpoints and work in progress\n",
        bytes(*object_bytes),
        bytes(*other_bytes)
    )
}
