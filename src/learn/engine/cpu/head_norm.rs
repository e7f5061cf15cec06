//! The norms of each head's queries and keys (Qwen3), between their product and their rotation.

use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::norm;
use super::parameters::Parameters;

/// The norms of one layer.
#[derive(Clone, Copy)]
pub struct HeadNorms<'a> {
    cpu: Instructions,
    /// Width of a row of queries, keys and values.
    stride: usize,
    /// Width of the queries of a row, and of its queries and keys.
    queries: usize,
    normed: usize,
    epsilon: f32,
    /// Weights of the queries and of the keys. [head] each
    weights: [&'a [f32]; 2],
}

impl<'a> HeadNorms<'a> {
    /// The norms of `layer`; `None` if the decoder has none.
    pub fn new<T: Element>(parameters: &'a Parameters<T>, layer: usize) -> Option<Self> {
        let shape = &parameters.shape;
        if !shape.qk_norm {
            return None;
        }
        let weights = parameters.floats.part(parameters.layout.layers[layer].qk_norm.clone());
        Some(Self {
            cpu: parameters.cpu,
            stride: parameters.qkv_width(),
            queries: shape.heads * shape.head_dim,
            normed: normed_width(parameters),
            epsilon: shape.norm_epsilon as f32,
            weights: weights.split_at(shape.head_dim).into(),
        })
    }

    /// Norms the queries and keys of each row in place, and keeps each head's scale.
    /// qkv: [rows, stride]; scales: [rows, heads + kv_heads]
    pub fn apply(&self, qkv: &mut [f32], scales: &mut [f32]) {
        let [query, key] = self.weights;
        let heads = self.normed / query.len();
        for (row, scales) in qkv.chunks_exact_mut(self.stride).zip(scales.chunks_exact_mut(heads)) {
            let (queries, keys) = row[..self.normed].split_at_mut(self.queries);
            let (query_scales, key_scales) = scales.split_at_mut(self.queries / query.len());
            norm::forward_in_place(self.cpu, queries, query, self.epsilon, query_scales);
            norm::forward_in_place(self.cpu, keys, key, self.epsilon, key_scales);
        }
    }

    /// [`HeadNorms::apply`], with a copy of the norms' inputs. inputs: [rows, (heads + kv_heads) · head]
    pub fn forward(&self, qkv: &mut [f32], inputs: &mut [f32], scales: &mut [f32]) {
        for (row, input) in qkv.chunks_exact(self.stride).zip(inputs.chunks_exact_mut(self.normed)) {
            input.copy_from_slice(&row[..self.normed]);
        }
        self.apply(qkv, scales);
    }

    /// Replaces the gradient of the normed queries and keys in `dqkv` by that of the norms' inputs, and adds the weights' gradient to
    /// `dweights`, [2 · head]. `dy` is working memory for one row.
    pub fn backward(&self, inputs: &[f32], scales: &[f32], dqkv: &mut [f32], dweights: &mut [f32], dy: &mut [f32]) {
        let [query, key] = self.weights;
        let head = query.len();
        let (dquery, dkey) = dweights.split_at_mut(head);
        let rows = inputs.chunks_exact(self.normed).zip(scales.chunks_exact(self.normed / head));
        for (row, (input, scales)) in dqkv.chunks_exact_mut(self.stride).zip(rows) {
            let row = &mut row[..self.normed];
            dy.copy_from_slice(row);
            row.fill(0.0);
            let (dqueries, dkeys) = row.split_at_mut(self.queries);
            let pass = |range: std::ops::Range<usize>, weight| norm::NormBackward {
                x: &input[range.clone()],
                weight,
                scales: &scales[range.start / head..range.end / head],
                dy: &dy[range],
            };
            norm::backward(self.cpu, pass(0..self.queries, query), dqueries, dquery);
            norm::backward(self.cpu, pass(self.queries..self.normed, key), dkeys, dkey);
        }
    }
}

/// The width of a row of normed queries and keys; 0 if the decoder has no norms of them.
pub fn normed_width<T: Element>(parameters: &Parameters<T>) -> usize {
    let shape = &parameters.shape;
    if shape.qk_norm {
        (shape.heads + shape.kv_heads) * shape.head_dim
    } else {
        0
    }
}
