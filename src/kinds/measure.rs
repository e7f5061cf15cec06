//! `measure`: measures answers that are there already, as `eval` measures its own.

use std::fs;
use std::path::PathBuf;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answering::judge;
use crate::metrics::{self, Metrics, Outcome, SetMetrics};
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::{self, Answer};

pub(super) static KIND: Kind = Kind {
    name: "measure",
    version: 1,
    inputs: &[Input::list("answers", PortType::Answers, false)],
    free: false,
    outputs: &[Output::of("metrics", PortType::Metrics)],
    named: &[],
    words: None,
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

    fn run(&self, job: &StageContext<'_>) -> Result<(), StageError> {
        let mut report = Report::begin(job)?;
        let sets = job.list("answers");
        for (done, path) in sets.iter().enumerate() {
            report.add(&dataset::read::<Answer>(path).map_err(failed)?)?;
            job.tell(done as u64 + 1, sets.len() as u64, "sets", []);
        }
        report.finish()
    }
}

/// The artifact of an output port `metrics`: written set by set.
pub(super) struct Report<'a> {
    job: &'a StageContext<'a>,
    folder: PathBuf,
    sets: Vec<SetMetrics>,
}

impl<'a> Report<'a> {
    pub(super) fn begin(job: &'a StageContext<'a>) -> Result<Self, StageError> {
        let folder = job.outputs.join("metrics");
        fs::create_dir_all(&folder).map_err(|error| failed(format!("cannot create {}: {error}", folder.display())))?;
        let sets = Vec::new();
        Ok(Self { job, folder, sets })
    }

    /// Writes and measures the answers to one data set.
    pub(super) fn add(&mut self, answers: &[Answer]) -> Result<(), StageError> {
        dataset::write(&self.folder.join(format!("answers-{}.jsonl", self.sets.len())), answers).map_err(failed)?;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(answers.len());
        for (done, answer) in answers.iter().enumerate() {
            self.job.pause(done)?;
            outcomes.push(judge(answer)?);
        }
        self.sets.push(metrics::measure(&outcomes));
        Ok(())
    }

    /// Writes `metrics.json`.
    pub(super) fn finish(self) -> Result<(), StageError> {
        let path = self.folder.join("metrics.json");
        let mut text = serde_json::to_string_pretty(&Metrics { sets: self.sets }).map_err(failed)?;
        text.push('\n');
        fs::write(&path, text).map_err(|error| failed(format!("cannot write {}: {error}", path.display())))
    }
}
