//! Dropout of the adapters' inputs. It is a hash of the seed, the step, the batch, the layer, the matrix, the row and the column, so it
//! is the same in both passes, on any number of threads, and after a checkpoint.

/// Identifies the dropout of some rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct DropoutMask {
    /// Hash of the step, the batch, the layer and the matrix.
    pub key: u64,
    /// The first row's index in the batch.
    pub first: usize,
}

/// Sets a `share` of the numbers to 0 and scales the others up to keep the mean. The mask decides which, so the backward pass drops the
/// same ones.
pub fn drop_out(rows: &mut [f32], width: usize, share: f64, mask: DropoutMask) {
    let bound = (share * 2.0_f64.powi(32)) as u64;
    let keep = (1.0 / (1.0 - share)) as f32;
    for (row, values) in rows.chunks_exact_mut(width).enumerate() {
        let row = mix(mask.key ^ mix((mask.first + row) as u64));
        for (column, value) in values.iter_mut().enumerate() {
            let drawn = mix(row.wrapping_add(column as u64)) >> 32;
            *value *= if drawn < bound { 0.0 } else { keep };
        }
    }
}

/// The hash of a number: the finaliser of SplitMix64 (Steele et al. 2014).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
