//! `measure`: measures existing answers, as `eval` measures its own.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answering::judge;
use crate::artifact::{self, metrics::MetricsWriter};
use crate::metrics::{self, Outcome};
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::Answer;

pub(super) static KIND: Kind = Kind {
    name: "measure",
    version: 2,
    inputs: &[Input::list("answers", PortType::Answers, false)],
    free: false,
    outputs: &[Output::of("metrics", PortType::Metrics)],
    named: &[],
    command_line: None,
    implied: &[],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Measure),
    follows_seed: true,
};

/// Measures the answers of `sample`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Measure {}

fn read(params: &ConfigValue) -> Result<Measure, ParamError> {
    params.read()
}

impl Stage for Measure {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn draws(&self) -> bool {
        false
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let mut measurement = Measurement::start(context)?;
        let sets = context.list("answers");
        for (done, path) in sets.iter().enumerate() {
            measurement.add(&artifact::answers::read(path).map_err(failed)?)?;
            context.tell(done as u64 + 1, sets.len() as u64, "sets", []);
        }
        measurement.finish()
    }
}

/// Measures answers, and writes the artifact of the output port `metrics`.
pub(super) struct Measurement<'a> {
    context: &'a StageContext<'a>,
    writer: MetricsWriter,
}

impl<'a> Measurement<'a> {
    pub(super) fn start(context: &'a StageContext<'a>) -> Result<Self, StageError> {
        let writer = MetricsWriter::create(context.outputs.join("metrics")).map_err(failed)?;
        Ok(Self { context, writer })
    }

    /// Writes and measures the answers to one data set.
    pub(super) fn add(&mut self, answers: &[Answer]) -> Result<(), StageError> {
        self.writer.write_answers(answers).map_err(failed)?;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(answers.len());
        for (done, answer) in answers.iter().enumerate() {
            self.context.pause(done)?;
            outcomes.push(judge(answer)?);
        }
        let mut measured = metrics::measure(&outcomes);
        // Only where there are some: other metrics stay as they are.
        let failed = answers.iter().filter(|answer| answer.failed.is_some()).count() as u64;
        if failed > 0 {
            measured.insert(metrics::names::FAILED, failed);
        }
        self.writer.add(measured);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), StageError> {
        self.writer.finish().map_err(failed)
    }
}
