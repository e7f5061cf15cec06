//! `command`: runs a user's program as a stage.
//!
//! The program runs in an empty folder that holds only the files of its source. Its environment has only the variables that the stage
//! declares and those below, which name its inputs and outputs. Files among the arguments are copied into the folder too, without their
//! neighbours: a script that needs those fails, rather than depends on files that are in no key.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use lab::config::{ConfigValue, ParamError};
use lab::event::Progress;
use lab::hash;
use lab::source::{SOURCE, Source};
use lab::stage::failed;
use lab::stage::{Argument, Kind, Output, PortType, Stage, StageContext, StageError, is_port};

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

/// The default search path for programs; `env` can set another.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The interval at which the program is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A program that does not end after SIGTERM is killed after this time.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

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

    fn draws(&self) -> bool {
        true
    }

    fn threaded(&self) -> bool {
        self.threaded
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let place = WorkFolder::new(context)?;
        if let Some(source) = &self.source {
            place.fill(&source.list(context.input(SOURCE)?).map_err(failed)?, context)?;
            context.check_source(source)?;
        }
        for file in &self.files {
            let path = file.path.clone().unwrap_or_default();
            place.fill(&[(file.name.clone(), path)], context)?;
        }
        let mut child = self.start(context, &place)?;
        let ended = attend(&mut child, &place, context);
        // However it ended, neither the program nor a process that it started may outlive the stage.
        end(&mut child);
        let status = ended?;
        if !status.success() {
            let words: Vec<String> = self.run.iter().map(ToString::to_string).collect();
            return Err(failed(format!("`{}` failed: {status}", words.join(" "))));
        }
        for (name, port) in &self.outputs {
            let checked = artifact::check_format(&context.outputs.join(name), *port);
            checked.map_err(|error| failed(format!("output `{name}`: {error}")))?;
        }
        Ok(())
    }
}

impl CommandStage {
    fn start(&self, context: &StageContext<'_>, place: &WorkFolder) -> Result<Child, StageError> {
        let (program, arguments) = self.run.split_first().ok_or_else(|| failed("no program"))?;
        let params = place.private.join("params.json");
        let text = serde_json::to_string_pretty(&self.params).map_err(failed)?;
        fs::write(&params, text).map_err(failed)?;
        let program = match program {
            // A program that is not a script runs in place: it needs the files that it was installed with.
            Argument::File { path, .. } if !is_script(path) => path.display().to_string(),
            word => word.to_string(),
        };
        let mut process = Process::new(&program);
        process
            .args(arguments.iter().map(ToString::to_string))
            .current_dir(&place.folder)
            .env_clear()
            .env("PATH", DEFAULT_PATH)
            .env("HOME", &place.folder)
            .env("TMPDIR", &place.private)
            .envs(&self.env)
            .env("RUNNER_PARAMS", params)
            .env("RUNNER_PROGRESS", &place.progress)
            .env("RUNNER_SCRATCH", &place.kept)
            .env("RUNNER_SEED", context.seed.to_string())
            .env("RUNNER_THREADS", context.threads.to_string())
            .env("RUNNER_DEVICE", context.device)
            // A process group, so that the program and all that it starts can be ended together.
            .process_group(0)
            // Its output goes to the log of the stage.
            .stdin(Stdio::null())
            .stdout(Stdio::from(std::io::stderr()));
        for (name, paths) in context.inputs.iter().filter(|(name, _)| *name != SOURCE) {
            let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            process.env(format!("RUNNER_INPUT_{}", name.to_uppercase()), paths.join("\n"));
        }
        for name in self.outputs.keys() {
            process.env(format!("RUNNER_OUTPUT_{}", name.to_uppercase()), context.outputs.join(name));
        }
        process.spawn().map_err(|error| {
            let searched = self.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
            let searched = if program.contains('/') {
                String::new()
            } else {
                format!(" (searched in {searched})")
            };
            failed(format!("cannot start `{program}`: {error}{searched}"))
        })
    }
}

/// Where a program runs.
struct WorkFolder {
    /// Its working folder; empty but for the files of its source.
    folder: PathBuf,
    /// For files that the program need not see.
    private: PathBuf,
    /// The file to which the program writes its progress, as JSON Lines.
    progress: PathBuf,
    /// A folder that outlives a killed stage: for checkpoints.
    kept: PathBuf,
}

impl WorkFolder {
    fn new(context: &StageContext<'_>) -> Result<Self, StageError> {
        let scratch = std::path::absolute(context.scratch).map_err(failed)?;
        let (folder, private, kept) = (scratch.join("work"), scratch.join("private"), scratch.join("kept"));
        for folder in [&folder, &private] {
            // Files of an earlier attempt.
            let _ = fs::remove_dir_all(folder);
        }
        for folder in [&folder, &private, &kept] {
            fs::create_dir_all(folder).map_err(|error| failed(format!("cannot create {}: {error}", folder.display())))?;
        }
        let progress = private.join("progress.jsonl");
        File::create(&progress).map_err(failed)?;
        Ok(Self {
            folder,
            private,
            progress,
            kept,
        })
    }

    /// Puts files into the folder under their names.
    fn fill(&self, files: &[(String, PathBuf)], context: &StageContext<'_>) -> Result<(), StageError> {
        for (name, path) in files {
            let to = self.folder.join(name);
            let copied = fs::create_dir_all(to.parent().unwrap_or(&self.folder)).and_then(|()| fs::copy(path, &to));
            copied.map_err(|error| failed(format!("cannot copy {}: {error}", path.display())))?;
            // Of the copy: the file may have been edited while earlier stages ran.
            let digest = hash::file(&to).map_err(failed)?;
            if context.files.get(name).is_some_and(|expected| *expected != digest) {
                let message = format!("`{name}` was changed after the run had begun ({}); run again", path.display());
                return Err(failed(message));
            }
        }
        Ok(())
    }
}

/// Whether a file is a script: its first line names its interpreter.
fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// Waits for the program to end and reports its progress; ends it when the stage is asked to stop.
fn attend(child: &mut Child, place: &WorkFolder, context: &StageContext<'_>) -> Result<ExitStatus, StageError> {
    let mut told = 0;
    let mut asked: Option<Instant> = None;
    loop {
        told = tell(&place.progress, told, context).unwrap_or(told);
        if let Some(status) = child.try_wait().map_err(failed)? {
            match asked {
                None => return Ok(status),
                // A shell may have ended while its children still save their state.
                Some(since) if since.elapsed() > STOP_TIMEOUT || !is_left(child) => return Err(StageError::Stopped),
                Some(_) => {}
            }
        }
        match asked {
            None if (context.stop)() => {
                asked = Some(Instant::now());
                signal(child, Signal::TERM);
            }
            Some(since) if since.elapsed() > STOP_TIMEOUT => signal(child, Signal::KILL),
            _ => {}
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The process group of the program and all that it has started.
fn group(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}

/// Sends a signal to the program and all that it has started, which may have ended in the meantime.
fn signal(child: &Child, signal: Signal) {
    let _ = group(child).map(|group| kill_process_group(group, signal));
}

/// Whether the program or a process that it started still runs.
fn is_left(child: &Child) -> bool {
    group(child).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// Kills the program and all that it has started, and waits up to a second until all have ended.
fn end(child: &mut Child) {
    let asked = Instant::now();
    while is_left(child) && asked.elapsed() < Duration::from_secs(1) {
        signal(child, Signal::KILL);
        let _ = child.try_wait();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A line of progress; all fields but `done` are optional.
#[derive(Deserialize)]
struct ReportedProgress {
    done: u64,
    #[serde(default)]
    total: u64,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    readings: BTreeMap<String, f64>,
}

/// Reports the complete lines from byte `from` on, and returns where the next one begins. Lines that are not progress are ignored.
fn tell(path: &Path, from: u64, context: &StageContext<'_>) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() <= from {
        return Ok(from);
    }
    file.seek(SeekFrom::Start(from))?;
    let (mut reader, mut read) = (BufReader::new(file), from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        read += line.len() as u64;
        if let Ok(said) = serde_json::from_slice::<ReportedProgress>(&line) {
            (context.progress)(Progress {
                done: said.done,
                total: said.total,
                unit: said.unit.unwrap_or_else(|| "steps".to_owned()),
                readings: said.readings,
            });
        }
        line.clear();
    }
    Ok(read)
}
