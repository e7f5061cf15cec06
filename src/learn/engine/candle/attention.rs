//! Causal attention over a padded batch, for training.

use candle_core::{Device, Result, Tensor};

use super::layers::{attend, rotate};
use super::network::{CandleLayer, Network};

/// The tensors that the layers of one batch share.
pub(super) struct CausalAttention {
    sequences: usize,
    length: usize,
    /// [length, 1, head/2]
    cosine: Tensor,
    /// [length, 1, head/2]
    sine: Tensor,
    /// -∞ if the key comes after the query, else 0. [group · length, length]
    mask: Tensor,
}

impl CausalAttention {
    /// For `sequences` sequences of `length` tokens, including padding (it comes last, so no token attends to it).
    pub(super) fn new(network: &Network, sequences: usize, length: usize, device: &Device) -> Result<Self> {
        let shape = &network.shape;
        let group = shape.heads / shape.kv_heads;
        let row = |query: usize| (0..length).map(move |key| if key > query { f32::NEG_INFINITY } else { 0.0 });
        let mask: Vec<f32> = (0..group).flat_map(|_| (0..length).flat_map(row)).collect();
        Ok(Self {
            sequences,
            length,
            cosine: network.cosine.narrow(0, 0, length)?.unsqueeze(1)?,
            sine: network.sine.narrow(0, 0, length)?.unsqueeze(1)?,
            mask: Tensor::from_vec(mask, (group * length, length), device)?,
        })
    }

    /// One layer over the stream x: [sequences · length, width]
    pub(super) fn layer(&self, network: &Network, layer: &CandleLayer, x: &Tensor) -> Result<Tensor> {
        let shape = &network.shape;
        let (batch, length, head) = (self.sequences, self.length, shape.head_dim);
        let (q, k, v) = layer.project(x)?;
        let q = q.reshape((batch, length, shape.heads, head))?;
        let k = k.reshape((batch, length, shape.kv_heads, head))?;
        let (q, k) = layer.norm_heads(q, k)?;
        let (q, k) = (rotate(&q, &self.cosine, &self.sine)?, rotate(&k, &self.cosine, &self.sine)?);
        let v = v.reshape((batch, length, shape.kv_heads, head))?;
        // The query heads that share a key head follow one another, so no key is copied.
        let group = shape.heads / shape.kv_heads;
        let q = q.transpose(1, 2)?.reshape((batch, shape.kv_heads, group * length, head))?;
        let (k, v) = (k.transpose(1, 2)?.contiguous()?, v.transpose(1, 2)?.contiguous()?);
        let attended = attend(&q, &k, &v, &self.mask)?; // [batch, kv_heads, group · length, head]
        let attended = attended.reshape((batch, shape.heads, length, head))?.transpose(1, 2)?;
        layer.finish(x, &attended.reshape((batch * length, shape.heads * head))?)
    }
}
