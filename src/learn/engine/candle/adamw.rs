//! AdamW with clipping by the global norm.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};

use crate::engine::Optimizer;

/// The optimizer's settings and state.
pub(super) struct AdamW {
    settings: Optimizer,
    pub(super) steps: u64,
    /// First moments by the weights' names.
    pub(super) first: BTreeMap<String, Tensor>,
    /// Second moments by the weights' names.
    pub(super) second: BTreeMap<String, Tensor>,
}

impl AdamW {
    /// An optimizer of `weights` that has taken no step.
    pub(super) fn new(settings: Optimizer, weights: &BTreeMap<String, Var>) -> Result<Self> {
        let zeros = || {
            let zeros = weights.iter().map(|(name, weight)| Ok((name.clone(), weight.zeros_like()?)));
            zeros.collect::<Result<BTreeMap<_, _>>>()
        };
        Ok(Self {
            settings,
            steps: 0,
            first: zeros()?,
            second: zeros()?,
        })
    }

    /// Takes one step along `gradients`; returns their norm before clipping.
    ///
    /// `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`, `w ← w - η·λ·w - η · m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + ε)`, with `g` scaled down to the
    /// norm `clip` if it is larger, and λ = 0 for norms and biases.
    pub(super) fn step(
        &mut self,
        weights: &BTreeMap<String, Var>,
        gradients: &BTreeMap<String, Tensor>,
        learning_rate: f64,
    ) -> Result<f64> {
        let norm = norm(gradients.values())?;
        let scale = if norm > self.settings.clip {
            self.settings.clip / norm
        } else {
            1.0
        };
        self.steps += 1;
        let Optimizer { beta1, beta2, .. } = self.settings;
        let correct1 = 1.0 - libm::pow(beta1, self.steps as f64);
        let correct2 = 1.0 - libm::pow(beta2, self.steps as f64);
        for ((name, gradient), (first, second)) in gradients.iter().zip(self.first.values_mut().zip(self.second.values_mut())) {
            let Some(weight) = weights.get(name) else { continue };
            let gradient = (gradient * scale)?;
            *first = ((&*first * beta1)? + (&gradient * (1.0 - beta1))?)?;
            *second = ((&*second * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
            let denominator = ((&*second / correct2)?.sqrt()? + self.settings.epsilon)?;
            let update = ((&*first * (learning_rate / correct1))? / denominator)?;
            let decay = if weight.rank() > 1 {
                learning_rate * self.settings.weight_decay
            } else {
                0.0
            };
            weight.set(&((weight.as_tensor() * (1.0 - decay))? - update)?)?;
        }
        Ok(norm)
    }
}

/// The Euclidean norm of all `gradients` together.
fn norm<'a>(gradients: impl Iterator<Item = &'a Tensor>) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients {
        sum += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(sum.sqrt())
}
