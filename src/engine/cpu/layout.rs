//! Where each weight lies in the flat buffer of parameters, gradients and moments.
//!
//! Matrices first, layer by layer, then the embeddings, then the norms, so that weight decay is one range. Query, key and value
//! matrices lie end to end, and so do gate and up: each group is one matrix to the products.

use std::ops::Range;

use crate::engine::{EngineError, check};
use crate::model::{Shape, Weights};

/// A matrix [rows, columns] in the flat buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    pub start: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Matrix {
    /// Its part of the flat buffer.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.rows * self.columns
    }
}

/// The weights of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Queries, keys and values. [(heads + 2 · kv_heads) · head, width]
    pub qkv: Matrix,
    /// [width, heads · head]
    pub output: Matrix,
    /// Gate and up. [2 · feed_forward, width]
    pub gates: Matrix,
    /// [width, feed_forward]
    pub down: Matrix,
    pub attention_norm: Range<usize>,
    pub feed_forward_norm: Range<usize>,
}

impl Layer {
    /// The layer's matrices, which lie end to end.
    pub fn matrices(&self) -> [Matrix; 4] {
        [self.qkv, self.output, self.gates, self.down]
    }
}

/// One named weight.
#[derive(Clone, Debug, PartialEq)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    start: usize,
}

/// The places of all weights of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    pub layers: Vec<Layer>,
    /// [vocabulary, width]
    pub embedding: Matrix,
    /// The output layer: `embedding` where tied. [vocabulary, width]
    pub head: Matrix,
    /// [lines, width]
    pub lines: Matrix,
    /// [columns, width]
    pub columns: Matrix,
    pub final_norm: Range<usize>,
    /// Where the norms start: what lies before decays.
    pub decayed: usize,
    pub length: usize,
}

impl Layout {
    /// The layout of `shape`.
    pub fn new(shape: &Shape) -> Self {
        let mut places = Places::default();
        let width = shape.width;
        let (queries, keys) = (shape.heads * shape.head(), shape.kv_heads * shape.head());
        let blocks: Vec<_> = (0..shape.layers)
            .map(|layer| {
                let mut matrix = |part: &str, rows, columns| places.matrix(format!("model.layers.{layer}.{part}.weight"), rows, columns);
                let query = matrix("self_attn.q_proj", queries, width);
                matrix("self_attn.k_proj", keys, width);
                matrix("self_attn.v_proj", keys, width);
                let output = matrix("self_attn.o_proj", width, queries);
                let gate = matrix("mlp.gate_proj", shape.feed_forward, width);
                matrix("mlp.up_proj", shape.feed_forward, width);
                let down = matrix("mlp.down_proj", width, shape.feed_forward);
                let qkv = Matrix {
                    rows: queries + 2 * keys,
                    ..query
                };
                let gates = Matrix {
                    rows: 2 * shape.feed_forward,
                    ..gate
                };
                (qkv, output, gates, down)
            })
            .collect();
        let embedding = places.matrix("model.embed_tokens.weight".into(), shape.vocabulary, width);
        let head = if shape.tied {
            embedding
        } else {
            places.matrix("lm_head.weight".into(), shape.vocabulary, width)
        };
        let lines = places.matrix("model.embed_lines.weight".into(), shape.lines, width);
        let columns = places.matrix("model.embed_columns.weight".into(), shape.columns, width);
        let decayed = places.length;
        let layers = blocks.into_iter().enumerate().map(|(layer, (qkv, output, gates, down))| Layer {
            qkv,
            output,
            gates,
            down,
            attention_norm: places.vector(format!("model.layers.{layer}.input_layernorm.weight"), width),
            feed_forward_norm: places.vector(format!("model.layers.{layer}.post_attention_layernorm.weight"), width),
        });
        let layers = layers.collect();
        let final_norm = places.vector("model.norm.weight".into(), width);
        let Places { tensors, length } = places;
        Self {
            tensors,
            layers,
            embedding,
            head,
            lines,
            columns,
            final_norm,
            decayed,
            length,
        }
    }

    /// The flat buffer of named weights.
    ///
    /// # Errors
    /// When a weight is missing or has another shape.
    pub fn flatten(&self, weights: &Weights) -> Result<Vec<f32>, EngineError> {
        let mut flat = Vec::with_capacity(self.length);
        for (name, shape, _) in self.tensors() {
            let array = weights.get(name).ok_or_else(|| EngineError::Missing(name.to_owned()))?;
            check::tensor(name, shape, array)?;
            flat.extend_from_slice(&array.data);
        }
        Ok(flat)
    }

    /// Name, shape and place of each weight, in the order of their places.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], Range<usize>)> {
        self.tensors.iter().map(|Tensor { name, shape, start }| {
            let length = shape.iter().product::<usize>();
            (name.as_str(), shape.as_slice(), *start..start + length)
        })
    }
}

/// Hands out places, end to end.
#[derive(Default)]
struct Places {
    tensors: Vec<Tensor>,
    length: usize,
}

impl Places {
    /// A matrix without rows takes no place and has no name.
    fn matrix(&mut self, name: String, rows: usize, columns: usize) -> Matrix {
        let matrix = Matrix {
            start: self.length,
            rows,
            columns,
        };
        if rows > 0 {
            self.add(name, vec![rows, columns]);
        }
        matrix
    }

    fn vector(&mut self, name: String, length: usize) -> Range<usize> {
        let start = self.length;
        self.add(name, vec![length]);
        start..self.length
    }

    fn add(&mut self, name: String, shape: Vec<usize>) {
        let length = shape.iter().product::<usize>();
        self.tensors.push(Tensor {
            name,
            shape,
            start: self.length,
        });
        self.length += length;
    }
}
