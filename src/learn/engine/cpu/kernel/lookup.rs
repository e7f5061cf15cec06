//! Embedding tables: reading rows, and adding their gradients.

/// Row `indices[i]` of `table` becomes row `i` of `out`. [indices, width]
pub fn copy_rows(table: &[f32], width: usize, indices: &[u32], out: &mut [f32]) {
    for (out, index) in out.chunks_exact_mut(width).zip(indices) {
        out.copy_from_slice(&table[*index as usize * width..][..width]);
    }
}

/// Adds row `indices[i]` of `table` to row `i` of `out`. [indices, width]
pub fn add_rows(table: &[f32], width: usize, indices: &[u32], out: &mut [f32]) {
    for (out, index) in out.chunks_exact_mut(width).zip(indices) {
        let from = *index as usize * width;
        for (out, value) in out.iter_mut().zip(&table[from..from + width]) {
            *out += value;
        }
    }
}

/// Adds row `i` of `gradient` to row `indices[i]` of `table`, in the order of the rows.
pub fn scatter_rows(gradient: &[f32], width: usize, indices: &[u32], table: &mut [f32]) {
    for (gradient, index) in gradient.chunks_exact(width).zip(indices) {
        let to = *index as usize * width;
        for (out, value) in table[to..to + width].iter_mut().zip(gradient) {
            *out += value;
        }
    }
}
