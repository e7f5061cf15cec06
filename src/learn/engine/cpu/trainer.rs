//! The trainer of the CPU engine.

use super::kernel::element::Element;
use super::parameters::Parameters;
use super::pool;
use super::trainer_state::TrainerState;
use crate::engine::{Batch, EngineError, NamedTensor, ReadTensor, StepResult, TensorGroup, Training, TrainingEngine, check};
use crate::model::{Array, ModelShape, WeightSource, Weights};

/// Trains one decoder on the processor, in the numbers `T`. Results are the same bits for any number of threads.
pub struct CpuTrainer<T> {
    pool: rayon::ThreadPool,
    state: TrainerState<T>,
}

impl<T: Element> CpuTrainer<T> {
    /// A trainer that starts from `weights` and has taken no step.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape, a pattern of `frozen` matches nothing, or the threads cannot be started.
    pub fn new(shape: &ModelShape, weights: impl WeightSource, training: impl Into<Training>, threads: usize) -> Result<Self, EngineError> {
        let training = training.into();
        training.frozen.check(shape)?;
        let pool = pool(threads)?;
        let (lora, is_trained) = (training.lora.as_ref(), |name: &str| training.trains(name));
        let parameters = pool.install(|| Parameters::with_trainable(shape, weights, lora, &is_trained))?;
        Ok(Self {
            pool,
            state: TrainerState::new(parameters, &training),
        })
    }
}

impl<T: Element> TrainingEngine for CpuTrainer<T> {
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepResult, EngineError> {
        let Self { pool, state } = self;
        for batch in batches {
            check::batch(&state.parameters.shape, batch)?;
        }
        Ok(pool.install(|| state.step(batches, learning_rate)))
    }

    fn loss(&mut self, batches: &mut dyn Iterator<Item = Batch>) -> Result<f64, EngineError> {
        let Self { pool, state } = self;
        let (mut sum, mut tokens) = (0.0, 0);
        for batch in batches {
            check::batch(&state.parameters.shape, &batch)?;
            tokens += batch.trained();
            sum += pool.install(|| state.summed_loss(&batch));
        }
        Ok(sum * (1.0 / tokens.max(1) as f64))
    }

    fn steps(&self) -> u64 {
        self.state.optimizer.steps
    }

    fn trained(&self) -> usize {
        self.state.parameters.trainable.length
    }

    fn tensors(&self, group: TensorGroup) -> Result<Vec<NamedTensor<'_>>, EngineError> {
        let state = &self.state;
        let parameters = &state.parameters;
        Ok(match group {
            TensorGroup::Weights => parameters
                .trainable
                .reported(&parameters.layout)
                .map(|(name, shape, range)| NamedTensor::borrowed(name, shape, parameters.floats.part(range)))
                .collect(),
            TensorGroup::First => state.named(&state.optimizer.first),
            TensorGroup::Second => state.named(&state.optimizer.second),
        })
    }

    fn finish(self: Box<Self>) -> Result<Weights, EngineError> {
        // Everything but the weights is freed first, so that their copy does not lie beside the moments.
        let Parameters {
            layout, floats, trainable, ..
        } = { *self }.state.parameters;
        let arrays = trainable.reported(&layout).map(|(name, shape, range)| {
            let data = floats.part(range).to_vec();
            let shape = shape.to_vec();
            (name.to_owned(), Array { shape, data })
        });
        Ok(arrays.collect())
    }

    fn restore(&mut self, steps: u64, read: &mut ReadTensor<'_>) -> Result<(), EngineError> {
        let TrainerState { parameters, optimizer, .. } = &mut self.state;
        let Parameters {
            layout, floats, trainable, ..
        } = &mut *parameters;
        for (name, shape, range) in trainable.reported(layout) {
            let mut fill = |group, to: &mut [f32]| {
                let array = read(group, name)?;
                check::tensor(name, shape, &array)?;
                to.copy_from_slice(&array.data);
                Ok::<_, EngineError>(())
            };
            fill(TensorGroup::Weights, floats.part_mut(range.clone()))?;
            for (range, start) in trainable.within(range) {
                let part = start..start + range.len();
                fill(TensorGroup::First, &mut optimizer.first[part.clone()])?;
                fill(TensorGroup::Second, &mut optimizer.second[part])?;
            }
        }
        optimizer.steps = steps;
        parameters.pack_all();
        Ok(())
    }
}
