//! Embedding tables: reading rows, and adding their gradients.

/// Row `indices[i]` of `table` becomes row `i` of `out`. [indices, width]
pub fn copy_rows(table: &[f32], width: usize, indices: &[u32], out: &mut [f32]) {
    for (out, index) in out.chunks_exact_mut(width).zip(indices) {
        out.copy_from_slice(&table[*index as usize * width..][..width]);
    }
}

/// Adds to each row of `out` [rows, width] the rows of `table` that its `each` numbers of `indices` [rows, each] name, one after the other.
pub fn add_rows(table: &[f32], width: usize, each: usize, indices: &[u32], out: &mut [f32]) {
    for (out, indices) in out.chunks_exact_mut(width).zip(indices.chunks_exact(each)) {
        for index in indices {
            let from = *index as usize * width;
            for (out, value) in out.iter_mut().zip(&table[from..from + width]) {
                *out += value;
            }
        }
    }
}

/// Adds each row of `gradient` [rows, width] to the rows of `table` that its `each` numbers of `indices` [rows, each] name, in the order of the
/// rows.
pub fn scatter_rows(gradient: &[f32], width: usize, each: usize, indices: &[u32], table: &mut [f32]) {
    for (gradient, indices) in gradient.chunks_exact(width).zip(indices.chunks_exact(each)) {
        for index in indices {
            let to = *index as usize * width;
            for (out, value) in table[to..to + width].iter_mut().zip(gradient) {
                *out += value;
            }
        }
    }
}
