//! Training with candle's automatic differentiation.

use std::collections::BTreeMap;

use candle_core::{Device, Error, Tensor, Var};

use super::adamw::AdamW;
use super::network::Network;
use super::{loss, named, pool, tensor, tensors};
use crate::engine::{Batch, EngineError, NamedTensor, Optimizer, ReadTensor, StepResult, TensorGroup, TrainingEngine};
use crate::model::lora::adapter_names;
use crate::model::{Lora, ModelShape, Weights};

/// Trains one decoder on a candle device.
pub struct CandleTrainer {
    device: Device,
    pool: rayon::ThreadPool,
    /// The trained parameters; `network` shares their storage.
    weights: BTreeMap<String, Var>,
    network: Network,
    optimizer: AdamW,
    adapted: Option<AdaptedBase>,
}

/// The base, which does not change while adapters are trained.
struct AdaptedBase {
    lora: Lora,
    shape: ModelShape,
    base: BTreeMap<String, Tensor>,
}

impl AdaptedBase {
    /// The decoder with the adapters merged by operations that carry gradients.
    fn network(&self, adapters: &BTreeMap<String, Var>, device: &Device) -> Result<Network, EngineError> {
        Network::new(&self.shape, device, |name| {
            let missing = || EngineError::Missing(name.to_owned());
            let weight = self.base.get(name).ok_or_else(missing)?;
            let (a, b) = adapter_names(name);
            match (adapters.get(&a), adapters.get(&b)) {
                (Some(a), Some(b)) => Ok((weight + (b.matmul(a)? * self.lora.scale())?)?),
                _ => Ok(weight.clone()),
            }
        })
    }
}

impl CandleTrainer {
    /// A trainer of all weights of the decoder of `shape` that starts from `weights`.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape, or the device fails.
    pub fn new(shape: &ModelShape, weights: &Weights, optimizer: Optimizer, device: &Device, threads: usize) -> Result<Self, EngineError> {
        let variables = tensors(shape, weights, device)?.into_iter();
        let weights = variables
            .map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor)?)))
            .collect::<Result<BTreeMap<_, _>, EngineError>>()?;
        let network = Network::new(shape, device, |name| match weights.get(name) {
            Some(weight) => Ok(weight.as_tensor().clone()),
            None => Err(EngineError::Missing(name.to_owned())),
        })?;
        Ok(Self {
            device: device.clone(),
            pool: pool(threads)?,
            optimizer: AdamW::new(optimizer, &weights)?,
            weights,
            network,
            adapted: None,
        })
    }

    /// A trainer of the adapters among `weights`; the other weights do not change.
    ///
    /// # Errors
    /// As [`CandleTrainer::new`].
    pub fn adapting(
        shape: &ModelShape,
        weights: &Weights,
        (lora, optimizer): (&Lora, Optimizer),
        device: &Device,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let adapters = lora.adapted(shape).into_iter().flat_map(|(name, (out, inner))| {
            let (a, b) = adapter_names(&name);
            [(a, [lora.rank, inner]), (b, [out, lora.rank])]
        });
        let adapters = adapters.map(|(name, expected)| {
            let array = weights.get(&name).ok_or_else(|| EngineError::Missing(name.clone()))?;
            let variable = Var::from_tensor(&tensor(array, &name, &expected, device)?)?;
            Ok((name, variable))
        });
        let adapters = adapters.collect::<Result<BTreeMap<_, _>, EngineError>>()?;
        let adapted = AdaptedBase {
            lora: lora.clone(),
            shape: shape.clone(),
            base: tensors(shape, weights, device)?,
        };
        Ok(Self {
            device: device.clone(),
            pool: pool(threads)?,
            optimizer: AdamW::new(optimizer, &adapters)?,
            network: adapted.network(&adapters, device)?,
            weights: adapters,
            adapted: Some(adapted),
        })
    }

    /// The decoder with the adapters as they are now; `None` without adapters.
    fn merged(&self) -> Result<Option<Network>, EngineError> {
        let merged = self.adapted.as_ref().map(|adapted| adapted.network(&self.weights, &self.device));
        merged.transpose()
    }

    /// The mean loss over `batches` and its gradient by the weights' names.
    pub(super) fn gradients(&self, batches: &[Batch]) -> Result<(f64, BTreeMap<String, Tensor>), EngineError> {
        let trained: usize = batches.iter().map(Batch::trained).sum();
        let share = 1.0 / trained.max(1) as f64;
        let merged = self.merged()?;
        let network = merged.as_ref().unwrap_or(&self.network);
        let mut mean = 0.0;
        let mut gradients: BTreeMap<String, Tensor> = BTreeMap::new();
        for batch in batches {
            let Some(loss) = loss::summed(network, batch, &self.device)? else {
                continue;
            };
            let loss = (loss * share)?;
            mean += f64::from(loss.to_scalar::<f32>()?);
            let mut found = loss.backward()?;
            for (name, weight) in &self.weights {
                // Without this error, a weight on which the loss does not depend would silently never change.
                let gradient = found
                    .remove(weight)
                    .ok_or_else(|| Error::Msg(format!("`{name}` has no gradient")))?;
                let sum = match gradients.remove(name) {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                };
                gradients.insert(name.clone(), sum);
            }
        }
        Ok((mean, gradients))
    }
}

impl TrainingEngine for CandleTrainer {
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepResult, EngineError> {
        let (loss, gradients) = self.pool.install(|| self.gradients(batches))?;
        let Self {
            pool, optimizer, weights, ..
        } = self;
        let gradient_norm = pool.install(|| optimizer.step(weights, &gradients, learning_rate))?;
        Ok(StepResult { loss, gradient_norm })
    }

    fn loss(&mut self, batches: &mut dyn Iterator<Item = Batch>) -> Result<f64, EngineError> {
        let merged = self.pool.install(|| self.merged())?;
        let network = merged.as_ref().unwrap_or(&self.network);
        let (mut sum, mut tokens) = (0.0, 0);
        for batch in batches {
            tokens += batch.trained();
            let loss = self.pool.install(|| match loss::summed(network, &batch, &self.device)? {
                Some(loss) => Ok::<_, EngineError>(f64::from(loss.to_scalar::<f32>()?)),
                None => Ok(0.0),
            });
            sum += loss?;
        }
        Ok(sum * (1.0 / tokens.max(1) as f64))
    }

    fn steps(&self) -> u64 {
        self.optimizer.steps
    }

    fn trained(&self) -> usize {
        self.weights.values().map(|weight| weight.elem_count()).sum()
    }

    fn tensors(&self, part: TensorGroup) -> Result<Vec<NamedTensor<'_>>, EngineError> {
        match part {
            TensorGroup::Weights => named(self.weights.iter().map(|(name, weight)| (name, weight.as_tensor()))),
            TensorGroup::First => named(&self.optimizer.first),
            TensorGroup::Second => named(&self.optimizer.second),
        }
    }

    fn finish(self: Box<Self>) -> Result<Weights, EngineError> {
        self.weights()
    }

    fn restore(&mut self, steps: u64, read: &mut ReadTensor<'_>) -> Result<(), EngineError> {
        for (name, weight) in &self.weights {
            let mut read = |part| tensor(&read(part, name)?, name, weight.dims(), &self.device);
            weight.set(&read(TensorGroup::Weights)?)?;
            self.optimizer.first.insert(name.clone(), read(TensorGroup::First)?);
            self.optimizer.second.insert(name.clone(), read(TensorGroup::Second)?);
        }
        self.optimizer.steps = steps;
        Ok(())
    }
}
