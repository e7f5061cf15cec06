//! Starts the program of a stage: its environment, the state in which it begins, and the message when it cannot be started.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use super::inputs::{InputFolder, InputPort};
use super::placeholders::FilledProgram;
use super::program::{Search, problem, search_path};
use super::work_folder::WorkFolder;
use super::{CommandStage, environment, shebang};
use lab::processes::SCRATCH_VARIABLE;
use lab::stage::{Argument, StageContext, StageError, failed};

/// The longest list of inputs in a variable. Linux limits one to 128 KiB.
const LONGEST_LIST: usize = 100_000;

/// The longest lists of inputs together: arguments and environment are limited to 2 MiB by the usual size of a stack.
const LONGEST_LISTS: usize = 1_000_000;

/// The longest word or variable that Linux takes.
const LONGEST_WORD: usize = 128 << 10;

/// The command of a stage, ready to be started.
pub(super) fn command(
    stage: &CommandStage,
    filled: &FilledProgram,
    context: &StageContext<'_>,
    place: &WorkFolder,
    inputs: &InputFolder,
) -> Result<Command, StageError> {
    let (first, arguments) = filled.run.split_first().ok_or_else(|| failed("no program"))?;
    let text = serde_json::to_string_pretty(&stage.params).map_err(failed)?;
    std::fs::write(&place.params, text).map_err(failed)?;
    let program = match first {
        // A program that is not a script runs in place: it needs the files that it was installed with.
        Argument::File { path, .. } if !shebang::is_script(path) => path.clone().into_os_string(),
        word => word.to_string().into(),
    };
    let words = [program].into_iter().chain(arguments.iter().map(|word| word.to_string().into()));
    let words = environment::launched(stage.environment.as_ref(), words.collect());
    let (program, arguments) = words.split_first().ok_or_else(|| failed("no program"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&place.folder)
        .env_clear()
        .envs(&filled.env)
        .envs(environment::secrets(stage, &context.caller)?)
        .env("RUNNER_PARAMS", &place.params)
        .env("RUNNER_PROGRESS", &place.progress)
        .env(SCRATCH_VARIABLE, &place.kept)
        .env("RUNNER_SEED", context.seed.to_string())
        .env("RUNNER_THREADS", context.threads.to_string())
        .env("RUNNER_DEVICE", context.device)
        // Its output goes to the log of the stage.
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()));
    let mut left = LONGEST_LISTS;
    for port in &inputs.ports {
        let name = port.name.to_uppercase();
        let list = place.private.join(format!("inputs-{}.txt", port.name));
        let mut lines = joined(&port.paths);
        lines.push("\n");
        std::fs::write(&list, lines.as_bytes()).map_err(failed)?;
        let value = value(port, place, inputs, left.min(LONGEST_LIST));
        left = left.saturating_sub(value.len());
        command
            .env(format!("RUNNER_INPUT_{name}"), value)
            .env(format!("RUNNER_LIST_{name}"), list);
    }
    for name in stage.outputs.keys() {
        if let Some(path) = stage.output_path(name, context, place) {
            command.env(format!("RUNNER_OUTPUT_{}", name.to_uppercase()), path);
        }
    }
    begin_afresh(&mut command);
    Ok(command)
}

/// The value of the variable that names the artifacts at an input: their paths, one per line. Where these are too long for a variable, they
/// are meant from the program's folder; where they still are, it is the folder that has them all.
fn value(port: &InputPort, place: &WorkFolder, inputs: &InputFolder, longest: usize) -> OsString {
    let whole = joined(&port.paths);
    if whole.len() <= longest {
        return whole;
    }
    let relative: Option<Vec<PathBuf>> = port.paths.iter().map(|path| way(&place.folder, path)).collect();
    match relative.map(|paths| joined(&paths)) {
        Some(relative) if relative.len() <= longest => relative,
        _ => inputs.folder().join(&port.name).into_os_string(),
    }
}

/// One path per line.
fn joined(paths: &[PathBuf]) -> OsString {
    let paths: Vec<&[u8]> = paths.iter().map(|path| path.as_os_str().as_bytes()).collect();
    OsString::from_vec(paths.join(&b'\n'))
}

/// The way from the folder `from` to `path`; both are whole paths.
pub(super) fn way(from: &Path, path: &Path) -> Option<PathBuf> {
    let common = from.ancestors().find(|ancestor| path.starts_with(ancestor))?;
    let up = from.strip_prefix(common).ok()?.components().map(|_| Component::ParentDir);
    Some(up.collect::<PathBuf>().join(path.strip_prefix(common).ok()?))
}

/// The program begins in the same state however the runner was started: from a terminal, in the background, by another program.
pub(super) fn begin_afresh(command: &mut Command) {
    let worker = std::process::id().cast_signed();
    // SAFETY: the closure runs in the child, between fork and exec, and makes nothing but system calls: it allocates nothing and takes no
    // lock.
    unsafe {
        command.pre_exec(move || prepare(worker));
    }
}

/// What the child of the worker does before it becomes the program: only system calls.
fn prepare(worker: i32) -> io::Result<()> {
    // A session of its own: no terminal can stop it, and it is ended together with all that it starts.
    rustix::process::setsid()?;
    // A worker that is killed takes the program with it.
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_nonzero);
        if parent.is_none_or(|parent| parent.get() != worker) {
            // It was killed before this.
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
    }
    // Whoever may use the store may read what the program writes.
    let open = rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH;
    let mask = rustix::process::umask(open);
    rustix::process::umask(mask & open);
    // Signals that a shell had it ignore, in the background for instance, and those that the runner ignores so that no terminal stops
    // it. `nohup` stays in force.
    for signal in [
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGCHLD,
        libc::SIGALRM,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ] {
        // SAFETY: a system call that takes no pointer but the constant for the default.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    Ok(())
}

/// The message for a program that could not be started.
pub(super) fn explain(stage: &CommandStage, filled: &FilledProgram, command: &Command, folder: &Path, error: &io::Error) -> String {
    let search = Search {
        path: search_path(&filled.env),
        folder: Some(folder),
    };
    let program = command.get_program().to_string_lossy();
    if error.raw_os_error() == Some(libc::E2BIG) {
        return format!("cannot start `{program}`: {}", too_long(command));
    }
    let of_stage = problem(&filled.run, None, &search).filter(|_| stage.environment.is_none());
    of_stage.unwrap_or_else(|| {
        let why = match error.raw_os_error() {
            Some(libc::ENOEXEC) => "it is no program for this machine".to_owned(),
            _ => error.to_string(),
        };
        format!("cannot start `{program}`: {why}")
    })
}

/// What is too long for the system.
fn too_long(command: &Command) -> String {
    let variables = || {
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, name.len() + value?.len() + 2)))
    };
    if let Some((place, word)) = command.get_args().enumerate().find(|(_, word)| word.len() >= LONGEST_WORD) {
        return format!(
            "word {} of `run` has {} bytes, and a word may have {LONGEST_WORD}: put it into a file",
            place + 2,
            word.len()
        );
    }
    if let Some((name, bytes)) = variables().find(|(_, bytes)| *bytes > LONGEST_WORD) {
        return format!(
            "the environment variable `{}` has {bytes} bytes, and one may have {LONGEST_WORD}: put it into a file or into `params`",
            name.to_string_lossy()
        );
    }
    let words: usize = command.get_args().map(|word| word.len() + 1).sum();
    let environment: usize = variables().map(|(_, bytes)| bytes).sum();
    let outputs = variables()
        .filter(|(name, _)| name.as_bytes().starts_with(b"RUNNER_OUTPUT_"))
        .count();
    format!(
        "its arguments have {words} bytes and its environment {environment}, of which {outputs} variables name outputs: together more than the \
         system allows a program (`getconf ARG_MAX`); give it a folder for many outputs, and files for long values"
    )
}

/// The words of a command line, as a person reads them.
pub(super) fn line(words: &[Argument]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_from_a_folder_leads_up_and_down() {
        let shown = |start: &str, path: &str| way(Path::new(start), Path::new(path)).unwrap().display().to_string();
        assert_eq!(shown("/s/key/work", "/s/key/inputs/d/0001"), "../inputs/d/0001");
        assert_eq!(shown("/s/a/work", "/other/x"), "../../../other/x");
        assert_eq!(shown("/s", "/s/x"), "x");
    }

    #[test]
    fn what_is_too_long_is_named() {
        let mut command = Command::new("tool");
        command.env_clear().arg("a").arg("b".repeat(LONGEST_WORD));
        assert!(
            too_long(&command).starts_with("word 3 of `run` has 131072 bytes"),
            "{}",
            too_long(&command)
        );
        let mut command = Command::new("tool");
        command.env_clear().env("BIG", "x".repeat(LONGEST_WORD));
        assert!(too_long(&command).starts_with("the environment variable `BIG` has 131077 bytes"));
        let mut command = Command::new("tool");
        command.env_clear().env("RUNNER_OUTPUT_A", "x").env("RUNNER_OUTPUT_B", "x");
        assert!(too_long(&command).contains("of which 2 variables name outputs"));
    }
}
