//! `runner cache push` and `runner cache pull`: uploads to remotes and downloads from them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::experiment::{ExecutionArgs, ExperimentArgs, OverrideArgs, StoreFolderArgs};
use super::progress::ProgressLine;
use super::selection::SelectionArgs;
use super::session::{self, Resolved, StoreUse, open_store, warn_of_remotes};
use super::{CliError, Exit, Session, signing_key};
use lab::hash::Digest;
use lab::plan::{Resolver, StageState};
use lab::store::remote::Remotes;
use lab::store::{Artifact, Store};

/// Upload artifacts and records to the remotes: those of an experiment, or all in the store
#[derive(Clone, Debug, clap::Args)]
pub struct PushArgs {
    /// The experiment's file [default: everything in the store]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub overrides: OverrideArgs,

    #[command(flatten)]
    pub store: StoreFolderArgs,

    /// Print JSON: `{"stages", "of", "new", "deleted", "bytes", "seconds", "failed"}`
    #[arg(long)]
    pub json: bool,
}

/// Download the artifacts and records of an experiment from the remotes
#[derive(Clone, Debug, clap::Args)]
pub struct PullArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Print JSON: `{"stages", "of", "artifacts", "bytes", "seconds", "missing"}`
    #[arg(long)]
    pub json: bool,
}

/// Uploads, and prints a summary.
///
/// # Errors
/// When the experiment is wrong, no remote can be written to, or an upload fails.
pub fn push(args: &PushArgs) -> Result<Exit, CliError> {
    let (store, remotes, keys) = stages_to_push(args)?;
    let progress = ProgressLine::new();
    let pushed = remotes.push(&store, &keys, &mut |bytes| progress.show_bytes("sent", bytes));
    let (seconds, rate) = (progress.seconds(), progress.rate(pushed.bytes));
    drop(progress);
    warn_of_remotes(&remotes);
    if args.json {
        super::print_json(&json!({
            "stages": pushed.stages, "of": keys.len(), "new": pushed.new, "deleted": pushed.deleted, "bytes": pushed.bytes, "seconds": seconds,
            "failed": pushed.failed,
        }))?;
    } else {
        super::print(&format!(
            "the remotes have {} of {} stages, {} of them new; sent {rate}{}\n",
            pushed.stages,
            keys.len(),
            pushed.new,
            match pushed.accepted {
                0 => String::new(),
                count => format!("; {} with accepted outputs stay here", lab::text::stages(count)),
            } + &match pushed.deleted {
                0 => String::new(),
                count => format!("; of {} gc deleted outputs, so they are not sent", lab::text::stages(count)),
            }
        ))?;
    }
    if pushed.stages + pushed.accepted + pushed.deleted < keys.len() {
        return Err(CliError::Usage(format!("some uploads failed: {}", pushed.failed.join("; "))));
    }
    Ok(Exit::Done)
}

/// The store, the remotes, and the keys of the stages to upload.
fn stages_to_push(args: &PushArgs) -> Result<(Store, Remotes, Vec<Digest>), CliError> {
    let require_writable = |remotes: &Remotes| {
        let advice = "no remote in the settings has `access = \"read-write\"`; docs/config.md describes remotes";
        if remotes.writes() {
            Ok(())
        } else {
            Err(CliError::Usage(advice.to_owned()))
        }
    };
    let Some(file) = &args.file else {
        if !args.overrides.is_empty() {
            return Err(CliError::Usage(
                "`--profile` and `--set` change an experiment: name its FILE".to_owned(),
            ));
        }
        let settings = session::settings(Path::new(""), &args.store)?;
        let remotes = session::remotes(&settings);
        require_writable(&remotes)?;
        let store = open_store(&session::folder(&settings)?)?.trusting(signing_key::trust(&settings)?);
        let keys = store.keys()?;
        return Ok((store, remotes, keys));
    };
    let experiment = ExperimentArgs {
        file: file.clone(),
        overrides: args.overrides.clone(),
        store: args.store.clone(),
    };
    let session = Session::open(&experiment, &ExecutionArgs::default(), StoreUse::Existing)?;
    require_writable(&session.remotes)?;
    let remotes = session.remotes.clone();
    // Only stages that are in this store are uploaded, so the remotes are not asked.
    let local = Session {
        remotes: Remotes::none(),
        ..session
    };
    let Resolved { plan, store, .. } = local.resolve(&BTreeSet::new())?;
    let hits = plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit);
    let keys = hits.filter_map(|(_, _, entry)| entry.key).collect();
    Ok((store, remotes, keys))
}

/// Downloads, and prints a summary.
///
/// # Errors
/// When the experiment is wrong, there is no remote, or the store cannot be written.
pub fn pull(args: &PullArgs) -> Result<Exit, CliError> {
    let session = Session::load(&args.experiment, &ExecutionArgs::default())?;
    require_remote(&session.remotes)?;
    let targets = args.selection.selection().targets(&session.dag)?;
    let Resolved { plan, store, remotes, .. } = session.with_store(StoreUse::Write)?.resolve(&targets)?;
    let hits = || plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit);
    let artifacts: Vec<Artifact> = hits().flat_map(|(_, _, entry)| entry.outputs.values().copied()).collect();
    let progress = ProgressLine::new();
    let mut fetched = remotes.fetch(&store, &artifacts, &mut |bytes| progress.show_bytes("received", bytes))?;
    // What gc deleted need not be anywhere.
    let deleted = artifacts.iter().filter(|artifact| store.tombstone(artifact).is_some());
    for artifact in deleted {
        fetched.missing.remove(&artifact.digest);
    }
    let (seconds, rate) = (progress.seconds(), progress.rate(fetched.bytes));
    drop(progress);
    let keys: Vec<Digest> = hits().filter_map(|(_, _, entry)| entry.key).collect();
    let absent: Vec<Digest> = keys
        .into_iter()
        .filter(|key| store.outputs(key).is_ok_and(|found| found.is_none()))
        .collect();
    Resolver::new(&store, None).asking(&remotes).adopt(&absent)?;
    warn_of_remotes(&remotes);
    let (stages, of) = (hits().count(), plan.order.len());
    if args.json {
        super::print_json(&json!({
            "stages": stages, "of": of, "artifacts": fetched.artifacts, "bytes": fetched.bytes, "seconds": seconds,
            "missing": fetched.missing,
        }))?;
    } else {
        super::print(&format!(
            "the store has {stages} of {of} stages; downloaded {} artifacts, {rate}\n",
            fetched.artifacts
        ))?;
    }
    if !fetched.missing.is_empty() {
        return Err(CliError::Usage(format!(
            "{} artifacts could not be downloaded; the stages that made them will run again when needed",
            fetched.missing.len()
        )));
    }
    Ok(Exit::Done)
}

fn require_remote(remotes: &Remotes) -> Result<(), CliError> {
    if remotes.is_empty() {
        let message = "the settings name no remotes; docs/config.md describes them";
        return Err(CliError::Usage(message.to_owned()));
    }
    Ok(())
}
