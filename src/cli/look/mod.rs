//! Looking on while a run goes on, from another terminal or host: `runner status`, `watch`, `logs`, `stop` and `cancel`.

pub(super) mod follow;
pub mod logs;
pub mod status;
pub mod stop;
pub(super) mod text;
pub mod watch;

use std::path::{Path, PathBuf};

use super::experiment::{ExecutionArgs, ExperimentArgs, OverrideArgs, StoreFolderArgs};
use super::run::whole_path;
use super::session::{folder, open_store, settings};
use super::{CliError, environment::path_argument};
use lab::config;
use lab::runs::{FoundRun, find, find_one};
use lab::store::Store;

/// The runs of a store, or those of an experiment.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunsArgs {
    /// Only runs of this experiment, in its store [default: all runs in the store of the current folder's settings]
    #[arg(value_name = "FILE", value_parser = path_argument())]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub of: WhichArgs,
}

/// How the experiment and its store are found, and which of its runs is meant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WhichArgs {
    /// Only the run of this name, such as `20261123-185222-4711`
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    #[command(flatten)]
    pub overrides: OverrideArgs,

    #[command(flatten)]
    pub store: StoreFolderArgs,
}

/// Some of the runs of a store.
pub(super) struct Runs {
    pub(super) store: Store,
    /// Of this experiment alone.
    experiment: Option<RunExperiment>,
    run: Option<String>,
}

/// An experiment as runs name it.
pub(super) struct RunExperiment {
    pub(super) file: PathBuf,
    pub(super) name: String,
}

impl RunsArgs {
    /// Opens the store.
    pub(super) fn open(&self) -> Result<Runs, CliError> {
        self.of.open(self.file.as_deref())
    }
}

impl WhichArgs {
    /// Opens the store in which the runs of an experiment are, or that of the current folder.
    pub(super) fn open(&self, file: Option<&Path>) -> Result<Runs, CliError> {
        let Some(file) = file else {
            if !self.overrides.is_empty() {
                let message = "`--set` and `--profile` are about an experiment: name its FILE, or leave them out";
                return Err(CliError::Usage(message.to_owned()));
            }
            return Ok(Runs {
                store: open_store(&folder(&settings(Path::new(""), &self.store)?)?)?,
                experiment: None,
                run: self.run.clone(),
            });
        };
        let experiment = self.experiment(file);
        let expanded = config::expand(&experiment.document(&ExecutionArgs::default())?);
        Ok(Runs {
            store: open_store(&folder(&expanded.settings)?)?,
            experiment: Some(RunExperiment {
                file: whole_path(file),
                name: expanded.name,
            }),
            run: self.run.clone(),
        })
    }

    /// The experiment with these changes and this store.
    pub(super) fn experiment(&self, file: &Path) -> ExperimentArgs {
        ExperimentArgs {
            file: file.to_owned(),
            overrides: self.overrides.clone(),
            store: self.store.clone(),
        }
    }
}

impl Runs {
    /// Those that have told how they are, the newest last.
    pub(super) fn found(&self) -> Vec<FoundRun> {
        if let Some(run) = &self.run {
            return find_one(&self.store, run).into_iter().collect();
        }
        let mut found = find(&self.store);
        if let Some(experiment) = &self.experiment {
            found.retain(|run| run.is_of(&experiment.file, &experiment.name));
        }
        found
    }

    /// Those that live; else the last that ended.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn alive_or_last(&self) -> Result<Vec<FoundRun>, CliError> {
        let mut found = self.found();
        let Some(last) = found.pop() else {
            return Err(CliError::NothingSelected(self.none("")));
        };
        found.push(last.clone());
        found.retain(FoundRun::is_alive);
        Ok(if found.is_empty() { vec![last] } else { found })
    }

    /// The one that lives.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub(super) fn one_alive(&self) -> Result<FoundRun, CliError> {
        let mut alive = self.found();
        alive.retain(FoundRun::is_alive);
        match alive.len() {
            0 | 1 => alive.pop().ok_or_else(|| CliError::NothingSelected(self.none(" goes on"))),
            count => {
                let of = |run: &FoundRun| format!("{} of {}", run.status.run, run.status.order.file.display());
                let listed: Vec<String> = alive.iter().take(5).map(of).collect();
                let more = if count > 5 { "; …" } else { "" };
                Err(CliError::Usage(format!(
                    "{count} runs go on ({}{more}): name one with `--run RUN`, or the FILE of its experiment",
                    listed.join("; ")
                )))
            }
        }
    }

    /// `no run of x.toml goes on in cache; …`.
    fn none(&self, does: &str) -> String {
        let of = match (&self.run, &self.experiment) {
            (Some(run), _) => format!(" of the name {run}"),
            (None, Some(experiment)) => format!(" of {}", experiment.file.display()),
            (None, None) => String::new(),
        };
        let store = self.store.folder().display();
        format!("no run{of}{does} in {store}; `runner run` begins one, `--store` names another store")
    }
}
