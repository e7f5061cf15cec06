//! `runner get`: the path of an artifact, or artifacts as files for other programs.

mod ending;
mod names;
mod take_out;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use petgraph::graph::NodeIndex;
use serde_json::json;

use super::environment::path_argument;
use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::progress::ProgressLine;
use super::session::{Resolved, StoreUse, warn_of_remotes};
use super::warning::warn;
use super::{CliError, Exit, Session};
use lab::config::known;
use lab::plan::{Dag, Node, Plan, Selection, StageState};
use lab::store::remote::Remotes;
use lab::store::{Artifact, Store, files_of};
use lab::text::Paint;
use names::FolderNames;
use take_out::TakenState;
use written::Written;

/// The most files that a message names.
const MOST_NAMED: usize = 5;

/// Print the path of an artifact, or write artifacts into a folder; download them from a remote if needed
#[derive(Clone, Debug, clap::Args)]
pub struct GetArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// The stage, and the output if it has several: `standard[2]`, `problems.train`; with `--to` any number, `score*` too [default with `--to`: all]
    #[arg(value_name = "STAGE[.PORT]")]
    pub artifacts: Vec<String>,

    /// Only variants with this value of the axis; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Copy the artifacts into DIR, as `width=16,seed=1/STAGE/PORT`; what is there with the same content stays
    #[arg(long, value_name = "DIR", value_parser = path_argument())]
    pub to: Option<PathBuf>,

    /// With `--to`: replace what is there with another content
    #[arg(long, requires = "to")]
    pub force: bool,

    /// Print JSON: `{"stage", "variant", "port", "digest", "bytes", "path"}`; with `--to` `{"to", "artifacts", "missing"}`
    #[arg(long)]
    pub json: bool,
}

/// An artifact that was asked for.
struct Found<'a> {
    node: &'a Node,
    port: String,
    artifact: Artifact,
}

/// An artifact to take out.
struct Taken<'a> {
    found: Found<'a>,
    /// Its place below the folder.
    place: PathBuf,
}

impl<'a> Found<'a> {
    /// With its place.
    fn named(self, names: &FolderNames<'_>, store: &Store) -> Taken<'a> {
        let end = ending::ending(self.node, &self.port, &self.artifact, &store.object(&self.artifact.digest));
        Taken {
            place: names.folder(self.node).join(format!("{}{end}", self.port)),
            found: self,
        }
    }
}

/// Prints the path of one artifact, or writes several into a folder. They are downloaded if needed.
///
/// # Errors
/// When the experiment is wrong, an artifact does not exist yet, or it cannot be copied.
pub fn get(args: &GetArgs, paint: Paint) -> Result<Exit, CliError> {
    let session = Session::load(&args.experiment, &ExecutionArgs::default())?;
    // What is not in the experiment makes no store.
    let selected = select(&session.dag, &args.artifacts, &args.variants)?;
    if args.to.is_none() {
        require_one(&args.artifacts, &session.dag, &selected)?;
    }
    let targets: BTreeSet<NodeIndex> = selected.keys().copied().collect();
    let Resolved { plan, store, remotes, .. } = session.with_store(StoreUse::Fetch)?.resolve(&targets)?;
    let (found, mut missing) = found(&plan, &selected);
    let (found, gone) = fetch(&store, &remotes, found)?;
    missing.extend(gone);
    if found.is_empty() {
        let first = missing.first().cloned().unwrap_or_default();
        let stage = args
            .artifacts
            .first()
            .map_or_else(String::new, |name| format!(" '{}'", stage_and_port(name).0));
        let message = format!("{first}; to compute it: {}{stage}", args.experiment.command("run"));
        return Err(CliError::NothingSelected(message));
    }
    let Some(folder) = &args.to else {
        return print_path(&store, &found, args.json);
    };
    let nodes: Vec<&Node> = targets.iter().map(|index| &plan.dag.graph[*index]).collect();
    let names = FolderNames::new(&plan.dag.axes, &nodes);
    let taken: Vec<Taken<'_>> = found.into_iter().map(|found| found.named(&names, &store)).collect();
    let written = write_all(&store, folder, &taken, args.force)?;
    warn_of_sources(&plan.dag, folder, &written);
    let printed = Written {
        folder,
        written: &written,
        missing: &missing,
    };
    if args.json {
        super::print_json(&printed.as_json())?;
    } else {
        super::print(&printed.as_text(paint))?;
    }
    missing.iter().take(MOST_NAMED).for_each(warn);
    if missing.len() > MOST_NAMED {
        warn(format!("{} more are not there", missing.len() - MOST_NAMED));
    }
    Ok(if missing.is_empty() { Exit::Done } else { Exit::NothingSelected })
}

/// Downloads the artifacts that are not in the store. Returns those that are there, and a message for each that is not.
fn fetch<'a>(store: &Store, remotes: &Remotes, found: Vec<Found<'a>>) -> Result<(Vec<Found<'a>>, Vec<String>), CliError> {
    let progress = ProgressLine::new();
    let artifacts: Vec<Artifact> = found.iter().map(|found| found.artifact).collect();
    let fetched = remotes.fetch(store, &artifacts, &mut |bytes| progress.show_bytes("received", bytes))?;
    drop(progress);
    warn_of_remotes(remotes);
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for found in found {
        if store.has(&found.artifact)? && !fetched.missing.contains(&found.artifact.digest) {
            there.push(found);
        } else {
            gone.push(match store.tombstone(&found.artifact) {
                Some(tombstone) => format!(
                    "gc deleted `{}.{}` on {} ({}), and no remote has it",
                    found.node.name,
                    found.port,
                    tombstone.day(),
                    tombstone.why
                ),
                None => format!("no remote has `{}.{}` any more", found.node.name, found.port),
            });
        }
    }
    Ok((there, gone))
}

/// The stages to take artifacts from, with the ports of each.
fn select(dag: &Dag, artifacts: &[String], variants: &[(String, String)]) -> Result<BTreeMap<NodeIndex, BTreeSet<String>>, CliError> {
    let targets = |stages: Vec<String>| {
        let variants = variants.to_vec();
        Selection { stages, variants }.targets(dag)
    };
    let ports = |node: &Node| node.outputs.iter().map(|output| output.name.to_string()).collect::<BTreeSet<_>>();
    let mut selected: BTreeMap<NodeIndex, BTreeSet<String>> = BTreeMap::new();
    if artifacts.is_empty() {
        for index in targets(Vec::new())? {
            selected.insert(index, ports(&dag.graph[index]));
        }
    }
    for name in artifacts {
        let (stage, port) = stage_and_port(name);
        let nodes = targets(vec![stage.to_owned()])?;
        for index in &nodes {
            let mut ports = ports(&dag.graph[*index]);
            ports.retain(|name| port.is_none_or(|port| name == port));
            selected.entry(*index).or_default().extend(ports);
        }
        if let Some(port) = port {
            let has = |index: &NodeIndex| selected.get(index).is_some_and(|ports| ports.contains(port));
            let Some(first) = nodes.iter().next().filter(|_| !nodes.iter().any(has)) else {
                continue;
            };
            let node = &dag.graph[*first];
            let names = known(node.outputs.iter().map(|output| output.name.as_ref()));
            return Err(CliError::NothingSelected(format!(
                "`{}` has no output `{port}` ({names})",
                node.name
            )));
        }
    }
    Ok(selected)
}

/// Refuses more than one artifact, or none that is named.
fn require_one(artifacts: &[String], dag: &Dag, selected: &BTreeMap<NodeIndex, BTreeSet<String>>) -> Result<(), CliError> {
    let [name] = artifacts else {
        let message = "name one artifact (STAGE or STAGE.PORT) to print its path, or give `--to DIR` to write several";
        return Err(CliError::Usage(message.to_owned()));
    };
    let (stage, _) = stage_and_port(name);
    let message = match selected.iter().collect::<Vec<_>>().as_slice() {
        [(_, ports)] if ports.len() == 1 => return Ok(()),
        [(index, ports)] => format!(
            "`{}` has several outputs; choose one, as in STAGE.PORT ({}), or write all with `--to DIR`",
            dag.graph[**index].name,
            known(ports.iter().map(String::as_str))
        ),
        several => format!(
            "`{stage}` matches {} stages: name one, choose a variant with `--variant AXIS=VALUE`, or write all with `--to DIR`",
            several.len()
        ),
    };
    Err(CliError::NothingSelected(message))
}

/// The artifacts that are there, and a message for each stage that has not run.
fn found<'a>(plan: &'a Plan, selected: &BTreeMap<NodeIndex, BTreeSet<String>>) -> (Vec<Found<'a>>, Vec<String>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (index, ports) in selected {
        let (node, entry) = (&plan.dag.graph[*index], &plan.entries[index.index()]);
        if entry.state != StageState::Hit {
            missing.push(format!("`{}` has not run yet", node.name));
            continue;
        }
        for port in ports {
            match entry.outputs.get(port) {
                Some(artifact) => found.push(Found {
                    node,
                    port: port.clone(),
                    artifact: *artifact,
                }),
                None => missing.push(format!("`{}` has no output `{port}`", node.name)),
            }
        }
    }
    (found, missing)
}

fn print_path(store: &Store, found: &[Found<'_>], as_json: bool) -> Result<Exit, CliError> {
    let Some(Found { node, port, artifact }) = found.first() else {
        return Ok(Exit::NothingSelected);
    };
    let path = store.object(&artifact.digest);
    if as_json {
        return super::print_json(&json!({
            "stage": node.name.name, "variant": node.name.variant, "port": port,
            "digest": artifact.digest, "bytes": artifact.bytes, "path": path,
        }));
    }
    super::print_data(&format!("{}\n", path.display()))
}

/// Writes all artifacts, unless one has the place of something else. Returns what was done with each.
fn write_all<'a>(store: &Store, folder: &Path, all: &'a [Taken<'a>], force: bool) -> Result<Vec<(&'a Taken<'a>, TakenState)>, CliError> {
    if folder.as_os_str().is_empty() {
        return Err(CliError::Usage("`--to` is empty: name a folder".to_owned()));
    }
    if real(folder).starts_with(store.folder()) {
        let (folder, store) = (folder.display(), store.folder().display());
        return Err(CliError::Usage(format!("{folder} is in the store ({store}): take another DIR")));
    }
    let progress = ProgressLine::new();
    let mut states = Vec::with_capacity(all.len());
    for taken in all {
        progress.show(&format!("looking at {}", taken.place.display()));
        states.push((taken, take_out::state(store, folder, taken)?));
    }
    let other = states.iter().filter(|(_, state)| *state == TakenState::Different);
    let other: Vec<String> = other.map(|(taken, _)| folder.join(&taken.place).display().to_string()).collect();
    if !other.is_empty() && !force {
        let more = if other.len() > MOST_NAMED { ", …" } else { "" };
        let named = other.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("there is something else at {named}{more}: nothing was written; `--force` replaces it");
        return Err(CliError::Usage(message));
    }
    for (taken, _) in states.iter().filter(|(_, state)| *state != TakenState::Same) {
        progress.show(&format!("writing {}", taken.place.display()));
        take_out::write(store, folder, taken)?;
    }
    Ok(states)
}

/// Where a folder is, or will be: without links, and without `..` after folders that are not there yet.
fn real(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut at = PathBuf::new();
    for part in whole.components() {
        if part == Component::ParentDir {
            at.pop();
        } else {
            at.push(part);
        }
        at = at.canonicalize().unwrap_or(at);
    }
    at
}

/// Warns where what was written is a part of a source, so that the stages that read it run again.
fn warn_of_sources(dag: &Dag, folder: &Path, written: &[(&Taken<'_>, TakenState)]) {
    let files = written
        .iter()
        .filter_map(|(taken, _)| files_of(&folder.join(&taken.place)).ok()?.into_iter().next());
    let files: Vec<PathBuf> = files.filter_map(|file| file.canonicalize().ok()).collect();
    let sources: BTreeSet<_> = dag.graph.node_weights().filter_map(|node| node.stage.source()).collect();
    for source in sources {
        let Some(place) = source.path.as_deref().filter(|place| place.is_dir()) else {
            continue;
        };
        let Ok(real) = place.canonicalize() else { continue };
        let name = |file: &PathBuf| file.strip_prefix(&real).ok()?.to_str().map(str::to_owned);
        if files.iter().filter_map(name).any(|name| source.has(place, &name)) {
            warn(format!(
                "{} is a part of the source `{}`, so that its stages run again: name it in `.gitignore` or with `!` in `files`, or take another DIR",
                folder.display(),
                source.name
            ));
        }
    }
}

/// Splits `standard[2].model` into stage and port.
fn stage_and_port(text: &str) -> (&str, Option<&str>) {
    let after = text.find(']').map_or(0, |at| at + 1);
    match text[after..].find('.') {
        Some(at) => (&text[..after + at], Some(&text[after + at + 1..])),
        None => (text, None),
    }
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
