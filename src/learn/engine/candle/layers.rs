//! The layers, out of operations that carry gradients.

use candle_core::{D, Result, Tensor};

/// `x / √(mean(x²) + ε) · w` over the last dimension (Zhang & Sennrich 2019). x: […, width], w: [width]
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean_square + epsilon)?.sqrt()?)?.broadcast_mul(weight)
}

/// `x Wᵀ`. x: [rows, in], weight: [out, in] → [rows, out]
pub(super) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)
}

/// Rotary positions (Su et al. 2021), Hugging Face's halves: the pair (i, i + head/2) turns by its angle.
/// x: […, head]; cosine, sine: broadcastable to […, head/2]
pub(super) fn rotate(x: &Tensor, cosine: &Tensor, sine: &Tensor) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let first = (a.broadcast_mul(cosine)? - b.broadcast_mul(sine)?)?;
    let second = (b.broadcast_mul(cosine)? + a.broadcast_mul(sine)?)?;
    Tensor::cat(&[first, second], D::Minus1)
}

/// `softmax(q kᵀ / √head + mask) v`. q: [batch, kv_heads, queries, head]; k, v: [batch, kv_heads, keys, head]; mask: broadcastable
/// to [batch, kv_heads, queries, keys] → [batch, kv_heads, queries, head]
pub(super) fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
    let scores = (q * scale)?.matmul(&k.t()?)?.broadcast_add(mask)?;
    candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(v)
}
