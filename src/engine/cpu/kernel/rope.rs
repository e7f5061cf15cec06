//! Rotary position embedding (Su et al. 2021), with a head's halves as the pairs, as in Hugging Face's Llama.

use super::kernel;

/// Cosines and sines of every position and pair.
#[derive(Clone, Debug)]
pub struct Rope {
    /// Width of one head.
    head: usize,
    /// [positions, head / 2]
    cosines: Vec<f32>,
    /// [positions, head / 2]
    sines: Vec<f32>,
}

impl Rope {
    /// The angles `position · theta^(-2i / head)` of `positions` positions.
    pub fn new(head: usize, positions: usize, theta: f64) -> Self {
        let pairs = head / 2;
        let angle = |index: usize| (index / pairs) as f64 * theta.powf(-2.0 * (index % pairs) as f64 / head as f64);
        let angles = || (0..positions * pairs).map(angle);
        Self {
            head,
            cosines: angles().map(|angle| libm::cos(angle) as f32).collect(),
            sines: angles().map(|angle| libm::sin(angle) as f32).collect(),
        }
    }
}

/// Which way to turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    Forward,
    /// The transpose, for gradients.
    Back,
}

kernel! {
    /// Turns the first `heads` heads of each row in place. Rows are `stride` apart; row `i` stands at position `start + i`.
    pub fn turn<L>(rope: &Rope, way: Turn, rows: &mut [f32], stride: usize, heads: usize, start: usize) {
        let pairs = rope.head / 2;
        let sign = if way == Turn::Forward { 1.0 } else { -1.0 };
        for (index, row) in rows.chunks_exact_mut(stride).enumerate() {
            let angles = (start + index) * pairs..(start + index + 1) * pairs;
            let (cosines, sines) = (&rope.cosines[angles.clone()], &rope.sines[angles]);
            for head in row.chunks_exact_mut(rope.head).take(heads) {
                let (low, high) = head.split_at_mut(pairs);
                for ((a, b), (cosine, sine)) in low.iter_mut().zip(high).zip(cosines.iter().zip(sines)) {
                    let sine = sine * sign;
                    (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                }
            }
        }
    }
}
