//! An experiment with the store that it uses: what most commands begin with.

use std::path::PathBuf;

use super::Failed;
use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::selection::Selection;
use super::sources::Access;
use crate::config::Settings;
use crate::exec;
use crate::plan::{Dag, Plan, Resolver};
use crate::stage;
use crate::store::Store;

/// The store where no setting names one.
const STORE: &str = "cache";

/// A loaded experiment and its store.
pub struct Session {
    pub store: Store,
    pub settings: Settings,
    pub dag: Dag,
    /// This machine's instruction set, where it is part of the keys.
    pub strict: Option<String>,
}

impl Session {
    /// Loads the experiment, builds its DAG and opens the store.
    ///
    /// # Errors
    /// When anything is wrong with the experiment, or the store cannot be opened.
    pub fn open(experiment: &ExperimentArgs, execution: &ExecutionArgs) -> Result<Self, Failed> {
        let (experiment, dag) = experiment.load(execution, stage::kinds())?;
        let settings = experiment.settings;
        let store = Store::open(&folder(&settings))?;
        let strict = settings.strict_numerics.then(|| exec::instruction_set().to_owned());
        Ok(Self {
            store,
            settings,
            dag,
            strict,
        })
    }

    /// The plan for the selected stages, and the store.
    ///
    /// # Errors
    /// When no stage is selected, or the store is damaged or cannot be read.
    pub fn plan(self, selection: &Selection) -> Result<(Plan, Store), Failed> {
        let targets = selection.targets(&self.dag)?;
        let (contents, _) = Access::new(&self.settings).look(&self.dag, &self.store);
        let plan = Resolver::new(&self.store, self.strict).knowing(contents).plan(self.dag, &targets)?;
        Ok((plan, self.store))
    }
}

/// The folder of the store.
pub fn folder(settings: &Settings) -> PathBuf {
    settings.store.clone().unwrap_or_else(|| PathBuf::from(STORE))
}
