//! SwiGLU (Shazeer 2020): `a = silu(gate) · up`, with rows of `[gate | up]`.

use super::kernel;
use super::level::{LANES, Level};
use super::math::sigmoid;

kernel! {
    /// `out` [rows, width] from `gates` [rows, 2 · width].
    pub fn forward<L>(gates: &[f32], width: usize, out: &mut [f32]) {
        for (gates, out) in gates.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gates.split_at(width);
            for ((gate, up), out) in gate.iter().zip(up).zip(out) {
                *out = gate * sigmoid::<L>(*gate) * up;
            }
        }
    }
}

kernel! {
    /// Replaces `gates` [rows, 2 · width] by their gradient, and `out`, the gradient of the activation, by the activation itself.
    /// [rows, width]
    pub fn backward<L>(gates: &mut [f32], width: usize, out: &mut [f32]) {
        for (gates, out) in gates.chunks_exact_mut(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gates.split_at_mut(width);
            let (gates, gate) = gate.as_chunks_mut::<LANES>();
            let (ups, up) = up.as_chunks_mut::<LANES>();
            let (outs, out) = out.as_chunks_mut::<LANES>();
            for ((gate, up), out) in gates.iter_mut().zip(ups).zip(outs) {
                back::<L, LANES>(gate, up, out);
            }
            for ((gate, up), out) in gate.iter_mut().zip(up).zip(out) {
                back::<L, 1>(std::array::from_mut(gate), std::array::from_mut(up), std::array::from_mut(out));
            }
        }
    }
}

/// [`backward`] of `N` elements. Everything is read before anything is written, since otherwise the compiler does not use vectors.
#[inline(always)]
fn back<L: Level, const N: usize>(gate: &mut [f32; N], up: &mut [f32; N], out: &mut [f32; N]) {
    let (gates, ups, gradients) = (*gate, *up, *out);
    for lane in 0..N {
        let sigmoid = sigmoid::<L>(gates[lane]);
        let silu = gates[lane] * sigmoid;
        out[lane] = silu * ups[lane];
        up[lane] = gradients[lane] * silu;
        gate[lane] = gradients[lane] * ups[lane] * (sigmoid + silu * (1.0 - sigmoid));
    }
}
