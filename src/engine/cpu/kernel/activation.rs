//! SwiGLU (Shazeer 2020): `a = silu(gate) · up`, with rows of `[gate | up]`.

use super::kernel;
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
    /// Replaces `gates` [rows, 2 · width] by their gradient, and `out`, which comes in as the gradient of the activation, by the
    /// activation itself. [rows, width]
    pub fn backward<L>(gates: &mut [f32], width: usize, out: &mut [f32]) {
        for (gates, out) in gates.chunks_exact_mut(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gates.split_at_mut(width);
            for ((gate, up), out) in gate.iter_mut().zip(up).zip(out) {
                let sigmoid = sigmoid::<L>(*gate);
                let silu = *gate * sigmoid;
                let (gradient, factor) = (*out, *up);
                *out = silu * factor;
                *up = gradient * silu;
                *gate = gradient * factor * (sigmoid + silu * (1.0 - sigmoid));
            }
        }
    }
}
