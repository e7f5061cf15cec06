//! Attention of one query over cached keys and values.

use super::kernel;
use super::level::LANES;
use super::math::{exponentiate, largest};

/// One query and the cache it looks into.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// [head]
    pub query: &'a [f32],
    /// Panels of [`LANES`] positions: [capacity / LANES, head, LANES].
    pub keys: &'a [f32],
    /// [capacity, head]
    pub values: &'a [f32],
    /// Positions to look at, from the first.
    pub count: usize,
    pub scale: f32,
}

kernel! {
    /// The mean of the values, weighted by the softmax of the scaled scores, into `out` [head]; `scores` [capacity] is working memory.
    /// The order of the additions depends on `count` alone.
    pub fn attend<L>(query: Query<'_>, scores: &mut [f32], out: &mut [f32]) {
        let Query { query, keys, values, count, scale } = query;
        let head = query.len();
        for (keys, scores) in keys.chunks_exact(head * LANES).zip(scores.chunks_exact_mut(LANES)).take(count.div_ceil(LANES)) {
            let mut sums = [0.0; LANES];
            for (query, keys) in query.iter().zip(keys.chunks_exact(LANES)) {
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum = L::fma(*query, *key, *sum);
                }
            }
            scores.copy_from_slice(&sums);
        }
        let scores = &mut scores[..count];
        let shift = scale * largest(scores);
        let sum = exponentiate::<L>(scores, scale, shift);
        for (start, out) in out.chunks_mut(LANES).enumerate() {
            weigh::<L>(scores, &values[start * LANES..], head, out);
            out.iter_mut().for_each(|value| *value *= 1.0 / sum);
        }
    }
}

/// Sums the values weighted by the scores, for at most [`LANES`] columns of a head. Four sums at a time: one alone would wait for
/// each addition.
#[inline(always)]
fn weigh<L: super::level::Level>(scores: &[f32], values: &[f32], head: usize, out: &mut [f32]) {
    let mut sums = [[0.0; LANES]; 4];
    if out.len() == LANES {
        for (scores, values) in scores.chunks(4).zip(values.chunks(4 * head)) {
            for ((score, value), sums) in scores.iter().zip(values.chunks(head)).zip(&mut sums) {
                if let Some(value) = value.first_chunk::<LANES>() {
                    for (sum, value) in sums.iter_mut().zip(value) {
                        *sum = L::fma(*score, *value, *sum);
                    }
                }
            }
        }
    } else {
        for (index, (score, value)) in scores.iter().zip(values.chunks(head)).enumerate() {
            for (sum, value) in sums[index % 4].iter_mut().zip(&value[..out.len()]) {
                *sum = L::fma(*score, *value, *sum);
            }
        }
    }
    for (lane, out) in out.iter_mut().enumerate() {
        *out = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
    }
}
