//! LoRA beside a matrix's product: `y += s · x̃ · Aᵀ · Bᵀ`, and the way back, with `x̃` the input after dropout.
//!
//! A matrix of several parts (queries, keys and values) has the `A` of all of them end to end, so that they are one product.

use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::panels::{pack, size};
use super::layout::{AdapterLayout, Matrix};
use super::micro_batch::fit;
use super::operand::keep_columns;
use super::parameters::PackedMatrix;

/// The adapters of one matrix, packed.
#[derive(Clone, Debug)]
pub struct PackedAdapter<T> {
    a: PackedMatrix<T>,
    parts: Vec<PackedPart<T>>,
    scale: f32,
    dropout: f64,
}

#[derive(Clone, Debug)]
struct PackedPart<T> {
    /// The part's first row in the matrix.
    row: usize,
    /// Its first column in the rows between `A` and `B`.
    rank: usize,
    b: PackedMatrix<T>,
}

/// What an adapter's passes leave, and their working memory.
#[derive(Clone, Debug, Default)]
pub struct AdapterBuffers<T> {
    /// `s · x̃ · Aᵀ`. [rows, ranks]
    inner: Vec<f32>,
    /// `s · dy · B`. [rows, ranks]
    pub gradient: Vec<f32>,
    /// Its transpose, where it is converted.
    pub columns: Vec<T>,
    /// Panels of each part's `inner`.
    pub panels: Vec<Vec<T>>,
    /// `x̃`, and on the way back its gradient. [rows, in]
    dropped: Vec<f32>,
}

/// Which rows of which draw a pass goes over: what dropout depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct DropoutMask {
    /// Of the step, the batch, the layer and the matrix.
    pub key: u64,
    /// The first row's number in the batch.
    pub first: usize,
}

impl<T: Element> PackedAdapter<T> {
    pub fn new(adapter: &AdapterLayout, dropout: f64) -> Self {
        let part = |part: &super::layout::AdaptedPart| PackedPart {
            row: part.row,
            rank: part.rank,
            b: PackedMatrix::new(part.b, true, true, None),
        };
        Self {
            a: PackedMatrix::new(adapter.a, true, true, None),
            parts: adapter.parts.iter().map(part).collect(),
            scale: adapter.scale,
            dropout,
        }
    }

    /// Packs the adapters' matrices anew from their `weights`.
    pub fn fill<'a>(&mut self, cpu: Instructions, weights: &impl Fn(Matrix) -> &'a [f32]) {
        let parts = self.parts.iter_mut().map(|part| &mut part.b);
        for packed in parts.chain([&mut self.a]) {
            packed.fill(cpu, weights(packed.matrix));
        }
    }

    fn ranks(&self) -> usize {
        self.a.matrix.rows
    }

    /// Adds to `y`, rows `stride` apart, what the adapters make of `x` [rows, in].
    #[expect(clippy::too_many_arguments, reason = "a product has as many")]
    pub fn apply(
        &self,
        cpu: Instructions,
        x: &[f32],
        rows: usize,
        draw: DropoutMask,
        (y, stride): (&mut [f32], usize),
        low: &mut AdapterBuffers<T>,
        room: &mut Vec<T>,
    ) {
        if rows == 0 {
            return;
        }
        self.shrink(cpu, x, rows, draw, low, room);
        for part in &self.parts {
            let inner = (&low.inner[part.rank..], self.ranks());
            part.b.multiply(cpu, inner, rows, true, (&mut y[part.row..], stride), room);
        }
    }

    /// `inner` from `x`; with dropout, `dropped` too.
    fn shrink(&self, cpu: Instructions, x: &[f32], rows: usize, draw: DropoutMask, low: &mut AdapterBuffers<T>, room: &mut Vec<T>) {
        let (width, ranks) = (self.a.matrix.columns, self.ranks());
        fit(&mut low.inner, rows * ranks);
        let x = if self.dropout > 0.0 {
            fit(&mut low.dropped, rows * width);
            low.dropped.copy_from_slice(&x[..rows * width]);
            drop_out(&mut low.dropped, width, self.dropout, draw);
            &low.dropped
        } else {
            x
        };
        self.a.multiply(cpu, (x, width), rows, false, (&mut low.inner, ranks), room);
        low.inner.iter_mut().for_each(|value| *value *= self.scale);
    }

    /// From `dy`, rows `stride` apart, to `gradient`, with all that the gradient of `A` needs of it.
    pub fn shrink_back(
        &self,
        cpu: Instructions,
        (dy, stride): (&[f32], usize),
        rows: usize,
        low: &mut AdapterBuffers<T>,
        room: &mut Vec<T>,
    ) {
        let ranks = self.ranks();
        fit(&mut low.gradient, rows * ranks);
        if rows == 0 {
            return;
        }
        for part in &self.parts {
            let out = (&mut low.gradient[part.rank..], ranks);
            part.b.multiply_back(cpu, (&dy[part.row..], stride), rows, false, out, room);
        }
        low.gradient.iter_mut().for_each(|value| *value *= self.scale);
        keep_columns(cpu, &low.gradient, ranks, (ranks, rows), &mut low.columns);
    }

    /// Adds to `dx` [rows, in] what comes through the adapters, after [`Self::shrink_back`].
    pub fn apply_back(
        &self,
        cpu: Instructions,
        rows: usize,
        draw: DropoutMask,
        dx: &mut [f32],
        low: &mut AdapterBuffers<T>,
        room: &mut Vec<T>,
    ) {
        let (width, ranks) = (self.a.matrix.columns, self.ranks());
        if rows == 0 {
            return;
        }
        let gradient = (low.gradient.as_slice(), ranks);
        if self.dropout == 0.0 {
            return self.a.multiply_back(cpu, gradient, rows, true, (dx, width), room);
        }
        fit(&mut low.dropped, rows * width);
        self.a.multiply_back(cpu, gradient, rows, false, (&mut low.dropped, width), room);
        drop_out(&mut low.dropped, width, self.dropout, draw);
        dx.iter_mut().zip(&low.dropped).for_each(|(sum, part)| *sum += part);
    }

    /// The panels of `x̃` [rows, in] and of `inner`, for the gradients of `A` and `B`.
    #[expect(clippy::too_many_arguments, reason = "a product has as many")]
    pub fn keep(
        &self,
        cpu: Instructions,
        x: &[f32],
        rows: usize,
        draw: DropoutMask,
        panels: &mut [T],
        low: &mut AdapterBuffers<T>,
        room: &mut Vec<T>,
    ) {
        let (width, ranks) = (self.a.matrix.columns, self.ranks());
        self.shrink(cpu, x, rows, draw, low, room);
        let x = if self.dropout > 0.0 { &low.dropped } else { x };
        pack(cpu, x, width, rows, width, panels);
        low.panels.resize_with(self.parts.len(), Vec::new);
        for (part, panels) in self.parts.iter().zip(&mut low.panels) {
            let rank = part.b.matrix.columns;
            fit(panels, size::<T>(rows, rank));
            if rows > 0 {
                pack(cpu, &low.inner[part.rank..], ranks, rows, rank, panels);
            }
        }
    }
}

/// The bytes that [`AdapterBuffers`] takes for so many rows.
pub fn memory<T: Element>(adapter: &AdapterLayout, dropout: f64, rows: usize) -> usize {
    let ranks = adapter.a.rows;
    let dropped = if dropout > 0.0 { rows * adapter.a.columns } else { 0 };
    let panels: usize = adapter.parts.iter().map(|part| size::<T>(rows, part.b.columns)).sum();
    let columns = if T::STEPS > 1 { rows.div_ceil(T::STEPS) * ranks } else { 0 };
    (2 * rows * ranks + dropped) * size_of::<f32>() + (panels + columns) * size_of::<T>()
}

/// The packed forms of an adapter's matrices, in bytes.
pub fn packed<T: Element>(adapter: &AdapterLayout) -> usize {
    let both = |matrix: &Matrix| size::<T>(matrix.rows, matrix.columns) + size::<T>(matrix.columns, matrix.rows);
    let parts: usize = adapter.parts.iter().map(|part| both(&part.b)).sum();
    (both(&adapter.a) + parts) * size_of::<T>()
}

/// Makes a `share` of the numbers 0 and the others that much larger. Which, the draw says: the same on the way back.
fn drop_out(rows: &mut [f32], width: usize, share: f64, draw: DropoutMask) {
    let bound = (share * 2.0_f64.powi(32)) as u64;
    let keep = (1.0 / (1.0 - share)) as f32;
    for (row, values) in rows.chunks_exact_mut(width).enumerate() {
        let row = mix(draw.key ^ mix((draw.first + row) as u64));
        for (column, value) in values.iter_mut().enumerate() {
            let drawn = mix(row.wrapping_add(column as u64)) >> 32;
            *value *= if drawn < bound { 0.0 } else { keep };
        }
    }
}

/// The finaliser of SplitMix64 (Steele et al. 2014): numbers that differ in a bit become unlike.
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
