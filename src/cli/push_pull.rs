//! `runner cache push`, `runner cache pull` and `runner fetch`: artifacts to and from remotes.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::selection::SelectionArgs;
use super::session::{self, Resolved, warn};
use super::{CliError, Exit, Session, experiment, signing_key};
use lab::config::known;
use lab::hash::Digest;
use lab::plan::Selection;
use lab::plan::{Entry, Node, Resolver, State};
use lab::store::remote::Remotes;
use lab::store::{Artifact, Store};
use lab::text::{bytes, duration};

/// Bring what the store has to the remotes that the settings write to: of an experiment, or everything
#[derive(Clone, Debug, clap::Args)]
pub struct PushArgs {
    /// The experiment; left out, everything that is in the store, to the remotes of this folder's settings
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Apply the file's `[profile.NAME]`; may be given several times, the last wins
    #[arg(long = "profile", value_name = "NAME", requires = "file")]
    pub profiles: Vec<String>,

    /// Set a value: `iterations=2` for a param, `stages.problems.train=100` for any other; may be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "file")]
    pub set: Vec<String>,

    /// Folder of the store (also `RUNNER_STORE`)
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// Bring what remotes have of an experiment into the store
#[derive(Clone, Debug, clap::Args)]
pub struct PullArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,
}

/// Print where the artifact of a stage is, after bringing it from a remote if need be
#[derive(Clone, Debug, clap::Args)]
pub struct FetchArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// The stage, and the output where it has several: `standard[2]`, `problems.train`
    #[arg(value_name = "STAGE[.PORT]")]
    pub artifact: String,

    /// Only variants with this coordinate; may be given several times
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Copy it to this folder
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,

    /// With `--to`: link to the store instead of copying. Who writes to such a file damages the store
    #[arg(long, requires = "to")]
    pub hard_link: bool,
}

/// Pushes, and says how it went.
///
/// # Errors
/// When the experiment is wrong, no remote is written to, or something is missing there now.
pub fn push(args: &PushArgs) -> Result<Exit, CliError> {
    let begun = Instant::now();
    let (store, remotes, keys) = to_push(args)?;
    let pushed = remotes.push(&store, &keys, &mut progress("sent"));
    warn(&remotes);
    super::print(&format!(
        "{} of {} stages are there, {} of them new; sent {}\n",
        pushed.stages,
        keys.len(),
        pushed.new,
        rate(pushed.bytes, begun)
    ))?;
    if pushed.stages < keys.len() {
        return Err(CliError::Usage(format!("not everything was sent: {}", pushed.failed.join("; "))));
    }
    Ok(Exit::Done)
}

/// The store, the remotes, and the stages to bring there.
fn to_push(args: &PushArgs) -> Result<(Store, Remotes, Vec<Digest>), CliError> {
    let is_written = |remotes: &Remotes| {
        let advice = "no remote in the settings has `access = \"read-write\"`: docs/config.md says how to name one";
        if remotes.writes() {
            Ok(())
        } else {
            Err(CliError::Usage(advice.to_owned()))
        }
    };
    let Some(file) = &args.file else {
        let settings = session::settings(Path::new(""), args.store.as_deref())?;
        let remotes = session::remotes(&settings, || experiment::environment().into_iter().collect());
        is_written(&remotes)?;
        let store = Store::open(&session::folder(&settings))?.trusting(signing_key::trust(&settings)?);
        let keys = store.keys()?;
        return Ok((store, remotes, keys));
    };
    let experiment = ExperimentArgs {
        file: file.clone(),
        profiles: args.profiles.clone(),
        set: args.set.clone(),
        store: args.store.clone(),
    };
    let session = Session::open(&experiment, &ExecutionArgs::default())?;
    is_written(&session.remotes)?;
    let remotes = session.remotes.clone();
    // What is to be pushed is what is here.
    let here = Session {
        remotes: Remotes::none(),
        ..session
    };
    let Resolved { plan, store, .. } = here.resolve(&BTreeSet::new())?;
    let hits = plan.stages().filter(|(_, _, entry)| entry.state == State::Hit);
    let keys = hits.filter_map(|(_, _, entry)| entry.key).collect();
    Ok((store, remotes, keys))
}

/// Pulls, and says how it went.
///
/// # Errors
/// When the experiment is wrong, there is no remote, or the store cannot be written.
pub fn pull(args: &PullArgs) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    needs_remote(&session.remotes)?;
    let begun = Instant::now();
    let targets = args.selection.selection().targets(&session.dag)?;
    let Resolved { plan, store, remotes, .. } = session.resolve(&targets)?;
    let hits = || plan.stages().filter(|(_, _, entry)| entry.state == State::Hit);
    let artifacts: Vec<Artifact> = hits().flat_map(|(_, _, entry)| entry.outputs.values().copied()).collect();
    let fetched = remotes.fetch(&store, &artifacts, &mut progress("fetched"))?;
    let keys: Vec<Digest> = hits().filter_map(|(_, _, entry)| entry.key).collect();
    let absent: Vec<Digest> = keys
        .into_iter()
        .filter(|key| store.outputs(key).is_ok_and(|found| found.is_none()))
        .collect();
    Resolver::new(&store, None).asking(&remotes).adopt(&absent)?;
    warn(&remotes);
    let stages = hits().count();
    super::print(&format!(
        "{stages} of {} stages are here; fetched {} artifacts, {}\n",
        plan.order.len(),
        fetched.artifacts,
        rate(fetched.bytes, begun)
    ))?;
    if !fetched.missing.is_empty() {
        return Err(CliError::Usage(format!(
            "{} artifacts could not be had: the stages that made them run again when they are needed",
            fetched.missing.len()
        )));
    }
    Ok(Exit::Done)
}

/// Fetches one artifact and prints where it is.
///
/// # Errors
/// When the experiment is wrong, there is no such artifact yet, or it cannot be copied.
pub fn fetch(args: &FetchArgs) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    let (stage, port) = named(&args.artifact);
    let selection = Selection {
        stages: vec![stage.to_owned()],
        variants: args.variants.clone(),
    };
    let targets = selection.targets(&session.dag)?;
    let &[target] = targets.iter().collect::<Vec<_>>().as_slice() else {
        let message = format!(
            "`{stage}` is {} stages: name one, or choose a variant with `--variant AXIS=VALUE`",
            targets.len()
        );
        return Err(CliError::NothingSelected(message));
    };
    let Resolved { plan, store, remotes, .. } = session.resolve(&targets)?;
    let (node, entry) = (&plan.dag.graph[*target], &plan.entries[target.index()]);
    let (port, artifact) = output(node, entry, port, &args.experiment)?;
    let fetched = remotes.fetch(&store, &[artifact], &mut progress("fetched"))?;
    warn(&remotes);
    if !store.has(&artifact)? || fetched.missing.contains(&artifact.digest) {
        let message = format!(
            "no remote has `{stage}.{port}` any more: `{} '{stage}'` makes it again",
            args.experiment.command("run")
        );
        return Err(CliError::NothingSelected(message));
    }
    let place = match &args.to {
        None => store.object(&artifact.digest),
        Some(folder) => {
            let place = folder.join(format!("{}-{port}", stage.replace(['[', ']'], "")));
            std::fs::create_dir_all(folder).map_err(|error| CliError::Write(folder.clone(), error))?;
            let copied = store.copy_out(&artifact, &place, args.hard_link);
            copied.map_err(|error| CliError::Write(place.clone(), error))?;
            place
        }
    };
    super::print(&format!("{}\n", place.display()))
}

/// `standard[2].model` → stage and port.
fn named(text: &str) -> (&str, Option<&str>) {
    let after = text.find(']').map_or(0, |at| at + 1);
    match text[after..].find('.') {
        Some(at) => (&text[..after + at], Some(&text[after + at + 1..])),
        None => (text, None),
    }
}

/// The output of a stage that is meant.
fn output(node: &Node, entry: &Entry, port: Option<&str>, experiment: &ExperimentArgs) -> Result<(String, Artifact), CliError> {
    let names: Vec<&str> = node.outputs.iter().map(|output| output.name.as_ref()).collect();
    let name = match (port, names.as_slice()) {
        (Some(port), names) if names.contains(&port) => port,
        (None, [one]) => one,
        (Some(port), _) => {
            let message = format!("`{}` has no output `{port}` ({})", node.name, known(names.iter().copied()));
            return Err(CliError::NothingSelected(message));
        }
        (None, _) => {
            let message = format!("`{}` has several outputs: name one ({})", node.name, known(names.iter().copied()));
            return Err(CliError::NothingSelected(message));
        }
    };
    let found = entry.outputs.get(name).filter(|_| entry.state == State::Hit);
    found.map(|artifact| (name.to_owned(), *artifact)).ok_or_else(|| {
        let message = format!(
            "`{}` has not run yet: {} '{}'",
            node.name,
            experiment.command("run"),
            node.name.name
        );
        CliError::NothingSelected(message)
    })
}

fn needs_remote(remotes: &Remotes) -> Result<(), CliError> {
    if remotes.is_empty() {
        let message = "there are no remotes in the settings: docs/config.md says how to name one";
        return Err(CliError::Usage(message.to_owned()));
    }
    Ok(())
}

/// Says on standard error how far a long transfer is, every few seconds.
fn progress(word: &'static str) -> impl FnMut(u64) {
    let (begun, mut said) = (Instant::now(), Instant::now());
    move |done| {
        if said.elapsed().as_secs() >= 2 {
            said = Instant::now();
            // There is nowhere to say that standard error is gone.
            let _ = writeln!(io::stderr(), "{word} {}", rate(done, begun));
        }
    }
}

/// `1.2 GB in 3.0s, 400.0 MB/s`.
fn rate(count: u64, begun: Instant) -> String {
    let seconds = begun.elapsed().as_secs_f64();
    let speed = (count as f64 / seconds.max(1e-3)) as u64;
    format!("{} in {}, {}/s", bytes(count), duration(seconds), bytes(speed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_s_name_is_a_stage_and_perhaps_a_port() {
        assert_eq!(named("standard[2].model"), ("standard[2]", Some("model")));
        assert_eq!(named("problems.train"), ("problems", Some("train")));
        assert_eq!(named("score[0]"), ("score[0]", None));
    }
}
