//! The keys and values of one sequence that is being decoded.

use super::kernel::attend::{Query, attend};
use super::kernel::level::LANES;
use super::kernel::number::Number;
use super::parameters::Parameters;
use crate::model::Shape;

/// One slot of a decoder.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Tokens held.
    pub held: usize,
    /// Panels of positions: [layers, kv_heads, capacity / LANES, head, LANES].
    keys: Vec<f32>,
    /// [layers, kv_heads, capacity, head]
    values: Vec<f32>,
}

impl Slot {
    /// An empty slot for a whole context. Its zeros come from the system untouched: they take memory only as they are written.
    pub fn new<T: Number>(parameters: &Parameters<T>) -> Self {
        let shape = &parameters.shape;
        let size = shape.layers * shape.kv_heads * Self::capacity(shape) * shape.head();
        Self {
            held: 0,
            keys: vec![0.0; size],
            values: vec![0.0; size],
        }
    }

    /// Positions of a slot: the context, rounded up to whole panels.
    pub fn capacity(shape: &Shape) -> usize {
        shape.context.next_multiple_of(LANES)
    }

    /// Writes the keys and values of a row of queries, keys and values to `position`.
    pub fn write(&mut self, shape: &Shape, layer: usize, position: usize, row: &[f32]) {
        let (head, size) = (shape.head(), Self::capacity(shape) * shape.head());
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

    /// The heads' results `out` [heads · head] of a row's queries over the first `count` positions; `scores` [capacity] is working
    /// memory.
    pub fn read<T: Number>(
        &self,
        parameters: &Parameters<T>,
        layer: usize,
        count: usize,
        row: &[f32],
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        let (shape, head) = (&parameters.shape, parameters.shape.head());
        let (size, group) = (Self::capacity(shape) * head, shape.heads / shape.kv_heads);
        let scale = 1.0 / (head as f32).sqrt();
        for (index, (query, out)) in row.chunks_exact(head).zip(out.chunks_exact_mut(head)).enumerate() {
            let start = (layer * shape.kv_heads + index / group) * size;
            let (keys, values) = (&self.keys[start..start + size], &self.values[start..start + size]);
            attend(
                parameters.cpu,
                Query {
                    query,
                    keys,
                    values,
                    count,
                    scale,
                },
                scores,
                out,
            );
        }
    }
}
