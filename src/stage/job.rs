//! What every kind does with its [`Job`]: find its inputs and outputs, tell how far it is, stop.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Input, Job, Output, PortType, StageError};
use crate::dataset::{self, DatasetError, Row};
use crate::event::Progress;
use crate::source::{Algorithm, SOURCE, Source};

impl Input<'static> {
    /// One artifact, without which the stage cannot be.
    pub(super) const fn one(name: &'static str, port: PortType) -> Self {
        Self {
            name,
            port,
            optional: false,
            many: false,
        }
    }

    /// One artifact, or none.
    pub(super) const fn maybe(name: &'static str, port: PortType) -> Self {
        Self {
            name,
            port,
            optional: true,
            many: false,
        }
    }

    /// A list of artifacts.
    pub(super) const fn list(name: &'static str, port: PortType, optional: bool) -> Self {
        Self {
            name,
            port,
            optional,
            many: true,
        }
    }
}

impl Output {
    pub(super) const fn of(name: &'static str, port: PortType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            port,
        }
    }
}

impl Job<'_> {
    /// The artifact at an input port that takes one.
    pub(super) fn input(&self, port: &str) -> Result<&Path, StageError> {
        match self.list(port) {
            [path] => Ok(path),
            paths => Err(failed(format!("input `{port}` has {} artifacts, and needs one", paths.len()))),
        }
    }

    /// The artifacts at an input port that takes any number.
    pub(super) fn list(&self, port: &str) -> &[PathBuf] {
        self.inputs.get(port).map_or(&[], Vec::as_slice)
    }

    /// The rows of all data sets at a port, one set after the other.
    pub(super) fn rows(&self, port: &str) -> Result<Vec<Row>, StageError> {
        let mut rows = Vec::new();
        for path in self.list(port) {
            for row in dataset::open(path)? {
                rows.push(row?);
                self.pause(rows.len())?;
            }
        }
        Ok(rows)
    }

    /// Holds a source that was read against what the key says of it: people go on editing while stages before this one run.
    pub(super) fn check_source(&self, source: &Source) -> Result<(), StageError> {
        let Some(expected) = self.content else { return Ok(()) };
        let place = self.input(SOURCE)?;
        self.pause(0)?;
        let algorithm = source.pin().map_or(Algorithm::Blake3, |pin| pin.algorithm);
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

    /// Writes the data set of an output port.
    pub(super) fn write<T: Serialize>(&self, port: &str, values: &[T]) -> Result<(), StageError> {
        Ok(dataset::write(&self.outputs.join(port), values)?)
    }

    /// Ends the stage when it was asked to stop; looks only now and then, as `done` rows go by.
    pub(super) fn pause(&self, done: usize) -> Result<(), StageError> {
        if done.is_multiple_of(1_000) && (self.stop)() {
            return Err(StageError::Stopped);
        }
        Ok(())
    }

    /// Tells how far the stage is.
    pub(super) fn tell<const N: usize>(&self, done: u64, total: u64, unit: &str, readings: [(&str, f64); N]) {
        (self.progress)(Progress {
            done,
            total,
            unit: unit.to_owned(),
            readings: BTreeMap::from(readings.map(|(name, value)| (name.to_owned(), value))),
        });
    }
}

/// The stage's failure, with `error`'s message.
pub(super) fn failed(error: impl Display) -> StageError {
    StageError::Failed(error.to_string())
}

impl From<DatasetError> for StageError {
    fn from(error: DatasetError) -> Self {
        failed(error)
    }
}
