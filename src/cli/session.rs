//! A loaded experiment with its store. Most commands begin by opening one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;

use super::CliError;
use super::diagnostics::Rejected;
use super::environment;
use super::experiment::{ExecutionArgs, ExperimentArgs, StoreFolderArgs};
use super::signing_key;
use super::sources::SourceAccess;
use super::warning::warn;
use lab::config::{self, Settings, SettingsOptions};
use lab::download::SourceError;
use lab::fingerprint::Reason;
use lab::plan::Selection;
use lab::plan::{Dag, Node, Plan, Resolver, StageState, Strict};
use lab::source::Source;
use lab::stage::Output;
use lab::store::remote::{Environment, RemoteSettings, Remotes};
use lab::store::{Artifact, Store, StoreError};
use report::part_name::PartName;

/// The folder of the store if no setting names one.
const DEFAULT_STORE: &str = "cache";

/// A loaded experiment and its store.
pub struct Session {
    pub store: Store,
    pub settings: Settings,
    pub dag: Dag,
    /// The tables and figures that its report begins with.
    pub shows: Vec<PartName>,
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
    /// The sources whose content cannot be determined, and why.
    pub missing: Vec<(Source, SourceError)>,
}

impl Session {
    /// Loads the experiment, builds its DAG and opens the store.
    ///
    /// # Errors
    /// When the experiment is wrong, or the store cannot be opened.
    pub fn open(experiment: &ExperimentArgs, execution: &ExecutionArgs) -> Result<Self, CliError> {
        let (loaded, dag, shows) = experiment.load(execution, kinds::kinds())?;
        let settings = loaded.settings;
        let remotes = remotes(&settings);
        let store = Store::open(&folder(&settings))?.trusting(signing_key::trust(&settings)?);
        let strict = settings.strict_numerics.then(|| Strict {
            processor: learn::engine::instruction_set("cpu"),
            device: learn::engine::instruction_set(settings.device()),
        });
        Ok(Self {
            store,
            settings,
            dag,
            shows,
            strict,
            remotes,
        })
    }

    /// Makes the plan for `targets`; records are looked up in the remotes too.
    ///
    /// # Errors
    /// When the store is damaged or cannot be read, or a remote that is required cannot be used.
    pub fn resolve(self, targets: &BTreeSet<NodeIndex>) -> Result<Resolved, StoreError> {
        let (contents, missing) = SourceAccess::new(&self.settings).look_up(&self.dag, &self.store);
        let resolver = Resolver::new(&self.store, self.strict).knowing(contents).asking(&self.remotes);
        Ok(Resolved {
            plan: resolver.plan(self.dag, targets)?,
            store: self.store,
            remotes: self.remotes,
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
        let mut resolved = self.resolve(&targets)?;
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
        if fetched.missing.contains(&artifact.digest) {
            let entry = &mut plan.entries[index.index()];
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

/// The folder of the store.
pub fn folder(settings: &Settings) -> PathBuf {
    settings.store.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_STORE))
}

/// Opens the store in `folder`, for commands that only read or delete.
///
/// # Errors
/// When the folder does not exist, or the store cannot be opened.
pub fn open_store(folder: &Path) -> Result<Store, CliError> {
    if folder.exists() {
        Ok(Store::open(folder)?)
    } else {
        let message = format!(
            "no store in {}: `runner run` creates one, `--store` names another",
            folder.display()
        );
        Err(CliError::Usage(message))
    }
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
