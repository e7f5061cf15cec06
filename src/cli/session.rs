//! A loaded experiment with its store. Most commands begin by opening one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use petgraph::graph::NodeIndex;
use tempfile::TempDir;

use super::CliError;
use super::diagnostics::Rejected;
use super::environment;
use super::experiment::{ExecutionArgs, ExperimentArgs, StoreFolderArgs};
use super::forecast;
use super::signing_key;
use super::sources::SourceAccess;
use super::utf8;
use super::warning::warn;
use lab::config::{self, Settings, SettingsOptions};
use lab::download::SourceError;
use lab::fingerprint::Reason;
use lab::plan::Selection;
use lab::plan::{Dag, Node, Plan, Resolver, StageState, Strict};
use lab::source::{Source, SourceContents};
use lab::stage::Output;
use lab::store::remote::{Environment, RemoteSettings, Remotes};
use lab::store::{Artifact, Store, StoreError};
use report::layout::ReportLayout;

/// The folder of the store if no setting names one.
const DEFAULT_STORE: &str = "cache";

/// A loaded experiment and its store.
pub struct Session {
    pub store: Store,
    pub settings: Settings,
    pub dag: Dag,
    /// What its report shows.
    pub layout: ReportLayout,
    /// With `strict_numerics`: the hardware that the keys of stages include.
    pub strict: Option<Strict>,
    /// The remotes; each is opened when it is first used.
    pub remotes: Remotes,
}

/// A plan, with the store and remotes it was made from.
pub struct Resolved {
    pub plan: Plan,
    pub store: Store,
    pub remotes: Remotes,
    /// What is known of the sources.
    pub contents: SourceContents,
    /// The sources whose content cannot be determined, and why.
    pub missing: Vec<(Source, SourceError)>,
}

/// What a command needs the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreUse {
    /// To write: it is made where there is none.
    Write,
    /// To look at what it has: none counts as an empty one, and none is made.
    Look,
    /// To find something in it: none is an error, unless a remote may have it.
    Find,
    /// The same, and to download it into the store, which is made if a remote may have it.
    Fetch,
    /// To do something with what this very store has: none is an error.
    Existing,
}

impl Session {
    /// Loads the experiment, builds its DAG and opens the store.
    ///
    /// # Errors
    /// When the experiment is wrong, the store cannot be opened, or there is none in which to find something.
    pub fn open(experiment: &ExperimentArgs, execution: &ExecutionArgs, usage: StoreUse) -> Result<Self, CliError> {
        Self::load(experiment, execution)?.with_store(usage)
    }

    /// Loads the experiment and builds its DAG. The store is as if it were not there: [`Self::with_store`] opens it.
    ///
    /// # Errors
    /// When the experiment is wrong.
    pub fn load(experiment: &ExperimentArgs, execution: &ExecutionArgs) -> Result<Self, CliError> {
        let (settings, dag, layout) = experiment.load(execution, kinds::kinds())?;
        let remotes = remotes(&settings);
        let store = Store::absent(&folder(&settings)?);
        let strict = settings.strict_numerics.then(|| Strict {
            processor: learn::engine::instruction_set("cpu"),
            device: learn::engine::instruction_set(settings.device()),
        });
        Ok(Self {
            store,
            settings,
            dag,
            layout,
            strict,
            remotes,
        })
    }

    /// Opens the store. Commands that make one have checked their arguments before.
    ///
    /// # Errors
    /// When it cannot be opened, or there is none in which to find something.
    pub fn with_store(self, usage: StoreUse) -> Result<Self, CliError> {
        let store = open_for(&folder(&self.settings)?, usage, !self.remotes.is_empty())?;
        let store = store.trusting(signing_key::trust(&self.settings)?);
        Ok(Self { store, ..self })
    }

    /// Makes the plan for `targets`; records are looked up in the remotes too.
    ///
    /// # Errors
    /// When the store is damaged or cannot be read, or a remote that is required cannot be used.
    pub fn resolve(self, targets: &BTreeSet<NodeIndex>) -> Result<Resolved, StoreError> {
        self.resolve_wanting(targets, BTreeSet::new())
    }

    /// The same for a run that is to have the outputs of the stages `wanted` here.
    fn resolve_wanting(self, targets: &BTreeSet<NodeIndex>, wanted: BTreeSet<NodeIndex>) -> Result<Resolved, StoreError> {
        let (contents, missing) = SourceAccess::new(&self.settings).look_up(&self.dag, &self.store);
        let resolver = Resolver::new(&self.store, self.strict)
            .knowing(contents.clone())
            .asking(&self.remotes)
            .wanting(wanted)
            .running(forecast::here(&self.settings));
        Ok(Resolved {
            plan: resolver.plan(self.dag, targets)?,
            store: self.store,
            remotes: self.remotes,
            contents,
            missing,
        })
    }

    /// Makes the plan for the selected stages.
    ///
    /// # Errors
    /// When no stage is selected, the store is damaged or cannot be read, or a remote that is required cannot be used.
    pub fn plan(self, selection: &Selection) -> Result<(Plan, Store), CliError> {
        let Resolved { plan, store, .. } = self.plan_with(selection, |_, _| false)?;
        Ok((plan, store))
    }

    /// Makes the plan for the selected stages, and downloads those outputs of hits that are `wanted` and not in the store. If one cannot be
    /// downloaded, its stage has to run.
    ///
    /// # Errors
    /// As [`Session::plan`], and when the store cannot be written.
    pub fn plan_with(self, selection: &Selection, wanted: impl Fn(&Node, &Output) -> bool) -> Result<Resolved, CliError> {
        let targets = selection.targets(&self.dag)?;
        let named = selection.named(&self.dag);
        let mut resolved = self.resolve_wanting(&targets, named)?;
        if !resolved.remotes.is_empty() {
            download_outputs(&mut resolved.plan, &resolved.store, &resolved.remotes, wanted)?;
        }
        signing_key::warn_of_ignored_records(&resolved.store);
        Ok(resolved)
    }
}

fn download_outputs(plan: &mut Plan, store: &Store, remotes: &Remotes, wanted: impl Fn(&Node, &Output) -> bool) -> Result<(), StoreError> {
    let mut asked: Vec<(NodeIndex, String, Artifact)> = Vec::new();
    for (index, node, entry) in plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit) {
        let outputs = node.outputs.iter().filter(|output| wanted(node, output));
        let found = outputs.filter_map(|output| Some((index, output.name.to_string(), *entry.outputs.get(output.name.as_ref())?)));
        asked.extend(found);
    }
    let artifacts: Vec<Artifact> = asked.iter().map(|(_, _, artifact)| *artifact).collect();
    let fetched = remotes.fetch(store, &artifacts, &mut |_| ())?;
    for (index, port, artifact) in asked {
        let entry = &mut plan.entries[index.index()];
        if !fetched.missing.contains(&artifact.digest) {
            entry.deleted.remove(&port);
        } else if !entry.deleted.contains(&port) {
            entry.state = StageState::Run;
            let digest = artifact.digest;
            entry.reason = Some(Reason::OutputMissing { port, digest });
        }
    }
    warn_of_remotes(remotes);
    Ok(())
}

/// Prints a warning for each problem with a remote.
pub fn warn_of_remotes(remotes: &Remotes) {
    remotes.warnings().into_iter().for_each(warn);
}

/// The remotes that the settings name.
pub fn remotes(settings: &Settings) -> Remotes {
    let place = |remote: &config::RemoteEntry| RemoteSettings {
        url: remote.url.clone(),
        writes: remote.access == config::RemoteAccess::ReadWrite,
        required: remote.required,
        endpoint: remote.endpoint.clone(),
        region: remote.region.clone(),
    };
    let places: Vec<RemoteSettings> = settings.remotes.iter().map(place).collect();
    let environment = if places.is_empty() {
        Environment::new()
    } else {
        environment::variables().into_iter().collect()
    };
    Remotes::new(places, environment)
}

/// The folder of the store. A `~` that no shell has replaced is the home folder, as in a shell.
///
/// # Errors
/// When it begins with `~` and there is no such home, or leads to a folder that is not UTF-8 or has a control character in its path.
pub fn folder(settings: &Settings) -> Result<PathBuf, CliError> {
    let folder = settings.store.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
    let folder = environment::without_tilde(&folder, &environment::variables())?;
    utf8::check_place("the folder of the store", &folder)?;
    Ok(folder)
}

/// Opens the store in `folder` for a command with an experiment.
fn open_for(folder: &Path, usage: StoreUse, has_remotes: bool) -> Result<Store, CliError> {
    let existing = if usage == StoreUse::Write { None } else { Store::existing(folder)? };
    Ok(match (existing, usage) {
        (Some(store), _) => store,
        (None, StoreUse::Write) => Store::open(folder)?,
        (None, StoreUse::Fetch) if has_remotes => Store::open(folder)?,
        // What the remotes have is kept until the command ends, and no longer.
        (None, StoreUse::Look | StoreUse::Find) if has_remotes => temporary_store()?,
        (None, StoreUse::Look) => Store::absent(folder),
        (None, _) => return Err(CliError::NothingSelected(no_store(folder))),
    })
}

/// Opens the store in `folder`, for commands that only read or delete.
///
/// # Errors
/// When there is no store in the folder, or it cannot be opened.
pub fn open_store(folder: &Path) -> Result<Store, CliError> {
    Store::existing(folder)?.ok_or_else(|| CliError::NothingSelected(no_store(folder)))
}

fn no_store(folder: &Path) -> String {
    format!(
        "no store in {}: `runner run` creates one, `--store` names another",
        folder.display()
    )
}

/// The folders of [`temporary_store`].
static TEMPORARY: Mutex<Vec<TempDir>> = Mutex::new(Vec::new());

/// A store for this command alone.
fn temporary_store() -> Result<Store, CliError> {
    let folder = tempfile::tempdir().map_err(|error| CliError::Write(std::env::temp_dir(), error))?;
    let store = Store::open(folder.path())?;
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
    Ok(store)
}

/// Removes the stores that were made for this command alone.
pub fn remove_temporary_stores() {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// The settings of the user and of the project in `folder`, for commands without an experiment. `store` takes precedence over them.
///
/// # Errors
/// When a file cannot be read or a setting is wrong.
pub fn settings(folder: &Path, store: &StoreFolderArgs) -> Result<Settings, CliError> {
    let environment = environment::variables();
    let options = SettingsOptions {
        folder: folder.to_owned(),
        settings: store
            .folder
            .as_ref()
            .map(|folder| ("store".to_owned(), folder.to_string_lossy().into_owned()))
            .into_iter()
            .collect(),
        user_file: environment::user_file(&environment),
        environment,
    };
    let file = PathBuf::from("the settings");
    config::load_settings(&options).map_err(|diagnostics| Rejected { file, diagnostics }.into())
}
