//! Causal attention of one sequence, forward and backward, head by head.
//!
//! Scores are computed for a block of rows at a time. Between the passes only the logarithm of each row's sum of exponentials is kept.

use std::ops::Range;

use super::buffer::grow;
use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::level::LANES;
use super::kernel::panels::{pack, pack_transposed, size};
use super::kernel::product::{Product, Reach, multiply};
use super::kernel::softmax;
use super::operand::{by_columns, by_rows, keep_columns};
use super::parameters::Parameters;
use super::rows::{RowView, RowViewMut};

/// Rows of scores in a block.
const SCORE_ROWS: usize = 64;

/// The positions of the heads in a row.
#[derive(Clone, Copy, Debug)]
struct HeadLayout {
    heads: usize,
    kv_heads: usize,
    /// Width of one head.
    head: usize,
    /// Width of a row of queries, keys and values.
    stride: usize,
    scale: f32,
}

impl HeadLayout {
    fn new<T: Element>(parameters: &Parameters<T>) -> Self {
        let shape = &parameters.shape;
        Self {
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head: shape.head_dim,
            stride: parameters.qkv_width(),
            scale: 1.0 / (shape.head_dim as f32).sqrt(),
        }
    }

    /// Number of query heads per key/value head.
    fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// Offset of the keys of a key/value head in a row.
    fn key(self, kv_head: usize) -> usize {
        (self.heads + kv_head) * self.head
    }

    /// Offset of the values of a key/value head in a row.
    fn value(self, kv_head: usize) -> usize {
        (self.heads + self.kv_heads + kv_head) * self.head
    }
}

/// Working memory of the attention. It grows to the longest sequence seen.
#[derive(Clone, Debug, Default)]
pub struct AttentionScratch<T> {
    /// Scores, then probabilities. [block, length rounded up]
    scores: Vec<f32>,
    /// Gradients of the probabilities, then of the scores. [block, length rounded up]
    gradients: Vec<f32>,
    /// Panels of keys and values, and of their transposes.
    keys: Vec<T>,
    keys_transposed: Vec<T>,
    values: Vec<T>,
    /// Panels of a block of queries, and of the gradients of its results.
    queries: Vec<T>,
    outputs: Vec<T>,
    /// A product's left operand if it needs conversion.
    converted: Vec<T>,
}

/// The sizes of the working memory for sequences of `length` tokens, in numbers.
struct ScratchSizes {
    scores: usize,
    converted: usize,
    panels: usize,
    block: usize,
}

impl ScratchSizes {
    fn new<T: Element>(length: usize, head: usize) -> Self {
        let scores = SCORE_ROWS.min(length) * length.next_multiple_of(LANES);
        Self {
            scores,
            // The last row is read to its end.
            converted: scores + length,
            panels: size::<T>(length, head).max(size::<T>(head, length)),
            block: size::<T>(SCORE_ROWS.min(length), head),
        }
    }
}

/// The bytes of working memory for sequences of at most `length` tokens.
pub fn memory<T: Element>(length: usize, head: usize) -> usize {
    let sizes = ScratchSizes::new::<T>(length, head);
    2 * sizes.scores * size_of::<f32>() + (sizes.converted + 3 * sizes.panels + 2 * sizes.block) * size_of::<T>()
}

impl<T: Element> AttentionScratch<T> {
    fn grow(&mut self, length: usize, head: usize) {
        let sizes = ScratchSizes::new::<T>(length, head);
        grow(&mut self.scores, sizes.scores);
        grow(&mut self.gradients, sizes.scores);
        grow(&mut self.converted, sizes.converted);
        for panels in [&mut self.keys, &mut self.keys_transposed, &mut self.values] {
            grow(panels, sizes.panels);
        }
        grow(&mut self.queries, sizes.block);
        grow(&mut self.outputs, sizes.block);
    }
}

/// A block of rows of one head's scores.
#[derive(Clone, Copy)]
struct ScoreBlock {
    cpu: Instructions,
    /// Width of one head.
    head: usize,
    start: usize,
    count: usize,
    /// Floats from one row of scores to the next.
    stride: usize,
}

impl ScoreBlock {
    fn blocks(cpu: Instructions, heads: HeadLayout, length: usize) -> impl Iterator<Item = Self> {
        let stride = length.next_multiple_of(LANES);
        (0..length).step_by(SCORE_ROWS).map(move |start| Self {
            cpu,
            head: heads.head,
            start,
            count: SCORE_ROWS.min(length - start),
            stride,
        })
    }

    fn end(self) -> usize {
        self.start + self.count
    }

    /// The part of a buffer that the block's scores take.
    fn scores_in(self, buffer: &mut [f32]) -> &mut [f32] {
        &mut buffer[..self.count * self.stride]
    }

    /// Rows times transposed keys (or values): the scores of the block up to the diagonal. `rows` are `stride` apart.
    fn score<T: Element>(self, rows: &[f32], stride: usize, panels: &[T], scores: &mut [f32], converted: &mut Vec<T>) {
        let rows = RowView {
            data: rows,
            count: self.count,
            width: self.head,
            stride,
        };
        let product = Product {
            rows: self.count,
            // Whole panels: rows of scores are as wide as that, and nothing reads beyond the diagonal.
            columns: self.end().next_multiple_of(LANES),
            inner: self.head,
            left: by_rows(self.cpu, rows, converted),
            right: panels,
            reach: Reach::Columns { start: self.start },
            add: false,
            stride: self.stride,
        };
        multiply(self.cpu, product, scores);
    }

    /// Probabilities times values (or their gradients times keys): [count, head].
    fn combine<T: Element>(self, scores: &[f32], length: usize, panels: &[T], out: RowViewMut<'_>, converted: &mut Vec<T>) {
        let RowViewMut { data, stride } = out;
        let scores = RowView {
            data: scores,
            count: self.count,
            width: self.end(),
            stride: self.stride,
        };
        let product = Product {
            rows: self.count,
            columns: self.head,
            inner: length,
            left: by_rows(self.cpu, scores, converted),
            right: panels,
            reach: Reach::Before { start: self.start },
            add: false,
            stride,
        };
        multiply(self.cpu, product, data);
    }

    /// Adds transposed probabilities (or their gradients) times the block's rows: [end, head]. The `first` head of a group replaces the
    /// block's own rows of `out`, since nothing was added to them before.
    fn spread<T: Element>(self, scores: &[f32], panels: &[T], first: bool, out: RowViewMut<'_>, converted: &mut Vec<T>) {
        let rows = RowView {
            data: scores,
            count: self.count,
            width: self.end(),
            stride: self.stride,
        };
        let RowViewMut { data, stride } = out;
        keep_columns(self.cpu, rows, converted);
        let product = |rows: Range<usize>, reach, add| Product {
            rows: rows.len(),
            columns: self.head,
            inner: self.count,
            left: by_columns(scores, self.stride, self.end(), rows.start, converted),
            right: panels,
            reach,
            add,
            stride,
        };
        multiply(self.cpu, product(0..self.start, Reach::Full, true), data);
        let own = product(self.start..self.end(), Reach::Below, !first);
        multiply(self.cpu, own, &mut data[self.start * stride..]);
    }
}

/// The heads' results `y` [length, heads · head] of one sequence's rows `qkv` [length, stride]; `sums` [heads, length].
pub fn forward<T: Element>(parameters: &Parameters<T>, qkv: &[f32], sums: &mut [f32], y: &mut [f32], scratch: &mut AttentionScratch<T>) {
    let (heads, cpu) = (HeadLayout::new(parameters), parameters.cpu);
    let (length, width) = (qkv.len() / heads.stride, heads.heads * heads.head);
    scratch.grow(length, heads.head);
    for kv_head in 0..heads.kv_heads {
        pack_transposed(
            cpu,
            &qkv[heads.key(kv_head)..],
            heads.stride,
            heads.head,
            length,
            &mut scratch.keys_transposed,
        );
        pack(
            cpu,
            &qkv[heads.value(kv_head)..],
            heads.stride,
            length,
            heads.head,
            &mut scratch.values,
        );
        for query in kv_head * heads.group()..(kv_head + 1) * heads.group() {
            for rows in ScoreBlock::blocks(cpu, heads, length) {
                let queries = &qkv[rows.start * heads.stride + query * heads.head..];
                let scores = rows.scores_in(&mut scratch.scores);
                rows.score(queries, heads.stride, &scratch.keys_transposed, scores, &mut scratch.converted);
                let sums = &mut sums[query * length + rows.start..][..rows.count];
                softmax::forward(cpu, scores, rows.stride, rows.start, heads.scale, sums);
                let y = &mut y[rows.start * width + query * heads.head..];
                rows.combine(scores, length, &scratch.values, RowViewMut::new(y, width), &mut scratch.converted);
            }
        }
    }
}

/// The gradient `dqkv` [length, stride] of one sequence's rows, from `dy` [length, heads · head].
pub fn backward<T: Element>(
    parameters: &Parameters<T>,
    qkv: &[f32],
    sums: &[f32],
    dy: &[f32],
    dqkv: &mut [f32],
    scratch: &mut AttentionScratch<T>,
) {
    let (heads, cpu) = (HeadLayout::new(parameters), parameters.cpu);
    let (length, width) = (qkv.len() / heads.stride, heads.heads * heads.head);
    scratch.grow(length, heads.head);
    for kv_head in 0..heads.kv_heads {
        let (key, value) = (heads.key(kv_head), heads.value(kv_head));
        pack(cpu, &qkv[key..], heads.stride, length, heads.head, &mut scratch.keys);
        pack_transposed(cpu, &qkv[key..], heads.stride, heads.head, length, &mut scratch.keys_transposed);
        pack_transposed(cpu, &qkv[value..], heads.stride, heads.head, length, &mut scratch.values);
        let group = kv_head * heads.group()..(kv_head + 1) * heads.group();
        for query in group.clone() {
            let first = query == group.start;
            for rows in ScoreBlock::blocks(cpu, heads, length) {
                let start = rows.start * heads.stride + query * heads.head;
                let (queries, dy) = (&qkv[start..], &dy[rows.start * width + query * heads.head..]);
                let (scores, gradients) = (rows.scores_in(&mut scratch.scores), rows.scores_in(&mut scratch.gradients));
                pack(cpu, queries, heads.stride, rows.count, heads.head, &mut scratch.queries);
                pack(cpu, dy, width, rows.count, heads.head, &mut scratch.outputs);
                rows.score(queries, heads.stride, &scratch.keys_transposed, scores, &mut scratch.converted);
                softmax::again(
                    cpu,
                    scores,
                    rows.stride,
                    rows.start,
                    heads.scale,
                    &sums[query * length + rows.start..],
                );
                rows.score(dy, width, &scratch.values, gradients, &mut scratch.converted);
                rows.spread(
                    scores,
                    &scratch.outputs,
                    first,
                    RowViewMut::new(&mut dqkv[value..], heads.stride),
                    &mut scratch.converted,
                );
                softmax::backward(cpu, scores, gradients, rows.stride, rows.start, heads.scale);
                let queries = RowViewMut::new(&mut dqkv[start..], heads.stride);
                rows.combine(gradients, length, &scratch.keys, queries, &mut scratch.converted);
                rows.spread(
                    gradients,
                    &scratch.queries,
                    first,
                    RowViewMut::new(&mut dqkv[key..], heads.stride),
                    &mut scratch.converted,
                );
            }
        }
    }
}
