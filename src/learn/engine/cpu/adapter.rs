//! LoRA in addition to a matrix's product: `y += s · x̃ · Aᵀ · Bᵀ`, and its backward pass, where `x̃` is the input after dropout.
//!
//! A matrix with several parts (queries, keys and values) has the `A` of all of them end to end, so that they are one product.

use super::buffer::fit;
use super::dropout::{DropoutMask, drop_out};
use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::panels::{pack, size};
use super::layout::{AdaptedPart, AdapterLayout, Matrix};
use super::operand::keep_columns;
use super::packed_matrix::PackedMatrix;
use super::rows::{RowView, RowViewMut};

/// A matrix of a layer with its adapters, if it has any.
#[derive(Clone, Debug)]
pub struct AdaptedMatrix<T> {
    pub packed: PackedMatrix<T>,
    pub adapter: Option<Box<PackedAdapter<T>>>,
}

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

/// Results of an adapter's passes, and their working memory.
#[derive(Clone, Debug, Default)]
pub struct AdapterBuffers<T> {
    /// `s · x̃ · Aᵀ`. [rows, ranks]
    inner: Vec<f32>,
    /// `s · dy · B`. [rows, ranks]
    pub gradient: Vec<f32>,
    /// The transpose of `gradient`, if it needs conversion.
    pub columns: Vec<T>,
    /// Panels of each part's `inner`.
    pub panels: Vec<Vec<T>>,
    /// `x̃`, and in the backward pass its gradient. [rows, in]
    dropped: Vec<f32>,
}

/// The dropout mask and the buffers that a pass needs for the adapters of a matrix.
#[derive(Debug)]
pub struct AdapterPass<'a, T> {
    /// `None`: nothing is dropped.
    pub mask: Option<DropoutMask>,
    pub buffers: &'a mut AdapterBuffers<T>,
}

impl<T> AdapterPass<'_, T> {
    /// The same pass, for another use of it later.
    pub fn reborrow(&mut self) -> AdapterPass<'_, T> {
        AdapterPass {
            mask: self.mask,
            buffers: self.buffers,
        }
    }
}

impl<T: Element> AdaptedMatrix<T> {
    /// [`PackedMatrix::apply`] with the adapters.
    pub fn apply(&self, cpu: Instructions, x: RowView<'_>, y: RowViewMut<'_>, add: bool, pass: AdapterPass<'_, T>, converted: &mut Vec<T>) {
        let RowViewMut { data, stride } = y;
        self.packed.apply(cpu, x, RowViewMut::new(data, stride), add, converted);
        if let Some(adapter) = &self.adapter {
            adapter.apply(cpu, x, RowViewMut::new(data, stride), pass, converted);
        }
    }

    /// [`PackedMatrix::apply_back`] with the adapters; `dx` [rows, in] is replaced.
    pub fn apply_back(&self, cpu: Instructions, dy: RowView<'_>, dx: &mut [f32], pass: AdapterPass<'_, T>, converted: &mut Vec<T>) {
        let width = self.packed.matrix.columns;
        self.packed.apply_back(cpu, dy, RowViewMut::new(dx, width), false, converted);
        if let Some(adapter) = &self.adapter {
            adapter.apply_back(cpu, dy, &mut dx[..dy.count * width], pass, converted);
        }
    }

    /// Keeps the panels of the product's input, for the gradient of the matrix or of its adapters.
    pub fn keep_input(&self, cpu: Instructions, x: RowView<'_>, panels: &mut [T], pass: AdapterPass<'_, T>, converted: &mut Vec<T>) {
        match &self.adapter {
            Some(adapter) => adapter.keep_input(cpu, x, panels, pass, converted),
            None => pack(cpu, x.data, x.stride, x.count, x.width, panels),
        }
    }
}

impl<T: Element> PackedAdapter<T> {
    pub fn new(adapter: &AdapterLayout, dropout: f64) -> Self {
        let part = |part: &AdaptedPart| PackedPart {
            row: part.row,
            rank: part.rank,
            b: PackedMatrix::new(part.b, true, true),
        };
        Self {
            a: PackedMatrix::new(adapter.a, true, true),
            parts: adapter.parts.iter().map(part).collect(),
            scale: adapter.scale,
            dropout,
        }
    }

    /// Packs the adapters' matrices again; `weights` returns the floats of each.
    pub fn fill<'a>(&mut self, cpu: Instructions, weights: &impl Fn(Matrix) -> &'a [f32]) {
        let parts = self.parts.iter_mut().map(|part| &mut part.b);
        for packed in parts.chain([&mut self.a]) {
            packed.fill(cpu, weights(packed.matrix));
        }
    }

    fn ranks(&self) -> usize {
        self.a.matrix.rows
    }

    /// Adds the adapters' product with `x` [rows, in] to `y`.
    fn apply(&self, cpu: Instructions, x: RowView<'_>, y: RowViewMut<'_>, pass: AdapterPass<'_, T>, converted: &mut Vec<T>) {
        if x.count == 0 {
            return;
        }
        let AdapterPass { mask, buffers } = pass;
        let RowViewMut { data, stride } = y;
        self.project(cpu, x, mask, buffers, converted);
        for part in &self.parts {
            let inner = part.inner(&buffers.inner, x.count, self.ranks());
            part.b
                .apply(cpu, inner, RowViewMut::new(&mut data[part.row..], stride), true, converted);
        }
    }

    /// The mask, if a share of the numbers is dropped.
    fn dropping(&self, mask: Option<DropoutMask>) -> Option<DropoutMask> {
        mask.filter(|_| self.dropout > 0.0)
    }

    /// Computes `inner` from `x`, and with dropout also `dropped`.
    fn project(
        &self,
        cpu: Instructions,
        x: RowView<'_>,
        mask: Option<DropoutMask>,
        buffers: &mut AdapterBuffers<T>,
        converted: &mut Vec<T>,
    ) {
        let (rows, width, ranks) = (x.count, x.width, self.ranks());
        fit(&mut buffers.inner, rows * ranks);
        let x = if let Some(mask) = self.dropping(mask) {
            fit(&mut buffers.dropped, rows * width);
            buffers.dropped.copy_from_slice(&x.data[..rows * width]);
            drop_out(&mut buffers.dropped, width, self.dropout, mask);
            RowView::dense(&buffers.dropped, rows, width)
        } else {
            x
        };
        self.a.apply(cpu, x, RowViewMut::new(&mut buffers.inner, ranks), false, converted);
        buffers.inner.iter_mut().for_each(|value| *value *= self.scale);
    }

    /// Computes `gradient` from `dy`, and its transpose for the gradient of `A`.
    fn project_back(&self, cpu: Instructions, dy: RowView<'_>, buffers: &mut AdapterBuffers<T>, converted: &mut Vec<T>) {
        let (rows, ranks) = (dy.count, self.ranks());
        fit(&mut buffers.gradient, rows * ranks);
        if rows == 0 {
            return;
        }
        for part in &self.parts {
            let dy = RowView {
                data: &dy.data[part.row..],
                width: part.b.matrix.rows,
                ..dy
            };
            let out = RowViewMut::new(&mut buffers.gradient[part.rank..], ranks);
            part.b.apply_back(cpu, dy, out, false, converted);
        }
        buffers.gradient.iter_mut().for_each(|value| *value *= self.scale);
        keep_columns(cpu, RowView::dense(&buffers.gradient, rows, ranks), &mut buffers.columns);
    }

    /// Adds the gradient that comes through the adapters to `dx` [rows, in].
    fn apply_back(&self, cpu: Instructions, dy: RowView<'_>, dx: &mut [f32], pass: AdapterPass<'_, T>, converted: &mut Vec<T>) {
        let AdapterPass { mask, buffers } = pass;
        self.project_back(cpu, dy, buffers, converted);
        let (rows, width) = (dy.count, self.a.matrix.columns);
        if rows == 0 {
            return;
        }
        let gradient = RowView::dense(&buffers.gradient, rows, self.ranks());
        let Some(mask) = self.dropping(mask) else {
            return self.a.apply_back(cpu, gradient, RowViewMut::new(dx, width), true, converted);
        };
        fit(&mut buffers.dropped, rows * width);
        let dropped = RowViewMut::new(&mut buffers.dropped, width);
        self.a.apply_back(cpu, gradient, dropped, false, converted);
        drop_out(&mut buffers.dropped, width, self.dropout, mask);
        dx.iter_mut().zip(&buffers.dropped).for_each(|(sum, part)| *sum += part);
    }

    /// Keeps the panels of `x̃` [rows, in] and of `inner`, for the gradients of `A` and `B`.
    fn keep_input(&self, cpu: Instructions, x: RowView<'_>, panels: &mut [T], pass: AdapterPass<'_, T>, converted: &mut Vec<T>) {
        let AdapterPass { mask, buffers } = pass;
        let (rows, width, ranks) = (x.count, x.width, self.ranks());
        self.project(cpu, x, mask, buffers, converted);
        let x = if self.dropping(mask).is_some() { &buffers.dropped } else { x.data };
        pack(cpu, x, width, rows, width, panels);
        buffers.panels.resize_with(self.parts.len(), Vec::new);
        for (part, panels) in self.parts.iter().zip(&mut buffers.panels) {
            let rank = part.b.matrix.columns;
            fit(panels, size::<T>(rows, rank));
            if rows > 0 {
                pack(cpu, &buffers.inner[part.rank..], ranks, rows, rank, panels);
            }
        }
    }
}

impl<T> PackedPart<T> {
    /// The part's columns of the rows between `A` and `B`.
    fn inner<'a>(&self, inner: &'a [f32], count: usize, ranks: usize) -> RowView<'a> {
        RowView {
            data: &inner[self.rank..],
            count,
            width: self.b.matrix.columns,
            stride: ranks,
        }
    }
}

/// The bytes of [`AdapterBuffers`] for n rows.
pub fn memory<T: Element>(adapter: &AdapterLayout, dropout: f64, rows: usize) -> usize {
    let ranks = adapter.a.rows;
    let dropped = if dropout > 0.0 { rows * adapter.a.columns } else { 0 };
    let panels: usize = adapter.parts.iter().map(|part| size::<T>(rows, part.b.columns)).sum();
    let columns = if T::STEPS > 1 { rows.div_ceil(T::STEPS) * ranks } else { 0 };
    (2 * rows * ranks + dropped) * size_of::<f32>() + (panels + columns) * size_of::<T>()
}

/// The bytes of an adapter's packed matrices.
pub fn packed_memory<T: Element>(adapter: &AdapterLayout) -> usize {
    let both = |matrix: &Matrix| size::<T>(matrix.rows, matrix.columns) + size::<T>(matrix.columns, matrix.rows);
    let parts: usize = adapter.parts.iter().map(|part| both(&part.b)).sum();
    (both(&adapter.a) + parts) * size_of::<T>()
}
