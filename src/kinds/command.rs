//! `command`: runs a program of one's own as a stage.
//!
//! The program runs in an empty folder, with the files of its source and an environment that holds what the stage declares and nothing else. It is
//! told by the variables below where its inputs are and where its outputs go. Words of the command line that are files are put into the folder,
//! too: what else lies beside them is not there, so that a script which needs it fails rather than depends on what is in no key.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use figment::value::Value;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
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
    words: Some("run"),
    parse,
    schema: || schema_for!(CommandStage),
    follows_seed: true,
};

/// Where programs are looked for, unless `env` says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How often the program is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A program that was asked to end is killed after so long.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A program, what it is given, and what it puts out.
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
    /// What it puts out: the type of each output, by name.
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

fn parse(params: &Value, _given: &[&str]) -> Result<Box<dyn Stage>, figment::Error> {
    if let Some(name) = params.find_ref(SOURCE).and_then(Value::as_str) {
        return Err(figment::Error::from(format!("no source `{name}`")).with_path(SOURCE));
    }
    let mut command: CommandStage = params.deserialize()?;
    let wrong = |field: &str, message: String| Err(figment::Error::from(message).with_path(field));
    if let Some(source) = &command.source {
        source.check_at(SOURCE)?;
    }
    if command.run.first().is_none_or(|word| *word == Argument::Text(String::new())) {
        return wrong("run", "the list is empty; its first item is the program".to_owned());
    }
    if command.outputs.is_empty() {
        return wrong(
            "outputs",
            "a stage puts out something: `outputs = { data = \"dataset\" }`".to_owned(),
        );
    }
    if let Some(name) = command.outputs.keys().find(|name| !is_port(name)) {
        return wrong(
            "outputs",
            format!("`{name}` cannot name an output: small letters, digits and `_` only, and not `source`"),
        );
    }
    if let Some(name) = command
        .env
        .keys()
        .find(|name| name.is_empty() || name.contains(['=', '\0']) || name.starts_with("RUNNER_"))
    {
        return wrong(
            "env",
            format!("`{name}` cannot be set: a name has no `=`, and those that begin with `RUNNER_` are ours"),
        );
    }
    command.files = command.run.iter().filter_map(Argument::source).collect();
    Ok(Box::new(command))
}

impl Stage for CommandStage {
    fn params(&self) -> serde_json::Value {
        json!(self)
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
        // Whatever ended the attention: nothing goes on behind the stage's back, neither the program nor what it started.
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
            // What is no script needs what it was installed with.
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
            // With all that it starts it can be ended as one.
            .process_group(0)
            // All that it says goes to the stage's log.
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
                format!(" (programs are looked for in {searched})")
            };
            failed(format!("cannot start `{program}`: {error}{searched}"))
        })
    }
}

/// Where a program runs.
struct WorkFolder {
    /// Its working folder; empty but for the files of its source.
    folder: PathBuf,
    /// What it need not see.
    private: PathBuf,
    /// Lines of JSON that tell how far it is.
    progress: PathBuf,
    /// A folder that outlives a killed stage: for checkpoints.
    kept: PathBuf,
}

impl WorkFolder {
    fn new(context: &StageContext<'_>) -> Result<Self, StageError> {
        let scratch = std::path::absolute(context.scratch).map_err(failed)?;
        let (folder, private, kept) = (scratch.join("work"), scratch.join("private"), scratch.join("kept"));
        for folder in [&folder, &private] {
            // What an earlier try left is no part of this one.
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
            // The copy: people go on editing while stages before this one run.
            let digest = hash::file(&to).map_err(failed)?;
            if context.files.get(name).is_some_and(|expected| *expected != digest) {
                let message = format!("`{name}` was changed after the run had begun ({}); run again", path.display());
                return Err(failed(message));
            }
        }
        Ok(())
    }
}

/// Whether a file is one that another program reads, which its first line names.
fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// Waits for the program to end, telling how far it is, and ends it when the stage is asked to stop.
fn attend(child: &mut Child, place: &WorkFolder, context: &StageContext<'_>) -> Result<ExitStatus, StageError> {
    let mut told = 0;
    let mut asked: Option<Instant> = None;
    loop {
        told = tell(&place.progress, told, context).unwrap_or(told);
        if let Some(status) = child.try_wait().map_err(failed)? {
            match asked {
                None => return Ok(status),
                // A shell may be gone, and what it has started still saves.
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

/// The program's process group, in which is all that it has started.
fn group(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}

/// Sends a signal to the program and all that it has started. They may have ended at this moment.
fn signal(child: &Child, signal: Signal) {
    let _ = group(child).map(|group| kill_process_group(group, signal));
}

/// Whether anything runs of the program and what it has started.
fn is_left(child: &Child) -> bool {
    group(child).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// Ends the program and all that it has started, and waits a moment until nothing of it is left.
fn end(child: &mut Child) {
    let asked = Instant::now();
    while is_left(child) && asked.elapsed() < Duration::from_secs(1) {
        signal(child, Signal::KILL);
        let _ = child.try_wait();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a line of progress says; all but `done` may be left out.
#[derive(Deserialize)]
struct ProgressLine {
    done: u64,
    #[serde(default)]
    total: u64,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    readings: BTreeMap<String, f64>,
}

/// Tells the whole lines from byte `from` on; how many bytes have been read. What is no progress is passed over.
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
        if let Ok(said) = serde_json::from_slice::<ProgressLine>(&line) {
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
