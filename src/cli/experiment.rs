//! The arguments of every command that takes an experiment, and its loading.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::diagnostics::Rejected;
use lab::config::{self, Diagnostic, Document, Experiment, LoadOptions};
use lab::plan::{self, Dag};
use lab::stage::Kind;
use report::part_name::PartName;

/// Which experiment, and what to change in it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExperimentArgs {
    /// The experiment
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Apply the file's `[profile.NAME]`; may be given several times, the last wins
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,

    /// Set a value: `iterations=2` for a param, `stages.problems.train=100` for any other; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Folder of the store (also `RUNNER_STORE`)
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// How to run it: settings as flags.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExecutionArgs {
    /// Stages that may run at once (also `RUNNER_JOBS`)
    #[arg(long, short, value_name = "N", value_parser = from_one)]
    pub jobs: Option<NonZeroUsize>,

    /// Threads shared among the running stages (also `RUNNER_THREADS`)
    #[arg(long, value_name = "N", value_parser = from_one)]
    pub threads: Option<NonZeroUsize>,

    /// `cpu`, `cuda:0`, `metal` (also `RUNNER_DEVICE`)
    #[arg(long)]
    pub device: Option<String>,

    /// Fetch nothing: sources must be on this machine
    #[arg(long)]
    pub offline: bool,

    /// Run the stages that do not depend on a failed one
    #[arg(long)]
    pub keep_going: bool,
}

fn from_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "a whole number from 1 is needed".to_owned())
}

impl ExecutionArgs {
    fn settings(&self) -> Vec<(String, String)> {
        let number = |number: Option<NonZeroUsize>| number.map(|number| number.to_string());
        let given = [
            ("jobs", number(self.jobs)),
            ("threads", number(self.threads)),
            ("device", self.device.clone()),
            ("offline", self.offline.then(|| "true".to_owned())),
            ("keep_going", self.keep_going.then(|| "true".to_owned())),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

impl ExperimentArgs {
    /// What to load, with the environment and the user's file of this process.
    pub fn options(&self, execution: &ExecutionArgs) -> LoadOptions {
        let store = self
            .store
            .as_ref()
            .map(|store| ("store".to_owned(), store.to_string_lossy().into_owned()));
        let environment = environment();
        LoadOptions {
            file: self.file.clone(),
            profiles: self.profiles.clone(),
            set: self.set.clone(),
            settings: store.into_iter().chain(execution.settings()).collect(),
            user_file: user_file(&environment),
            environment,
        }
    }

    /// Merges the experiment's layers, templates and matrix as written.
    ///
    /// # Errors
    /// When a file, a key, a profile or an override is wrong.
    pub fn document(&self, execution: &ExecutionArgs) -> Result<Document, Rejected> {
        config::layer(&self.options(execution)).map_err(|diagnostics| self.rejected(diagnostics))
    }

    /// Loads the experiment, builds its DAG with the given table of kinds, and reads what its report begins with. What is probably not
    /// meant is said on standard error.
    ///
    /// # Errors
    /// When anything is wrong with the experiment: all of it.
    pub fn load(&self, execution: &ExecutionArgs, kinds: &[&'static Kind]) -> Result<(Experiment, Dag, Vec<PartName>), Rejected> {
        let experiment = config::expand(&self.document(execution)?);
        let (dag, shows) = match (plan::build(&experiment, kinds), PartName::in_shows(&experiment)) {
            (Ok(dag), Ok(shows)) => (dag, shows),
            (dag, shows) => {
                let wrong = dag.err().into_iter().chain(shows.err()).flatten();
                return Err(self.rejected(wrong.collect()));
            }
        };
        for Diagnostic { message, at, help, .. } in &experiment.warnings {
            let place = at.as_ref().map_or_else(String::new, |at| format!(" ({at})"));
            let help = help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            let _ = writeln!(std::io::stderr(), "warning: {message}{place}{help}");
        }
        Ok((experiment, dag, shows))
    }

    /// The command of this name for the experiment as it was given, without stages.
    pub fn command(&self, name: &str) -> String {
        let Self {
            file,
            profiles,
            set,
            store,
        } = self;
        let mut words = vec!["runner".to_owned(), name.to_owned(), shell_word(&file.to_string_lossy())];
        words.extend(profiles.iter().map(|profile| format!("--profile {}", shell_word(profile))));
        words.extend(set.iter().map(|set| format!("--set {}", shell_word(set))));
        words.extend(
            store
                .as_deref()
                .map(Path::to_string_lossy)
                .map(|store| format!("--store {}", shell_word(&store))),
        );
        words.join(" ")
    }

    /// The error that this experiment has `diagnostics`.
    pub fn rejected(&self, diagnostics: Vec<Diagnostic>) -> Rejected {
        let file = self.file.clone();
        Rejected { file, diagnostics }
    }
}

/// `word`, quoted where a shell needs it.
pub(super) fn shell_word(word: &str) -> String {
    // No argument of a process contains a NUL, the only character that cannot be quoted.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}

/// The variables of this process, those that are text, by name.
pub(super) fn environment() -> Vec<(String, String)> {
    let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    #[expect(clippy::disallowed_methods, reason = "this is where the CLI reads the environment")]
    let mut environment: Vec<_> = std::env::vars_os().filter_map(variable).collect();
    environment.sort();
    environment
}

/// The user's file of settings.
pub(super) fn user_file(environment: &[(String, String)]) -> Option<PathBuf> {
    Some(config_folder(environment)?.join("config.toml"))
}

/// `$XDG_CONFIG_HOME/runner`, or below `~/.config`.
pub(super) fn config_folder(environment: &[(String, String)]) -> Option<PathBuf> {
    let variable = |name: &str| {
        environment
            .iter()
            .find(|(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    };
    let base = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))?;
    Some(base.join("runner"))
}
