//! Softmax cross-entropy of logits, fused with its gradient.

use super::kernel;
use super::math::{exponentiate, largest};

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
