//! Causal softmax over rows of attention scores, and its gradient.
//!
//! Row `i` sees the columns up to `start + i`. The rest of the last vector is computed and then set to 0, and so is the next vector: the
//! tiles of the products that read these rows reach no further beyond the mask than that.

use super::kernel;
use super::level::LANES;
use super::math::{dot, exponentiate, largest};

/// Rows that go through each pass of the softmax together: few enough to stay in the first-level cache.
const ROWS_PER_PASS: usize = 8;

kernel! {
    /// Replaces row `i`'s scores by the softmax of `scale` times them; keeps the logarithm of each row's sum of exponentials in
    /// `sums`. [rows]; rows are `stride` apart, a multiple of [`LANES`].
    pub fn forward<L>(scores: &mut [f32], stride: usize, start: usize, scale: f32, sums: &mut [f32]) {
        let blocks = scores.chunks_mut(ROWS_PER_PASS * stride).zip(sums.chunks_mut(ROWS_PER_PASS));
        for (start, (scores, kept)) in (start..).step_by(ROWS_PER_PASS).zip(blocks) {
            // A row's sum depends on its exponentials, and its reciprocal and logarithm on the sum. Separate passes over several rows hide these
            // latencies.
            let mut sums = [0.0; ROWS_PER_PASS];
            for (seen, ((row, shift), sum)) in (start + 1..).zip(scores.chunks_exact_mut(stride).zip(&mut *kept).zip(&mut sums)) {
                let whole = &mut row[..seen.next_multiple_of(LANES)];
                hide(whole, seen, f32::NEG_INFINITY);
                *shift = scale * largest(whole);
                *sum = exponentiate::<L>(whole, scale, *shift);
            }
            for (seen, (row, sum)) in (start + 1..).zip(scores.chunks_exact_mut(stride).zip(sums)) {
                let inverse = 1.0 / sum;
                let whole = &mut row[..seen.next_multiple_of(LANES)];
                whole.iter_mut().for_each(|value| *value *= inverse);
                clear(row, seen);
            }
            for (kept, sum) in kept.iter_mut().zip(sums) {
                *kept += libm::logf(sum);
            }
        }
    }
}

kernel! {
    /// Recomputes the softmax from the kept sums.
    pub fn again<L>(scores: &mut [f32], stride: usize, start: usize, scale: f32, sums: &[f32]) {
        for (index, (row, kept)) in scores.chunks_exact_mut(stride).zip(sums).enumerate() {
            let seen = start + index + 1;
            exponentiate::<L>(&mut row[..seen.next_multiple_of(LANES)], scale, *kept);
            clear(row, seen);
        }
    }
}

kernel! {
    /// Replaces the gradient of the probabilities by that of the scores before scaling: `p · (dp - p·dp) · scale`.
    pub fn backward<L>(probabilities: &[f32], gradient: &mut [f32], stride: usize, start: usize, scale: f32) {
        for (index, (row, gradient)) in probabilities.chunks_exact(stride).zip(gradient.chunks_exact_mut(stride)).enumerate() {
            let seen = start + index + 1;
            clear(gradient, seen);
            let whole = seen.next_multiple_of(LANES);
            let (row, gradient) = (&row[..whole], &mut gradient[..whole]);
            let projection = dot::<L>(row, gradient);
            for (gradient, probability) in gradient.iter_mut().zip(row) {
                *gradient = probability * (*gradient - projection) * scale;
            }
        }
    }
}

/// Sets the lanes of the last vector that the row does not see to `value`.
#[inline(always)]
fn hide(whole: &mut [f32], seen: usize, value: f32) {
    let first = whole.len() - LANES;
    for (lane, out) in whole[first..].iter_mut().enumerate() {
        *out = if first + lane < seen { *out } else { value };
    }
}

/// Sets the scores beyond the mask to 0, as far as they are read.
#[inline(always)]
fn clear(row: &mut [f32], seen: usize) {
    let (whole, beyond) = row.split_at_mut(seen.next_multiple_of(LANES));
    hide(whole, seen, 0.0);
    if let Some(next) = beyond.first_chunk_mut::<LANES>() {
        *next = [0.0; LANES];
    }
}
