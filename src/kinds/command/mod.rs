//! `command`: runs a user's program as a stage.
//!
//! The program runs in an empty folder that holds only the files of its source, and links to inputs that have a place in it. Its
//! environment has only the variables that the stage declares and those that name its inputs and outputs. Files among the arguments are
//! copied into the folder too, without their neighbours: a script that needs those fails, rather than depends on files that are in no key.
//!
//! | file | purpose |
//! |---|---|
//! | `program` | whether the program can be started, looked at before anything runs |
//! | `shebang` | what the first bytes of a file ask for when it is executed |
//! | `scratch` | the holder of the scratch folder; ends what an earlier one has left running |
//! | `work_folder` | the folder in which the program runs, with its files |
//! | `inputs` | the read-only folder with its inputs |
//! | `environment` | how it is started, what is installed there, and which variables it gets |
//! | `input_places` | the places of inputs in its folder |
//! | `placeholders` | what is filled in when it starts |
//! | `sandbox` | what it may read and write |
//! | `start` | its environment, and how it begins |
//! | `attend` | waits for its end, and ends what it leaves |
//! | `declared_output` | an output as it is declared |
//! | `pattern` | paths in its folder, and patterns of them |
//! | `files_before` | what there is in its folder before it begins |
//! | `take` | takes outputs from its folder |
//! | `outputs` | makes what it wrote readable |
//! | `progress` | what it tells of its progress |
//! | `hint` | what its log tells of the sandbox |

mod attend;
mod declared_output;
mod environment;
mod files_before;
mod hint;
mod input_places;
mod inputs;
mod outputs;
mod pattern;
mod placeholders;
mod program;
mod progress;
mod sandbox;
mod scratch;
mod shebang;
mod start;
mod take;
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
use declared_output::DeclaredOutput;
use environment::{Environment, is_python};
use files_before::FilesBefore;
use inputs::InputFolder;
use lab::config::{ConfigValue, ParamError, SandboxMode};
use lab::processes;
use lab::source::{SOURCE, Source};
use lab::stage::failed;
use lab::stage::{
    Argument, Caller, ENVIRONMENT, ImpliedParam, Kind, Output, Preparation, ProgramText, Secret, Stage, StageContext, StageError,
};
use pattern::OutputPath;
use placeholders::FilledProgram;
use program::{Search, search_path};
use sandbox::{Sandbox, StageFolders};
use scratch::Scratch;
use take::EndedProgram;
use work_folder::WorkFolder;

pub(super) static KIND: Kind = Kind {
    name: "command",
    version: 1,
    inputs: &[],
    free: true,
    outputs: &[],
    named: &[(SOURCE, "sources"), (ENVIRONMENT, "environments")],
    command_line: Some("run"),
    implied: &[ImpliedParam {
        path: &[ENVIRONMENT],
        value: || serde_json::Value::Null,
    }],
    parse,
    schema: || schema_for!(CommandStage),
    follows_seed: true,
};

/// A program with its inputs and outputs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandStage {
    /// The program and its arguments. Those that are paths of files are these files. `{input.data}`, `{output.model}`, `{stage.seed}` and
    /// the like are filled in when the stage runs.
    #[schemars(length(min = 1), with = "Vec<String>")]
    run: Vec<Argument>,
    /// The files among them.
    #[serde(skip)]
    files: Vec<Source>,
    /// An entry of `[sources]`: files that are put into the folder in which the program runs, such as its scripts.
    #[serde(default, skip_serializing)]
    source: Option<Source>,
    /// The type of each output, by name, or a table that also says where the program writes it.
    #[schemars(extend("minProperties" = 1))]
    outputs: BTreeMap<String, DeclaredOutput>,
    /// Where the program finds inputs in its folder, by name. It is written with the inputs; without one it is in no key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    input_paths: BTreeMap<String, String>,
    /// Values for the program, in the file that `RUNNER_PARAMS` names.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    params: serde_json::Map<String, serde_json::Value>,
    /// An entry of `[environments]`: how the program is started, and what decides what is installed there.
    #[serde(default, serialize_with = "environment::keyed")]
    environment: Option<Environment>,
    /// The files of the environment.
    #[serde(skip)]
    environment_files: Vec<Source>,
    /// Environment variables. Those that choose a device are not part of the key.
    #[serde(default, serialize_with = "environment::keyed_env")]
    #[schemars(with = "BTreeMap<String, String>")]
    env: BTreeMap<String, ProgramText>,
    /// Variables of the caller that the program gets as well; not part of the key.
    #[serde(default, skip_serializing)]
    pass: Vec<String>,
    /// Variables of the caller that the program gets and nobody may see; not part of the key.
    #[serde(default, skip_serializing)]
    secrets: Vec<String>,
    /// Whether more than one thread helps.
    #[serde(default, skip_serializing)]
    threaded: bool,
}

/// The version of a Python on this machine; `None` where it gives none.
pub fn python_version(interpreter: &Path) -> Option<String> {
    environment::python_version(interpreter, None)
}

fn parse(params: &ConfigValue, _given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    if let Some(name) = params.get(SOURCE).and_then(ConfigValue::as_str) {
        return Err(ParamError::new(SOURCE, format!("no source `{name}`")));
    }
    if let Some(name) = params.get(ENVIRONMENT).and_then(ConfigValue::as_str) {
        return Err(ParamError::new(ENVIRONMENT, format!("no environment `{name}`")));
    }
    let mut command: CommandStage = params.read()?;
    let wrong = |field: &str, message: String| Err(ParamError::new(field, message));
    if let Some(source) = &mut command.source {
        source.check_at(SOURCE)?;
        source.is_code = true;
    }
    if command.run.first().is_none_or(|word| *word == Argument::Text(String::new())) {
        return wrong("run", "the list is empty; its first item is the program".to_owned());
    }
    input_places::check(&command.input_paths)?;
    declared_output::check(&command.outputs, &command.input_paths)?;
    // The path of a file cannot have one.
    let has_nul = |word: &Argument| match word {
        Argument::Text(text) | Argument::File { before: text, .. } => text.contains('\0'),
        Argument::Template(template) => template.to_string().contains('\0'),
    };
    if command.run.iter().any(has_nul) {
        return wrong(
            "run",
            "a word has a NUL in it (`\\u0000`), which no program can be given".to_owned(),
        );
    }
    command.read_environment()?;
    placeholders::check_shell(&command.run)?;
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
        if self.outputs.values().any(|output| !output.0.select.is_empty()) {
            let outputs = self.outputs.iter().map(|(name, output)| (name.clone(), output.param()));
            params.insert("outputs".to_owned(), serde_json::Value::Object(outputs.collect()));
        }
        if let Some(source) = &self.source {
            params.insert(SOURCE.to_owned(), json!(source));
        }
        params.extend(self.unkeyed_environment());
        params
    }

    fn outputs(&self) -> Option<Vec<Output>> {
        let output = |(name, output): (&String, &DeclaredOutput)| Output {
            name: name.clone().into(),
            port: output.0.port,
        };
        Some(self.outputs.iter().map(output).collect())
    }

    fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    fn files(&self) -> &[Source] {
        &self.files
    }

    fn environment_files(&self) -> &[Source] {
        &self.environment_files
    }

    fn preparation(&self) -> Option<Preparation> {
        self.environment.as_ref()?.preparation()
    }

    fn secrets(&self) -> Vec<Secret<'_>> {
        self.named_secrets()
    }

    fn missing(&self, caller: &Caller<'_>, sandbox: SandboxMode) -> Option<String> {
        environment::unheld(self, sandbox).or_else(|| environment::missing(self, caller))
    }

    fn interpreter(&self, caller: &Caller<'_>) -> Option<PathBuf> {
        let path = environment::search_path(self, caller)?;
        let search = Search { path: &path, folder: None };
        let found = program::interpreter(&self.run, &search);
        found.filter(|path| self.environment.is_none() && is_python(path))
    }

    fn check_inputs(&self, inputs: &BTreeMap<String, usize>) -> Result<(), ParamError> {
        placeholders::check(self, inputs)
    }

    fn selected_metrics(&self, port: &str) -> &[String] {
        self.outputs.get(port).map_or(&[], |output| &output.0.select)
    }

    fn declared_path(&self, port: &str) -> Option<&str> {
        self.outputs.get(port)?.0.path.as_deref()
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
    /// The path to which the program must write an output; `None` where a pattern finds it.
    fn output_path(&self, name: &str, context: &StageContext<'_>, place: &WorkFolder) -> Option<PathBuf> {
        match &self.outputs.get(name)?.0.path {
            None => Some(context.outputs.join(name)),
            Some(path) => Some(place.folder.join(OutputPath::parse(path).ok()?.plain()?)),
        }
    }

    /// Runs the program in a scratch folder that nobody else uses.
    fn run_in(&self, scratch: &Scratch, context: &StageContext<'_>) -> Result<(), RunError> {
        if let Some(problem) = environment::unheld(self, context.sandbox.mode) {
            return Err(failed(problem).into());
        }
        let place = WorkFolder::new(scratch)?;
        let in_place = self.in_place();
        let before = in_place.map(state);
        place.fill(self, context)?;
        let filled = placeholders::fill(self, context, &place)?;
        let filled = FilledProgram {
            env: environment::of_program(self, filled.env, context, &place),
            ..filled
        };
        let found = environment::check(self, &filled, &place, context)?;
        (context.found)(found.program);
        let sandbox = self.sandbox(&filled, &place, context, found.readable);
        (context.held_by)(sandbox.held_by());
        if sandbox.held_by() == "none" {
            let why = environment::container(self).map_or_else(
                || "this system has no Landlock (Linux 5.19)".to_owned(),
                |name| format!("`{name}` mounts folders, which no program in a sandbox may do"),
            );
            log(&format!("{why}: the program may write wherever the user may"));
        }
        for path in context.sandbox.writes.iter().filter(|path| !path.exists()) {
            log(&format!("the setting `writes` names {}, which is not there", path.display()));
        }
        // A link is a file of the store itself: only where the program cannot write to it. Else it is a copy.
        let inputs = InputFolder::new(place.inputs.clone(), context, sandbox.guards(&place.inputs))?;
        input_places::lay(&self.input_paths, &place.folder, &inputs)?;
        let files_before = FilesBefore::of(&place.folder).map_err(failed)?;
        let mut command = start::command(self, &filled, context, &place, &inputs)?;
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
                return Err(failed(start::explain(self, &filled, &command, &place.folder, &error)).into());
            }
        };
        inputs.check()?;
        if !status.success() {
            return Err(failed(self.failure(status, &sandbox, &place.folder)).into());
        }
        let ended = EndedProgram {
            folder: &place.folder,
            before: &files_before,
            outputs: context.outputs,
        };
        let taken = ended.take(self);
        taken.map_err(|error| failed(error.to_string() + &self.advice(&sandbox, &place.folder)))?;
        for (name, output) in &self.outputs {
            // What is not there, or another user's, is said below.
            let _ = outputs::open_to_user(&context.outputs.join(name));
            let checked = artifact::check_format(&context.outputs.join(name), output.0.port);
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
    fn sandbox(&self, filled: &FilledProgram, place: &WorkFolder, context: &StageContext<'_>, readable: Vec<PathBuf>) -> Sandbox {
        let search = Search {
            path: search_path(&filled.env),
            folder: Some(&place.folder),
        };
        // Its own folders are no caches: they end with the stage.
        let mut named = filled.env.clone();
        named.retain(|_, value| *value != place.folder.to_string_lossy() && *value != place.tmp.to_string_lossy());
        sandbox::make_caches(&named);
        // The store, the experiment's folder and its files.
        let objects = context.inputs.values().flatten();
        let files = self.files.iter().filter_map(|file| file.path.as_ref());
        let mut guarded: Vec<PathBuf> = objects.chain(files).cloned().collect();
        guarded.push(place.inputs.clone());
        guarded.extend(std::env::current_dir());
        let mut programs = program::places(&filled.run, &search);
        let launcher = self.environment.as_ref().and_then(Environment::launcher);
        programs.extend(
            launcher
                .into_iter()
                .flat_map(|word| program::places(&[Argument::Text(word.to_owned())], &search)),
        );
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
            programs,
            search: search.folders(),
            readable,
            mounts: environment::container(self).is_some(),
        };
        Sandbox::new(context.sandbox, &named, folders)
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
