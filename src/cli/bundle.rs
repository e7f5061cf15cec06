//! `runner bundle` and `runner unbundle`: an experiment with its records and artifacts in one archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::{CliError, Exit, Session, print, session, signing_key};
use lab::plan::{Plan, State};
use lab::plan::{Selection, matches};
use lab::source::Source;
use lab::store::{Artifact, BundleError, Contents, Files, Store};
use lab::text::bytes;

/// Pack an experiment, its records and its artifacts into one archive for another machine
#[derive(Clone, Debug, clap::Args)]
pub struct BundleArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// Only these artifacts, and not all: `score`, `standard[2].model`; stages whose artifacts are left out run again elsewhere
    #[arg(long, value_name = "STAGE.PORT")]
    pub with: Vec<String>,

    /// The archive; left out, the experiment's name with `.tar`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Check a bundle and take it in: artifacts and records into the store, the experiment into a folder
#[derive(Clone, Debug, clap::Args)]
pub struct UnbundleArgs {
    /// The archive
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,

    /// Where the experiment's files go
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,

    /// Folder of the store
    #[arg(long, value_name = "DIR", env = "RUNNER_STORE")]
    pub store: Option<PathBuf>,
}

/// Packs.
///
/// # Errors
/// When nothing is in the store, or something cannot be read or written.
pub fn bundle(args: &BundleArgs) -> Result<Exit, CliError> {
    let document = args.experiment.document(&ExecutionArgs::default())?;
    let (experiment, files) = files(&document.file, &document.files)?;
    let (plan, store) = Session::open(&args.experiment, &ExecutionArgs::default())?.plan(&Selection::default())?;
    let (keys, artifacts) = chosen(&plan, &args.with)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.tar", plan.dag.experiment)));
    // Whole or not at all: an archive that was cut short must not look like one.
    let cannot = |error: std::io::Error| CliError::Write(out.clone(), error);
    let folder = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    let contents = store
        .bundle(BufWriter::new(&file), &experiment, &files, &keys, &artifacts)
        .map_err(|error| failed(&out, error))?;
    file.persist(&out).map_err(|error| cannot(error.error))?;
    let sources: BTreeSet<&Source> = plan.stages().filter_map(|(_, node, _)| node.stage.source()).collect();
    for source in sources.into_iter().filter(|source| source.pin().is_none()) {
        let (name, file) = (&source.name, args.experiment.file.display());
        let note = format!(
            "the source `{name}` is not in the bundle and has no pin, so who takes it in must have it; `runner pin {file}` pins it"
        );
        // There is nowhere to say that standard error is gone.
        let _ = writeln!(std::io::stderr(), "warning: {note}");
    }
    let words: BTreeSet<&Source> = plan.stages().flat_map(|(_, node, _)| node.stage.files()).collect();
    for file in words {
        // As above.
        let _ = writeln!(
            std::io::stderr(),
            "warning: `{}` is not in the bundle, so who takes it in must have it where the experiment says",
            file.name
        );
    }
    let missing = plan.order.len() - contents.records.len();
    let mut text = said("packed", &contents);
    if missing > 0 {
        text += &format!("{missing} stages are not in the store and so not in the bundle\n");
    }
    print(&format!("{text}{}\n", out.display()))
}

/// Takes in.
///
/// # Errors
/// When something in the bundle is not as it must be.
pub fn unbundle(args: &UnbundleArgs) -> Result<Exit, CliError> {
    // A bundle's own settings say nothing here.
    let settings = session::settings(&args.folder, args.store.as_deref())?;
    let store = Store::open(&session::folder(&settings))?.trusting(signing_key::trust(&settings)?);
    let cannot = |error: std::io::Error| CliError::Usage(format!("cannot read {}: {error}", args.bundle.display()));
    let file = File::open(&args.bundle).map_err(cannot)?;
    let contents = store
        .unbundle(BufReader::new(file), &args.folder)
        .map_err(|error| failed(&args.bundle, error))?;
    let place = args.folder.join(&contents.experiment);
    print(&format!("{}runner run {}\n", said("took in", &contents), place.display()))
}

fn said(done: &str, contents: &Contents) -> String {
    format!(
        "{done} {} files, {} records and {} artifacts, {}\n",
        contents.files.len(),
        contents.records.len(),
        contents.objects.len(),
        bytes(contents.objects.values().map(|size| size.bytes).sum())
    )
}

fn failed(path: &Path, error: BundleError) -> CliError {
    match error {
        BundleError::Store(error) => CliError::Store(error),
        other => CliError::Usage(format!("{}: {other}", path.display())),
    }
}

/// The experiment's path in the bundle, and all files by theirs: below the nearest folder that holds them all.
fn files(experiment: &Path, files: &[PathBuf]) -> Result<(String, Files), CliError> {
    let real = |path: &Path| {
        path.canonicalize()
            .map_err(|error| CliError::Usage(format!("cannot read {}: {error}", path.display())))
    };
    let paths: Vec<PathBuf> = files.iter().map(|path| real(path)).collect::<Result<_, _>>()?;
    let mut common = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new("/")).to_owned();
    while !paths.iter().all(|path| path.starts_with(&common)) && common.pop() {}
    let name = |path: &Path| path.strip_prefix(&common).unwrap_or(path).to_string_lossy().into_owned();
    let named: BTreeMap<String, PathBuf> = paths.iter().map(|path| (name(path), path.clone())).collect();
    Ok((name(&real(experiment)?), named))
}

/// The records of all hits, and their artifacts: all, or those that are asked for.
fn chosen(plan: &Plan, with: &[String]) -> Result<(BTreeSet<lab::hash::Digest>, Vec<Artifact>), CliError> {
    let (mut keys, mut artifacts) = (BTreeSet::new(), Vec::new());
    let mut used = vec![false; with.len()];
    for (_, node, entry) in plan.stages().filter(|(_, _, entry)| entry.state == State::Hit) {
        keys.extend(entry.key);
        for (port, artifact) in &entry.outputs {
            let mut fits = with.is_empty();
            for (pattern, used) in with.iter().zip(&mut used) {
                let (stage, wanted) = pattern.rsplit_once('.').unwrap_or((pattern, port));
                let one = matches(stage, &node.name.name) && wanted == port;
                *used |= one;
                fits |= one;
            }
            if fits {
                artifacts.push(*artifact);
            }
        }
    }
    if let Some(place) = used.iter().position(|used| !used) {
        let message = format!(
            "no artifact `{}` is in the store: write STAGE.PORT, as `runner plan` names stages",
            with[place]
        );
        return Err(CliError::NothingSelected(message));
    }
    Ok((keys, artifacts))
}
