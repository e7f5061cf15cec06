//! The training loop: rows → a trained model. Knows nothing of tasks and stages.

mod checkpoint;
mod error;
mod examples;
mod history;
mod order;
mod recipe;
mod schedule;
mod session;

use std::path::Path;

use serde::Serialize;

use crate::dataset::Row;
use crate::engine;
use crate::model::{self, Model};

pub use error::TrainError;
pub use recipe::{Recipe, Schedule};

use examples::Examples;
use order::Order;
use session::Session;

/// Where and how a training runs; nothing of it changes the result.
pub struct Run<'a> {
    /// A folder for checkpoints that outlives a killed process; made where it is missing.
    pub scratch: &'a Path,
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Told after each step.
    pub progress: &'a dyn Fn(Reading),
    /// Asked after each step: whether to save a checkpoint and end with [`TrainError::Stopped`].
    pub stop: &'a dyn Fn() -> bool,
}

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps in all.
    pub steps: u64,
    /// Of this step.
    pub loss: f64,
    /// Of this step.
    pub learning_rate: f64,
    /// Since this process began to train.
    pub tokens_per_second: f64,
}

/// One line of `training.jsonl`: means over the steps since the line before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Optimizer steps done.
    pub step: u64,
    /// Mean cross-entropy over the trained tokens.
    pub loss: f64,
    /// Of the last of these steps.
    pub learning_rate: f64,
    /// Before clipping.
    pub gradient_norm: f64,
    /// Tokens seen since the start.
    pub tokens: u64,
}

/// What training leaves: the model, and how it got there.
#[derive(Clone, Debug)]
pub struct Trained {
    pub model: Model,
    pub curve: Vec<Point>,
}

impl Trained {
    /// Writes the model's folder with `training.jsonl` beside the model's files; equal trainings give equal bytes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.model.save(folder)?;
        let path = folder.join("training.jsonl");
        let lines = self.curve.iter().map(|point| Ok(serde_json::to_string(point)? + "\n"));
        let written = lines.collect::<Result<String, serde_json::Error>>().map_err(std::io::Error::from);
        let written = written.and_then(|text| std::fs::write(&path, text));
        written.map_err(|error| TrainError::Write { path, error })
    }
}

/// Trains a model on `rows` after `recipe`. The same recipe, rows and seed give the same bytes, whatever the run: a training that
/// was stopped or killed goes on from the checkpoint in `run.scratch`.
///
/// # Errors
/// When there is nothing to train on, a row is longer than the model's context, the loss is no longer a number, or the engine, a
/// file or the tokenizer fails; [`TrainError::Stopped`] when `run.stop` says so.
pub fn train(recipe: &Recipe, rows: &[Row], seed: u64, run: &Run<'_>) -> Result<Trained, TrainError> {
    if rows.is_empty() {
        return Err(TrainError::NoRows);
    }
    let tokenizer = examples::tokenizer(recipe.tokenizer, rows, &recipe.prompt)?;
    let shape = recipe.model.shape(tokenizer.vocabulary())?;
    let examples = Examples::new(rows, &recipe.prompt, &tokenizer, &shape)?;
    let weights = model::initialise(&shape, seed);
    let mut session = Session {
        engine: engine::trainer(
            recipe.engine,
            recipe.dtype,
            run.device,
            &shape,
            &weights,
            recipe.optimizer(),
            run.threads,
        )?,
        order: Order::new(seed, recipe.batch, examples.lengths()),
        identity: checkpoint::identity(recipe, rows, seed),
        history: Vec::new(),
        recipe,
        examples,
        run,
    };
    session.resume()?;
    let steps = session.steps();
    session.go_on(steps)?;
    let model = Model {
        weights: session.engine.weights()?,
        prompt: recipe.prompt.clone(),
        shape,
        tokenizer,
    };
    let curve = history::curve(&session.history, recipe, steps);
    Ok(Trained { model, curve })
}

#[cfg(test)]
mod tests;
