//! AdamW over the flat buffers of the trained weights.

use rayon::prelude::*;

use super::kernel::adamw::{self, AdamWState, AdamWUpdate};
use super::kernel::element::Element;
use super::parameters::Parameters;
use crate::engine::Optimizer;

/// Floats in one piece of the optimizer's passes. Fixed, so that the gradient norm does not depend on the number of threads.
const OPTIMIZER_CHUNK: usize = 1 << 14;

/// The settings of AdamW and its state.
#[derive(Clone, Debug)]
pub struct FlatAdamW {
    settings: Optimizer,
    /// Steps taken.
    pub steps: u64,
    /// The moments of the trained weights.
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    /// Working memory: sums of squares of the gradient's pieces.
    squares: Vec<f64>,
}

impl FlatAdamW {
    /// An optimizer of n `trained` numbers that has taken no step.
    pub fn new(settings: Optimizer, trained: usize) -> Self {
        Self {
            settings,
            steps: 0,
            first: vec![0.0; trained],
            second: vec![0.0; trained],
            squares: vec![0.0; trained.div_ceil(OPTIMIZER_CHUNK)],
        }
    }

    /// Takes one step along `gradient` and packs the changed weights again. Returns the norm of the gradient before clipping.
    pub fn step<T: Element>(&mut self, parameters: &mut Parameters<T>, gradient: &[f32], learning_rate: f64) -> f64 {
        let cpu = parameters.cpu;
        let pieces = gradient.par_chunks(OPTIMIZER_CHUNK).zip(&mut self.squares);
        pieces.for_each(|(piece, sum)| *sum = adamw::squares(cpu, piece));
        let norm = self.squares.iter().sum::<f64>().sqrt();
        self.steps += 1;
        let update = self.update(norm, learning_rate);
        let decayed = AdamWUpdate {
            keep: (1.0 - learning_rate * self.settings.weight_decay) as f32,
            ..update
        };
        let Self { first, second, .. } = self;
        let Parameters {
            floats, trainable, layout, ..
        } = parameters;
        for (range, update) in [(0..layout.decayed, decayed), (layout.decayed..layout.length, update)] {
            for (weights, start) in trainable.within(range) {
                let part = start..start + weights.len();
                let pieces = (
                    floats.part_mut(weights).par_chunks_mut(OPTIMIZER_CHUNK),
                    gradient[part.clone()].par_chunks(OPTIMIZER_CHUNK),
                    first[part.clone()].par_chunks_mut(OPTIMIZER_CHUNK),
                    second[part].par_chunks_mut(OPTIMIZER_CHUNK),
                );
                pieces.into_par_iter().for_each(|(weights, gradient, first, second)| {
                    let state = AdamWState {
                        weights,
                        gradient,
                        first,
                        second,
                    };
                    adamw::update(cpu, state, update);
                });
            }
        }
        parameters.pack_trained();
        norm
    }

    /// The factors of the current step for a gradient of this norm, without weight decay.
    fn update(&self, norm: f64, learning_rate: f64) -> AdamWUpdate {
        let Optimizer {
            beta1,
            beta2,
            epsilon,
            clip,
            ..
        } = self.settings;
        let steps = self.steps as f64;
        AdamWUpdate {
            gradient_scale: if norm > clip { (clip / norm) as f32 } else { 1.0 },
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: epsilon as f32,
            keep: 1.0,
            rate: (learning_rate / (1.0 - libm::pow(beta1, steps))) as f32,
            root_correction: (1.0 / (1.0 - libm::pow(beta2, steps)).sqrt()) as f32,
        }
    }
}
