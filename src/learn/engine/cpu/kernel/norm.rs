//! RMS norm (Zhang & Sennrich 2019): `y = x / sqrt(mean(x²) + ε) · weight`.

use super::kernel;
use super::level::{LANES, Level};
use super::math::{dot, sum_lanes};

kernel! {
    /// Norms the rows of `x` into `y`, both [rows, width], and keeps each row's `1 / sqrt(mean(x²) + ε)` in `scales`. [rows]
    pub fn forward<L>(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32], scales: &mut [f32]) {
        let width = weight.len();
        for ((x, y), scale) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(scales) {
            *scale = 1.0 / (dot::<L>(x, x) / width as f32 + epsilon).sqrt();
            for ((x, weight), y) in x.iter().zip(weight).zip(y) {
                *y = x * *scale * weight;
            }
        }
    }
}

kernel! {
    /// [`forward`], with the normed rows in place of `x`.
    pub fn forward_in_place<L>(x: &mut [f32], weight: &[f32], epsilon: f32, scales: &mut [f32]) {
        let width = weight.len();
        for (x, scale) in x.chunks_exact_mut(width).zip(scales) {
            *scale = 1.0 / (dot::<L>(x, x) / width as f32 + epsilon).sqrt();
            for (x, weight) in x.iter_mut().zip(weight) {
                *x = *x * *scale * weight;
            }
        }
    }
}

kernel! {
    /// Recomputes the normed rows from the kept scales.
    pub fn again<L>(x: &[f32], weight: &[f32], scales: &[f32], y: &mut [f32]) {
        let width = weight.len();
        for ((x, y), scale) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(scales) {
            for ((x, weight), y) in x.iter().zip(weight).zip(y) {
                *y = x * scale * weight;
            }
        }
    }
}

/// The inputs of the backward pass of a norm.
#[derive(Clone, Copy)]
pub struct NormBackward<'a> {
    /// The norm's input. [rows, width]
    pub x: &'a [f32],
    /// [width]
    pub weight: &'a [f32],
    /// As kept by [`forward`]. [rows]
    pub scales: &'a [f32],
    /// Gradient of the norm's output. [rows, width]
    pub dy: &'a [f32],
}

kernel! {
    /// Adds the gradient of the input to `dx`, [rows, width], and that of the weight to `dweight`, [width].
    pub fn backward<L>(pass: NormBackward<'_>, dx: &mut [f32], dweight: &mut [f32]) {
        let NormBackward { x, weight, scales, dy } = pass;
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
        for ((x, dy), (dx, scale)) in rows.zip(dx.chunks_exact_mut(width).zip(scales)) {
            let projection = weighted_dot::<L>(dy, weight, x) * scale * scale * scale / width as f32;
            let inputs = x.iter().zip(dy).zip(weight);
            for (((x, dy), weight), (dx, dweight)) in inputs.zip(dx.iter_mut().zip(dweight.iter_mut())) {
                let scaled = scale * dy;
                *dx += scaled * weight - projection * x;
                *dweight = L::fma(scaled, *x, *dweight);
            }
        }
    }
}

/// `sum(a · b · c)`.
#[inline(always)]
fn weighted_dot<L: Level>(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = a.len() / LANES * LANES;
    let blocks = a.chunks_exact(LANES).zip(b.chunks_exact(LANES)).zip(c.chunks_exact(LANES));
    for ((a, b), c) in blocks {
        for lane in 0..LANES {
            lanes[lane] = L::fma(a[lane] * b[lane], c[lane], lanes[lane]);
        }
    }
    let rest = a[whole..].iter().zip(&b[whole..]).zip(&c[whole..]);
    rest.fold(sum_lanes(lanes), |sum, ((a, b), c)| L::fma(a * b, *c, sum))
}
