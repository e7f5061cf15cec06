//! Causal softmax over rows of attention scores, and its gradient.

use super::kernel;
use super::math::{dot, exponentiate, largest};

kernel! {
    /// Replaces row `i`'s scores by their softmax over columns `0..=start + i` (0 beyond), after scaling by `scale`; keeps the
    /// logarithm of each row's sum of exponentials in `sums`. [rows], rows `stride` apart
    pub fn forward<L>(scores: &mut [f32], stride: usize, start: usize, scale: f32, sums: &mut [f32]) {
        for (index, (row, kept)) in scores.chunks_exact_mut(stride).zip(sums).enumerate() {
            let (row, beyond) = row.split_at_mut(start + index + 1);
            beyond.fill(0.0);
            let shift = scale * largest(row);
            let sum = exponentiate::<L>(row, scale, shift);
            row.iter_mut().for_each(|value| *value *= 1.0 / sum);
            *kept = shift + sum.ln();
        }
    }
}

kernel! {
    /// The softmax again, from the kept sums.
    pub fn again<L>(scores: &mut [f32], stride: usize, start: usize, scale: f32, sums: &[f32]) {
        for (index, (row, kept)) in scores.chunks_exact_mut(stride).zip(sums).enumerate() {
            let (row, beyond) = row.split_at_mut(start + index + 1);
            beyond.fill(0.0);
            exponentiate::<L>(row, scale, *kept);
        }
    }
}

kernel! {
    /// Replaces the gradient of the probabilities by that of the scores before scaling: `p · (dp - p·dp) · scale` (0 beyond the mask).
    pub fn backward<L>(probabilities: &[f32], gradient: &mut [f32], stride: usize, start: usize, scale: f32) {
        for (index, (row, gradient)) in probabilities.chunks_exact(stride).zip(gradient.chunks_exact_mut(stride)).enumerate() {
            let (gradient, beyond) = gradient.split_at_mut(start + index + 1);
            beyond.fill(0.0);
            let row = &row[..start + index + 1];
            let projection = dot::<L>(row, gradient);
            for (gradient, probability) in gradient.iter_mut().zip(row) {
                *gradient = probability * (*gradient - projection) * scale;
            }
        }
    }
}
