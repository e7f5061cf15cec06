//! A running stage's context: its inputs, its outputs, its progress, and whether to stop.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Caller, Sandbox};
use crate::event::{FailureCause, Progress};
use crate::hash::Digest;
use crate::source::{DigestAlgorithm, SOURCE, Source, SourceFiles};
use crate::store::ProgramFound;

/// Everything that a running stage is given.
pub struct StageContext<'a> {
    /// The artifacts by input port, in the order of the references.
    pub inputs: &'a BTreeMap<String, Vec<PathBuf>>,
    /// The digests of these artifacts, by input port.
    pub digests: &'a BTreeMap<String, Vec<Digest>>,
    /// The first outputs of earlier stages that are like this one but for what [`super::Stage::adds_to`] leaves out. A hint: what is taken
    /// from them must be what this stage would compute.
    pub earlier: &'a [PathBuf],
    /// The folder for the outputs: each output port is a file or a folder of the port's name in it.
    pub outputs: &'a Path,
    /// A folder of the stage's key that outlives a killed worker: for checkpoints. It does not exist for kinds that share workers.
    pub scratch: &'a Path,
    /// The digests, at the time when the key was computed, of the files that a program is started with, by name.
    pub files: &'a BTreeMap<String, Digest>,
    /// The same of the files that decide what is in its environment.
    pub environment_files: &'a BTreeMap<String, Digest>,
    /// The digest of the content of its source at that time.
    pub content: Option<&'a str>,
    /// Whoever started the run: their environment variables, secrets among them.
    pub caller: Caller<'a>,
    pub seed: u64,
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// The memory that the stage may use, in bytes; `None` when it is not known, and for kinds that share workers.
    pub memory: Option<u64>,
    /// How far a program that the stage starts is held to its own files.
    pub sandbox: &'a Sandbox,
    /// Told how far it was, for the record: `writes`, `reads`, `off`, `none`.
    pub held_by: &'a dyn Fn(&str),
    /// Told, for the record, which program ran and what was in its environment.
    pub found: &'a dyn Fn(ProgramFound),
    /// Whether the stage has this process to itself: then all children of the process are its own, and end with it.
    pub alone: bool,
    /// Reports the stage's progress; cheap, may be called at every step.
    pub progress: &'a dyn Fn(Progress),
    /// Tells the user, and the stage's log, of a problem that does not end the stage: a server that does not answer yet.
    pub warn: &'a dyn Fn(&str),
    /// Tells the stage's log and its record what the stage found out: which columns were taken for what.
    pub note: &'a dyn Fn(&str),
    /// How long a request to a server that fails is sent again.
    pub patience: Duration,
    /// How long a program has to end when it is asked to.
    pub grace: Duration,
    /// Whether the stage should stop soon: save what helps to go on later, and return [`StageError::Stopped`].
    pub stop: &'a dyn Fn() -> bool,
}

/// Why a stage ended without its outputs.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
    /// Input, model or machine; a message for people, with what to do.
    #[error("{0}")]
    Failed(String),
    /// The same by a cause that may pass.
    #[error("{message}")]
    Ended { cause: FailureCause, message: String },
}

impl StageContext<'_> {
    /// The artifact at an input port that takes one.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn input(&self, port: &str) -> Result<&Path, StageError> {
        match self.list(port) {
            [path] => Ok(path),
            paths => Err(failed(format!("input `{port}` has {} artifacts, and needs one", paths.len()))),
        }
    }

    /// The artifacts at an input port that takes any number.
    pub fn list(&self, port: &str) -> &[PathBuf] {
        self.inputs.get(port).map_or(&[], Vec::as_slice)
    }

    /// The files of its source, which must be those that the key was made of: none may have come or gone since. `others` are the files
    /// that a program is started with, whose digests the key has, too.
    ///
    /// # Errors
    /// When a file has come or gone, or the source cannot be read.
    pub fn source_files(&self, source: &Source, others: &[Source]) -> Result<SourceFiles, StageError> {
        let place = self.input(SOURCE)?;
        let found = source
            .listed(place)
            .map_err(|error| failed(format!("{}: {error}", place.display())))?;
        // Where the key has one digest of the whole, it covers the names: see `check_source` and `check_copies`. Without either there is
        // no key.
        if self.content.is_some() || self.files.is_empty() {
            return Ok(found);
        }
        let in_key = |name: &str| self.files.contains_key(name) && !others.iter().any(|other| other.name == name);
        let added = found.files().iter().map(|(name, _)| name).find(|name| !in_key(name));
        let is_found = |name: &String| found.files().iter().any(|(found, _)| found == name);
        let removed = self.files.keys().find(|name| in_key(name) && !is_found(name));
        let what = added.map(|name| (name, "added to")).or(removed.map(|name| (name, "removed from")));
        match what {
            None => Ok(found),
            Some((name, what)) => Err(failed(format!(
                "`{name}` was {what} source `{}` after the run had begun ({}); run again",
                source.name,
                place.display()
            ))),
        }
    }

    /// Holds the files of a source, which have been read, against the key: they may have been edited while earlier stages ran, or while
    /// they were read.
    ///
    /// # Errors
    /// When they are not those of the key, or cannot be read again.
    pub fn check_source(&self, source: &Source, read: &SourceFiles) -> Result<(), StageError> {
        self.compare(source, read, read.files())?;
        match read.changed() {
            None => Ok(()),
            Some(_) => Err(changed(source, read)),
        }
    }

    /// Holds the copies of a source's files in `folder` against the key, where it has one digest of the whole.
    ///
    /// # Errors
    /// When they are not those of the key, or cannot be read.
    pub fn check_copies(&self, source: &Source, copied: &SourceFiles, folder: &Path) -> Result<(), StageError> {
        let copies: Vec<(String, PathBuf)> = copied.files().iter().map(|(name, _)| (name.clone(), folder.join(name))).collect();
        self.compare(source, copied, &copies)
    }

    fn compare(&self, source: &Source, read: &SourceFiles, files: &[(String, PathBuf)]) -> Result<(), StageError> {
        let Some(expected) = self.content else { return Ok(()) };
        self.pause(0)?;
        let algorithm = source.pin().map_or(DigestAlgorithm::Blake3, |pin| pin.algorithm);
        let found = source.digest_of(read.place(), algorithm, files);
        let found = found.map_err(|error| failed(format!("{}: {error}", read.place().display())))?;
        if found.to_string() == expected {
            Ok(())
        } else {
            Err(changed(source, read))
        }
    }

    /// Ends the stage when it was asked to stop; looks only now and then, as `done` rows go by.
    ///
    /// # Errors
    /// [`StageError::Stopped`] when it was asked to stop.
    pub fn pause(&self, done: usize) -> Result<(), StageError> {
        if done.is_multiple_of(1_000) && (self.stop)() {
            return Err(StageError::Stopped);
        }
        Ok(())
    }

    /// Reports the stage's progress.
    pub fn tell<'r>(&self, done: u64, total: u64, unit: &str, readings: impl IntoIterator<Item = (&'r str, f64)>) {
        (self.progress)(Progress {
            done,
            total,
            unit: unit.to_owned(),
            readings: readings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        });
    }
}

fn changed(source: &Source, read: &SourceFiles) -> StageError {
    let (name, place) = (&source.name, read.place().display());
    failed(format!("source `{name}` was changed after the run had begun ({place}); run again"))
}

/// The stage's failure, with `error`'s message.
pub fn failed(error: impl Display) -> StageError {
    StageError::Failed(error.to_string())
}

/// The stage's failure for want of memory, with `error`'s message: with more, it may succeed.
pub fn lacks_memory(error: impl Display) -> StageError {
    StageError::Ended {
        cause: FailureCause::Memory,
        message: error.to_string(),
    }
}
