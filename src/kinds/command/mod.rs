//! `command`: runs a user's program as a stage.
//!
//! The program runs in an empty folder that holds only the files of its source. Its environment has only the variables that the stage
//! declares and those that name its inputs and outputs. Files among the arguments are copied into the folder too, without their
//! neighbours: a script that needs those fails, rather than depends on files that are in no key.
//!
//! | file | purpose |
//! |---|---|
//! | `program` | whether the program can be started, looked at before anything runs |
//! | `shebang` | what the first bytes of a file ask for when it is executed |
//! | `scratch` | the holder of the scratch folder; ends what an earlier one has left running |
//! | `work_folder` | the folder in which the program runs, with its files |
//! | `inputs` | the read-only folder with its inputs |
//! | `sandbox` | what it may read and write |
//! | `start` | its environment, and how it begins |
//! | `attend` | waits for its end, and ends what it leaves |
//! | `outputs` | makes what it wrote readable |
//! | `progress` | what it tells of its progress |
//! | `hint` | what its log tells of the sandbox |

mod attend;
mod hint;
mod inputs;
mod outputs;
mod program;
mod progress;
mod sandbox;
mod scratch;
mod shebang;
mod start;
mod work_folder;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use inputs::InputFolder;
use lab::config::{ConfigValue, ParamError};
use lab::processes;
use lab::source::{SOURCE, Source};
use lab::stage::failed;
use lab::stage::{Argument, Kind, Output, PortType, Stage, StageContext, StageError, is_port};
use program::{DEFAULT_PATH, Search};
use sandbox::{Sandbox, StageFolders};
use scratch::Scratch;
use work_folder::WorkFolder;

pub(super) static KIND: Kind = Kind {
    name: "command",
    version: 1,
    inputs: &[],
    free: true,
    outputs: &[],
    named: &[(SOURCE, "sources")],
    command_line: Some("run"),
    implied: &[],
    parse,
    schema: || schema_for!(CommandStage),
    follows_seed: true,
};

/// A program with its inputs and outputs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandStage {
    /// The program and its arguments. Those that are paths of files are these files.
    #[schemars(length(min = 1), with = "Vec<String>")]
    run: Vec<Argument>,
    /// The files among them.
    #[serde(skip)]
    files: Vec<Source>,
    /// An entry of `[sources]`: files that are put into the folder in which the program runs, such as its scripts.
    #[serde(default, skip_serializing)]
    source: Option<Source>,
    /// The type of each output, by name.
    #[schemars(extend("minProperties" = 1))]
    outputs: BTreeMap<String, PortType>,
    /// Values for the program, in the file that `RUNNER_PARAMS` names.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    params: serde_json::Map<String, serde_json::Value>,
    /// Environment variables; there are no others but `PATH`, `HOME`, `TMPDIR` and those that begin with `RUNNER_`.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Whether more than one thread helps.
    #[serde(default, skip_serializing)]
    threaded: bool,
}

fn parse(params: &ConfigValue, _given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    if let Some(name) = params.get(SOURCE).and_then(ConfigValue::as_str) {
        return Err(ParamError::new(SOURCE, format!("no source `{name}`")));
    }
    let mut command: CommandStage = params.read()?;
    let wrong = |field: &str, message: String| Err(ParamError::new(field, message));
    if let Some(source) = &command.source {
        source.check_at(SOURCE)?;
    }
    if command.run.first().is_none_or(|word| *word == Argument::Text(String::new())) {
        return wrong("run", "the list is empty; its first item is the program".to_owned());
    }
    if command.outputs.is_empty() {
        return wrong("outputs", "a stage needs an output: `outputs = { data = \"dataset\" }`".to_owned());
    }
    if let Some(name) = command.outputs.keys().find(|name| !is_port(name)) {
        return wrong(
            "outputs",
            format!("`{name}` cannot name an output: a name has lower-case letters, digits and `_` only, and is not `source`"),
        );
    }
    if let Some(name) = command
        .env
        .keys()
        .find(|name| name.is_empty() || name.contains(['=', '\0']) || name.starts_with("RUNNER_"))
    {
        return wrong(
            "env",
            format!("`{name}` cannot be set: a name has no `=`, and names that begin with `RUNNER_` are reserved"),
        );
    }
    if command.run.iter().any(|word| word.to_string().contains('\0')) {
        return wrong(
            "run",
            "a word has a NUL in it (`\\u0000`), which no program can be given".to_owned(),
        );
    }
    if let Some((name, _)) = command.env.iter().find(|(_, value)| value.contains('\0')) {
        return wrong("env", format!("`{name}` has a NUL in it (`\\u0000`), which no variable can hold"));
    }
    command.files = command.run.iter().filter_map(Argument::source).collect();
    Ok(Box::new(command))
}

impl Stage for CommandStage {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn unkeyed_params(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut params = serde_json::Map::from_iter([("threaded".to_owned(), json!(self.threaded))]);
        if !self.files.is_empty() {
            params.insert("run".to_owned(), self.run.iter().map(Argument::param).collect());
        }
        if let Some(source) = &self.source {
            params.insert(SOURCE.to_owned(), json!(source));
        }
        params
    }

    fn outputs(&self) -> Option<Vec<Output>> {
        let output = |(name, port): (&String, &PortType)| Output {
            name: name.clone().into(),
            port: *port,
        };
        Some(self.outputs.iter().map(output).collect())
    }

    fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    fn files(&self) -> &[Source] {
        &self.files
    }

    fn missing(&self) -> Option<String> {
        let search = Search {
            path: self.search_path(),
            folder: None,
        };
        program::problem(&self.run, self.source.as_ref(), &search)
    }

    fn draws(&self) -> bool {
        true
    }

    fn threaded(&self) -> bool {
        self.threaded
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        if context.alone {
            processes::adopt_descendants();
        }
        let scratch = Scratch::take(context)?;
        let ended = self.run_in(&scratch, context);
        if !matches!(ended, Err(RunError::StillRuns(_))) {
            scratch.release();
        }
        ended.map_err(StageError::from)
    }
}

/// Why a program gave no outputs.
enum RunError {
    Stage(StageError),
    /// A process that it started cannot be ended.
    StillRuns(String),
}

impl From<StageError> for RunError {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<RunError> for StageError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Stage(error) => error,
            RunError::StillRuns(what) => Self::Failed(what),
        }
    }
}

impl CommandStage {
    /// Where programs are searched.
    fn search_path(&self) -> &str {
        self.env.get("PATH").map_or(DEFAULT_PATH, String::as_str)
    }

    /// Runs the program in a scratch folder that nobody else uses.
    fn run_in(&self, scratch: &Scratch, context: &StageContext<'_>) -> Result<(), RunError> {
        let place = WorkFolder::new(scratch)?;
        let in_place = self.in_place();
        let before = in_place.map(state);
        place.fill(self, context)?;
        let sandbox = self.sandbox(&place, context);
        (context.held_by)(sandbox.held_by());
        if sandbox.held_by() == "none" {
            log("this system has no Landlock (Linux 5.19): the program may write wherever the user may");
        }
        for path in context.sandbox.writes.iter().filter(|path| !path.exists()) {
            log(&format!("the setting `writes` names {}, which is not there", path.display()));
        }
        // A link is a file of the store itself: only where the program cannot write to it. Else it is a copy.
        let inputs = InputFolder::new(place.inputs.clone(), context, sandbox.guards(&place.inputs))?;
        let mut command = start::command(self, context, &place, &inputs)?;
        let ended = attend::run(&mut command, &sandbox, &place, context, || {
            if in_place.map(state) == before {
                return Ok(());
            }
            let path = in_place.unwrap_or(Path::new(""));
            Err(failed(format!(
                "`{}` was changed after the run had begun ({}); run again",
                path.file_name().unwrap_or_default().to_string_lossy(),
                path.display()
            )))
        });
        let status = match ended? {
            attend::Ended::By(status) => status,
            attend::Ended::NotStarted(error) => {
                return Err(failed(start::explain(self, &command, &place.folder, &error)).into());
            }
        };
        inputs.check()?;
        if !status.success() {
            return Err(failed(self.failure(status, &sandbox, &place.folder)).into());
        }
        for (name, port) in &self.outputs {
            // What is not there, or another user's, is said below.
            let _ = outputs::open_to_user(&context.outputs.join(name));
            let path = context.outputs.join(name);
            let completed = if *port == PortType::Metrics && path.exists() {
                artifact::metrics::complete(&path)
            } else {
                Ok(())
            };
            let checked = completed.and_then(|()| artifact::check_format(&path, *port));
            checked.map_err(|error| failed(format!("output `{name}`: {error}") + &self.advice(&sandbox, &place.folder)))?;
        }
        Ok(())
    }

    /// The program, where it runs in place and is no copy.
    fn in_place(&self) -> Option<&Path> {
        match self.run.first()? {
            Argument::File { path, .. } if !shebang::is_script(path) => Some(path),
            _ => None,
        }
    }

    /// What the program may read and write.
    fn sandbox(&self, place: &WorkFolder, context: &StageContext<'_>) -> Sandbox {
        let search = Search {
            path: self.search_path(),
            folder: Some(&place.folder),
        };
        sandbox::make_caches(&self.env);
        // The store, the experiment's folder and its files.
        let objects = context.inputs.values().flatten();
        let files = self.files.iter().filter_map(|file| file.path.as_ref());
        let mut guarded: Vec<PathBuf> = objects.chain(files).cloned().collect();
        guarded.push(place.inputs.clone());
        guarded.extend(std::env::current_dir());
        let folders = StageFolders {
            own: vec![
                place.folder.clone(),
                place.private.clone(),
                place.kept.clone(),
                context.outputs.to_owned(),
            ],
            inputs: &place.inputs,
            guarded,
            // STORE/v1/scratch/KEY
            store: context.scratch.ancestors().nth(2).unwrap_or(context.scratch),
            programs: program::places(&self.run, &search),
            search: search.folders(),
        };
        Sandbox::new(context.sandbox, &self.env, folders)
    }

    /// The message for a program that failed.
    fn failure(&self, status: ExitStatus, sandbox: &Sandbox, folder: &Path) -> String {
        format!("`{}` failed: {status}", start::line(&self.run)) + &self.advice(sandbox, folder)
    }

    /// What may be the reason for a failure, to be added to its message.
    fn advice(&self, sandbox: &Sandbox, folder: &Path) -> String {
        let mut text = hint::hint(sandbox, folder).map_or_else(String::new, |hint| format!("; {hint}"));
        let shell = |word: &Argument| matches!(word.to_string().rsplit('/').next(), Some("sh" | "bash" | "dash" | "ksh" | "zsh"));
        if let Some(file) = self.files.first().filter(|_| self.run.first().is_some_and(shell))
            && std::fs::read(folder.join(&file.name)).is_ok_and(|text| text.windows(2).any(|pair| pair == b"\r\n"))
        {
            text += &format!(
                "; `{0}` has the line ends of Windows, and a shell takes them as a part of the lines: `sed -i 's/\\r$//' {0}` mends it",
                file.name
            );
        }
        text
    }
}

/// What changes when a file is replaced or written to.
fn state(path: &Path) -> Option<(u64, u64, u64, i64, i64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}

/// Writes a line of our own to the stage's log.
fn log(text: &str) {
    // If the log cannot be written, the line is lost.
    let _ = writeln!(std::io::stderr(), "runner: {text}");
}
