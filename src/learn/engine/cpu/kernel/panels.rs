//! Packing: the right matrix of a product into panels of [`LANES`] columns, each contiguous over the inner dimension, and the conversion
//! of the left matrix to the product's number format.
//!
//! Panel `p` holds columns `p * LANES ..`, row after row; columns beyond the matrix are zero:
//! `[columns / LANES, inner / STEPS, LANES]`. Of pairs, a row holds two of the matrix; the one beyond the last is zero.

use super::element::Element;
use super::kernel;
use super::level::{LANES, Level};

/// The number of elements in the panels of an `inner` by `columns` matrix.
pub fn size<T: Element>(inner: usize, columns: usize) -> usize {
    columns.div_ceil(LANES) * inner.div_ceil(T::STEPS) * LANES
}

kernel! {
    /// Packs the matrix whose element `(k, j)` is `matrix[k * stride + j]`.
    pub fn pack<L, T>(matrix: &[f32], stride: usize, inner: usize, columns: usize, panels: &mut [T]) {
        // A micro-batch without trained tokens has no rows to pack.
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
            let rows = matrix[first * stride..].chunks(stride).take((columns - first).min(LANES));
            for (start, out) in (0..inner).step_by(LANES * T::STEPS).zip(panel.chunks_mut(LANES * LANES)) {
                let end = inner.min(start + LANES * T::STEPS);
                let mut block = [T::default(); LANES * LANES];
                for (row, to) in rows.clone().zip(block.as_chunks_mut::<LANES>().0) {
                    let row = &row[start..end];
                    // SAFETY: a row of the block has LANES elements, and this one at most LANES · STEPS floats; `L` is the level of this variant.
                    unsafe { T::put_along::<L>(row.as_ptr(), row.len(), to.as_mut_ptr()) };
                }
                let mut turned = [T::default(); LANES * LANES];
                const { assert!(size_of::<T>() == size_of::<u32>()) };
                // SAFETY: both have LANES rows of LANES elements, each as large as a u32 and readable as one: a float or a pair.
                unsafe { L::transpose(block.as_ptr().cast(), LANES, turned.as_mut_ptr().cast(), LANES) };
                out.copy_from_slice(&turned[..out.len()]);
            }
        }
    }
}

kernel! {
    /// The rows of a left matrix: `out` [rows, inner / STEPS] of `matrix` [rows, inner] with rows `stride` apart.
    pub fn left_rows<L, T>(matrix: &[f32], stride: usize, inner: usize, out: &mut [T]) {
        let width = inner.div_ceil(T::STEPS);
        for (row, out) in matrix.chunks(stride).zip(out.chunks_exact_mut(width)) {
            for (row, out) in row[..inner].chunks(LANES * T::STEPS).zip(out.chunks_mut(LANES)) {
                // SAFETY: a chunk has at most LANES · STEPS floats, and its place as many elements as they make; `L` is the level of this variant.
                unsafe { T::put_along::<L>(row.as_ptr(), row.len(), out.as_mut_ptr()) };
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

/// Packs at most [`LANES`] columns of the matrix's first row and, for pairs, of the next row if there is one.
///
/// Inlined only into variants of kernels: `L` is the level of the variant.
#[inline(always)]
fn across<L: Level, T: Element>(matrix: &[f32], stride: usize, rows: usize, out: &mut [T]) {
    let width = out.len();
    let first = &matrix[..width];
    let second = if T::STEPS > 1 && rows > 1 {
        &matrix[stride..stride + width]
    } else {
        &[0.0; LANES][..width]
    };
    // SAFETY: both rows have as many elements as `out`, at most LANES; the processor has the instructions of the variant.
    unsafe { T::put_across::<L>(first.as_ptr(), second.as_ptr(), width, out.as_mut_ptr()) };
}
