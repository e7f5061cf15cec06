//! AdamW (Loshchilov & Hutter 2019) in one pass over the parameters.

use super::kernel;

/// The numbers of one update.
#[derive(Clone, Copy, Debug)]
pub struct AdamWUpdate {
    /// Factor on the gradient: less than 1 if it is clipped.
    pub gradient_scale: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// Factor of the weight decay: `1 - learning_rate · weight_decay`.
    pub keep: f32,
    /// `learning_rate / (1 - beta1^steps)`.
    pub rate: f32,
    /// `1 / sqrt(1 - beta2^steps)`.
    pub root_correction: f32,
}

/// The slices of one update, all of one length.
pub struct AdamWState<'a> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
}

kernel! {
    /// Updates weights and moments.
    pub fn update<L>(state: AdamWState<'_>, update: AdamWUpdate) {
        let AdamWUpdate { gradient_scale, beta1, beta2, epsilon, keep, rate, root_correction } = update;
        let moments = state.first.iter_mut().zip(state.second);
        for ((weight, gradient), (first, second)) in state.weights.iter_mut().zip(state.gradient).zip(moments) {
            let gradient = gradient * gradient_scale;
            *first = L::fma(beta1, *first, (1.0 - beta1) * gradient);
            *second = L::fma(beta2, *second, (1.0 - beta2) * gradient * gradient);
            *weight = *weight * keep - rate * *first / L::fma(second.sqrt(), root_correction, epsilon);
        }
    }
}

kernel! {
    /// The sum of the squares, in f64.
    pub fn squares<L>(values: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let blocks = values.chunks_exact(8);
        let rest: f64 = blocks.remainder().iter().map(|value| f64::from(*value).powi(2)).sum();
        for block in blocks {
            for (lane, value) in lanes.iter_mut().zip(block) {
                *lane += f64::from(*value) * f64::from(*value);
            }
        }
        lanes.iter().sum::<f64>() + rest
    }
}
