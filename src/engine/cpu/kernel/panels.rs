//! Packing: the right matrix of a product as panels of [`LANES`] columns, each contiguous over the inner dimension, and the left
//! one in the numbers of the product.
//!
//! Panel `p` holds columns `p * LANES ..`, row after row; columns beyond the matrix are zero:
//! `[columns / LANES, inner / STEPS, LANES]`. Of pairs, a row holds two of the matrix; the one beyond the last is zero.

use super::kernel;
use super::level::{LANES, Level};
use super::number::Number;

/// The elements that panels of an `inner` by `columns` matrix take.
pub fn size<T: Number>(inner: usize, columns: usize) -> usize {
    columns.div_ceil(LANES) * inner.div_ceil(T::STEPS) * LANES
}

kernel! {
    /// Packs the matrix whose element `(k, j)` is `matrix[k * stride + j]`.
    pub fn pack<L, T>(matrix: &[f32], stride: usize, inner: usize, columns: usize, panels: &mut [T]) {
        // A span in which nothing is trained on has no rows to pack.
        if inner == 0 {
            return;
        }
        let height = inner.div_ceil(T::STEPS);
        for (index, panel) in panels.chunks_exact_mut(height * LANES).enumerate().take(columns.div_ceil(LANES)) {
            let first = index * LANES;
            let width = (columns - first).min(LANES);
            for (k, out) in panel.chunks_exact_mut(LANES).enumerate() {
                across::<L, T>(&matrix[k * T::STEPS * stride + first..], stride, inner - k * T::STEPS, &mut out[..width]);
                if width < LANES {
                    out[width..].fill(T::default());
                }
            }
        }
    }
}

kernel! {
    /// Packs the transpose: element `(k, j)` is `matrix[j * stride + k]`.
    pub fn pack_transposed<L, T>(matrix: &[f32], stride: usize, inner: usize, columns: usize, panels: &mut [T]) {
        if inner == 0 {
            return;
        }
        let height = inner.div_ceil(T::STEPS);
        for (index, panel) in panels.chunks_exact_mut(height * LANES).enumerate().take(columns.div_ceil(LANES)) {
            let first = index * LANES;
            let width = (columns - first).min(LANES);
            if width < LANES {
                panel.fill(T::default());
            }
            for (j, row) in matrix[first * stride..].chunks(stride).take(width).enumerate() {
                let row = &row[..inner];
                let pairs = row.chunks_exact(T::STEPS);
                if let ([last], Some(out)) = (pairs.remainder(), panel.last_chunk_mut::<LANES>()) {
                    out[j] = T::of::<L>(*last, 0.0);
                }
                for (pair, out) in pairs.zip(panel.as_chunks_mut::<LANES>().0) {
                    out[j] = T::of::<L>(pair[0], pair[T::STEPS - 1]);
                }
            }
        }
    }
}

kernel! {
    /// The rows of a left matrix: `out` [rows, inner / STEPS] of `matrix` [rows, inner] with rows `stride` apart.
    pub fn left_rows<L, T>(matrix: &[f32], stride: usize, inner: usize, out: &mut [T]) {
        let width = inner.div_ceil(T::STEPS);
        for (row, out) in matrix.chunks(stride).zip(out.chunks_exact_mut(width)) {
            let wholes = row[..inner].chunks_exact(LANES * T::STEPS);
            let rest = wholes.remainder();
            let (out, tail) = out.split_at_mut(width - rest.len().div_ceil(T::STEPS));
            for (row, out) in wholes.zip(out.chunks_exact_mut(LANES)) {
                // SAFETY: a chunk has LANES · STEPS floats and its place LANES elements; `L` is the level of this variant.
                unsafe { T::put_along::<L>(row.as_ptr(), out.as_mut_ptr()) };
            }
            for (pair, out) in rest.chunks(T::STEPS).zip(tail) {
                *out = T::of::<L>(pair[0], *pair.get(1).unwrap_or(&0.0));
            }
        }
    }
}

kernel! {
    /// The columns of a transposed left matrix: `out` [inner / STEPS, rows] of `matrix` [inner, rows] with rows `stride` apart.
    pub fn left_columns<L, T>(matrix: &[f32], stride: usize, inner: usize, rows: usize, out: &mut [T]) {
        if inner == 0 {
            return;
        }
        for (k, out) in out.chunks_exact_mut(rows).enumerate().take(inner.div_ceil(T::STEPS)) {
            for (index, out) in out.chunks_mut(LANES).enumerate() {
                across::<L, T>(&matrix[k * T::STEPS * stride + index * LANES..], stride, inner - k * T::STEPS, out);
            }
        }
    }
}

/// At most [`LANES`] columns: of the matrix's first row and, in pairs, of the one after it, where it has as many as `rows`.
///
/// Inlined into variants of kernels alone: `L` is the level of one.
#[inline(always)]
fn across<L: Level, T: Number>(matrix: &[f32], stride: usize, rows: usize, out: &mut [T]) {
    let width = out.len();
    let first = &matrix[..width];
    let second = if T::STEPS > 1 && rows > 1 {
        &matrix[stride..stride + width]
    } else {
        &[]
    };
    if width == LANES && (T::STEPS == 1 || rows > 1) {
        // SAFETY: both rows and `out` have LANES elements; the processor has the instructions of the variant.
        unsafe { T::put_across::<L>(first.as_ptr(), second.as_ptr(), out.as_mut_ptr()) };
        return;
    }
    for (lane, out) in out.iter_mut().enumerate() {
        *out = T::of::<L>(first[lane], *second.get(lane).unwrap_or(&0.0));
    }
}
