//! What keeps a program from being started in its environment, seen before anything runs.

use std::fs;
use std::path::Path;

use super::launch::{self, asks_for_python};
use super::{CommandStage, Environment, file_name, lock, search_path};
use crate::command::program::{self, Search};
use lab::stage::{Argument, Caller};

/// A message for the first thing; `None` where nothing keeps it, as far as can be seen.
pub(in crate::command) fn missing(stage: &CommandStage, caller: &Caller<'_>) -> Option<String> {
    // A `PATH` with a placeholder is not known yet.
    let path = search_path(stage, caller)?;
    let search = Search { path: &path, folder: None };
    let own = || program::problem(&stage.run, stage.source.as_ref(), &search);
    let Some(environment) = &stage.environment else { return own() };
    let said = |problem: String| format!("{}: {problem}", environment.title());
    if let Some(problem) = environment.lock_problem() {
        return Some(said(problem));
    }
    if let Some(option) = launch::unlocked(&environment.run) {
        return Some(said(format!(
            "the packages of `{option}` are in no lock, and workers fetch nothing: add them to the project (`uv add`)"
        )));
    }
    if let Some(launcher) = environment.launcher() {
        // Its own words are looked up by the launcher.
        return program::problem(&[Argument::Text(launcher.to_owned())], None, &search).map(said);
    }
    match environment.interpreter() {
        // What prepares the environment makes it.
        Some(_) if !environment.prepare.is_empty() => None,
        Some(path) if path.contains('/') && !Path::new(path).exists() => Some(said(format!(
            "no interpreter {path}: make the environment first, or say in `prepare` how"
        ))),
        Some(name) if stage.run.first().is_some_and(|word| asks_for_python(&word.to_string())) => {
            program::problem(&[Argument::Text(name.to_owned())], None, &search).map(said)
        }
        _ => own(),
    }
}

impl Environment {
    /// What of its lock is in no key.
    fn lock_problem(&self) -> Option<String> {
        let path = self.lock.as_deref()?;
        let name = file_name(path);
        let text = name.ends_with(".txt").then(|| fs::read_to_string(path).ok()).flatten()?;
        let included = lock::included(&name, &text)?;
        Some(format!(
            "`{name}` includes `{included}`, whose content would be in no key: put all into one file (`pip-compile`, `uv pip compile`)"
        ))
    }
}
