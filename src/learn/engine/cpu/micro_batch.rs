//! A micro-batch: a few whole sequences of a batch, with all values that are kept of them between the passes.
//!
//! Micro-batches are the unit of work of the threads. How a batch is cut into them depends on the batch alone, so that sums over
//! micro-batches have the same order on any number of threads.
//!
//! For the layers that the backward pass reaches, a micro-batch keeps either all activations or each layer's input alone. In the second
//! case the backward pass recomputes the others, in the same order and so with the same bits.
//!
//! In the last layer only tokens that are trained on go past the attention, since nothing reads the others. From there on a
//! micro-batch has `kept` rows instead of `tokens`.

use std::ops::Range;

use super::adapter::AdapterBuffers;
use super::attention::AttentionScratch;
use super::buffer::fit;
use super::dropout::{DropoutMask, mix};
use super::head_norm::normed_width;
use super::kernel::element::Element;
use super::kernel::panels::size;
use super::parameters::Parameters;
use crate::engine::{Batch, IGNORED};

/// A micro-batch is closed at this many tokens: enough to fill the tiles, few enough for the second-level cache.
const MICRO_BATCH_TOKENS: usize = 96;

/// Tokens in work at a time with one thread.
const BLOCK_TOKENS: usize = 400;

/// The values that the forward pass keeps of one layer, besides its input.
#[derive(Clone, Debug, Default)]
pub struct LayerActivations {
    /// Scales of the norm before the attention. [tokens]
    pub input_scales: Vec<f32>,
    /// Queries, keys and values after rotation. [tokens, qkv width]
    pub qkv: Vec<f32>,
    /// If each head's queries and keys have norms: their inputs [tokens, (heads + kv_heads) · head] and scales [tokens, heads + kv_heads].
    pub head_inputs: Vec<f32>,
    pub head_scales: Vec<f32>,
    /// Logarithms of the softmax sums, sequence by sequence: [heads, length].
    pub sums: Vec<f32>,
    /// Results of the heads. [rows, attended width]
    pub attended: Vec<f32>,
    /// The residual stream after the attention. [rows, width]
    pub middle: Vec<f32>,
    /// Scales of the norm before the feed-forward layer. [rows]
    pub middle_scales: Vec<f32>,
    /// Gate and up; after the backward pass their gradient. [rows, 2 · feed_forward]
    pub gates: Vec<f32>,
}

/// The results of the backward pass of one layer, from which the gradients of its weights are computed, and its working memory.
#[derive(Clone, Debug, Default)]
pub struct LayerGradients<T> {
    /// Gradient of the layer's output. [rows, width]
    pub output: Vec<f32>,
    /// Gradient of the residual stream after the attention. [rows, width]
    pub middle: Vec<f32>,
    /// Gradient of the layer's input. [tokens, width]
    pub input: Vec<f32>,
    /// Gradient of queries, keys and values. [tokens, qkv width]
    pub qkv: Vec<f32>,
    /// Working memory of the norms of queries and keys. [(heads + kv_heads) · head]
    pub head_row: Vec<f32>,
    /// Gradient of the heads' results. [tokens, attended width]
    pub attended: Vec<f32>,
    /// Panels of the products' inputs: of the normed input, the heads' results, the normed middle and the activation.
    pub input_panels: Vec<T>,
    pub attended_panels: Vec<T>,
    pub middle_panels: Vec<T>,
    pub hidden_panels: Vec<T>,
    /// Transposes of the products' gradients if they need conversion: of `qkv`, `middle`, the layer's gates and `output`.
    pub qkv_columns: Vec<T>,
    pub middle_columns: Vec<T>,
    pub gates_columns: Vec<T>,
    pub output_columns: Vec<T>,
    /// Gradients of norms and biases, in the order of the layout.
    pub vectors: Vec<f32>,
    /// Buffers of the adapters of the layer's matrices, in their order.
    pub adapters: [AdapterBuffers<T>; 4],
}

/// A few whole sequences.
#[derive(Clone, Debug, Default)]
pub struct MicroBatch<T> {
    /// Its tokens within the batch.
    pub tokens: Range<usize>,
    /// Hash of the step and the batch, for the adapters' dropout. `None`: nothing is dropped.
    pub dropout_key: Option<u64>,
    /// The lengths of its sequences.
    pub lengths: Vec<usize>,
    /// Indices of the tokens that are trained on, ascending.
    pub trained: Vec<usize>,
    /// Their targets.
    pub targets: Vec<u32>,
    /// The residual stream before the attention of each layer that the backward pass reaches. [layers][tokens, width]
    pub inputs: Vec<Vec<f32>>,
    /// Other activations of these layers; with recomputation those of the current layer alone.
    pub layers: Vec<LayerActivations>,
    /// The residual stream after the last layer. [kept, width]
    pub output: Vec<f32>,
    /// Scales of the final norm. [kept]
    pub output_scales: Vec<f32>,
    /// The summed loss of the trained tokens.
    pub loss: f64,
    pub gradients: LayerGradients<T>,
    /// Working memory: normed rows [tokens, width] and the feed-forward layer's activation [tokens, feed_forward].
    pub normed: Vec<f32>,
    pub hidden: Vec<f32>,
    pub attention: AttentionScratch<T>,
    /// Working memory: a product's left operand if it needs conversion.
    pub converted: Vec<T>,
}

impl<T: Element> MicroBatch<T> {
    /// How many rows go past the attention of `layer`.
    pub fn rows(&self, parameters: &Parameters<T>, layer: usize) -> usize {
        if layer + 1 == parameters.shape.layers {
            self.trained.len()
        } else {
            self.tokens.len()
        }
    }

    /// The dropout masks of the matrices of a layer. `None`: nothing is dropped.
    pub fn dropout_masks(&self, layer: usize) -> [Option<DropoutMask>; 4] {
        std::array::from_fn(|place| {
            self.dropout_key.map(|key| DropoutMask {
                key: mix(key ^ mix((4 * layer + place) as u64)),
                first: self.tokens.start,
            })
        })
    }

    /// Loads a part of `batch`, and sizes the buffers for it.
    pub fn load(&mut self, parameters: &Parameters<T>, batch: &Batch, range: &MicroBatchRange) {
        let lengths = &batch.lengths[range.sequences.clone()];
        self.tokens = range.start..range.start + lengths.iter().sum::<usize>();
        self.lengths.clear();
        self.lengths.extend_from_slice(lengths);
        self.trained.clear();
        self.targets.clear();
        for (index, target) in batch.targets[self.tokens.clone()].iter().enumerate() {
            if *target != IGNORED {
                self.trained.push(index);
                self.targets.push(*target);
            }
        }
        self.resize(parameters);
    }

    /// Sets the length of every buffer. Capacities only grow, so that a steady state allocates nothing.
    fn resize(&mut self, parameters: &Parameters<T>) {
        let shape = &parameters.shape;
        let (width, hidden, qkv, attended) = (shape.width, shape.feed_forward, parameters.qkv_width(), parameters.attended_width());
        let (tokens, kept) = (self.tokens.len(), self.trained.len());
        self.inputs.resize_with(parameters.kept_inputs(), Vec::new);
        self.layers.resize_with(parameters.kept_layers(), LayerActivations::default);
        self.inputs.iter_mut().for_each(|input| fit(input, tokens * width));
        let gradients = &mut self.gradients;
        fit(&mut self.output, kept * width);
        fit(&mut self.output_scales, kept);
        for buffer in [&mut gradients.output, &mut gradients.middle, &mut gradients.input, &mut self.normed] {
            fit(buffer, tokens * width);
        }
        fit(&mut gradients.qkv, tokens * qkv);
        fit(&mut gradients.head_row, normed_width(parameters));
        fit(&mut gradients.attended, tokens * attended);
        fit(&mut gradients.input_panels, size::<T>(tokens, width));
        fit(&mut gradients.attended_panels, size::<T>(tokens, attended));
        fit(&mut gradients.middle_panels, size::<T>(tokens, width));
        fit(&mut gradients.hidden_panels, size::<T>(tokens, hidden));
        gradients.vectors.clear();
        fit(&mut gradients.vectors, parameters.layout.length - parameters.layout.decayed);
        fit(&mut self.hidden, tokens * hidden);
    }

    /// Sizes the activations of `layer` before its forward pass: layers that share a place have different numbers of rows.
    pub fn resize_layer(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (shape, tokens, rows) = (&parameters.shape, self.tokens.len(), self.rows(parameters, layer));
        let kept = &mut self.layers[parameters.kept_layer(layer)];
        fit(&mut kept.input_scales, tokens);
        fit(&mut kept.qkv, tokens * parameters.qkv_width());
        fit(&mut kept.head_inputs, tokens * normed_width(parameters));
        fit(&mut kept.head_scales, tokens * (normed_width(parameters) / shape.head_dim));
        fit(&mut kept.sums, tokens * shape.heads);
        fit(&mut kept.attended, tokens * parameters.attended_width());
        fit(&mut kept.middle, rows * shape.width);
        fit(&mut kept.middle_scales, rows);
        fit(&mut kept.gates, rows * 2 * shape.feed_forward);
    }

    /// The rows of the final norm, which the output layer replaces by their gradient, and their targets.
    pub fn output_rows(&mut self, width: usize) -> (&mut [f32], &[u32]) {
        (&mut self.normed[..self.targets.len() * width], &self.targets)
    }
}

/// The whole sequences of a batch that form one micro-batch.
#[derive(Clone, Debug, PartialEq)]
pub struct MicroBatchRange {
    /// Indices of the sequences in the batch.
    pub sequences: Range<usize>,
    /// The first token of the first sequence.
    pub start: usize,
}

/// Cuts a batch of sequences of these `lengths` into `ranges`, by the lengths alone.
pub fn cut_batch(lengths: &[usize], ranges: &mut Vec<MicroBatchRange>) {
    ranges.clear();
    let (mut first, mut start, mut tokens) = (0, 0, 0);
    for (index, length) in lengths.iter().enumerate() {
        tokens += length;
        if tokens >= MICRO_BATCH_TOKENS || index + 1 == lengths.len() {
            ranges.push(MicroBatchRange {
                sequences: first..index + 1,
                start,
            });
            (first, start, tokens) = (index + 1, start + tokens, 0);
        }
    }
}

/// Micro-batches in work at a time: enough for all threads, few enough that the results of one pass are still in the cache for the
/// next. They are processed in the same order whatever this number is, so it changes no bit.
pub fn block_size(tokens: usize, micro_batches: usize, threads: usize) -> usize {
    let tokens_each = tokens.div_ceil(micro_batches.max(1)).max(1);
    BLOCK_TOKENS.div_ceil(tokens_each).next_multiple_of(threads)
}
