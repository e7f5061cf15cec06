//! Parts of kernels: the exponential, and sums and maxima in a fixed order of lanes.

use super::level::{LANES, Level};

/// `e^x` to about 1e-7 relative (Cephes' polynomial); clamped to normal results, NaN kept.
#[inline(always)]
pub fn exp<L: Level>(x: f32) -> f32 {
    // Comparisons, not `clamp` or `max`: those would turn NaN into a number and hide it.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = L::fma(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = L::fma(whole, -0.693_359_4, x);
    let rest = L::fma(whole, 2.121_944_4e-4, rest);
    let polynomial = L::fma(1.987_569_2e-4, rest, 1.398_199_9e-3);
    let polynomial = L::fma(polynomial, rest, 8.333_452e-3);
    let polynomial = L::fma(polynomial, rest, 4.166_579_6e-2);
    let polynomial = L::fma(polynomial, rest, 1.666_666_5e-1);
    let polynomial = L::fma(polynomial, rest, 0.5);
    let polynomial = L::fma(polynomial, rest * rest, rest) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    polynomial * scale
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<L: Level>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<L>(-x))
}

/// The sum of the lanes, by halves.
#[inline(always)]
pub fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The scalar product of two slices of one length.
#[inline(always)]
pub fn dot<L: Level>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks_a, blocks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (rest_a, rest_b) = (blocks_a.remainder(), blocks_b.remainder());
    for (a, b) in blocks_a.zip(blocks_b) {
        for lane in 0..LANES {
            lanes[lane] = L::fma(a[lane], b[lane], lanes[lane]);
        }
    }
    let mut sum = sum_lanes(lanes);
    for (a, b) in rest_a.iter().zip(rest_b) {
        sum = L::fma(*a, *b, sum);
    }
    sum
}

/// The largest element (NaN is skipped; minus infinity if there is none).
#[inline(always)]
pub fn largest(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], block[lane]);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = larger(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    rest.iter().fold(lanes[0], |largest, value| larger(largest, *value))
}

/// Replaces each element by `e^(scale * x - shift)` and returns their sum.
#[inline(always)]
pub fn exponentiate<L: Level>(values: &mut [f32], scale: f32, shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut blocks = values.chunks_exact_mut(LANES);
    for block in &mut blocks {
        for lane in 0..LANES {
            block[lane] = exp::<L>(L::fma(block[lane], scale, -shift));
            lanes[lane] += block[lane];
        }
    }
    let mut sum = sum_lanes(lanes);
    for value in blocks.into_remainder() {
        *value = exp::<L>(L::fma(*value, scale, -shift));
        sum += *value;
    }
    sum
}

/// The sum of `e^(x - shift)`, which stay as they are; NaN if a number is not finite.
#[inline(always)]
pub fn sum_exponentials<L: Level>(values: &[f32], shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for lane in 0..LANES {
            // The product of 0 with a number that is not finite is NaN.
            lanes[lane] += L::fma(block[lane], 0.0, exp::<L>(block[lane] - shift));
        }
    }
    let mut sum = sum_lanes(lanes);
    for value in rest {
        sum += L::fma(*value, 0.0, exp::<L>(*value - shift));
    }
    sum
}
