//! The positions of the weights in the flat buffers of parameters, gradients and moments.
//!
//! Matrices come first, layer by layer, then the embeddings, then norms and biases, so that weight decay is one range. Query, key and value
//! matrices lie end to end, and so do gate and up: products use each group as one matrix.

use std::borrow::Cow;
use std::ops::Range;

use crate::engine::{EngineError, check};
use crate::model::lora::adapter_names;
use crate::model::{Lora, ModelShape, WeightSource};

/// A matrix [rows, columns] in the flat buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    pub start: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Matrix {
    /// Its range of the flat buffer.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.rows * self.columns
    }
}

/// The adapters of one matrix. Each of its named parts (queries, keys and values) may have one.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterLayout {
    /// All `A` matrices, end to end. [ranks, in]
    pub a: Matrix,
    pub parts: Vec<AdaptedPart>,
    /// α / r
    pub scale: f32,
}

/// An adapted part of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptedPart {
    /// The part's first row in the matrix.
    pub row: usize,
    /// Its first row in `a`.
    pub rank: usize,
    /// [rows, rank]
    pub b: Matrix,
}

/// The indices of the matrices in [`LayerLayout::matrices`].
pub const QKV: usize = 0;
pub const OUTPUT: usize = 1;
pub const GATES: usize = 2;
pub const DOWN: usize = 3;

/// The weights of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerLayout {
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
    /// Biases of queries, keys and values; empty if there are none. [(heads + 2 · kv_heads) · head]
    pub qkv_bias: Range<usize>,
    /// Norms of each head's queries and keys; empty if there are none. [2 · head]
    pub qk_norm: Range<usize>,
    /// In the order of [`LayerLayout::matrices`].
    pub adapters: [Option<AdapterLayout>; 4],
}

impl LayerLayout {
    /// The layer's matrices, which lie end to end.
    pub fn matrices(&self) -> [Matrix; 4] {
        [self.qkv, self.output, self.gates, self.down]
    }
}

/// One named weight.
#[derive(Clone, Debug, PartialEq)]
struct TensorLayout {
    name: String,
    shape: Vec<usize>,
    start: usize,
}

/// The positions of all weights of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    tensors: Vec<TensorLayout>,
    pub layers: Vec<LayerLayout>,
    /// [vocabulary, width]
    pub embedding: Matrix,
    /// The output layer; equal to `embedding` if tied. [vocabulary, width]
    pub head: Matrix,
    /// [lines, width]
    pub lines: Matrix,
    /// [columns, width]
    pub columns: Matrix,
    /// [3 · rows of places, width]
    pub places: Matrix,
    pub final_norm: Range<usize>,
    /// Start of the norms and biases. Weight decay applies to everything before.
    pub decayed: usize,
    pub length: usize,
}

impl Layout {
    /// The layout of `shape`, with the adapters of `lora`.
    pub fn new(shape: &ModelShape, lora: Option<&Lora>) -> Self {
        let mut places = LayoutBuilder::default();
        let width = shape.width;
        let (queries, keys) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
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
        let places_table = places.matrix("model.embed_places.weight".into(), shape.place_rows(), width);
        let adapters: Vec<_> = (0..shape.layers).map(|layer| places.adapters(shape, layer, lora)).collect();
        let decayed = places.length;
        let blocks = blocks.into_iter().zip(adapters).enumerate();
        let layers = blocks.map(|(layer, ((qkv, output, gates, down), adapters))| LayerLayout {
            qkv,
            output,
            gates,
            down,
            adapters,
            attention_norm: places.vector(format!("model.layers.{layer}.input_layernorm.weight"), width),
            feed_forward_norm: places.vector(format!("model.layers.{layer}.post_attention_layernorm.weight"), width),
            qkv_bias: places.biases(shape, layer),
            qk_norm: places.head_norms(shape, layer),
        });
        let layers = layers.collect();
        let final_norm = places.vector("model.norm.weight".into(), width);
        let LayoutBuilder { tensors, length } = places;
        Self {
            tensors,
            layers,
            embedding,
            head,
            lines,
            columns,
            places: places_table,
            final_norm,
            decayed,
            length,
        }
    }

    /// The range of norms or biases in a buffer that holds only norms and biases.
    pub fn vectors(&self, range: &Range<usize>) -> Range<usize> {
        range.start - self.decayed..range.end - self.decayed
    }

    /// Reads a part of the layout, which consists of whole tensors, from named weights and appends it to `flat`.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape.
    pub fn flatten(&self, weights: &mut impl WeightSource, part: Range<usize>, flat: &mut Vec<f32>) -> Result<(), EngineError> {
        let inside = |range: &Range<usize>| part.start <= range.start && range.end <= part.end;
        for (name, shape, range) in self.tensors().filter(|(.., range)| inside(range)) {
            let array = weights.take(name)?.ok_or_else(|| EngineError::Missing(name.to_owned()))?;
            check::tensor(name, shape, &array)?;
            match array {
                // A part that is a single weight needs no copy.
                Cow::Owned(array) if flat.is_empty() && array.data.len() == part.len() => *flat = array.data,
                array => {
                    flat.reserve_exact(part.end - range.start);
                    flat.extend_from_slice(&array.data);
                }
            }
        }
        Ok(())
    }

    /// Name, shape and range of each weight, in the order of the buffer.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], Range<usize>)> {
        self.tensors.iter().map(|TensorLayout { name, shape, start }| {
            let length = shape.iter().product::<usize>();
            (name.as_str(), shape.as_slice(), *start..start + length)
        })
    }
}

/// Assigns positions, end to end.
#[derive(Default)]
struct LayoutBuilder {
    tensors: Vec<TensorLayout>,
    length: usize,
}

impl LayoutBuilder {
    /// Adds a matrix. One without rows takes no space and has no name.
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

    /// Adds the adapters of a layer's matrices.
    fn adapters(&mut self, shape: &ModelShape, layer: usize, lora: Option<&Lora>) -> [Option<AdapterLayout>; 4] {
        let Some(lora) = lora else { return [const { None }; 4] };
        let (queries, keys, hidden) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, shape.feed_forward);
        let attention = [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)];
        let mut adapter = |module: &str, parts: &[(&str, usize)], inner| {
            let name = |part: &str| adapter_names(&format!("model.layers.{layer}.{module}.{part}.weight"));
            self.adapter(lora, parts, inner, &name)
        };
        [
            adapter("self_attn", &attention, shape.width),
            adapter("self_attn", &[("o_proj", shape.width)], queries),
            adapter("mlp", &[("gate_proj", hidden), ("up_proj", hidden)], shape.width),
            adapter("mlp", &[("down_proj", shape.width)], hidden),
        ]
    }

    /// Adds the adapters of a matrix. `parts` are its parts' names and numbers of rows.
    fn adapter(
        &mut self,
        lora: &Lora,
        parts: &[(&str, usize)],
        inner: usize,
        name: &dyn Fn(&str) -> (String, String),
    ) -> Option<AdapterLayout> {
        let adapted = || parts.iter().filter(|(part, _)| lora.adapts(part));
        let start = self.length;
        for (part, _) in adapted() {
            self.matrix(name(part).0, lora.rank, inner);
        }
        let (mut row, mut found) = (0, Vec::new());
        for (part, rows) in parts {
            if lora.adapts(part) {
                let b = self.matrix(name(part).1, *rows, lora.rank);
                let rank = found.len() * lora.rank;
                found.push(AdaptedPart { row, rank, b });
            }
            row += rows;
        }
        let a = Matrix {
            start,
            rows: found.len() * lora.rank,
            columns: inner,
        };
        (!found.is_empty()).then_some(AdapterLayout {
            a,
            parts: found,
            scale: lora.scale() as f32,
        })
    }

    /// Adds the biases of a layer's queries, keys and values, end to end.
    fn biases(&mut self, shape: &ModelShape, layer: usize) -> Range<usize> {
        let start = self.length;
        let (queries, keys) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        for (part, length) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)]
            .into_iter()
            .filter(|_| shape.qkv_bias)
        {
            self.vector(format!("model.layers.{layer}.self_attn.{part}.bias"), length);
        }
        start..self.length
    }

    /// Adds the norms of each head's queries and keys, end to end.
    fn head_norms(&mut self, shape: &ModelShape, layer: usize) -> Range<usize> {
        let start = self.length;
        for part in ["q_norm", "k_norm"].into_iter().filter(|_| shape.qk_norm) {
            self.vector(format!("model.layers.{layer}.self_attn.{part}.weight"), shape.head_dim);
        }
        start..self.length
    }

    fn vector(&mut self, name: String, length: usize) -> Range<usize> {
        let start = self.length;
        self.add(name, vec![length]);
        start..self.length
    }

    fn add(&mut self, name: String, shape: Vec<usize>) {
        let length = shape.iter().product::<usize>();
        self.tensors.push(TensorLayout {
            name,
            shape,
            start: self.length,
        });
        self.length += length;
    }
}
