//! `runner bundle` and `runner unbundle`: an experiment with its records and artifacts in one archive.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use super::environment::path_argument;
use super::experiment::{ExecutionArgs, ExperimentArgs, StoreFolderArgs};
use super::out_file::{OutFile, is_stdout};
use super::session::StoreUse;
use super::warning::warn;
use super::{CliError, Exit, Session, print, session, signing_key};
use lab::plan::{Plan, StageState};
use lab::plan::{Selection, matches};
use lab::source::Source;
use lab::store::{Artifact, BUNDLE_HEAD, BundleContents, BundleError, BundleFiles, Store, check_head};
use lab::text::{bytes, clean_file_name, stages};

/// Pack an experiment with its records and artifacts into one archive
#[derive(Clone, Debug, clap::Args)]
pub struct BundleArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// Pack only these artifacts: `score`, `standard[2].model`; may be repeated. The others are computed again on the other machine
    #[arg(long, value_name = "STAGE.PORT")]
    pub with: Vec<String>,

    /// The archive to write; `-` is standard output [default: the experiment's name with `.tar`]
    #[arg(long, value_name = "FILE", value_parser = path_argument())]
    pub out: Option<PathBuf>,
}

/// Check a bundle and import it: artifacts and records into the store, the experiment's files into DIR
#[derive(Clone, Debug, clap::Args)]
pub struct UnbundleArgs {
    /// The archive, made by `runner bundle`
    #[arg(value_name = "BUNDLE", value_parser = path_argument())]
    pub bundle: PathBuf,

    /// The folder for the experiment's files
    #[arg(value_name = "DIR", default_value = ".", value_parser = path_argument())]
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
    let (plan, store) = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Existing)?.plan(&Selection::default())?;
    let beside = ProgramFiles::of(&plan, &document.files)?;
    let (experiment, files) = bundled_files(&document.file, document.files.iter().chain(&beside.packed))?;
    let (keys, artifacts) = select_hits(&plan, &args.with)?;
    let out = args
        .out
        .clone()
        // The file may come from elsewhere: its name names nothing outside of the working folder.
        .unwrap_or_else(|| PathBuf::from(clean_file_name(&plan.dag.experiment, "-_. ", 150) + ".tar"));
    let cannot = |error: std::io::Error| CliError::Write(out.clone(), error);
    // A truncated archive must not stay under the final name.
    let mut file = OutFile::create(&out).map_err(cannot)?;
    let mut archive = BufWriter::new(&mut file);
    let contents = store
        .bundle(&mut archive, &experiment, &files, &keys, &artifacts)
        .map_err(|error| bundle_error(&out, error))?;
    archive.flush().map_err(cannot)?;
    drop(archive);
    file.finish().map_err(cannot)?;
    for source in beside.left_out.iter().filter(|source| source.pin().is_none()) {
        let (name, file) = (&source.name, args.experiment.file.display());
        warn(format!(
            "the source `{name}` is not in the bundle and has no pin, so the other machine needs it too; `runner pin {file}` writes the pin"
        ));
    }
    for file in &beside.elsewhere {
        warn(format!(
            "`{}` is not in the bundle, so the other machine needs it too, at the path that the experiment gives",
            file.display()
        ));
    }
    let accepted = plan.stages().filter(|(_, _, entry)| entry.is_accepted).count();
    let missing = plan.order.len() - contents.records.len() - accepted;
    let deleted = plan.stages().filter(|(_, _, entry)| !entry.deleted.is_empty()).count();
    let mut text = summary("packed", &contents);
    if deleted > 0 {
        text += &format!("gc deleted outputs of {}, which run again on the other machine\n", stages(deleted));
    }
    if missing > 0 {
        text += &format!("{missing} stages are not in the store, and therefore not in the bundle\n");
    }
    if accepted > 0 {
        text += &format!(
            "left out, to run again on the other machine: {} with accepted outputs\n",
            stages(accepted)
        );
    }
    text += &format!("{}\n", out.display());
    if is_stdout(&out) {
        // There is the archive.
        super::print_aside(&text);
        return Ok(Exit::Done);
    }
    print(&text)
}

/// Imports a bundle.
///
/// # Errors
/// When the bundle is refused, or something cannot be read or written.
pub fn unbundle(args: &UnbundleArgs) -> Result<Exit, CliError> {
    // The settings of the bundled experiment are not used: it must not decide whom to trust.
    let settings = session::settings(&args.folder, &args.store)?;
    let place = session::folder(&settings)?;
    let refused = |error| bundle_error(&args.bundle, error);
    let file = File::open(&args.bundle).map_err(|error| unreadable(&args.bundle, &error))?;
    let mut file = BufReader::new(file);
    let mut head = Vec::new();
    let read = file.by_ref().take(BUNDLE_HEAD).read_to_end(&mut head);
    read.map_err(|error| unreadable(&args.bundle, &error))?;
    // What is no bundle makes no store.
    check_head(&head).map_err(refused)?;
    let store = Store::open(&place)?.trusting(signing_key::trust(&settings)?);
    let contents = store.unbundle(head.as_slice().chain(file), &args.folder).map_err(refused)?;
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

/// The files that the programs of an experiment need, beside their inputs.
struct ProgramFiles {
    /// Scripts, and the files of sources, that the experiment finds beside itself.
    packed: Vec<PathBuf>,
    /// Those that it finds at an absolute path, where the other machine looks for them, too.
    elsewhere: BTreeSet<PathBuf>,
    /// Sources that are not packed.
    left_out: BTreeSet<Source>,
}

impl ProgramFiles {
    /// `experiment` are the experiment's files.
    ///
    /// # Errors
    /// When a file of a source cannot be listed.
    fn of(plan: &Plan, experiment: &[PathBuf]) -> Result<Self, CliError> {
        let texts: Vec<String> = experiment.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let is_elsewhere = |path: &Path| path.is_absolute() && texts.iter().any(|text| text.contains(&*path.to_string_lossy()));
        let mut files = Self {
            packed: Vec::new(),
            elsewhere: BTreeSet::new(),
            left_out: BTreeSet::new(),
        };
        for (_, node, _) in plan.stages() {
            let starts_program = node.kind.command_line.is_some();
            let sources = node.stage.source().filter(|source| match source.path {
                Some(_) if starts_program => true,
                _ => {
                    files.left_out.insert((*source).clone());
                    false
                }
            });
            for source in sources.into_iter().chain(node.stage.files()).chain(node.stage.environment_files()) {
                let Some(path) = &source.path else { continue };
                if is_elsewhere(path) {
                    files.elsewhere.insert(path.clone());
                    continue;
                }
                let listed = source.list(path).map_err(|error| unreadable(path, &error))?;
                files.packed.extend(listed.into_iter().map(|(_, path)| path));
            }
        }
        Ok(files)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Usage(format!("cannot read {}: {error}", path.display()))
}

/// The paths in the bundle, relative to the deepest folder that contains all files: that of the experiment, and of each file.
fn bundled_files<'a>(experiment: &Path, files: impl Iterator<Item = &'a PathBuf>) -> Result<(String, BundleFiles), CliError> {
    let absolute = |path: &Path| without_dots(path).map_err(|error| unreadable(path, &error));
    let experiment = absolute(experiment)?;
    let paths: BTreeSet<PathBuf> = files.map(|path| absolute(path)).collect::<Result<_, _>>()?;
    let mut common = experiment.parent().unwrap_or(Path::new("/")).to_owned();
    while !paths.iter().all(|path| path.starts_with(&common)) && common.pop() {}
    let name = |path: &Path| {
        let name = path.strip_prefix(&common).unwrap_or(path).to_str();
        name.map(str::to_owned).ok_or_else(|| {
            let path = path.display();
            CliError::Usage(format!("{path} cannot be packed: its path is not UTF-8; give it another name"))
        })
    };
    let named: BundleFiles = paths
        .iter()
        .map(|path| Ok((name(path)?, path.clone())))
        .collect::<Result<_, CliError>>()?;
    Ok((name(&experiment)?, named))
}

/// The absolute path of a file, without `..`. Links stay what they are: the experiment gives the path of the link.
fn without_dots(path: &Path) -> std::io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    let real = path.canonicalize()?;
    // Above a folder that is a link, `..` is not the folder that has the link.
    Ok(if plain.canonicalize().is_ok_and(|same| same == real) {
        plain
    } else {
        real
    })
}

/// The records of all hits, and their artifacts: all, or those that match `with`.
fn select_hits(plan: &Plan, with: &[String]) -> Result<(BTreeSet<lab::hash::Digest>, Vec<Artifact>), CliError> {
    let (mut keys, mut artifacts) = (BTreeSet::new(), Vec::new());
    let mut matched = vec![false; with.len()];
    for (_, node, entry) in plan
        .stages()
        .filter(|(_, _, entry)| entry.state == StageState::Hit && !entry.is_accepted)
    {
        keys.extend(entry.key);
        for (port, artifact) in entry.outputs.iter().filter(|(port, _)| !entry.deleted.contains(*port)) {
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
