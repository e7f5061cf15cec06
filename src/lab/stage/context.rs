//! A running stage's context: its inputs, its outputs, its progress, and whether to stop.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::event::Progress;
use crate::hash::Digest;
use crate::source::{DigestAlgorithm, SOURCE, Source};

/// Everything that a running stage is given.
pub struct StageContext<'a> {
    /// The artifacts by input port, in the order of the references.
    pub inputs: &'a BTreeMap<String, Vec<PathBuf>>,
    /// The folder for the outputs: each output port is a file or a folder of the port's name in it.
    pub outputs: &'a Path,
    /// A folder of the stage's key that outlives a killed worker: for checkpoints.
    pub scratch: &'a Path,
    /// The digests, at the time when the key was computed, of the files that a program is started with, by name.
    pub files: &'a BTreeMap<String, Digest>,
    /// The digest of the content of its source at that time.
    pub content: Option<&'a str>,
    /// The value of the environment variable that [`Stage::secret`] names.
    pub secret: Option<&'a str>,
    pub seed: u64,
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// The memory that the stage may use, in bytes; `None` when it is not known.
    pub memory: Option<u64>,
    /// Reports the stage's progress; cheap, may be called at every step.
    pub progress: &'a dyn Fn(Progress),
    /// Tells the user, and the stage's log, of a problem that does not end the stage: a server that does not answer yet.
    pub warn: &'a dyn Fn(&str),
    /// How long a request to a server that fails is sent again.
    pub patience: Duration,
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

    /// Compares the source that was read with its digest in the key: it may have been edited while earlier stages ran.
    ///
    /// # Errors
    /// When it differs or cannot be read.
    pub fn check_source(&self, source: &Source) -> Result<(), StageError> {
        let Some(expected) = self.content else { return Ok(()) };
        let place = self.input(SOURCE)?;
        self.pause(0)?;
        let algorithm = source.pin().map_or(DigestAlgorithm::Blake3, |pin| pin.algorithm);
        let found = source.digest(place, algorithm);
        let found = found.map_err(|error| failed(format!("{}: {error}", place.display())))?;
        if found.to_string() != expected {
            let (name, place) = (&source.name, place.display());
            return Err(failed(format!(
                "source `{name}` was changed after the run had begun ({place}); run again"
            )));
        }
        Ok(())
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
    pub fn tell<const N: usize>(&self, done: u64, total: u64, unit: &str, readings: [(&str, f64); N]) {
        (self.progress)(Progress {
            done,
            total,
            unit: unit.to_owned(),
            readings: BTreeMap::from(readings.map(|(name, value)| (name.to_owned(), value))),
        });
    }
}

/// The stage's failure, with `error`'s message.
pub fn failed(error: impl Display) -> StageError {
    StageError::Failed(error.to_string())
}
