//! `runner bundle` and `runner unbundle`: an experiment with its records and artifacts in one archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use super::experiment::{ExecutionArgs, ExperimentArgs, StoreFolderArgs};
use super::session::StoreUse;
use super::warning::warn;
use super::{CliError, Exit, Session, print, session, signing_key};
use lab::plan::{Plan, StageState};
use lab::plan::{Selection, matches};
use lab::source::Source;
use lab::store::{Artifact, BundleContents, BundleError, BundleFiles, Store};
use lab::text::{bytes, clean_file_name};

/// Pack an experiment with its records and artifacts into one archive
#[derive(Clone, Debug, clap::Args)]
pub struct BundleArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// Pack only these artifacts: `score`, `standard[2].model`; may be repeated. The others are computed again on the other machine
    #[arg(long, value_name = "STAGE.PORT")]
    pub with: Vec<String>,

    /// The archive to write [default: the experiment's name with `.tar`]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Check a bundle and import it: artifacts and records into the store, the experiment's files into DIR
#[derive(Clone, Debug, clap::Args)]
pub struct UnbundleArgs {
    /// The archive, made by `runner bundle`
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,

    /// The folder for the experiment's files
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,

    #[command(flatten)]
    pub store: StoreFolderArgs,
}

/// Packs a bundle.
///
/// # Errors
/// When the experiment is wrong, or something cannot be read or written.
pub fn bundle(args: &BundleArgs) -> Result<Exit, CliError> {
    let document = args.experiment.document(&ExecutionArgs::default())?;
    let (experiment, files) = bundled_files(&document.file, &document.files)?;
    let (plan, store) = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Find)?.plan(&Selection::default())?;
    let (keys, artifacts) = select_hits(&plan, &args.with)?;
    let out = args
        .out
        .clone()
        // The file may come from elsewhere: its name names nothing outside of the working folder.
        .unwrap_or_else(|| PathBuf::from(clean_file_name(&plan.dag.experiment, "-_. ", 150) + ".tar"));
    // Write to a temporary file first: a truncated archive must not stay under the final name.
    let cannot = |error: std::io::Error| CliError::Write(out.clone(), error);
    let folder = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    let contents = store
        .bundle(BufWriter::new(&file), &experiment, &files, &keys, &artifacts)
        .map_err(|error| bundle_error(&out, error))?;
    file.persist(&out).map_err(|error| cannot(error.error))?;
    let sources: BTreeSet<&Source> = plan.stages().filter_map(|(_, node, _)| node.stage.source()).collect();
    for source in sources.into_iter().filter(|source| source.pin().is_none()) {
        let (name, file) = (&source.name, args.experiment.file.display());
        warn(format!(
            "the source `{name}` is not in the bundle and has no pin, so the other machine needs it too; `runner pin {file}` writes the pin"
        ));
    }
    let words: BTreeSet<&Source> = plan.stages().flat_map(|(_, node, _)| node.stage.files()).collect();
    for file in words {
        warn(format!(
            "`{}` is not in the bundle, so the other machine needs it too, at the path that the experiment gives",
            file.name
        ));
    }
    let missing = plan.order.len() - contents.records.len();
    let mut text = summary("packed", &contents);
    if missing > 0 {
        text += &format!("{missing} stages are not in the store, and therefore not in the bundle\n");
    }
    print(&format!("{text}{}\n", out.display()))
}

/// Imports a bundle.
///
/// # Errors
/// When the bundle is refused, or something cannot be read or written.
pub fn unbundle(args: &UnbundleArgs) -> Result<Exit, CliError> {
    // The settings of the bundled experiment are not used: it must not decide whom to trust.
    let settings = session::settings(&args.folder, &args.store)?;
    let store = Store::open(&session::folder(&settings)?)?.trusting(signing_key::trust(&settings)?);
    let cannot = |error: std::io::Error| CliError::Usage(format!("cannot read {}: {error}", args.bundle.display()));
    let file = File::open(&args.bundle).map_err(cannot)?;
    let contents = store
        .unbundle(BufReader::new(file), &args.folder)
        .map_err(|error| bundle_error(&args.bundle, error))?;
    let file = args.folder.join(&contents.experiment);
    print(&format!(
        "{}to run it: runner run {}\n",
        summary("imported", &contents),
        file.display()
    ))
}

fn summary(verb: &str, contents: &BundleContents) -> String {
    format!(
        "{verb} {} files, {} records and {} artifacts, {}\n",
        contents.files.len(),
        contents.records.len(),
        contents.objects.len(),
        bytes(contents.objects.values().map(|size| size.bytes).sum())
    )
}

fn bundle_error(path: &Path, error: BundleError) -> CliError {
    match error {
        BundleError::Store(error) => CliError::Store(error),
        other => CliError::Usage(format!("{}: {other}", path.display())),
    }
}

/// The paths in the bundle, relative to the deepest folder that contains all files: that of the experiment, and of each file.
fn bundled_files(experiment: &Path, files: &[PathBuf]) -> Result<(String, BundleFiles), CliError> {
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

/// The records of all hits, and their artifacts: all, or those that match `with`.
fn select_hits(plan: &Plan, with: &[String]) -> Result<(BTreeSet<lab::hash::Digest>, Vec<Artifact>), CliError> {
    let (mut keys, mut artifacts) = (BTreeSet::new(), Vec::new());
    let mut matched = vec![false; with.len()];
    for (_, node, entry) in plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit) {
        keys.extend(entry.key);
        for (port, artifact) in &entry.outputs {
            let mut selected = with.is_empty();
            for (pattern, matched) in with.iter().zip(&mut matched) {
                let (stage, wanted) = pattern.rsplit_once('.').unwrap_or((pattern, port));
                let fits = matches(stage, &node.name.name) && wanted == port;
                *matched |= fits;
                selected |= fits;
            }
            if selected {
                artifacts.push(*artifact);
            }
        }
    }
    if let Some(index) = matched.iter().position(|matched| !matched) {
        let message = format!(
            "no artifact `{}` in the store; write STAGE.PORT, with a name that `runner plan` lists",
            with[index]
        );
        return Err(CliError::NothingSelected(message));
    }
    Ok((keys, artifacts))
}
