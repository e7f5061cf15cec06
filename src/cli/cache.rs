//! `runner cache`: where the store is, what is in it, and bringing it to remotes and back.

use std::path::PathBuf;

use serde_json::json;

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::session::folder;
use super::{Exit, Failed, transfer};
use crate::config::{self, Settings};
use crate::report::bytes;
use crate::store::{Size, Store};

/// Say where the store is and what it holds
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
    Push(transfer::PushArgs),
    Pull(transfer::PullArgs),
}

/// Which store.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// The store of this experiment, as its files of settings say (else `--store`, `RUNNER_STORE` or `cache`)
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Folder of the store
    #[arg(long, value_name = "DIR", env = "RUNNER_STORE")]
    pub store: Option<PathBuf>,
}

impl StoreArgs {
    /// The folder that a run would use.
    fn folder(&self) -> Result<PathBuf, Failed> {
        let Some(file) = &self.file else {
            return Ok(folder(&Settings {
                store: self.store.clone(),
                ..Settings::default()
            }));
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
pub fn cache(args: &CacheArgs) -> Result<Exit, Failed> {
    match &args.command {
        CacheCommand::Dir(store) => super::print(&format!("{}\n", store.folder()?.display())),
        CacheCommand::Push(args) => transfer::push(args),
        CacheCommand::Pull(args) => transfer::pull(args),
        CacheCommand::Size { store, json } => {
            let size = Store::open(&store.folder()?)?.size()?;
            if *json {
                super::print_json(&json!(size))
            } else {
                super::print(&as_text(&size))
            }
        }
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
