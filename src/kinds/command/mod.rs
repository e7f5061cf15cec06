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
//! | `run` | runs the program in its scratch folder, from the filling of the folder to its outputs |
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
mod run;
mod sandbox;
mod scratch;
mod shebang;
mod start;
mod take;
mod work_folder;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use attend::RunError;
use declared_output::DeclaredOutput;
use environment::{Environment, is_python};
use lab::config::{ConfigValue, ParamError, SandboxMode};
use lab::processes;
use lab::source::{SOURCE, Source};
use lab::stage::{
    Argument, Caller, ENVIRONMENT, Effort, ImpliedParam, Kind, Output, Preparation, ProgramText, Secret, Stage, StageContext, StageError,
};
use pattern::OutputPath;
use program::Search;
use scratch::Scratch;
use work_folder::WorkFolder;

/// The param that is the number of GPUs.
const GPUS: &str = "gpus";

pub(super) static KIND: Kind = Kind {
    name: "command",
    version: 1,
    inputs: &[],
    free: true,
    outputs: &[],
    named: &[(SOURCE, "sources"), (ENVIRONMENT, "environments")],
    command_line: Some("run"),
    gpus: Some(GPUS),
    implied: &[ImpliedParam {
        path: &[ENVIRONMENT],
        value: || serde_json::Value::Null,
    }],
    parse,
    schema: || schema_for!(CommandStage),
    follows_seed: true,
    // What a program does is not known; one of the same words is thought to do the same.
    effort: |_, _| Some(Effort::one("runs")),
    shares_worker: false,
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
    /// The number of GPUs that its resources give it.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    gpus: usize,
    /// Whether the number of GPUs may change what the program computes, and so is part of the key.
    #[serde(default = "yes", skip_serializing)]
    gpus_matter: bool,
}

fn yes() -> bool {
    true
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
        let mut params = json!(self);
        // Without GPUs, the key is that of stages from before there were resources.
        if self.gpus > 0 && self.gpus_matter {
            params[GPUS] = self.gpus.into();
        }
        params
    }

    fn unkeyed_params(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut params = serde_json::Map::from_iter([("threaded".to_owned(), json!(self.threaded))]);
        if self.gpus > 0 && !self.gpus_matter {
            params.extend([(GPUS.to_owned(), json!(self.gpus)), ("gpus_matter".to_owned(), json!(false))]);
        }
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

impl CommandStage {
    /// The path to which the program must write an output; `None` where a pattern finds it.
    fn output_path(&self, name: &str, context: &StageContext<'_>, place: &WorkFolder) -> Option<PathBuf> {
        match &self.outputs.get(name)?.0.path {
            None => Some(context.outputs.join(name)),
            Some(path) => Some(place.folder.join(OutputPath::parse(path).ok()?.plain()?)),
        }
    }
}

/// Writes a line of our own to the stage's log.
fn log(text: &str) {
    // If the log cannot be written, the line is lost.
    let _ = writeln!(std::io::stderr(), "runner: {text}");
}
