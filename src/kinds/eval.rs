//! `eval`: answers data sets with a model, and measures the answers. It stands for a `sample` for each data set and a `measure` of all.

use schemars::{Schema, schema_for};
use serde_json::{Value, json};

use super::asked::FEWSHOT;
use super::measure;
use super::sample::{self, Sample, Unnumbered};
use crate::task_table::{CarriedTasks, TaskParam, TaskTable};
use lab::config::{ConfigValue, ParamError};
use lab::stage::{
    Carried, Effort, ImpliedInput, Input, Kind, Output, PortType, Secret, Stage, StageContext, StageError, StagePart, StageParts, failed,
};

pub(super) static KIND: Kind = Kind {
    name: "eval",
    version: 5,
    inputs: &[
        Input::maybe("model", PortType::Model),
        Input::list("data", PortType::Dataset, false),
        Input::maybe(FEWSHOT, PortType::Dataset),
    ],
    free: false,
    outputs: &[Output::of("metrics", PortType::Metrics)],
    named: sample::KIND.named,
    command_line: None,
    gpus: None,
    implied: &[],
    parse,
    schema,
    follows_seed: true,
    effort: Effort::of_inputs,
    shares_worker: false,
};

/// The params are those of `sample`; by default, rows are asked for the full number of steps where the prompt names one.
struct Eval {
    sample: Sample,
    /// The task of each data set and the requests about it, once they are known.
    sets: Vec<(TaskTable, Sample)>,
}

fn parse(params: &ConfigValue, given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    let mut params = params.clone();
    if let Some(fields) = params.as_table_mut() {
        fields.entry("ask".to_owned()).or_insert_with(|| json!([0]).into());
        fields
            .entry("unnumbered".to_owned())
            .or_insert_with(|| json!(Unnumbered::Ignore).into());
    }
    let sample = Sample::read(&params, given)?;
    if sample.ask.is_empty() {
        return Err(ParamError::new("ask", "the list is empty; `[0]` asks for the full number of steps"));
    }
    Ok(Box::new(Eval { sample, sets: Vec::new() }))
}

fn schema() -> Schema {
    let mut schema = schema_for!(Sample).to_value();
    for (name, value) in [("ask", json!([0])), ("unnumbered", json!(Unnumbered::Ignore))] {
        if let Some(param) = schema.pointer_mut(&format!("/properties/{name}")).and_then(Value::as_object_mut) {
            param.insert("default".to_owned(), value);
        }
    }
    // Of an object, as it was.
    Schema::try_from(schema).unwrap_or_default()
}

impl Stage for Eval {
    fn params(&self) -> Value {
        self.sample.params()
    }

    fn unkeyed_params(&self) -> serde_json::Map<String, Value> {
        self.sample.unkeyed_params()
    }

    fn secrets(&self) -> Vec<Secret<'_>> {
        self.sample.secrets()
    }

    fn draws(&self) -> bool {
        self.sample.draws()
    }

    fn implied_inputs(&self) -> Vec<ImpliedInput> {
        self.sample.implied_inputs()
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        for data in inputs.at("data") {
            let task = match &self.sample.task {
                Some(TaskParam(task)) => task.clone(),
                None => CarriedTasks::from([data]).judged(data.stage)?.clone(),
            };
            let sample = self.sample.of_task(&task)?;
            sample.check_task(inputs)?;
            self.sets.push((task, sample));
        }
        Ok(None)
    }

    fn parts(&self) -> Option<StageParts> {
        let each = self.sets.iter().map(|(_, sample)| {
            let mut params = sample.params();
            if let Some(params) = params.as_object_mut() {
                params.extend(sample.unkeyed_params());
            }
            StagePart {
                kind: &sample::KIND,
                params,
            }
        });
        let tasks: Vec<TaskTable> = self.sets.iter().map(|(task, _)| task.clone()).collect();
        Some(StageParts {
            over: "data",
            each: each.collect(),
            output: "answers",
            at: "answers",
            last: StagePart {
                kind: &measure::KIND,
                params: measure::params(&tasks),
            },
        })
    }

    fn run(&self, _: &StageContext<'_>) -> Result<(), StageError> {
        Err(failed(
            "an `eval` is a `sample` for each data set and a `measure` of them, and runs as these",
        ))
    }
}
