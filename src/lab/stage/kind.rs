//! The contract of a kind of stage, and of one stage with its params read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::Schema;
use serde_json::{Map, Value};

use super::{Caller, Carried, EffortOf, FirstPrompt, Input, Output, Preparation, PromptInputs, StageContext, StageError};
use crate::config::{ConfigValue, ParamError, SandboxMode};
use crate::source::Source;

/// Reads and checks params.
pub type Parse = fn(&ConfigValue, &[&str]) -> Result<Box<dyn Stage>, ParamError>;

/// One kind of stage, as the table of kinds describes it.
pub struct Kind {
    /// `generate`, `train`, …
    pub name: &'static str,
    /// Raised whenever the same params, seed and inputs may give other bytes than before.
    pub version: u32,
    pub inputs: &'static [Input<'static>],
    /// Whether a stage may have further inputs, which it names in a table `inputs`.
    pub free: bool,
    /// Empty for kinds whose params decide the outputs: see [`Stage::outputs`].
    pub outputs: &'static [Output],
    /// Params whose value may be the name of an entry in a top-level table: `("model", "models")`.
    pub named: &'static [(&'static str, &'static str)],
    /// The param whose items are the words of a command line, for kinds that start a program: those that are paths of files are
    /// [`Argument`]s of these when the params are read.
    pub command_line: Option<&'static str>,
    /// The param that is the number of GPUs that the stage's resources give it, for kinds whose results may depend on it.
    pub gpus: Option<&'static str>,
    /// The params that were added after stages of this kind had been computed. A new param goes here, or every stage of the kind runs
    /// again.
    pub implied: &'static [ImpliedParam],
    /// Reads a stage's params (all fields of the stage but `kind`, `for`, `seed` and the input ports), given the names of the input
    /// ports at which there is something.
    pub parse: Parse,
    /// The JSON Schema of the params.
    pub schema: fn() -> Schema,
    /// Whether a stage without a `seed` of its own takes the variant's `{seed}` (else 0): true for all but `generate`, whose
    /// problems seeds share unless the experiment says otherwise.
    pub follows_seed: bool,
    /// What drives the time of a stage and the size of its outputs, for forecasts.
    pub effort: EffortOf,
    /// Whether a worker may run stages of such kinds one after the other: true for kinds that only read and write data sets. They start no
    /// program, ask no server, use one thread, need neither a scratch folder nor to know how much memory there is, and leave nothing behind
    /// in the process.
    pub shares_worker: bool,
}

impl Kind {
    /// The outputs of a stage of this kind.
    pub fn outputs_of(&self, stage: &dyn Stage) -> Vec<Output> {
        stage.outputs().unwrap_or_else(|| self.outputs.to_vec())
    }
}

/// A param that was added to a kind later, with the value that was implied before it existed. At that value it is not written to the key,
/// so that stages from before keep theirs.
///
/// The value is frozen: it is what earlier versions of the kind computed, and stays when the param's default changes.
pub struct ImpliedParam {
    /// The param; for a field of a table, the names that lead to it: `["model", "head_dim"]`.
    pub path: &'static [&'static str],
    /// What was implied.
    pub value: fn() -> Value,
}

/// In what two stages may differ of which one adds to the other.
#[derive(Clone, Copy, Debug)]
pub struct AddsTo {
    pub params: &'static [&'static str],
    pub inputs: &'static [&'static str],
}

/// The stages that one stands for: one for each artifact at an input, and one that gets the outputs of all of these. Each has a key of its
/// own.
pub struct StageParts {
    /// The input whose artifacts each get a stage. These stages get the other inputs as they are, as far as their kind has them.
    pub over: &'static str,
    /// For each artifact, in order.
    pub each: Vec<StagePart>,
    /// Their output that the last stage gets.
    pub output: &'static str,
    /// The input of the last stage that gets them.
    pub at: &'static str,
    /// The last stage: its outputs are those of the whole.
    pub last: StagePart,
}

/// A stage, by its kind and all of its params.
pub struct StagePart {
    pub kind: &'static Kind,
    pub params: Value,
}

/// An environment variable that holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secret<'a> {
    pub variable: &'a str,
    /// The param that names it.
    pub param: &'static str,
}

/// A reference that the params of a stage give for an input that it does not give itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImpliedInput {
    /// The input port.
    pub port: &'static str,
    /// `cases.train`
    pub reference: String,
    /// What gives it, for messages.
    pub given_by: String,
}

/// One stage with its params read and checked.
pub trait Stage {
    /// The params after defaults. All of them enter the key, but at values that were implied before a param existed ([`Kind::key_params`]).
    fn params(&self) -> Value;

    /// Params that are no part of the key, because they only locate something: paths of files, addresses. Together
    /// with [`Stage::params`], they are all that [`Kind::parse`] needs to read the same stage in a worker.
    fn unkeyed_params(&self) -> Map<String, Value> {
        Map::new()
    }

    /// The outputs, for kinds whose params decide them; `None` for kinds whose outputs are in the table.
    fn outputs(&self) -> Option<Vec<Output>> {
        None
    }

    /// The source that the stage reads from outside the DAG: its content is part of the key.
    fn source(&self) -> Option<&Source> {
        None
    }

    /// The files that a program is started with, each by the name that it has for the program: their content is part of the key.
    fn files(&self) -> &[Source] {
        &[]
    }

    /// The files that decide what is in the environment of a program, which the program is not given: their content is part of the key.
    fn environment_files(&self) -> &[Source] {
        &[]
    }

    /// What is done once on this machine before stages like this one run.
    fn preparation(&self) -> Option<Preparation> {
        None
    }

    /// The environment variables that hold what the stage needs and nobody may see: no part of the key, the record or a message.
    fn secrets(&self) -> Vec<Secret<'_>> {
        Vec::new()
    }

    /// What keeps the stage from being started on this machine, as far as can be seen before its inputs are there: a message.
    fn missing(&self, caller: &Caller<'_>, sandbox: SandboxMode) -> Option<String> {
        let _ = (caller, sandbox);
        None
    }

    /// The interpreter that would run the stage's program now, where nothing in the key holds it to one.
    fn interpreter(&self, caller: &Caller<'_>) -> Option<PathBuf> {
        let _ = caller;
        None
    }

    /// Whether the output depends on the seed.
    fn draws(&self) -> bool;

    /// The engine and the dtype that compute the output, as they enter the key (`cpu f32`), for kinds that compute.
    fn numerics(&self) -> Option<String> {
        None
    }

    /// Checks that the input `port` accepts the outputs of `from`, as far as the params of both tell.
    ///
    /// # Errors
    /// When it cannot, or as params that are wrong.
    fn accepts(&self, port: &str, from: &dyn Stage) -> Result<(), ParamError> {
        let _ = (port, from);
        Ok(())
    }

    /// Takes note of what the artifacts at the inputs carry along, and tells what those of the outputs do ([`Carried`]). It is called once
    /// while an experiment is planned, and not in a worker: what the stage needs of it must be among its params.
    ///
    /// # Errors
    /// When something is missing, or does not fit the params.
    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        let _ = inputs;
        Ok(None)
    }

    /// References from the params, at inputs that the stage does not give itself.
    fn implied_inputs(&self) -> Vec<ImpliedInput> {
        Vec::new()
    }

    /// The params and the inputs in which an earlier stage may differ, and still have computed a part of what this one does; `None` where it
    /// cannot. Such a stage's first output is in [`StageContext::earlier`].
    fn adds_to(&self) -> Option<AddsTo> {
        None
    }

    /// The stages that this one stands for; `None` for one that computes its outputs itself. It is called after [`Stage::carry`].
    fn parts(&self) -> Option<StageParts> {
        None
    }

    /// How the model is asked that the stage makes, as far as that is known before it is made; `None` for kinds that make none. `base` says
    /// the same of the model at the input `base`, if there is one. The lab passes it on and does not know what it means.
    ///
    /// # Errors
    /// When it cannot be read from the stage's source.
    fn asks_with(&self, base: Option<&Value>) -> Result<Option<Value>, StageError> {
        let _ = base;
        Ok(None)
    }

    /// The first prompt that a model is given when the stage runs; `None` for kinds that give none.
    ///
    /// # Errors
    /// As those of [`Stage::run`] before the model is asked.
    fn first_prompt(&self, inputs: &PromptInputs) -> Result<Option<FirstPrompt>, StageError> {
        let _ = inputs;
        Ok(None)
    }

    /// Checks the params against the stage's inputs, as the number of artifacts at each port.
    ///
    /// # Errors
    /// When a param does not fit them.
    fn check_inputs(&self, inputs: &BTreeMap<String, usize>) -> Result<(), ParamError> {
        let _ = inputs;
        Ok(())
    }

    /// Which metrics of the output `port` a report shows, as patterns over dotted names; all where there are none.
    fn selected_metrics(&self, port: &str) -> &[String] {
        let _ = port;
        &[]
    }

    /// The path or pattern at which a program writes the output `port`; `None` where it is given a path.
    fn declared_path(&self, port: &str) -> Option<&str> {
        let _ = port;
        None
    }

    /// Whether more than one thread helps.
    fn threaded(&self) -> bool {
        self.numerics().is_some()
    }

    /// Computes the outputs. The same params, seed and inputs give the same bytes, whatever the number of threads.
    ///
    /// # Errors
    /// When an input is wrong, or the machine fails; the message names a fix.
    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError>;
}
