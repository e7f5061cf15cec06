//! A span: a few whole sequences of a batch, with all that is kept of them between the passes.
//!
//! Spans are the unit of work of the threads. How a batch is cut into spans depends on the batch alone, so that whatever is added
//! up span by span is added up in the same order on any number of threads.
//!
//! Of the layers that the backward pass reaches, a span keeps all that it needs, or each one's input alone: then the rest is computed again,
//! in the same order and so with the same bits.
//!
//! In the last layer only tokens that are trained on go on past the attention: nothing reads the others. From there on a span has
//! `kept` rows instead of `tokens`.

use std::ops::Range;

use super::adapter::{AdapterBuffers, DropoutMask, mix};
use super::attention::AttentionScratch;
use super::kernel::element::Element;
use super::kernel::panels::size;
use super::parameters::Parameters;
use crate::engine::{Batch, IGNORED};

/// A span is closed once it has this many tokens: enough to fill the tiles, few enough for the second-level cache.
const MICRO_BATCH_TOKENS: usize = 96;

/// What the forward pass leaves of one layer, beside its input.
#[derive(Clone, Debug, Default)]
pub struct LayerActivations {
    /// Scales of the norm before the attention. [tokens]
    pub input_scales: Vec<f32>,
    /// Queries, keys and values, turned. [tokens, qkv width]
    pub qkv: Vec<f32>,
    /// Logarithms of the softmax's sums, sequence by sequence: [heads, length].
    pub sums: Vec<f32>,
    /// The heads' results. [rows, attended width]
    pub attended: Vec<f32>,
    /// The residual stream after the attention. [rows, width]
    pub middle: Vec<f32>,
    /// Scales of the norm before the feed-forward layer. [rows]
    pub middle_scales: Vec<f32>,
    /// Gate and up; after the backward pass their gradient. [rows, 2 · feed_forward]
    pub gates: Vec<f32>,
}

/// What the backward pass of one layer leaves for the gradients of its weights, and its working memory.
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
    /// Gradient of the heads' results. [tokens, attended width]
    pub attended: Vec<f32>,
    /// Panels of the products' inputs: of the normed input, the heads' results, the normed middle and the activation.
    pub input_panels: Vec<T>,
    pub attended_panels: Vec<T>,
    pub middle_panels: Vec<T>,
    pub hidden_panels: Vec<T>,
    /// Transposes of the products' gradients, where they are converted: of `qkv`, `middle`, the layer's gates and `output`.
    pub qkv_columns: Vec<T>,
    pub middle_columns: Vec<T>,
    pub gates_columns: Vec<T>,
    pub output_columns: Vec<T>,
    /// Gradients of norms and biases, in the order of the layout.
    pub vectors: Vec<f32>,
    /// Of the adapters of a layer's matrices, in their order.
    pub low: [AdapterBuffers<T>; 4],
}

/// A few whole sequences.
#[derive(Clone, Debug, Default)]
pub struct MicroBatch<T> {
    /// The span's tokens within the batch.
    pub tokens: Range<usize>,
    /// What the adapters' dropout of this batch is drawn from.
    pub draw: u64,
    /// The lengths of its sequences.
    pub lengths: Vec<usize>,
    /// Tokens of the span that are trained on, ascending.
    pub trained: Vec<usize>,
    /// Their targets.
    pub targets: Vec<u32>,
    /// The residual stream before the attention of each layer that the backward pass reaches. [layers][tokens, width]
    pub inputs: Vec<Vec<f32>>,
    /// What else is kept of these layers, or of the one in work where the backward pass computes it again.
    pub layers: Vec<LayerActivations>,
    /// The residual stream after the last layer. [kept, width]
    pub output: Vec<f32>,
    /// Scales of the final norm. [kept]
    pub output_scales: Vec<f32>,
    /// The summed loss of the span's trained tokens.
    pub loss: f64,
    pub back: LayerGradients<T>,
    /// Working memory: normed rows [tokens, width] and the feed-forward layer's activation [tokens, feed_forward].
    pub normed: Vec<f32>,
    pub hidden: Vec<f32>,
    pub attention: AttentionScratch<T>,
    /// Working memory: a product's left operand, where it is converted.
    pub room: Vec<T>,
}

impl<T: Element> MicroBatch<T> {
    /// How many rows go on past the attention of `layer`.
    pub fn rows(&self, parameters: &Parameters<T>, layer: usize) -> usize {
        if layer + 1 == parameters.shape.layers {
            self.trained.len()
        } else {
            self.tokens.len()
        }
    }

    /// What the dropout of each matrix of a layer is drawn from.
    pub fn draws(&self, layer: usize) -> [DropoutMask; 4] {
        std::array::from_fn(|place| DropoutMask {
            key: mix(self.draw ^ mix((4 * layer + place) as u64)),
            first: self.tokens.start,
        })
    }

    /// Takes a piece of `batch`, and sizes the buffers for it.
    pub fn take(&mut self, parameters: &Parameters<T>, batch: &Batch, piece: &MicroBatchRange) {
        let lengths = &batch.lengths[piece.sequences.clone()];
        self.tokens = piece.start..piece.start + lengths.iter().sum::<usize>();
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

    /// Every buffer gets the length its matrix has now; capacity only grows, so that a steady state allocates nothing.
    fn resize(&mut self, parameters: &Parameters<T>) {
        let shape = &parameters.shape;
        let (width, hidden, qkv, attended) = (shape.width, shape.feed_forward, parameters.qkv_width(), parameters.attended_width());
        let (tokens, kept) = (self.tokens.len(), self.trained.len());
        self.inputs.resize_with(parameters.kept_inputs(), Vec::new);
        self.layers.resize_with(parameters.kept_layers(), LayerActivations::default);
        self.inputs.iter_mut().for_each(|input| fit(input, tokens * width));
        let back = &mut self.back;
        fit(&mut self.output, kept * width);
        fit(&mut self.output_scales, kept);
        for buffer in [&mut back.output, &mut back.middle, &mut back.input, &mut self.normed] {
            fit(buffer, tokens * width);
        }
        fit(&mut back.qkv, tokens * qkv);
        fit(&mut back.attended, tokens * attended);
        fit(&mut back.input_panels, size::<T>(tokens, width));
        fit(&mut back.attended_panels, size::<T>(tokens, attended));
        fit(&mut back.middle_panels, size::<T>(tokens, width));
        fit(&mut back.hidden_panels, size::<T>(tokens, hidden));
        back.vectors.clear();
        fit(&mut back.vectors, parameters.layout.length - parameters.layout.decayed);
        fit(&mut self.hidden, tokens * hidden);
    }

    /// Sizes what is kept of `layer`, before its forward pass: layers that share a place differ in their rows.
    pub fn resize_layer(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (shape, tokens, rows) = (&parameters.shape, self.tokens.len(), self.rows(parameters, layer));
        let kept = &mut self.layers[parameters.kept_layer(layer)];
        fit(&mut kept.input_scales, tokens);
        fit(&mut kept.qkv, tokens * parameters.qkv_width());
        fit(&mut kept.sums, tokens * shape.heads);
        fit(&mut kept.attended, tokens * parameters.attended_width());
        fit(&mut kept.middle, rows * shape.width);
        fit(&mut kept.middle_scales, rows);
        fit(&mut kept.gates, rows * 2 * shape.feed_forward);
    }

    /// The final norm's rows, which the output layer turns into their gradient, and their targets.
    pub fn scored(&mut self, width: usize) -> (&mut [f32], &[u32]) {
        (&mut self.normed[..self.targets.len() * width], &self.targets)
    }
}

/// Gives a buffer a length; a capacity that has to grow becomes that length and no more. What was there may be lost: nothing reads it.
pub fn fit<N: Copy + Default>(buffer: &mut Vec<N>, length: usize) {
    if buffer.capacity() < length {
        // Given back first: the old memory must not lie beside the new.
        *buffer = Vec::new();
        *buffer = vec![N::default(); length];
    }
    buffer.resize(length, N::default());
}

/// Whole sequences of a batch that make one span.
#[derive(Clone, Debug, PartialEq)]
pub struct MicroBatchRange {
    /// Which of the batch's sequences.
    pub sequences: Range<usize>,
    /// The first token of the first one.
    pub start: usize,
}

/// Cuts a batch of sequences of these `lengths` into `pieces`, by the lengths alone.
pub fn cut(lengths: &[usize], pieces: &mut Vec<MicroBatchRange>) {
    pieces.clear();
    let (mut first, mut start, mut tokens) = (0, 0, 0);
    for (index, length) in lengths.iter().enumerate() {
        tokens += length;
        if tokens >= MICRO_BATCH_TOKENS || index + 1 == lengths.len() {
            pieces.push(MicroBatchRange {
                sequences: first..index + 1,
                start,
            });
            (first, start, tokens) = (index + 1, start + tokens, 0);
        }
    }
}
