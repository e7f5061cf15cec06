//! The keys and values of one sequence that is being decoded.

use super::kernel::attend::{Cached, Queries, ROWS, attend};
use super::kernel::level::LANES;
use super::kernel::number::Number;
use super::parameters::Parameters;
use crate::model::Shape;

/// One slot of a decoder.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// Tokens held.
    pub held: usize,
    /// Panels of positions: [layers, kv_heads, capacity / LANES, head, LANES].
    keys: Vec<f32>,
    /// [layers, kv_heads, capacity, head], and LANES floats that a vector may reach beyond.
    values: Vec<f32>,
}

impl Slot {
    /// An empty slot for a whole context. Its zeros come from the system untouched: they take memory only as they are written.
    pub fn new(shape: &Shape) -> Self {
        let size = shape.layers * shape.kv_heads * Self::size(shape);
        Self {
            held: 0,
            keys: vec![0.0; size],
            values: vec![0.0; size + LANES],
        }
    }

    /// The bytes of a slot that is full.
    pub fn bytes(shape: &Shape) -> usize {
        2 * shape.layers * shape.kv_heads * Self::size(shape) * size_of::<f32>()
    }

    /// Positions of a slot: the context, rounded up to whole panels.
    fn capacity(shape: &Shape) -> usize {
        shape.context.next_multiple_of(LANES)
    }

    /// The floats of one layer's and head's keys, and of its values.
    fn size(shape: &Shape) -> usize {
        Self::capacity(shape) * shape.head()
    }

    /// The floats of working memory that [`Slot::attend`] needs.
    pub fn scores(shape: &Shape) -> usize {
        ROWS * Self::capacity(shape)
    }

    /// Writes the keys and values of a row of queries, keys and values to `position`.
    pub fn write(&mut self, shape: &Shape, layer: usize, position: usize, row: &[f32]) {
        let (head, size) = (shape.head(), Self::size(shape));
        let (keys, values) = row[shape.heads * head..].split_at(shape.kv_heads * head);
        for (index, (key, value)) in keys.chunks_exact(head).zip(values.chunks_exact(head)).enumerate() {
            let start = (layer * shape.kv_heads + index) * size;
            let panel = start + position / LANES * head * LANES + position % LANES;
            for (out, key) in self.keys[panel..].iter_mut().step_by(LANES).zip(key) {
                *out = *key;
            }
            self.values[start + position * head..][..head].copy_from_slice(value);
        }
    }

    /// Holds the first `count` tokens of `other` instead of its own.
    pub fn copy(&mut self, shape: &Shape, other: &Self, count: usize) {
        let size = Self::size(shape);
        let (keys, values) = (count.next_multiple_of(LANES) * shape.head(), count * shape.head());
        for start in (0..shape.layers * shape.kv_heads).map(|head| head * size) {
            self.keys[start..start + keys].copy_from_slice(&other.keys[start..start + keys]);
            self.values[start..start + values].copy_from_slice(&other.values[start..start + values]);
        }
        self.held = count;
    }

    /// The heads' results `out` [tokens, heads · head] of the rows of queries, keys and values of consecutive tokens, the first of them
    /// at position `start`; `scores` is working memory.
    pub fn attend<T: Number>(
        &self,
        parameters: &Parameters<T>,
        layer: usize,
        start: usize,
        rows: &[f32],
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        let (shape, head, size) = (&parameters.shape, parameters.shape.head(), Self::size(&parameters.shape));
        let (stride, group) = (parameters.qkv_width(), shape.heads / shape.kv_heads);
        for index in 0..shape.kv_heads {
            let cache = (layer * shape.kv_heads + index) * size;
            let queries = Queries {
                data: &rows[index * group * head..],
                stride,
                tokens: rows.len() / stride,
                group,
                head,
                start,
                scale: 1.0 / (head as f32).sqrt(),
            };
            let cached = Cached {
                keys: &self.keys[cache..cache + size],
                values: &self.values[cache..cache + size + LANES],
            };
            attend(
                parameters.cpu,
                queries,
                cached,
                scores,
                &mut out[index * group * head..],
                parameters.attended_width(),
            );
        }
    }
}
