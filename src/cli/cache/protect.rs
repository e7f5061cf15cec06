//! `runner cache protect`, `unprotect` and `protected`: experiments whose artifacts `gc` keeps.

use serde_json::json;

use crate::cli::experiment::{ExecutionArgs, ExperimentArgs};
use crate::cli::session::StoreUse;
use crate::cli::{CliError, Exit, Session, print, print_json};
use lab::plan::{Selection, StageState};
use lab::store::Protection;
use lab::text::stages;

/// Keep the artifacts that the store has for an experiment from `gc`
#[derive(Clone, Debug, clap::Args)]
pub struct ProtectArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// Let `gc` delete the artifacts of a protected experiment again
#[derive(Clone, Debug, clap::Args)]
pub struct UnprotectArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// List the protected experiments
#[derive(Clone, Debug, clap::Args)]
pub struct ProtectedArgs {
    #[command(flatten)]
    pub store: super::StoreArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Protects an experiment.
pub(super) fn protect(args: &ProtectArgs) -> Result<Exit, CliError> {
    let (protection, missing) = protection_of(&args.experiment)?;
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Existing)?;
    session.store.protect(&protection)?;
    let mut text = format!("protected {} of `{}`\n", stages(protection.keys.len()), protection.experiment);
    if missing > 0 {
        text += &format!(
            "{} not in the store yet; protect the experiment again when all have run\n",
            stages(missing)
        );
    }
    print(&text)
}

/// Ends the protection of an experiment.
pub(super) fn unprotect(args: &UnprotectArgs) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Existing)?;
    let name = name_of(&args.experiment);
    let file = args.experiment.file.canonicalize().unwrap_or_else(|_| args.experiment.file.clone());
    let wished = session.store.forget_wishes(&file.display().to_string())?;
    if session.store.unprotect(&name)? || wished {
        print(&format!("`{name}` is no longer protected\n"))
    } else {
        Err(CliError::NothingSelected(format!(
            "`{name}` is not protected; `runner cache protected` lists the protected experiments"
        )))
    }
}

/// Lists the protected experiments.
pub(super) fn protected(args: &ProtectedArgs) -> Result<Exit, CliError> {
    let protections = args.store.open()?.protections()?;
    if args.json {
        return print_json(&json!(protections));
    }
    let line = |protection: &Protection| format!("{}: {}\n", protection.experiment, stages(protection.keys.len()));
    print(&protections.iter().map(line).collect::<String>())
}

/// The records and artifacts that the store has for an experiment, and the number of stages it does not have.
pub(super) fn protection_of(experiment: &ExperimentArgs) -> Result<(Protection, usize), CliError> {
    let (plan, _) = Session::open(experiment, &ExecutionArgs::default(), StoreUse::Find)?.plan(&Selection::default())?;
    let hits = || plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit);
    let protection = Protection {
        experiment: name_of(experiment),
        keys: hits().filter_map(|(_, _, entry)| entry.key).collect(),
        objects: hits()
            .flat_map(|(_, _, entry)| entry.outputs.values().map(|artifact| artifact.digest))
            .collect(),
    };
    let missing = plan.order.len() - protection.keys.len();
    Ok((protection, missing))
}

/// The name of a protected experiment: the absolute path of its file, with profiles and overrides.
fn name_of(experiment: &ExperimentArgs) -> String {
    let file = experiment.file.canonicalize().unwrap_or_else(|_| experiment.file.clone());
    let profiles = experiment.overrides.profiles.iter().map(|profile| format!(" --profile {profile}"));
    let set = experiment.overrides.set.iter().map(|set| format!(" --set {set}"));
    format!("{}{}", file.display(), profiles.chain(set).collect::<String>())
}
