//! The cached keys and values of one sequence that is being decoded.

use std::ops::Range;

use super::kernel::attend::{CachedHead, Queries, attend, working_memory};
use super::kernel::element::Element;
use super::kernel::level::LANES;
use super::kernel::product::LeftMatrix;
use super::parameters::Parameters;
use crate::model::ModelShape;

/// One slot of a decoder.
#[derive(Clone, Debug, Default)]
pub struct CacheSlot<T> {
    /// Number of cached tokens.
    pub held: usize,
    /// Panels of positions, pairs of neighbours along the head: [layers, kv_heads, capacity / LANES, head / STEPS, LANES].
    keys: Vec<T>,
    /// Pairs of neighbouring positions: [layers, kv_heads, capacity / STEPS, head], and LANES more elements, since vectors may reach beyond
    /// the end.
    values: Vec<T>,
}

impl<T: Element> CacheSlot<T> {
    /// An empty slot for a whole context. Its zeros come from the system and take memory only when they are written.
    pub fn new(shape: &ModelShape) -> Self {
        let size = shape.layers * shape.kv_heads * Self::size(shape);
        Self {
            held: 0,
            keys: vec![T::default(); size],
            values: vec![T::default(); size + LANES],
        }
    }

    /// The bytes of a full slot.
    pub fn bytes(shape: &ModelShape) -> usize {
        2 * shape.layers * shape.kv_heads * Self::size(shape) * size_of::<T>()
    }

    /// Positions of a slot: the context, rounded up to whole panels.
    fn capacity(shape: &ModelShape) -> usize {
        shape.context.next_multiple_of(LANES)
    }

    /// The elements of the keys of one layer and head; the values have as many.
    fn size(shape: &ModelShape) -> usize {
        Self::capacity(shape) * shape.head_dim / T::STEPS
    }

    /// The floats of working memory that [`CacheSlot::attend`] needs.
    pub fn scores(shape: &ModelShape) -> usize {
        working_memory(Self::capacity(shape))
    }

    /// Writes the keys and values of a row of queries, keys and values to `position`.
    pub fn write(&mut self, shape: &ModelShape, layer: usize, position: usize, row: &[T]) {
        let (head, size) = (shape.head_dim, Self::size(shape));
        let elements = head / T::STEPS;
        let (keys, values) = row[shape.heads * elements..].split_at(shape.kv_heads * elements);
        for (index, (key, value)) in keys.chunks_exact(elements).zip(values.chunks_exact(elements)).enumerate() {
            let start = (layer * shape.kv_heads + index) * size;
            let panel = start + position / LANES * elements * LANES + position % LANES;
            for (out, key) in self.keys[panel..].iter_mut().step_by(LANES).zip(key) {
                *out = *key;
            }
            let out = &mut self.values[start + position / T::STEPS * head..][..head];
            T::put_neighbours(value, position % T::STEPS, out);
        }
    }

    /// Replaces the content by the first `count` tokens of `other`.
    pub fn copy(&mut self, shape: &ModelShape, other: &Self, count: usize) {
        let size = Self::size(shape);
        let (keys, values) = (
            count.next_multiple_of(LANES) * shape.head_dim / T::STEPS,
            count.div_ceil(T::STEPS) * shape.head_dim,
        );
        for start in (0..shape.layers * shape.kv_heads).map(|head| head * size) {
            self.keys[start..start + keys].copy_from_slice(&other.keys[start..start + keys]);
            self.values[start..start + values].copy_from_slice(&other.values[start..start + values]);
        }
        self.held = count;
    }

    /// Computes the heads' results `out` [positions, heads · head] from the `rows` of queries, keys and values at consecutive `positions`;
    /// `scores` is working memory.
    pub fn attend(
        &self,
        parameters: &Parameters<T>,
        layer: usize,
        positions: Range<usize>,
        rows: LeftMatrix<'_, T>,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        let (shape, head, size) = (&parameters.shape, parameters.shape.head_dim, Self::size(&parameters.shape));
        let group = shape.heads / shape.kv_heads;
        for index in 0..shape.kv_heads {
            let cache = (layer * shape.kv_heads + index) * size;
            let queries = Queries {
                data: &rows.data[index * group * head / T::STEPS..],
                stride: rows.row,
                tokens: positions.len(),
                group,
                head,
                start: positions.start,
                scale: 1.0 / (head as f32).sqrt(),
            };
            let cached = CachedHead {
                keys: &self.keys[cache..cache + size],
                values: &self.values[cache..cache + size + LANES],
            };
            let out = &mut out[index * group * head..];
            attend(parameters.cpu, queries, cached, scores, out, parameters.attended_width());
        }
    }
}
