//! Softmax cross-entropy of logits, fused with its gradient, and the softmax's sum alone.

use super::kernel;
use super::math::{exponentiate, largest, sum_exponentials};

/// Exponentials that are added up in f32. The sums of a large vocabulary's are added up in f64.
const SUMMED: usize = 1024;

kernel! {
    /// Replaces the logits, the first `vocabulary` of each row of `stride`, by the gradient of `weight · Σ loss`, and returns the sum of the
    /// rows' losses. The columns beyond the vocabulary become 0.
    pub fn backward<L>(logits: &mut [f32], stride: usize, vocabulary: usize, targets: &[u32], weight: f32) -> f64 {
        let mut total = 0.0;
        for (row, target) in logits.chunks_exact_mut(stride).zip(targets) {
            let (row, beyond) = row.split_at_mut(vocabulary);
            beyond.fill(0.0);
            let target = *target as usize;
            let (shift, chosen) = (largest(row), row[target]);
            let sum = exponentiate::<L>(row, 1.0, shift);
            total += f64::from(shift + libm::logf(sum) - chosen);
            row.iter_mut().for_each(|value| *value *= weight / sum);
            row[target] -= weight;
        }
        total
    }
}

kernel! {
    /// The largest of a row's logits, and the logarithm of the sum of `e^(logit - largest)`: NaN if a logit is not finite.
    pub fn log_sum<L>(logits: &[f32]) -> (f32, f64) {
        let shift = largest(logits);
        let sums = logits.chunks(SUMMED).map(|part| f64::from(sum_exponentials::<L>(part, shift)));
        (shift, libm::log(sums.sum()))
    }
}
