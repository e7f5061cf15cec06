//! The kinds of stages and what each does, given typed inputs and a place for its outputs.
//!
//! A stage knows nothing of keys, stores, executors or terminals. A new kind is one file and one line in [`kinds`].

mod answering;
mod command;
mod endpoint;
mod eval;
mod filter;
mod generate;
mod import;
mod job;
mod measure;
mod mix;
mod sample;
mod split;
mod train;
mod word;

pub use answering::judge;
pub use command::is_port;
pub use word::Word;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{self, Dtype, Engine};
use crate::event::Progress;
use crate::hash::Digest;
use crate::source::Source;

/// What an artifact at a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortType {
    /// A JSON Lines file of [`crate::dataset::Row`].
    Dataset,
    /// A folder: `config.json`, `model.safetensors`, `tokenizer.json`, `prompt.json`, `training.jsonl`.
    Model,
    /// A JSON Lines file of [`crate::dataset::Answer`].
    Answers,
    /// A folder: `metrics.json` and the answers it was computed from.
    Metrics,
    /// A file or a folder of any kind.
    File,
}

impl PortType {
    /// Whether an input of this type takes what an output of type `given` puts out.
    pub fn takes(self, given: Self) -> bool {
        self == Self::File || self == given
    }
}

/// An input port of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub name: &'a str,
    pub port: PortType,
    /// Whether a stage may leave it out.
    pub optional: bool,
    /// Whether it takes a list of references (one reference is a list of one).
    pub many: bool,
}

/// An output port of a kind.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: Cow<'static, str>,
    pub port: PortType,
}

/// Reads and checks params.
pub type Parse = fn(&figment::value::Value, &[&str]) -> Result<Box<dyn Stage>, figment::Error>;

/// What the table of kinds knows of one kind.
pub struct Kind {
    /// `generate`, `train`, …
    pub name: &'static str,
    /// Raised whenever the same params, seed and inputs may give other bytes than before.
    pub version: u32,
    pub inputs: &'static [Input<'static>],
    /// Whether a stage may have further inputs, which it names in a table `inputs`.
    pub free: bool,
    /// None for kinds whose params say what they put out: see [`Stage::outputs`].
    pub outputs: &'static [Output],
    /// Params whose value may be the name of an entry in a top-level table: `("model", "models")`.
    pub named: &'static [(&'static str, &'static str)],
    /// The param whose items are the words of a command line, for kinds that start a program: those that are paths of files are
    /// [`Word`]s of these when the params are read.
    pub words: Option<&'static str>,
    /// Reads a stage's params (all fields of the stage but `kind`, `for`, `seed` and the input ports), given the names of the input
    /// ports at which there is something.
    pub parse: Parse,
    /// The JSON Schema of the params.
    pub schema: fn() -> Schema,
    /// Whether a stage without a `seed` of its own takes the variant's `{seed}` (else 0): true for all but `generate`, whose
    /// problems seeds share unless the experiment says otherwise.
    pub follows_seed: bool,
}

impl Kind {
    /// What a stage of this kind puts out.
    pub fn outputs_of(&self, stage: &dyn Stage) -> Vec<Output> {
        stage.outputs().unwrap_or_else(|| self.outputs.to_vec())
    }
}

/// One stage with its params read and checked.
pub trait Stage {
    /// The params after defaults, as they enter the key.
    fn params(&self) -> Value;

    /// What this stage puts out, for kinds whose params say so; nothing for those of which the table says it.
    fn outputs(&self) -> Option<Vec<Output>> {
        None
    }

    /// What it reads from outside the DAG: its content is part of the key.
    fn source(&self) -> Option<&Source> {
        None
    }

    /// The files that a program is started with, each by the name that it has for the program: their content is part of the key.
    fn files(&self) -> &[Source] {
        &[]
    }

    /// The environment variable that holds what the stage needs and nobody may see: no part of the key, the record or a message.
    fn secret(&self) -> Option<&str> {
        None
    }

    /// Whether the output depends on the seed.
    fn draws(&self) -> bool;

    /// The engine and the dtype that compute the output, as they enter the key (`cpu f32`), for kinds that compute.
    fn numerics(&self) -> Option<String> {
        None
    }

    /// Whether what `from` puts out can be taken at the input `port`, as far as their params tell.
    ///
    /// # Errors
    /// When it cannot, or as params that are wrong.
    fn accepts(&self, port: &str, from: &dyn Stage) -> Result<(), figment::Error> {
        let _ = (port, from);
        Ok(())
    }

    /// Whether more than one thread helps.
    fn threaded(&self) -> bool {
        self.numerics().is_some()
    }

    /// Computes the outputs. The same params, seed and inputs give the same bytes, whatever the number of threads.
    ///
    /// # Errors
    /// When an input is not as it must be, or the machine fails; the message says what to do.
    fn run(&self, job: &Job<'_>) -> Result<(), StageError>;
}

/// What a running stage is given.
pub struct Job<'a> {
    /// The artifacts by input port, in the order of the references.
    pub inputs: &'a BTreeMap<String, Vec<PathBuf>>,
    /// The folder for the outputs: each output port is a file or a folder of the port's name in it.
    pub outputs: &'a Path,
    /// A folder of the stage's key that outlives a killed worker: for checkpoints.
    pub scratch: &'a Path,
    /// What the files that a program is started with were when the key was computed, by name.
    pub files: &'a BTreeMap<String, Digest>,
    /// What the content of its source was then.
    pub content: Option<&'a str>,
    /// What the variable of [`Stage::secret`] holds.
    pub secret: Option<&'a str>,
    pub seed: u64,
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Bytes that the stage may take; nothing where they are not known.
    pub memory: Option<u64>,
    /// Tells how far the stage is; cheap, may be called at every step.
    pub progress: &'a dyn Fn(Progress),
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

/// Refuses numbers that the engine does not compute in, before anything runs.
fn check_numbers(engine: Engine, dtype: Dtype) -> Result<(), figment::Error> {
    engine::check_numbers(engine, dtype).map_err(|error| figment::Error::from(error.to_string()).with_path("dtype"))
}

/// The table of kinds, by name.
pub fn kinds() -> &'static [&'static Kind] {
    static KINDS: [&Kind; 10] = [
        &command::KIND,
        &eval::KIND,
        &filter::KIND,
        &generate::KIND,
        &import::KIND,
        &measure::KIND,
        &mix::KIND,
        &sample::KIND,
        &split::KIND,
        &train::KIND,
    ];
    &KINDS
}
