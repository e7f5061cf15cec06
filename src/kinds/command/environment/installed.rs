//! Asks an environment which Python it has, and what is installed there.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use super::version::normalized;
use crate::command::start::begin_afresh;
use lab::stage::{StageContext, StageError};

/// What stands before the answer: a launcher may print more.
const MARK: &str = "runner-environment:";

/// The longest interval at which is looked whether it has answered.
const LONGEST_INTERVAL: Duration = Duration::from_millis(20);

/// Prints what is asked for, in one line. It imports nothing that is installed.
const SCRIPT: &str = r#"
import json, sys
from importlib import metadata
packages = {}
for distribution in metadata.distributions():
    name = distribution.metadata["Name"]
    if name:
        packages.setdefault(name, distribution.version)
print("\nrunner-environment:" + json.dumps({
    "executable": sys.executable,
    "version": ".".join(map(str, sys.version_info[:3])),
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "packages": packages,
}))
"#;

/// The same for the version alone.
const VERSION_SCRIPT: &str = "import sys; print('.'.join(map(str, sys.version_info[:3])))";

/// An interpreter, and what is installed for it.
#[derive(Debug, Deserialize)]
pub(super) struct Installed {
    pub(super) executable: PathBuf,
    pub(super) version: String,
    /// The folder of the environment.
    pub(super) prefix: PathBuf,
    /// The folder of the Python that it was made from.
    pub(super) base_prefix: PathBuf,
    /// Versions by the normalised name of the package.
    pub(super) packages: BTreeMap<String, Option<String>>,
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("stopped")]
    Stopped,
    #[error("`{program}` cannot be started: {error}")]
    NotStarted { program: String, error: std::io::Error },
    #[error("`{0}` gave no answer; its words are in the log")]
    Failed(String),
}

/// The arguments with which a Python is asked. `-I`: nothing of the folder, the user and the variables is imported.
pub(super) const QUESTION: [&str; 3] = ["-I", "-c", SCRIPT];

/// Asks the Python that `words` start. It is asked as the program would be started, but for the sandbox, which is made of its answer.
///
/// # Errors
/// When there is no Python, or the stage is to stop.
pub(super) fn ask(
    words: &[String],
    variables: &BTreeMap<String, String>,
    folder: &Path,
    context: &StageContext<'_>,
) -> Result<Installed, NoAnswer> {
    let text = answer(words, variables, folder, context)?;
    let line = text.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let read = line.and_then(|line| serde_json::from_str::<Installed>(line).ok());
    let mut installed = read.ok_or_else(|| NoAnswer::Failed(shown(words)))?;
    let packages = std::mem::take(&mut installed.packages).into_iter();
    installed.packages = packages.map(|(name, version)| (normalized(&name), version)).collect();
    Ok(installed)
}

/// The version of a Python; `None` where it gives none.
pub(in crate::command) fn python_version(path: &Path, context: Option<(&BTreeMap<String, String>, &Path)>) -> Option<String> {
    let mut command = Command::new(path);
    command
        .args(["-I", "-S", "-c", VERSION_SCRIPT])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if let Some((variables, folder)) = context {
        command.env_clear().envs(variables).current_dir(folder);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.trim();
    let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_version.then(|| version.to_owned())
}

/// What the words print.
fn answer(words: &[String], variables: &BTreeMap<String, String>, folder: &Path, context: &StageContext<'_>) -> Result<String, NoAnswer> {
    let (program, arguments) = words.split_first().ok_or_else(|| NoAnswer::Failed(String::new()))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    begin_afresh(&mut command);
    let not_started = |error| NoAnswer::NotStarted {
        program: program.clone(),
        error,
    };
    let mut child = command.spawn().map_err(not_started)?;
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What was read until then is looked at.
        let _ = output.map(|mut output| output.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let group = Pid::from_raw(child.id().cast_signed());
    let kill = || group.map(|group| kill_process_group(group, Signal::KILL));
    let mut interval = Duration::from_millis(1);
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if (context.stop)() => break Err(NoAnswer::Stopped),
            Ok(None) => {}
            Err(error) => break Err(not_started(error)),
        }
        std::thread::sleep(interval);
        interval = (interval * 2).min(LONGEST_INTERVAL);
    };
    // What it has left running would keep its output open.
    let _ = kill();
    let _ = child.wait();
    let text = reader.join().unwrap_or_default();
    if ended?.success() {
        Ok(text)
    } else {
        Err(NoAnswer::Failed(shown(words)))
    }
}

/// The words but for the script.
fn shown(words: &[String]) -> String {
    let shown = words.iter().take_while(|word| *word != "-I").map(String::as_str);
    shown.collect::<Vec<_>>().join(" ")
}

impl NoAnswer {
    /// As the error of a stage, in an environment of this title.
    pub(super) fn in_environment(self, title: &str) -> StageError {
        match self {
            Self::Stopped => StageError::Stopped,
            other => StageError::Failed(format!("{title}: what is installed there cannot be asked: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_marks_its_answer() {
        assert!(SCRIPT.contains(MARK));
        let words: Vec<String> = ["uv", "run", "python"]
            .iter()
            .chain(&QUESTION)
            .map(|&word| word.to_owned())
            .collect();
        assert_eq!(shown(&words), "uv run python");
    }

    #[test]
    fn what_is_no_python_has_no_version() {
        assert_eq!(python_version(Path::new("/bin/echo"), None), None);
        assert_eq!(python_version(Path::new("/nowhere/python"), None), None);
    }
}
