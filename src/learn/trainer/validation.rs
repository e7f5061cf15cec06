//! The held-out loss: when it is computed, which step was the best, and when a training has nothing more to gain.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::examples::{BatchPlaces, Examples};
use super::order::per_epoch;
use super::recipe::{Keep, TrainingLength};
use super::start::TrainingStart;
use super::{Recipe, TrainError, TrainingData};
use crate::dataset::Row;
use crate::engine::{Batch, Sequence};
use crate::model::{ModelShape, Weights};

/// The held-out loss after a number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeldOutLoss {
    /// Optimizer steps done.
    pub(super) step: u64,
    /// Mean cross-entropy over the tokens of the set that would be trained on.
    pub(super) loss: f64,
}

/// What a training found on its validation set: `validation.json` in the model's folder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationSummary {
    /// The step after which the held-out loss was the lowest; of equal ones the first.
    pub best_step: u64,
    /// The held-out loss after that step.
    pub best_loss: f64,
    /// How often the held-out loss was computed.
    pub evaluations: u64,
    /// The step whose weights the model has.
    pub kept_step: u64,
    /// Whether the training ended before its last step, because the loss had not improved for `patience` evaluations.
    pub stopped_early: bool,
}

/// The validation set of a training, and what was found on it.
pub(super) struct Validation<'a> {
    recipe: &'a Recipe,
    length: TrainingLength,
    /// Batches in one pass over the rows that are trained on.
    per_epoch: u64,
    examples: Examples<'a>,
    /// The rows of each batch, the shortest first, so that little is padded.
    batches: Vec<Vec<usize>>,
    /// In the order of the steps.
    pub(super) found: Vec<HeldOutLoss>,
    /// The trained weights after the best step, if they are to be kept and there is one.
    pub(super) best: Option<Weights>,
}

impl<'a> Validation<'a> {
    /// The validation set of `data`; `None` without one.
    ///
    /// # Errors
    /// When it has no token to measure, a row is longer than the model's context, or the tokenizer lacks a token for a part of a row.
    pub(super) fn new(
        recipe: &'a Recipe,
        data: &TrainingData<'a>,
        start: &TrainingStart,
        length: TrainingLength,
    ) -> Result<Option<Self>, TrainError> {
        let Some(rows) = data.validation else { return Ok(None) };
        let examples = examples(rows, data, start)?;
        let lengths = examples.lengths();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&row| lengths.get(row));
        Ok(Some(Self {
            recipe,
            length,
            per_epoch: per_epoch(data.rows.len(), recipe.batch).max(1),
            examples,
            batches: order.chunks(recipe.batch.max(1)).map(<[usize]>::to_vec).collect(),
            found: Vec::new(),
            best: None,
        }))
    }

    /// The sizes of its batches, for estimates of memory.
    pub(super) fn sequences(&self) -> impl Iterator<Item = Vec<Sequence>> + '_ {
        self.batches.iter().map(|rows| self.examples.sequences(rows))
    }

    /// Tokens of the longest row, prompt and end included.
    pub(super) fn longest(&self) -> usize {
        self.examples.lengths().into_iter().max().unwrap_or(0)
    }

    /// The batches, one by one.
    pub(super) fn batches(&self) -> impl Iterator<Item = Batch> + '_ {
        self.batches.iter().map(|rows| self.examples.batch(rows, BatchPlaces::OfUse))
    }

    /// Whether the held-out loss has to be computed after `step` steps, and has not been: after the last step, and every
    /// `validate_every` steps or with each pass over the data.
    pub(super) fn is_due(&self, step: u64) -> bool {
        if step == 0 || self.found.last().is_some_and(|last| last.step >= step) {
            return false;
        }
        step == self.length.steps
            || match self.recipe.validate_every {
                Some(every) => step.is_multiple_of(every.max(1)),
                None => self.passes(step) > self.passes(step - 1),
            }
    }

    /// Full passes over the data after `step` steps.
    fn passes(&self, step: u64) -> u64 {
        let batches = step.saturating_mul(self.recipe.accumulate as u64).min(self.length.batches);
        batches.saturating_sub(self.length.curriculum) / self.per_epoch
    }

    /// Adds the held-out loss after a further step; returns whether it is the best so far and its weights are to be kept.
    pub(super) fn add(&mut self, found: HeldOutLoss) -> bool {
        self.found.push(found);
        self.keeps_best() && self.best_place() == Some(self.found.len() - 1)
    }

    /// Whether the weights of the best step are kept, not those of the last.
    fn keeps_best(&self) -> bool {
        self.recipe.keep == Keep::Best
    }

    /// Whether the loss has not improved for `patience` evaluations.
    pub(super) fn is_over(&self) -> bool {
        let since = self.best_place().map_or(0, |best| self.found.len() - 1 - best);
        self.recipe.patience.is_some_and(|patience| since as u64 >= patience)
    }

    fn best_place(&self) -> Option<usize> {
        best_place(&self.found)
    }

    /// What was found in a training of `steps` steps; `None` if nothing was measured.
    pub(super) fn summary(&self, steps: u64) -> Option<ValidationSummary> {
        let best = self.found.get(self.best_place()?)?;
        Some(ValidationSummary {
            best_step: best.step,
            best_loss: best.loss,
            evaluations: self.found.len() as u64,
            kept_step: if self.keeps_best() { best.step } else { steps },
            stopped_early: steps < self.length.steps,
        })
    }
}

/// The place of the lowest loss; of equal ones the first.
pub(super) fn best_place(found: &[HeldOutLoss]) -> Option<usize> {
    let losses = found.iter().map(|found| found.loss).enumerate();
    losses.min_by(|(_, left), (_, right)| left.total_cmp(right)).map(|(place, _)| place)
}

/// The rows as tokens, all of which the model can read.
fn examples<'a>(rows: &'a [Row], data: &TrainingData<'_>, start: &TrainingStart) -> Result<Examples<'a>, TrainError> {
    let TrainingStart {
        prompter,
        tokenizer,
        shape,
        ..
    } = start;
    let of_set = |error| match error {
        TrainError::TooLong {
            count,
            context,
            longest,
            rows,
        } => TrainError::HeldOutTooLong {
            count,
            context,
            longest,
            rows,
        },
        TrainError::BeyondTop { count, top, highest, rows } => TrainError::HeldOutBeyondTop { count, top, highest, rows },
        // With a base the advice is the same as for rows that are trained on.
        TrainError::Unknown { text, row, line } if data.base.is_none() => TrainError::HeldOutUnknown { text, row, line },
        other => other,
    };
    let examples = Examples::new(rows, prompter, tokenizer, shape).map_err(of_set)?;
    if examples.targets() == 0 {
        return Err(TrainError::NothingHeldOut);
    }
    examples.check_known(prompter, tokenizer).map_err(of_set)?;
    Ok(examples)
}

/// Bytes of a copy of the weights that a training of this shape changes and keeps of its best step; 0 if it keeps none.
pub(super) fn kept_bytes(recipe: &Recipe, shape: &ModelShape, validates: bool) -> usize {
    if !validates || recipe.keep == Keep::Last {
        return 0;
    }
    let numbers = recipe.lora.as_ref().map_or_else(
        || shape.size(),
        |lora| lora.adapted(shape).values().map(|(out, inner)| lora.rank * (out + inner)).sum(),
    );
    numbers.saturating_mul(size_of::<f32>())
}

/// Writes the summary into a model's folder; equal ones give equal bytes.
pub(super) fn write(folder: &Path, summary: &ValidationSummary) -> Result<(), TrainError> {
    let path = path(folder);
    let text = serde_json::to_string_pretty(summary).map_err(std::io::Error::from);
    let written = text.and_then(|text| std::fs::write(&path, text + "\n"));
    written.map_err(|error| TrainError::Write { path, error })
}

/// Reads the summary from a model's folder; `None` if it has none, or one that is not of this program.
pub fn read(folder: &Path) -> Option<ValidationSummary> {
    serde_json::from_slice(&std::fs::read(path(folder)).ok()?).ok()
}

fn path(folder: &Path) -> std::path::PathBuf {
    folder.join("validation.json")
}

#[cfg(test)]
mod tests;
