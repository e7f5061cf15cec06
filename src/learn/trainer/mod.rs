//! The training loop: rows → a trained model. It uses no tasks and no stages.

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
pub mod validation;

use std::path::Path;

use crate::dataset::Row;
use crate::engine;
use crate::model::lora::is_adapter;
use crate::model::{Adapters, Architecture, Model, ModelError, ModelShape, Weights};
use crate::seed::Stream;

pub use error::TrainError;
pub use recipe::{Keep, Recipe, Schedule};
pub use training_curve::TrainingPoint;
pub use validation::ValidationSummary;

use examples::Examples;
use order::BatchOrder;
use session::TrainingSession;
use start::TrainingStart;
use validation::Validation;

/// Reads a model; every call returns the same one.
pub type ReadModel<'a> = dyn Fn() -> Result<Model, ModelError> + 'a;

/// The inputs of a training.
#[derive(Clone, Copy)]
pub struct TrainingData<'a> {
    /// The rows to train on.
    pub rows: &'a [Row],
    /// Rows whose texts are also covered by the tokenizer, although nothing is trained on them. Ignored if there is a base.
    pub vocabulary: &'a [Row],
    /// Rows that are not trained on, on which the held-out loss is computed. They change no weight but by `patience` and `keep`.
    pub validation: Option<&'a [Row]>,
    /// Reads the model from which training starts, instead of random weights. The new model gets its tokenizer and shape. If adapters are
    /// trained, it is called again to merge them at the end, so that the base's weights need not stay in memory.
    pub base: Option<&'a ReadModel<'a>>,
}

/// Settings of how a training runs. They do not change the result.
pub struct TrainingRun<'a> {
    /// A folder for checkpoints that outlives a killed process. It is created if missing.
    pub scratch: &'a Path,
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Available memory in bytes; `None` if unknown.
    pub memory: Option<u64>,
    /// Called after each step.
    pub progress: &'a dyn Fn(TrainingProgress),
    /// Called before each step. If it returns true, a checkpoint is saved and the training ends with [`TrainError::Stopped`].
    pub stop: &'a dyn Fn() -> bool,
}

/// The progress of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingProgress {
    /// Optimizer steps done.
    pub step: u64,
    /// Total optimizer steps.
    pub steps: u64,
    /// Loss of this step.
    pub loss: f64,
    /// The held-out loss that was computed last.
    pub validation_loss: Option<f64>,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Mean since this process started training.
    pub tokens_per_second: f64,
}

/// The result of a training: the model and the training curve.
#[derive(Clone, Debug)]
pub struct TrainedModel {
    /// The model, with adapters merged if there are any.
    pub model: Model,
    pub adapters: Option<Adapters>,
    pub curve: Vec<TrainingPoint>,
    /// What was found on the validation set, if there is one.
    pub validation: Option<ValidationSummary>,
}

impl TrainedModel {
    /// Writes the model's folder, including `training.jsonl`, and `validation.json` if there was a validation set. Equal trainings give equal bytes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.model.save(folder)?;
        if let Some(adapters) = &self.adapters {
            adapters.save(&folder.join("adapter"))?;
        }
        if let Some(summary) = &self.validation {
            validation::write(folder, summary)?;
        }
        training_curve::write(folder, &self.curve)
    }
}

/// Checks that a model of the architecture `written` can start from one of the architecture `base`: only the vocabulary may differ.
///
/// # Errors
/// When something else differs, or one of them is not valid. The message names the field.
pub fn check_base(written: &Architecture, base: &Architecture) -> Result<(), TrainError> {
    start::check(written, &base.shape(1)?)
}

/// Trains a model on `data` with the params `recipe`. The same recipe, data and seed give the same bytes. A training that was stopped or
/// killed resumes from the checkpoint in `run.scratch`.
///
/// # Errors
/// When there are no rows, a row is longer than the model's context, the base has another shape or no token for a character of a row, the
/// validation set has nothing to measure, the loss is not finite, or the engine, a file or the tokenizer fails; [`TrainError::Stopped`] when `run.stop` returns true.
pub fn train(recipe: &Recipe, data: &TrainingData<'_>, seed: u64, run: &TrainingRun<'_>) -> Result<TrainedModel, TrainError> {
    let rows = data.rows;
    if rows.is_empty() {
        return Err(TrainError::NoRows);
    }
    let start = TrainingStart::new(recipe, data, seed, run.memory)?;
    let examples = Examples::new(rows, &start.prompter, &start.tokenizer, &start.shape)?;
    if data.base.is_some() {
        examples.check_known(&start.prompter, &start.tokenizer)?;
    }
    let ends = examples.ends(&start.tokenizer);
    let length = recipe.length(rows.len());
    recipe.frozen.check(&start.shape)?;
    let mut order = BatchOrder::new(seed, recipe.batch, examples.lengths(), length.curriculum);
    let validation = Validation::new(recipe, data, &start, length)?;
    let mut batches = memory::batches(recipe, &examples, &mut order, length.curriculum);
    batches.extend(validation.iter().flat_map(Validation::sequences));
    // The tables of rotary positions need to be only as long as the longest row.
    let longest = examples.lengths().into_iter().max().unwrap_or(1);
    let longest = longest.max(validation.as_ref().map_or(1, Validation::longest));
    let read = ModelShape {
        context: start.shape.context.min(longest),
        ..start.shape.clone()
    };
    let kept = validation::kept_bytes(recipe, &read, validation.is_some());
    let training = memory::choose_options(recipe, &read, &batches, kept, Stream::new(seed, "dropout").bits(), run)?;
    let identity = checkpoint::identity(recipe, data, &start, seed)?;
    let TrainingStart {
        tokenizer,
        shape,
        weights,
        chat,
        ..
    } = start;
    let tokenizer = tokenizer.also_ending_with(ends)?;
    let engine = engine::trainer(recipe.engine, recipe.dtype, run.device, &read, weights, training, run.threads)?;
    let mut session = TrainingSession {
        engine,
        order,
        seed,
        identity,
        history: Vec::new(),
        validation,
        recipe,
        length,
        examples,
        run,
    };
    session.resume()?;
    session.go_on()?;
    let found = session.validation.as_ref();
    let held_out = found.map_or(&[][..], |validation| &validation.found);
    let curve = history::curve(&session.history, held_out, recipe, length.steps);
    let validation = found.and_then(|validation| validation.summary(session.history.len() as u64));
    let (weights, adapters) = finished(recipe, data, session.finish()?)?;
    let model = Model {
        weights,
        prompt: recipe.prompt.clone(),
        shape,
        tokenizer,
        chat,
    };
    Ok(TrainedModel {
        model,
        adapters,
        curve,
        validation,
    })
}

/// The weights of the trained model, and the adapters if they were trained.
fn finished(recipe: &Recipe, data: &TrainingData<'_>, trained: Weights) -> Result<(Weights, Option<Adapters>), TrainError> {
    let (Some(lora), Some(base)) = (&recipe.lora, data.base) else {
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
