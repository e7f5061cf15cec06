//! The loop over optimizer steps.

use std::time::{Duration, Instant};

use super::checkpoint::{self, Checkpoint, Progress};
use super::examples::{BatchPlaces, Examples};
use super::history::StepMetrics;
use super::order::BatchOrder;
use super::recipe::TrainingLength;
use super::validation::{HeldOutLoss, Validation};
use super::{Recipe, TrainError, TrainingProgress, TrainingRun, schedule};
use crate::engine::{Batch, EngineError, StepResult, TrainingEngine};
use crate::model::Weights;

/// The shortest time between checkpoints, and so the most that a killed process loses. It does not change the result.
const MIN_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(30);

/// Training takes at least this many times as long as writing checkpoints. Large ones are therefore written less often.
const WORK_PER_CHECKPOINT: u32 = 30;

/// The assumed rate of writing to a disk, in bytes per second, until the first checkpoint was written.
const ASSUMED_WRITE_RATE: f64 = 400e6;

/// The time until the next checkpoint, if writing one takes `takes`.
fn interval(takes: Duration) -> Duration {
    MIN_CHECKPOINT_INTERVAL.max(takes * WORK_PER_CHECKPOINT)
}

/// The expected time for writing a checkpoint of n `trained` numbers, each with two moments, in f32.
fn presumed(trained: usize) -> Duration {
    Duration::from_secs_f64(trained as f64 * 12.0 / ASSUMED_WRITE_RATE)
}

/// A training in progress.
pub(super) struct TrainingSession<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) length: TrainingLength,
    pub(super) examples: Examples<'a>,
    pub(super) order: BatchOrder,
    pub(super) seed: u64,
    pub(super) engine: Box<dyn TrainingEngine>,
    /// Identifies the training in its checkpoints.
    pub(super) identity: String,
    /// One entry for each step done.
    pub(super) history: Vec<StepMetrics>,
    /// The set for the held-out loss, if there is one.
    pub(super) validation: Option<Validation<'a>>,
    pub(super) run: &'a TrainingRun<'a>,
}

impl TrainingSession<'_> {
    /// Restores the checkpoint, if there is one.
    pub(super) fn resume(&mut self) -> Result<(), TrainError> {
        checkpoint::clear_unfinished(self.run.scratch);
        if let Some(checkpoint) = Checkpoint::open(self.run.scratch, &self.identity) {
            let failed = |error| TrainError::Restore {
                path: checkpoint::path(self.run.scratch),
                error,
            };
            let steps = checkpoint.history.len() as u64;
            let mut read = |part, name: &str| checkpoint.tensor(part, name);
            self.engine.restore(steps, &mut read).map_err(failed)?;
            if let Some(validation) = &mut self.validation {
                validation.best = checkpoint.best().map_err(failed)?;
                validation.found = checkpoint.held_out;
            }
            self.history = checkpoint.history;
        }
        Ok(())
    }

    /// Trains until all steps are done, or the held-out loss no longer improves.
    pub(super) fn go_on(&mut self) -> Result<(), TrainError> {
        let steps = self.length.steps;
        // The process may have been ended between a step and the held-out loss after it.
        self.validate()?;
        let mut begun = Instant::now();
        let mut due = begun + interval(presumed(self.engine.trained()));
        let mut tokens = 0.0;
        while (self.history.len() as u64) < steps && !self.is_over() {
            if (self.run.stop)() {
                self.save()?;
                return Err(TrainError::Stopped);
            }
            let step = self.history.len() as u64;
            let learning_rate = schedule::learning_rate(self.recipe, step, steps);
            let moment = self.step(step, learning_rate)?;
            self.history.push(moment);
            tokens += moment.tokens;
            let before = Instant::now();
            self.validate()?;
            // It reads other tokens, which the speed does not count.
            begun += before.elapsed();
            (self.run.progress)(TrainingProgress {
                step: step + 1,
                steps,
                loss: moment.loss,
                learning_rate,
                validation_loss: self.validation.as_ref().and_then(|validation| Some(validation.found.last()?.loss)),
                tokens_per_second: tokens / begun.elapsed().as_secs_f64().max(1e-9),
            });
            let before = Instant::now();
            if before >= due {
                self.save()?;
                due = Instant::now() + interval(before.elapsed());
            }
        }
        Ok(())
    }

    /// Takes optimizer step `step`, counted from 0.
    fn step(&mut self, step: u64, learning_rate: f64) -> Result<StepMetrics, TrainError> {
        let accumulate = self.recipe.accumulate as u64;
        let first = step.saturating_mul(accumulate);
        // The engine takes the mean over the tokens of the batches that it is given, so that the last ones need no other weight.
        let end = first.saturating_add(accumulate).min(self.length.batches);
        let mut rows = Vec::new();
        let mut batches: Vec<Batch> = Vec::new();
        for number in first..end {
            let numbers = self.order.batch(number);
            let places = BatchPlaces::Drawn {
                seed: self.seed,
                batch: number,
            };
            batches.push(self.examples.batch(&numbers, places));
            rows.extend(numbers);
        }
        let StepResult { loss, gradient_norm } = self.engine.step(&batches, learning_rate)?;
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(TrainError::Diverged {
                step: step + 1,
                loss,
                gradient_norm,
                rows: self.examples.ids(&rows),
            });
        }
        Ok(StepMetrics {
            loss,
            gradient_norm,
            tokens: batches.iter().map(|batch| batch.tokens.len() as f64).sum(),
        })
    }

    /// Whether the held-out loss no longer improves.
    fn is_over(&self) -> bool {
        self.validation.as_ref().is_some_and(Validation::is_over)
    }

    /// Computes the held-out loss, if it is due.
    fn validate(&mut self) -> Result<(), TrainError> {
        let step = self.history.len() as u64;
        let Some(validation) = self.validation.as_mut().filter(|validation| validation.is_due(step)) else {
            return Ok(());
        };
        let mut stopped = false;
        let mut batches = validation.batches().map_while(|batch| {
            stopped = stopped || (self.run.stop)();
            (!stopped).then_some(batch)
        });
        let loss = self.engine.loss(&mut batches)?;
        drop(batches);
        if stopped {
            // The next process computes it before anything else.
            self.save()?;
            return Err(TrainError::Stopped);
        }
        if !loss.is_finite() {
            return Err(TrainError::HeldOutDiverged { step, loss });
        }
        if validation.add(HeldOutLoss { step, loss }) {
            // Freed first, so that there is never more than one copy.
            validation.best = None;
            validation.best = Some(self.engine.weights()?);
        }
        Ok(())
    }

    /// The weights that the model gets: those of the last step, or of the best one.
    pub(super) fn finish(self) -> Result<Weights, EngineError> {
        match self.validation.and_then(|validation| validation.best) {
            Some(best) => Ok(best),
            None => self.engine.finish(),
        }
    }

    fn save(&self) -> Result<(), TrainError> {
        let validation = self.validation.as_ref();
        let done = Progress {
            history: &self.history,
            held_out: validation.map_or(&[], |validation| &validation.found),
            best: validation.and_then(|validation| validation.best.as_ref()),
        };
        checkpoint::write(&*self.engine, done, self.run.scratch, &self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_checkpoints_takes_a_small_part_of_the_time() {
        assert_eq!(interval(Duration::from_millis(20)), Duration::from_secs(30));
        assert_eq!(interval(Duration::from_secs(4)), Duration::from_secs(120));
        assert_eq!(interval(presumed(100_000)), MIN_CHECKPOINT_INTERVAL);
        assert_eq!(interval(presumed(100_000_000)), Duration::from_secs(90));
    }
}
