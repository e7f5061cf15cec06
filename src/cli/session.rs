//! An experiment with the store that it uses: what most commands begin with.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;

use super::CliError;
use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::signing_key;
use super::sources::Access;
use lab::config::{self, Settings};
use lab::download::FetchError;
use lab::fingerprint::Reason;
use lab::plan::Selection;
use lab::plan::{Dag, Node, Plan, Resolver, State, Strict};
use lab::source::Source;
use lab::stage::Output;
use lab::store::remote::{Environment, Place, Remotes};
use lab::store::{Artifact, Store, StoreError};
use lab::text::Paint;
use report::exhibits::Exhibit;

/// The store where no setting names one.
const STORE: &str = "cache";

/// A loaded experiment and its store.
pub struct Session {
    pub store: Store,
    pub settings: Settings,
    pub dag: Dag,
    /// What a report begins with.
    pub shows: Vec<Exhibit>,
    /// What decides the last bits here, where it is part of the keys.
    pub strict: Option<Strict>,
    /// Stores elsewhere; none is opened before it is asked something.
    pub remotes: Remotes,
}

/// A plan, and what it was made with.
pub struct Resolved {
    pub plan: Plan,
    pub store: Store,
    pub remotes: Remotes,
    /// The sources of which nothing can be known, and why.
    pub missing: Vec<(Source, FetchError)>,
}

impl Session {
    /// Loads the experiment, builds its DAG and opens the store.
    ///
    /// # Errors
    /// When anything is wrong with the experiment, or the store cannot be opened.
    pub fn open(experiment: &ExperimentArgs, execution: &ExecutionArgs) -> Result<Self, CliError> {
        let environment = || experiment.options(execution).environment.into_iter().collect();
        let (loaded, dag, shows) = experiment.load(execution, kinds::kinds())?;
        let settings = loaded.settings;
        let remotes = remotes(&settings, environment);
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

    /// The plan for `targets`, for which remotes are asked too.
    ///
    /// # Errors
    /// When the store is damaged or cannot be read, or a remote that is required cannot be used.
    pub fn resolve(self, targets: &BTreeSet<NodeIndex>) -> Result<Resolved, StoreError> {
        let (contents, missing) = Access::new(&self.settings).look(&self.dag, &self.store);
        let resolver = Resolver::new(&self.store, self.strict).knowing(contents).asking(&self.remotes);
        Ok(Resolved {
            plan: resolver.plan(self.dag, targets)?,
            store: self.store,
            remotes: self.remotes,
            missing,
        })
    }

    /// The plan for the selected stages, and the store.
    ///
    /// # Errors
    /// When no stage is selected, the store is damaged or cannot be read, or a remote that is required cannot be used.
    pub fn plan(self, selection: &Selection) -> Result<(Plan, Store), CliError> {
        let Resolved { plan, store, .. } = self.plan_with(selection, |_, _| false)?;
        Ok((plan, store))
    }

    /// The plan, and the store in which there are the outputs of hits that are `wanted`: those that it had not come from the remotes.
    /// A stage of which one cannot be had is to run.
    ///
    /// # Errors
    /// As [`Session::plan`], and when the store cannot be written.
    pub fn plan_with(self, selection: &Selection, wanted: impl Fn(&Node, &Output) -> bool) -> Result<Resolved, CliError> {
        let targets = selection.targets(&self.dag)?;
        let mut resolved = self.resolve(&targets)?;
        if !resolved.remotes.is_empty() {
            bring(&mut resolved.plan, &resolved.store, &resolved.remotes, wanted)?;
        }
        signing_key::warn(&resolved.store, Paint::default());
        Ok(resolved)
    }
}

fn bring(plan: &mut Plan, store: &Store, remotes: &Remotes, wanted: impl Fn(&Node, &Output) -> bool) -> Result<(), StoreError> {
    let mut asked: Vec<(NodeIndex, String, Artifact)> = Vec::new();
    for (index, node, entry) in plan.stages().filter(|(_, _, entry)| entry.state == State::Hit) {
        let outputs = node.outputs.iter().filter(|output| wanted(node, output));
        let found = outputs.filter_map(|output| Some((index, output.name.to_string(), *entry.outputs.get(output.name.as_ref())?)));
        asked.extend(found);
    }
    let artifacts: Vec<Artifact> = asked.iter().map(|(_, _, artifact)| *artifact).collect();
    let fetched = remotes.fetch(store, &artifacts, &mut |_| ())?;
    for (index, port, artifact) in asked {
        if fetched.missing.contains(&artifact.digest) {
            let entry = &mut plan.entries[index.index()];
            entry.state = State::Run;
            let digest = artifact.digest;
            entry.reason = Some(Reason::OutputMissing { port, digest });
        }
    }
    warn(remotes);
    Ok(())
}

/// Says on standard error what is wrong with remotes.
pub fn warn(remotes: &Remotes) {
    for note in remotes.notes() {
        // There is nowhere to say that standard error is gone.
        let _ = writeln!(io::stderr(), "warning: {note}");
    }
}

/// The remotes that the settings name; `environment` is asked for where there are any.
pub fn remotes(settings: &Settings, environment: impl FnOnce() -> Environment) -> Remotes {
    let place = |remote: &config::Remote| Place {
        url: remote.url.clone(),
        writes: remote.access == config::Access::ReadWrite,
        required: remote.required,
        endpoint: remote.endpoint.clone(),
        region: remote.region.clone(),
    };
    let places: Vec<Place> = settings.remotes.iter().map(place).collect();
    let environment = if places.is_empty() { Environment::new() } else { environment() };
    Remotes::new(places, environment)
}

/// The folder of the store.
pub fn folder(settings: &Settings) -> PathBuf {
    settings.store.clone().unwrap_or_else(|| PathBuf::from(STORE))
}

/// The settings of the user and the project in `folder`, for commands that are about no experiment; `store` goes before what they say.
///
/// # Errors
/// When a file cannot be read or a setting is wrong.
pub fn settings(folder: &Path, store: Option<&Path>) -> Result<Settings, CliError> {
    let experiment = ExperimentArgs {
        // None is read: where it would be says which project's settings count.
        file: folder.join("none.toml"),
        store: store.map(Path::to_owned),
        ..ExperimentArgs::default()
    };
    let mut options = experiment.options(&ExecutionArgs::default());
    options
        .environment
        .retain(|(name, _)| !name.starts_with("RUNNER_PARAMS__") && !name.starts_with("RUNNER_MATRIX__"));
    config::settings_alone(&options).map_err(|diagnostics| experiment.rejected(diagnostics).into())
}
