//! Rotary position embedding (Su et al. 2021). A pair is one number of each half of a head, as in Hugging Face's Llama.

use super::kernel;
use super::level::LANES;

/// Cosines and sines of every position and pair.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    /// Width of one head.
    head: usize,
    /// [positions, head / 2]
    cosines: Vec<f32>,
    /// [positions, head / 2]
    sines: Vec<f32>,
}

impl RotaryTable {
    /// For heads of width `head`. cosines, sines: [positions, head / 2]
    pub fn new(head: usize, (cosines, sines): (Vec<f32>, Vec<f32>)) -> Self {
        Self { head, cosines, sines }
    }

    /// Number of floats in the tables.
    pub fn size(head: usize, positions: usize) -> usize {
        2 * positions * (head / 2)
    }
}

/// The direction of the rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    Forward,
    /// The transpose, for gradients.
    Back,
}

kernel! {
    /// Rotates the first `heads` heads of each row in place. Rows are `stride` apart; row `i` has position `start + i`.
    pub fn turn<L>(rope: &RotaryTable, way: Turn, rows: &mut [f32], stride: usize, heads: usize, start: usize) {
        let pairs = rope.head / 2;
        let sign = if way == Turn::Forward { 1.0 } else { -1.0 };
        for (index, row) in rows.chunks_exact_mut(stride).enumerate() {
            let angles = (start + index) * pairs..(start + index + 1) * pairs;
            let (cosines, sines) = (&rope.cosines[angles.clone()], &rope.sines[angles]);
            for head in row.chunks_exact_mut(rope.head).take(heads) {
                let (low, high) = head.split_at_mut(pairs);
                if pairs.is_multiple_of(LANES) {
                    turn_head::<LANES>(low, high, cosines, sines, sign);
                } else {
                    turn_head::<8>(low, high, cosines, sines, sign);
                }
            }
        }
    }
}

/// Rotates one head, `N` pairs at a time.
#[inline(always)]
fn turn_head<const N: usize>(low: &mut [f32], high: &mut [f32], cosines: &[f32], sines: &[f32], sign: f32) {
    let (lows, low) = low.as_chunks_mut::<N>();
    let (highs, high) = high.as_chunks_mut::<N>();
    let (cosines, cosine) = cosines.as_chunks::<N>();
    let (sines, sine) = sines.as_chunks::<N>();
    for ((low, high), (cosine, sine)) in lows.iter_mut().zip(highs).zip(cosines.iter().zip(sines)) {
        rotate(low, high, cosine, sine, sign);
    }
    // Not one by one: the compiler would unroll that loop more than the one over vectors.
    if !low.is_empty() {
        let (mut lows, mut highs) = (padded::<N>(low), padded::<N>(high));
        rotate(&mut lows, &mut highs, &padded(cosine), &padded(sine), sign);
        low.copy_from_slice(&lows[..low.len()]);
        high.copy_from_slice(&highs[..high.len()]);
    }
}

/// Fewer than `N` numbers, padded with zeros.
#[inline(always)]
fn padded<const N: usize>(part: &[f32]) -> [f32; N] {
    let mut whole = [0.0; N];
    whole[..part.len()].copy_from_slice(part);
    whole
}

/// Rotates `N` pairs. Everything is read before anything is written, since otherwise the compiler does not use vectors.
#[inline(always)]
fn rotate<const N: usize>(low: &mut [f32; N], high: &mut [f32; N], cosines: &[f32; N], sines: &[f32; N], sign: f32) {
    let (a, b) = (*low, *high);
    for pair in 0..N {
        let sine = sines[pair] * sign;
        low[pair] = a[pair] * cosines[pair] - b[pair] * sine;
        high[pair] = b[pair] * cosines[pair] + a[pair] * sine;
    }
}
