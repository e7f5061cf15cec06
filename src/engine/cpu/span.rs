//! A span: a few whole sequences of a batch, with all that is kept of them between the passes.
//!
//! Spans are the unit of work of the threads. How a batch is cut into spans depends on the batch alone, so that whatever is added
//! up span by span is added up in the same order on any number of threads.
//!
//! In the last layer only tokens that are trained on go on past the attention: nothing reads the others. From there on a span has
//! `kept` rows instead of `tokens`.

use std::ops::Range;

use super::attention::Scratch;
use super::kernel::level::LANES;
use super::kernel::number::Number;
use super::kernel::panels::size;
use super::parameters::Parameters;
use crate::engine::{Batch, IGNORED};

/// A span is closed once it has this many tokens: enough to fill the tiles, few enough for the second-level cache.
const TOKENS: usize = 96;

/// What the forward pass keeps of one layer.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The residual stream before the attention. [tokens, width]
    pub input: Vec<f32>,
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
pub struct Backward<T> {
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
    /// Gradients of the norms' weights, in the order of the layout. [norms, width]
    pub norms: Vec<f32>,
}

/// The output layer's part of a span.
#[derive(Clone, Debug, Default)]
pub struct Head<T> {
    /// The residual stream after the last layer. [kept, width]
    pub input: Vec<f32>,
    pub scales: Vec<f32>,
    /// Logits, then their gradient. [kept, vocabulary rounded up]
    pub logits: Vec<f32>,
    /// Panels of the normed input.
    pub panels: Vec<T>,
    /// The transpose of the logits' gradient, where it is converted.
    pub columns: Vec<T>,
    /// The summed loss of the span's trained tokens.
    pub loss: f64,
}

/// A few whole sequences.
#[derive(Clone, Debug, Default)]
pub struct Span<T> {
    /// The span's tokens within the batch.
    pub tokens: Range<usize>,
    /// The lengths of its sequences.
    pub lengths: Vec<usize>,
    /// Tokens of the span that are trained on, ascending.
    pub trained: Vec<usize>,
    /// Their targets.
    pub targets: Vec<u32>,
    pub layers: Vec<Kept>,
    pub head: Head<T>,
    pub back: Backward<T>,
    /// Working memory: normed rows [tokens, width] and the feed-forward layer's activation [tokens, feed_forward].
    pub normed: Vec<f32>,
    pub hidden: Vec<f32>,
    pub attention: Scratch<T>,
    /// Working memory: a product's left operand, where it is converted.
    pub room: Vec<T>,
}

impl<T: Number> Span<T> {
    /// How many rows go on past the attention of `layer`.
    pub fn rows(&self, layer: usize) -> usize {
        if layer + 1 == self.layers.len() {
            self.trained.len()
        } else {
            self.tokens.len()
        }
    }

    /// Takes a piece of `batch`, and sizes the buffers for it.
    pub fn take(&mut self, parameters: &Parameters<T>, batch: &Batch, piece: &Piece) {
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
        self.layers.resize_with(shape.layers, Kept::default);
        for (layer, kept_layer) in self.layers.iter_mut().enumerate() {
            let rows = if layer + 1 == shape.layers { kept } else { tokens };
            kept_layer.input.resize(tokens * width, 0.0);
            kept_layer.input_scales.resize(tokens, 0.0);
            kept_layer.qkv.resize(tokens * qkv, 0.0);
            kept_layer.sums.resize(tokens * shape.heads, 0.0);
            kept_layer.attended.resize(tokens * attended, 0.0);
            kept_layer.middle.resize(rows * width, 0.0);
            kept_layer.middle_scales.resize(rows, 0.0);
            kept_layer.gates.resize(rows * 2 * hidden, 0.0);
        }
        let (head, back) = (&mut self.head, &mut self.back);
        head.input.resize(kept * width, 0.0);
        head.scales.resize(kept, 0.0);
        head.logits.resize(kept * logits_stride(shape.vocabulary), 0.0);
        head.panels.resize(size::<T>(kept, width), T::default());
        for buffer in [&mut back.output, &mut back.middle, &mut back.input, &mut self.normed] {
            buffer.resize(tokens * width, 0.0);
        }
        back.qkv.resize(tokens * qkv, 0.0);
        back.attended.resize(tokens * attended, 0.0);
        back.input_panels.resize(size::<T>(tokens, width), T::default());
        back.attended_panels.resize(size::<T>(tokens, attended), T::default());
        back.middle_panels.resize(size::<T>(tokens, width), T::default());
        back.hidden_panels.resize(size::<T>(tokens, hidden), T::default());
        back.norms.clear();
        back.norms.resize((2 * shape.layers + 1) * width, 0.0);
        self.hidden.resize(tokens * hidden, 0.0);
    }
}

/// From one row of logits to the next.
pub fn logits_stride(vocabulary: usize) -> usize {
    vocabulary.next_multiple_of(LANES)
}

/// Whole sequences of a batch that make one span.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Which of the batch's sequences.
    pub sequences: Range<usize>,
    /// The first token of the first one.
    pub start: usize,
}

/// Cuts `batch` into pieces, by its lengths alone.
pub fn cut(batch: &Batch) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut first, mut start, mut tokens) = (0, 0, 0);
    for (index, length) in batch.lengths.iter().enumerate() {
        tokens += length;
        if tokens >= TOKENS || index + 1 == batch.lengths.len() {
            pieces.push(Piece {
                sequences: first..index + 1,
                start,
            });
            (first, start, tokens) = (index + 1, start + tokens, 0);
        }
    }
    pieces
}
