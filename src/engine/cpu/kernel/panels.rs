//! Packing: the right matrix of a product as panels of [`LANES`] columns, each contiguous over the inner dimension.
//!
//! Panel `p` holds columns `p * LANES ..`, row after row; columns beyond the matrix are zero:
//! `[columns / LANES, inner, LANES]`.

use super::level::LANES;

/// The floats that panels of an `inner` by `columns` matrix take.
pub fn size(inner: usize, columns: usize) -> usize {
    columns.div_ceil(LANES) * inner * LANES
}

/// Packs the matrix whose element `(k, j)` is `matrix[k * stride + j]`.
pub fn pack(matrix: &[f32], stride: usize, inner: usize, columns: usize, panels: &mut [f32]) {
    // A span in which nothing is trained on has no rows to pack.
    if inner == 0 {
        return;
    }
    for (index, panel) in panels.chunks_exact_mut(inner * LANES).enumerate().take(columns.div_ceil(LANES)) {
        let first = index * LANES;
        let width = (columns - first).min(LANES);
        for (row, out) in matrix[first..].chunks(stride).zip(panel.chunks_exact_mut(LANES)) {
            if let (Some(row), LANES) = (row.first_chunk::<LANES>(), width) {
                out.copy_from_slice(row);
            } else {
                out[..width].copy_from_slice(&row[..width]);
                out[width..].fill(0.0);
            }
        }
    }
}

/// Packs the transpose: element `(k, j)` is `matrix[j * stride + k]`.
pub fn pack_transposed(matrix: &[f32], stride: usize, inner: usize, columns: usize, panels: &mut [f32]) {
    // A span in which nothing is trained on has no rows to pack.
    if inner == 0 {
        return;
    }
    for (index, panel) in panels.chunks_exact_mut(inner * LANES).enumerate().take(columns.div_ceil(LANES)) {
        let first = index * LANES;
        let width = (columns - first).min(LANES);
        if width < LANES {
            panel.fill(0.0);
        }
        for (j, row) in matrix[first * stride..].chunks(stride).take(width).enumerate() {
            for (value, out) in row[..inner].iter().zip(panel.chunks_exact_mut(LANES)) {
                out[j] = *value;
            }
        }
    }
}
