//! The loop over optimizer steps.

use std::time::{Duration, Instant};

use super::checkpoint::{self, Checkpoint};
use super::examples::Examples;
use super::history::StepMetrics;
use super::order::BatchOrder;
use super::recipe::TrainingLength;
use super::{Recipe, TrainError, TrainingProgress, TrainingRun, schedule};
use crate::engine::{Batch, StepResult, TrainingEngine};

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
    pub(super) engine: Box<dyn TrainingEngine>,
    /// Identifies the training in its checkpoints.
    pub(super) identity: String,
    /// One entry for each step done.
    pub(super) history: Vec<StepMetrics>,
    pub(super) run: &'a TrainingRun<'a>,
}

impl TrainingSession<'_> {
    /// Restores the checkpoint, if there is one.
    pub(super) fn resume(&mut self) -> Result<(), TrainError> {
        checkpoint::clear_unfinished(self.run.scratch);
        if let Some(checkpoint) = Checkpoint::open(self.run.scratch, &self.identity) {
            let steps = checkpoint.history.len() as u64;
            let mut read = |part, name: &str| checkpoint.tensor(part, name);
            let restored = self.engine.restore(steps, &mut read);
            restored.map_err(|error| TrainError::Restore {
                path: checkpoint::path(self.run.scratch),
                error,
            })?;
            self.history = checkpoint.history;
        }
        Ok(())
    }

    /// Trains until all steps are done.
    pub(super) fn go_on(&mut self) -> Result<(), TrainError> {
        let steps = self.length.steps;
        let begun = Instant::now();
        let mut due = begun + interval(presumed(self.engine.trained()));
        let mut tokens = 0.0;
        while (self.history.len() as u64) < steps {
            if (self.run.stop)() {
                self.save()?;
                return Err(TrainError::Stopped);
            }
            let step = self.history.len() as u64;
            let learning_rate = schedule::learning_rate(self.recipe, step, steps);
            let moment = self.step(step, learning_rate)?;
            self.history.push(moment);
            tokens += moment.tokens;
            (self.run.progress)(TrainingProgress {
                step: step + 1,
                steps,
                loss: moment.loss,
                learning_rate,
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
            batches.push(self.examples.batch(&numbers));
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

    fn save(&self) -> Result<(), TrainError> {
        checkpoint::write(&*self.engine, &self.history, self.run.scratch, &self.identity)
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
