//! The arguments that commands with an experiment share, and loading the experiment.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::diagnostics::Rejected;
use super::environment;
use super::warning::warn;
use lab::config::{self, Diagnostic, Document, Experiment, LoadOptions};
use lab::plan::{self, Dag};
use lab::stage::Kind;
use lab::text::is_hidden;
use report::layout::ReportLayout;

/// An experiment, with changes to it and the store it uses.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExperimentArgs {
    /// The experiment's file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub overrides: OverrideArgs,

    #[command(flatten)]
    pub store: StoreFolderArgs,
}

/// Changes to an experiment.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OverrideArgs {
    /// Apply the experiment's `[profile.NAME]`; may be repeated, the last one wins
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,

    /// Override a value: `iterations=2` for a param, `stages.problems.train=100` for anything else; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl OverrideArgs {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty() && self.set.is_empty()
    }
}

/// The store to use.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StoreFolderArgs {
    /// Folder of the store (also `RUNNER_STORE`)
    #[arg(id = "store", long = "store", value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// Settings of a run, as options.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExecutionArgs {
    /// Maximum number of stages that run at once (also `RUNNER_JOBS`)
    #[arg(long, short, value_name = "N", value_parser = positive)]
    pub jobs: Option<NonZeroUsize>,

    /// Number of threads that the running stages share (also `RUNNER_THREADS`)
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<NonZeroUsize>,

    /// Device to compute on: `cpu`, `cuda:0`, `metal` (also `RUNNER_DEVICE`)
    #[arg(long)]
    pub device: Option<String>,

    /// Download nothing; all sources must be on this machine
    #[arg(long)]
    pub offline: bool,

    /// After a failure, run the stages that do not depend on the failed one
    #[arg(long)]
    pub keep_going: bool,
}

fn positive(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number, 1 or more".to_owned())
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
    /// The options for loading: these arguments, the environment and the user's settings file.
    pub fn options(&self, execution: &ExecutionArgs) -> LoadOptions {
        let store = self
            .store
            .folder
            .as_ref()
            .map(|folder| ("store".to_owned(), folder.to_string_lossy().into_owned()));
        let environment = environment::variables();
        LoadOptions {
            file: self.file.clone(),
            profiles: self.overrides.profiles.clone(),
            set: self.overrides.set.clone(),
            settings: store.into_iter().chain(execution.settings()).collect(),
            user_file: environment::user_file(&environment),
            environment,
        }
    }

    /// Merges the layers of the experiment. Templates and the matrix are left as written.
    ///
    /// # Errors
    /// When a file, key, profile or override is wrong.
    pub fn document(&self, execution: &ExecutionArgs) -> Result<Document, Rejected> {
        config::layer(&self.options(execution)).map_err(|diagnostics| self.rejected(diagnostics))
    }

    /// Loads the experiment, builds its DAG from these kinds, and reads its `[report]`. Prints its warnings on standard error.
    ///
    /// # Errors
    /// When the experiment is wrong: all its errors.
    pub fn load(&self, execution: &ExecutionArgs, kinds: &[&'static Kind]) -> Result<(Experiment, Dag, ReportLayout), Rejected> {
        let experiment = config::expand(&self.document(execution)?);
        let (dag, layout) = match (plan::build(&experiment, kinds), ReportLayout::read(&experiment)) {
            (Ok(dag), Ok(layout)) => (dag, layout),
            (dag, layout) => {
                let wrong = dag.err().into_iter().chain(layout.err()).flatten();
                return Err(self.rejected(wrong.collect()));
            }
        };
        for Diagnostic { message, at, help, .. } in &experiment.warnings {
            let place = at.as_ref().map_or_else(String::new, |at| format!(" ({at})"));
            let help = help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            warn(format!("{message}{place}{help}"));
        }
        Ok((experiment, dag, layout))
    }

    /// The command line that runs the command `name` on this experiment, without stages.
    pub fn command(&self, name: &str) -> String {
        let Self { file, overrides, store } = self;
        let OverrideArgs { profiles, set } = overrides;
        let mut words = vec!["runner".to_owned(), name.to_owned(), shell_word(&file.to_string_lossy())];
        words.extend(profiles.iter().map(|profile| format!("--profile {}", shell_word(profile))));
        words.extend(set.iter().map(|set| format!("--set {}", shell_word(set))));
        words.extend(
            store
                .folder
                .as_deref()
                .map(Path::to_string_lossy)
                .map(|store| format!("--store {}", shell_word(&store))),
        );
        words.join(" ")
    }

    /// Turns diagnostics into an error about this experiment.
    pub fn rejected(&self, diagnostics: Vec<Diagnostic>) -> Rejected {
        let file = self.file.clone();
        Rejected { file, diagnostics }
    }
}

/// `word`, quoted where a shell needs it. What would draw on a terminal is written as `$'\x1b'`, which shells read back.
pub(super) fn shell_word(word: &str) -> String {
    if word.chars().any(is_hidden) {
        return ansi_quoted(word);
    }
    // No argument of a process contains a NUL, the only character that cannot be quoted.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}

/// `$'a\n\xe2\x80\xae'`: characters that are hidden, byte by byte.
fn ansi_quoted(word: &str) -> String {
    let mut text = "$'".to_owned();
    for character in word.chars() {
        match character {
            '\'' | '\\' => text.extend(['\\', character]),
            '\n' => text += "\\n",
            '\t' => text += "\\t",
            c if is_hidden(c) => {
                let mut buffer = [0; 4];
                text.extend(c.encode_utf8(&mut buffer).bytes().map(|byte| format!("\\x{byte:02x}")));
            }
            c => text.push(c),
        }
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_would_draw_on_the_terminal_is_written_out() {
        assert_eq!(shell_word("a=1"), "'a=1'");
        assert_eq!(shell_word("it's\x1b[31m\n\u{202e}"), r"$'it\'s\x1b[31m\n\xe2\x80\xae'");
    }
}
