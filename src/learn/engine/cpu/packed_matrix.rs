//! A matrix of weights, packed for products.

use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::panels::{pack, pack_transposed, size};
use super::kernel::product::{Product, Reach, multiply};
use super::layout::Matrix;
use super::operand::by_rows;
use super::rows::{RowView, RowViewMut};

/// A matrix [out, in], packed for products.
#[derive(Clone, Debug)]
pub struct PackedMatrix<T> {
    pub matrix: Matrix,
    /// The transpose, [in, out]: for `y = x · Wᵀ`.
    forward: Vec<T>,
    /// The matrix itself, [out, in]: for `dx = dy · W`. Empty if the backward pass does not need it.
    backward: Vec<T>,
    /// Whether the matrix is trained, at least in part.
    pub trained: bool,
}

impl<T: Element> PackedMatrix<T> {
    pub fn new(matrix: Matrix, trained: bool, backward: bool) -> Self {
        let Matrix { rows, columns, .. } = matrix;
        Self {
            matrix,
            forward: vec![T::default(); size::<T>(columns, rows)],
            backward: vec![T::default(); if backward { size::<T>(rows, columns) } else { 0 }],
            trained,
        }
    }

    /// Packs `weights`, the floats of the matrix.
    pub fn fill(&mut self, cpu: Instructions, weights: &[f32]) {
        let Matrix { rows, columns, .. } = self.matrix;
        pack_transposed(cpu, weights, columns, columns, rows, &mut self.forward);
        if !self.backward.is_empty() {
            pack(cpu, weights, columns, rows, columns, &mut self.backward);
        }
    }

    /// The panels of `y = x · Wᵀ` from column `first` of `y` on, which must be the first of a panel.
    pub fn panels(&self, first: usize) -> &[T] {
        &self.forward[first * self.matrix.columns.div_ceil(T::STEPS)..]
    }

    /// `y = x · Wᵀ`, or `y += x · Wᵀ` if `add`: `x` [rows, in], `y` [rows, out]; `converted` is working memory.
    pub fn apply(&self, cpu: Instructions, x: RowView<'_>, y: RowViewMut<'_>, add: bool, converted: &mut Vec<T>) {
        let RowViewMut { data, stride } = y;
        let product = Product {
            rows: x.count,
            columns: self.matrix.rows,
            inner: self.matrix.columns,
            left: by_rows(cpu, x, converted),
            right: &self.forward,
            reach: Reach::Full,
            add,
            stride,
        };
        multiply(cpu, product, data);
    }

    /// `dx = dy · W`, or `dx += dy · W` if `add`: `dy` [rows, out], `dx` [rows, in]; `converted` is working memory.
    pub fn apply_back(&self, cpu: Instructions, dy: RowView<'_>, dx: RowViewMut<'_>, add: bool, converted: &mut Vec<T>) {
        let RowViewMut { data, stride } = dx;
        let product = Product {
            rows: dy.count,
            columns: self.matrix.columns,
            inner: self.matrix.rows,
            left: by_rows(cpu, dy, converted),
            right: &self.backward,
            reach: Reach::Full,
            add,
            stride,
        };
        multiply(cpu, product, data);
    }
}
