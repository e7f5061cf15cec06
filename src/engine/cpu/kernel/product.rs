//! The matrix product: `out = left · right` or `out += left · right`.
//!
//! `right` is packed into panels of [`LANES`] columns (see [`super::panels`]); `left` is read where it lies, by rows or transposed.
//! A tile of a few rows by one panel stays in registers while the inner dimension runs. Every element of `out` adds up its
//! products in the order of the inner dimension, in blocks that do not depend on the number of rows or columns: a row's result is
//! the same bits whatever rows stand beside it.

use super::kernel;
use super::level::{LANES, Level};

/// Inner steps for which a panel and the rows beside it stay in the first-level cache.
const BLOCK: usize = 256;

/// The left matrix: element `(i, k)` is `data[i * row + k * step]`.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub step: usize,
}

/// Which elements matter, where a causal mask makes the rest zero or unread. Rows are counted from the start of the product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// All.
    Full,
    /// Row `i` of `out` is read up to column `start + i`; what lies beyond may be left unwritten.
    Columns { start: usize },
    /// `left` is zero beyond inner index `start + i`.
    Before { start: usize },
    /// `left` is zero before inner index `i - start`.
    From { start: usize },
}

/// A product of `left` [rows, inner] and `right` [inner, columns].
#[derive(Clone, Copy)]
pub struct Product<'a> {
    pub rows: usize,
    pub columns: usize,
    pub inner: usize,
    pub left: Left<'a>,
    /// Panels of `inner` rows.
    pub right: &'a [f32],
    pub reach: Reach,
    /// Whether to add to `out` or to replace it.
    pub add: bool,
    /// From one row of `out` to the next.
    pub stride: usize,
}

kernel! {
    /// Computes `product` into `out`.
    ///
    /// # Panics
    /// When a slice is too short for the sizes given.
    pub fn multiply<L>(product: Product<'_>, out: &mut [f32]) {
        let Product { rows, columns, inner, left, right, reach, add, stride } = product;
        if rows == 0 || columns == 0 || inner == 0 {
            return;
        }
        assert!((rows - 1) * left.row + (inner - 1) * left.step < left.data.len(), "the left matrix is too short");
        assert!(columns.div_ceil(LANES) * inner * LANES <= right.len(), "the right matrix is too short");
        assert!((rows - 1) * stride + columns <= out.len(), "the result is too short");
        for start in (0..inner).step_by(BLOCK) {
            let end = (start + BLOCK).min(inner);
            for (panel, right) in right.chunks_exact(inner * LANES).enumerate().take(columns.div_ceil(LANES)) {
                let width = (columns - panel * LANES).min(LANES);
                let mut row = first_row::<L>(reach, panel);
                while row < rows {
                    let count = tile_rows::<L>(rows - row);
                    let (first, last) = inner_range(reach, row, count, inner);
                    let (from, to) = (start.max(first), end.min(last));
                    if from < to {
                        let tile = Tile {
                            inner: to - from,
                            row: left.row,
                            step: left.step,
                            stride,
                            width,
                            // A block before this one has written the tile.
                            add: add || first < start,
                        };
                        // SAFETY: row + count <= rows and to <= inner, so by the assertions above every element of the tile's
                        // operands and of its result lies within the slices; `L` is the level this variant is compiled for.
                        unsafe {
                            let left = left.data.as_ptr().add(row * left.row + from * left.step);
                            let right = right.as_ptr().add(from * LANES);
                            let out = out.as_mut_ptr().add(row * stride + panel * LANES);
                            run::<L>(count, tile, left, right, out);
                        }
                    }
                    row += count;
                }
            }
        }
    }
}

/// The first row whose columns reach into `panel`.
#[inline(always)]
fn first_row<L: Level>(reach: Reach, panel: usize) -> usize {
    match reach {
        Reach::Columns { start } => (panel * LANES).saturating_sub(start),
        Reach::Full | Reach::Before { .. } | Reach::From { .. } => 0,
    }
}

/// The inner indices that count for rows `row..row + count`.
#[inline(always)]
fn inner_range(reach: Reach, row: usize, count: usize, inner: usize) -> (usize, usize) {
    match reach {
        Reach::Full | Reach::Columns { .. } => (0, inner),
        Reach::Before { start } => (0, inner.min(start + row + count)),
        Reach::From { start } => (row.saturating_sub(start).min(inner), inner),
    }
}

/// How many rows the next tile takes.
#[inline(always)]
fn tile_rows<L: Level>(left: usize) -> usize {
    if L::ROWS >= 12 && left >= 12 { 12 } else { left.min(6) }
}

/// The sizes of one tile, as in [`Product`].
#[derive(Clone, Copy)]
struct Tile {
    inner: usize,
    row: usize,
    step: usize,
    stride: usize,
    /// Columns to write, at most [`LANES`].
    width: usize,
    add: bool,
}

/// # Safety
/// The processor has the level's instructions, and the pointers reach as far as `count` and `tile` say.
#[inline(always)]
unsafe fn run<L: Level>(count: usize, tile: Tile, left: *const f32, right: *const f32, out: *mut f32) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match count {
            12 => run_rows::<L, 12>(tile, left, right, out),
            6 => run_rows::<L, 6>(tile, left, right, out),
            5 => run_rows::<L, 5>(tile, left, right, out),
            4 => run_rows::<L, 4>(tile, left, right, out),
            3 => run_rows::<L, 3>(tile, left, right, out),
            2 => run_rows::<L, 2>(tile, left, right, out),
            _ => run_rows::<L, 1>(tile, left, right, out),
        }
    }
}

/// # Safety
/// As for [`run`], with `R` rows.
#[inline(always)]
unsafe fn run_rows<L: Level, const R: usize>(tile: Tile, left: *const f32, right: *const f32, out: *mut f32) {
    // SAFETY: the caller promises R rows of `inner` floats behind `left`, `inner` panel rows behind `right` and R rows of `width`
    // floats behind `out`; a narrower panel goes by way of a full vector on the stack.
    unsafe {
        let mut sums = [L::zero(); R];
        for k in 0..tile.inner {
            let right = L::load(right.add(k * LANES));
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = L::broadcast_fma(*left.add(i * tile.row + k * tile.step), right, *sum);
            }
        }
        if tile.width == LANES {
            for (i, sum) in sums.iter().enumerate() {
                let out = out.add(i * tile.stride);
                L::store(if tile.add { L::add(L::load(out), *sum) } else { *sum }, out);
            }
        } else {
            for (i, sum) in sums.iter().enumerate() {
                let mut row = [0.0; LANES];
                L::store(*sum, row.as_mut_ptr());
                for (j, value) in row.iter().enumerate().take(tile.width) {
                    let out = out.add(i * tile.stride + j);
                    *out = if tile.add { *out + value } else { *value };
                }
            }
        }
    }
}
