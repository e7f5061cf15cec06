//! `runner cache push`, `runner cache pull` and `runner get`: uploads to remotes and downloads from them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::environment::path_argument;
use super::experiment::{ExecutionArgs, ExperimentArgs, OverrideArgs, StoreFolderArgs};
use super::progress::ProgressLine;
use super::selection::SelectionArgs;
use super::session::{self, Resolved, StoreUse, open_store, warn_of_remotes};
use super::{CliError, Exit, Session, signing_key};
use lab::config::known;
use lab::hash::Digest;
use lab::plan::Selection;
use lab::plan::{Node, PlanEntry, Resolver, StageState};
use lab::store::remote::Remotes;
use lab::store::{Artifact, Store};
use lab::text::clean_file_name;

/// The longest name of a copy.
const MAX_NAME: usize = 150;

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

    /// Print JSON: `{"stages", "of", "new", "bytes", "seconds", "failed"}`
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

/// Print the path of an artifact; download it from a remote if needed
#[derive(Clone, Debug, clap::Args)]
pub struct GetArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// The stage, and the output if it has several: `standard[2]`, `problems.train`
    #[arg(value_name = "STAGE[.PORT]")]
    pub artifact: String,

    /// Only variants with this value of the axis; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Copy the artifact into DIR and print the path of the copy
    #[arg(long, value_name = "DIR", value_parser = path_argument())]
    pub to: Option<PathBuf>,

    /// With `--to`: hard-link instead of copying. Writing to such a file damages the store
    #[arg(long, requires = "to")]
    pub hard_link: bool,

    /// Print JSON: `{"stage", "variant", "port", "digest", "bytes", "path"}`
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
            "stages": pushed.stages, "of": keys.len(), "new": pushed.new, "bytes": pushed.bytes, "seconds": seconds, "failed": pushed.failed,
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
            }
        ))?;
    }
    if pushed.stages + pushed.accepted < keys.len() {
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
    let fetched = remotes.fetch(&store, &artifacts, &mut |bytes| progress.show_bytes("received", bytes))?;
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

/// Prints the path of one artifact, which is downloaded if needed.
///
/// # Errors
/// When the experiment is wrong, the artifact does not exist yet, or it cannot be copied.
pub fn get(args: &GetArgs) -> Result<Exit, CliError> {
    let session = Session::load(&args.experiment, &ExecutionArgs::default())?;
    let (stage, port) = stage_and_port(&args.artifact);
    let selection = Selection {
        stages: vec![stage.to_owned()],
        variants: args.variants.clone(),
    };
    let targets = selection.targets(&session.dag)?;
    let &[target] = targets.iter().collect::<Vec<_>>().as_slice() else {
        let message = format!(
            "`{stage}` matches {} stages: name one, or choose a variant with `--variant AXIS=VALUE`",
            targets.len()
        );
        return Err(CliError::NothingSelected(message));
    };
    // What is not in the experiment makes no store.
    let port = output_name(&session.dag.graph[*target], port)?;
    let Resolved { plan, store, remotes, .. } = session.with_store(StoreUse::Fetch)?.resolve(&targets)?;
    let (node, entry) = (&plan.dag.graph[*target], &plan.entries[target.index()]);
    let artifact = find_output(node, entry, &port, &args.experiment)?;
    let progress = ProgressLine::new();
    let fetched = remotes.fetch(&store, &[artifact], &mut |bytes| progress.show_bytes("received", bytes))?;
    drop(progress);
    warn_of_remotes(&remotes);
    if !store.has(&artifact)? || fetched.missing.contains(&artifact.digest) {
        let message = format!(
            "no remote has `{stage}.{port}` any more; to compute it again: {} '{stage}'",
            args.experiment.command("run")
        );
        return Err(CliError::NothingSelected(message));
    }
    let path = match &args.to {
        None => store.object(&artifact.digest),
        Some(folder) => {
            let path = folder.join(clean_file_name(
                &format!("{}-{port}", stage.replace(['[', ']'], "")),
                "-_.",
                MAX_NAME,
            ));
            std::fs::create_dir_all(folder).map_err(|error| CliError::Write(folder.clone(), error))?;
            let copied = store.copy_out(&artifact, &path, args.hard_link);
            copied.map_err(|error| CliError::Write(path.clone(), error))?;
            path
        }
    };
    if args.json {
        return super::print_json(&json!({
            "stage": node.name.name, "variant": node.name.variant, "port": port,
            "digest": artifact.digest, "bytes": artifact.bytes, "path": path,
        }));
    }
    super::print_data(&format!("{}\n", path.display()))
}

/// Splits `standard[2].model` into stage and port.
fn stage_and_port(text: &str) -> (&str, Option<&str>) {
    let after = text.find(']').map_or(0, |at| at + 1);
    match text[after..].find('.') {
        Some(at) => (&text[..after + at], Some(&text[after + at + 1..])),
        None => (text, None),
    }
}

/// The output `port` of a stage, or its only output.
fn output_name(node: &Node, port: Option<&str>) -> Result<String, CliError> {
    let names: Vec<&str> = node.outputs.iter().map(|output| output.name.as_ref()).collect();
    match (port, names.as_slice()) {
        (Some(port), names) if names.contains(&port) => Ok(port.to_owned()),
        (None, [one]) => Ok((*one).to_owned()),
        (Some(port), _) => {
            let message = format!("`{}` has no output `{port}` ({})", node.name, known(names.iter().copied()));
            Err(CliError::NothingSelected(message))
        }
        (None, _) => {
            let message = format!(
                "`{}` has several outputs; choose one, as in STAGE.PORT ({})",
                node.name,
                known(names.iter().copied())
            );
            Err(CliError::NothingSelected(message))
        }
    }
}

/// Finds an output of a stage.
fn find_output(node: &Node, entry: &PlanEntry, port: &str, experiment: &ExperimentArgs) -> Result<Artifact, CliError> {
    let found = entry.outputs.get(port).filter(|_| entry.state == StageState::Hit);
    found.copied().ok_or_else(|| {
        let message = format!(
            "`{}` has not run yet; to run it: {} '{}'",
            node.name,
            experiment.command("run"),
            node.name.name
        );
        CliError::NothingSelected(message)
    })
}

fn require_remote(remotes: &Remotes) -> Result<(), CliError> {
    if remotes.is_empty() {
        let message = "the settings name no remotes; docs/config.md describes them";
        return Err(CliError::Usage(message.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_artifact_is_a_stage_with_an_optional_port() {
        assert_eq!(stage_and_port("standard[2].model"), ("standard[2]", Some("model")));
        assert_eq!(stage_and_port("problems.train"), ("problems", Some("train")));
        assert_eq!(stage_and_port("score[0]"), ("score[0]", None));
    }
}
