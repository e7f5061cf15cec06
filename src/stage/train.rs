//! `train`: trains a model on a data set.

use figment::value::Value;
use schemars::schema_for;
use serde_json::json;

use super::job::failed;
use super::{Input, Job, Kind, Output, PortType, Stage, StageError, check_numbers};
use crate::engine;
use crate::trainer::{self, Reading, Recipe, Run, TrainError};

pub(super) static KIND: Kind = Kind {
    name: "train",
    version: 1,
    inputs: &[Input::one("data", PortType::Dataset)],
    outputs: &[Output::of("model", PortType::Model)],
    named: &[("model", "models"), ("prompt", "prompts")],
    parse,
    schema: || schema_for!(Recipe),
    follows_seed: true,
};

/// A training.
struct Train(Recipe);

fn parse(params: &Value) -> Result<Box<dyn Stage>, figment::Error> {
    let recipe: Recipe = params.deserialize()?;
    check_numbers(recipe.engine, recipe.dtype)?;
    Ok(Box::new(Train(recipe)))
}

impl Stage for Train {
    fn params(&self) -> serde_json::Value {
        json!(self.0)
    }

    fn draws(&self) -> bool {
        true
    }

    fn numerics(&self) -> Option<String> {
        Some(engine::numerics(self.0.engine, self.0.dtype))
    }

    fn run(&self, job: &Job<'_>) -> Result<(), StageError> {
        let rows = job.rows("data")?;
        let run = Run {
            scratch: job.scratch,
            threads: job.threads,
            device: job.device,
            progress: &|reading| tell(job, &reading),
            stop: job.stop,
        };
        let trained = trainer::train(&self.0, &rows, job.seed, &run)?;
        Ok(trained.save(&job.outputs.join("model"))?)
    }
}

fn tell(job: &Job<'_>, reading: &Reading) {
    let readings = [
        ("loss", reading.loss),
        ("learning_rate", reading.learning_rate),
        ("tokens_per_second", reading.tokens_per_second),
    ];
    job.tell(reading.step, reading.steps, "steps", readings);
}

impl From<TrainError> for StageError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Stopped => Self::Stopped,
            other => failed(other),
        }
    }
}
