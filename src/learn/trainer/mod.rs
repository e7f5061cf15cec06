//! The training loop: rows → a trained model. Knows nothing of tasks and stages.

mod checkpoint;
mod error;
mod examples;
mod history;
mod memory;
mod order;
mod recipe;
mod schedule;
mod session;
mod start;
pub mod training_curve;

use std::path::Path;

use crate::dataset::Row;
use crate::engine;
use crate::model::lora::is_adapter;
use crate::model::{Adapters, Architecture, Model, ModelError, Shape, Weights};
use crate::seed::Stream;

pub use error::TrainError;
pub use recipe::{Recipe, Schedule};
pub use training_curve::TrainingPoint;

use examples::Examples;
use order::Order;
use session::Session;
use start::Start;

/// Reads a model, the same each time.
pub type Reads<'a> = dyn Fn() -> Result<Model, ModelError> + 'a;

/// What a training is given.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// What is trained on.
    pub rows: &'a [Row],
    /// Rows whose texts the tokenizer can tell as well, though nothing is trained on them; without effect where there is a base.
    pub vocabulary: &'a [Row],
    /// Reads the model to start from, instead of random weights: its tokenizer and shape are the new model's. Asked once more where adapters
    /// are merged into it in the end, so that its weights need not lie in memory all the time.
    pub base: Option<&'a Reads<'a>>,
}

/// Where and how a training runs; nothing of it changes the result.
pub struct Run<'a> {
    /// A folder for checkpoints that outlives a killed process; made where it is missing.
    pub scratch: &'a Path,
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Bytes that the training may take; nothing where they are not known.
    pub memory: Option<u64>,
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

/// What training leaves: the model, and how it got there.
#[derive(Clone, Debug)]
pub struct Trained {
    /// With the adapters merged, where there are any.
    pub model: Model,
    pub adapters: Option<Adapters>,
    pub curve: Vec<TrainingPoint>,
}

impl Trained {
    /// Writes the model's folder, with the training curve beside the model's files; equal trainings give equal bytes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.model.save(folder)?;
        if let Some(adapters) = &self.adapters {
            adapters.save(&folder.join("adapter"))?;
        }
        training_curve::write(folder, &self.curve)
    }
}

/// Whether a model of the architecture `written` can start from one that was trained as `base`: nothing but the vocabulary may differ.
///
/// # Errors
/// When something differs, or one of them is impossible; the message names it.
pub fn check_base(written: &Architecture, base: &Architecture) -> Result<(), TrainError> {
    start::check(written, &base.shape(1)?)
}

/// Trains a model on `material` after `recipe`. The same recipe, material and seed give the same bytes, whatever the run: a training
/// that was stopped or killed goes on from the checkpoint in `run.scratch`.
///
/// # Errors
/// When there is nothing to train on, a row is longer than the model's context, the base is of another shape or does not know a
/// character of a row, the loss is no longer a number, or the engine, a file or the tokenizer fails; [`TrainError::Stopped`] when
/// `run.stop` says so.
pub fn train(recipe: &Recipe, material: &Material<'_>, seed: u64, run: &Run<'_>) -> Result<Trained, TrainError> {
    let rows = material.rows;
    if rows.is_empty() {
        return Err(TrainError::NoRows);
    }
    let start = Start::of(recipe, material, seed, run.memory)?;
    let examples = Examples::new(rows, &recipe.prompt, &start.tokenizer, &start.shape)?;
    if material.base.is_some() {
        examples.check_known(&recipe.prompt, &start.tokenizer)?;
    }
    let steps = recipe.steps(rows.len());
    recipe.frozen.check(&start.shape)?;
    let mut order = Order::new(seed, recipe.batch, examples.lengths(), recipe.curriculum(steps));
    let batches = memory::batches(recipe, &examples, &mut order, steps);
    // Rotary positions are tables: those of a long context that no row fills are not made.
    let longest = examples.lengths().into_iter().max().unwrap_or(1);
    let read = Shape {
        context: start.shape.context.min(longest),
        ..start.shape.clone()
    };
    let training = memory::fit(recipe, &read, &batches, Stream::new(seed, "dropout").bits(), run)?;
    let identity = checkpoint::identity(recipe, rows, &start, seed)?;
    let Start { tokenizer, shape, weights } = start;
    let engine = engine::trainer(recipe.engine, recipe.dtype, run.device, &read, weights, training, run.threads)?;
    let mut session = Session {
        engine,
        order,
        identity,
        history: Vec::new(),
        recipe,
        examples,
        run,
    };
    session.resume()?;
    session.go_on(steps)?;
    let Session { engine, history, .. } = session;
    let trained = engine.finish()?;
    let (weights, adapters) = finished(recipe, material, trained)?;
    let model = Model {
        weights,
        prompt: recipe.prompt.clone(),
        shape,
        tokenizer,
    };
    let curve = history::curve(&history, recipe, steps);
    Ok(Trained { model, adapters, curve })
}

/// The weights of the trained model, and what was added to them: the adapters, where such were trained.
fn finished(recipe: &Recipe, material: &Material<'_>, trained: Weights) -> Result<(Weights, Option<Adapters>), TrainError> {
    let (Some(lora), Some(base)) = (&recipe.lora, material.base) else {
        return Ok((trained, None));
    };
    let adapters = Adapters {
        lora: lora.clone(),
        weights: trained.into_iter().filter(|(name, _)| is_adapter(name)).collect(),
    };
    let mut merged = base()?.weights;
    lora.merge(&mut merged, &adapters.weights);
    Ok((merged, Some(adapters)))
}

#[cfg(test)]
mod tests;
