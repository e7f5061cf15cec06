//! Runs the program in its scratch folder, from the filling of the folder to its outputs.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::attend::RunError;
use super::environment::{self, Environment};
use super::files_before::FilesBefore;
use super::inputs::InputFolder;
use super::placeholders::{self, FilledProgram};
use super::program::{self, Search, search_path};
use super::sandbox::{self, Sandbox, StageFolders};
use super::scratch::Scratch;
use super::take::EndedProgram;
use super::work_folder::WorkFolder;
use super::{CommandStage, attend, hint, input_places, log, outputs, shebang, start};
use crate::artifact;
use lab::event::FailureCause;
use lab::stage::{Argument, StageContext, StageError, failed};

impl CommandStage {
    /// Runs the program in a scratch folder that nobody else uses.
    pub(super) fn run_in(&self, scratch: &Scratch, context: &StageContext<'_>) -> Result<(), RunError> {
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
            let message = self.failure(status, &sandbox, &place.folder);
            return Err(StageError::Ended {
                cause: cause(status),
                message,
            }
            .into());
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

/// Why a program that failed has ended.
fn cause(status: ExitStatus) -> FailureCause {
    match (status.signal(), status.code()) {
        (Some(signal), _) => FailureCause::Signal(signal),
        // A shell says so of a program that it started.
        (None, Some(code @ 129..=159)) => FailureCause::Signal(code - 128),
        (None, Some(code)) => FailureCause::Exit(code),
        (None, None) => FailureCause::Failed,
    }
}

/// What changes when a file is replaced or written to.
fn state(path: &Path) -> Option<(u64, u64, u64, i64, i64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}
