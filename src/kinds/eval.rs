//! `eval`: answers data sets with a model, and measures the answers.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answering::{Asker, open, task_of};
use super::check_numbers;
use super::measure::Measurement;
use super::sample::{check_ask, check_stop};
use crate::artifact::data_set;
use lab::config::{ConfigValue, ParamError};
use lab::stage::{ImpliedParam, Input, Kind, Output, PortType, Stage, StageContext, StageError, failed};
use learn::dataset::Row;
use learn::engine::{self, Dtype, Engine};
use learn::sampler::Sampling;

pub(super) static KIND: Kind = Kind {
    name: "eval",
    version: 4,
    inputs: &[Input::one("model", PortType::Model), Input::list("data", PortType::Dataset, false)],
    free: false,
    outputs: &[Output::of("metrics", PortType::Metrics)],
    named: &[],
    command_line: None,
    implied: &[ImpliedParam {
        path: &["max_failed"],
        value: || json!(0),
    }],
    parse,
    schema: || schema_for!(Eval),
    follows_seed: true,
};

/// How a model is evaluated; always greedily.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Eval {
    /// Added to each row's full number of steps to get the requested number, as in `sample`. Ignored for models whose prompt names no
    /// number of steps.
    #[schemars(length(min = 1))]
    ask: Vec<i32>,
    /// A response ends before the first of these texts.
    #[schemars(inner(length(min = 1)))]
    stop: Vec<String>,
    /// The longest response, in tokens (0: half as long again as the longest full solution of the data set, and 16 more).
    max_tokens: usize,
    /// The most rows that may have no answer, because their prompt is too long. They count as wrong.
    max_failed: u64,
    /// The engine that computes.
    engine: Engine,
    /// The number format.
    dtype: Dtype,
}

impl Default for Eval {
    fn default() -> Self {
        Self {
            ask: vec![0],
            stop: Vec::new(),
            max_tokens: 0,
            max_failed: 0,
            engine: Engine::default(),
            dtype: Dtype::default(),
        }
    }
}

fn parse(params: &ConfigValue, _given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    let eval: Eval = params.read()?;
    check_ask(&eval.ask)?;
    check_numbers(eval.engine, eval.dtype)?;
    check_stop(&eval.stop)?;
    if eval.ask.is_empty() {
        return Err(ParamError::new("ask", "the list is empty; `[0]` asks for the full number of steps"));
    }
    Ok(Box::new(eval))
}

impl Stage for Eval {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn draws(&self) -> bool {
        false
    }

    fn numerics(&self) -> Option<String> {
        Some(engine::numeric_class(self.engine, self.dtype))
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let model = open(context.input("model")?)?;
        let sets = sets(context)?;
        let mut asker = Asker {
            context,
            ask: if model.prompt.is_numbered() { &self.ask } else { &[] },
            model,
            samples: 1,
            sampling: Sampling {
                stop: self.stop.clone(),
                max_tokens: self.max_tokens,
                engine: self.engine,
                dtype: self.dtype,
                ..Sampling::default()
            },
            done: 0,
            total: 0,
        };
        asker.total = asker.requests(&sets);
        let long = asker.too_long(&sets, self.max_failed)?;
        let mut measurement = Measurement::start(context)?;
        for (rows, long) in sets.iter().zip(&long) {
            measurement.add(&asker.answers(rows, long)?)?;
        }
        measurement.finish()
    }
}

/// The rows of each data set. Checks now that a task recognises each row, before anything is computed.
fn sets(context: &StageContext<'_>) -> Result<Vec<Vec<Row>>, StageError> {
    let mut sets = Vec::new();
    for path in context.list("data") {
        context.pause(0)?;
        let rows = data_set::read(path).map_err(failed)?;
        rows.iter().try_for_each(|row| task_of(row).map(drop))?;
        sets.push(rows);
    }
    Ok(sets)
}
