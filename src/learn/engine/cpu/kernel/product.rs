//! The matrix product: `out = left · right` or `out += left · right`.
//!
//! `right` is packed into panels of [`LANES`] columns (see [`super::panels`]). `left` is read in place, by rows or transposed, or from a
//! copy of one tile's part if its rows conflict in the cache. A tile of a few rows by one or two panels stays in registers while the inner
//! dimension runs. Every element of `out` sums its products in the order of the inner dimension, in blocks that do not depend on the number
//! of rows or columns, so the bits of a row do not depend on the other rows.

use std::mem::MaybeUninit;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::element::Element;
use super::kernel;
use super::level::{LANES, Level};

/// Elements along the inner dimension that a tile sums before it adds to its result. The result should be read and written rarely, but the
/// tile's part of `left` must stay in the first-level cache.
pub const INNER_BLOCK: usize = 384;

/// The size in bytes from which the columns of a block of the right matrix are split. It is more than the second-level cache, so all of the
/// block would be read from further away for every tile of rows.
const MAX_UNCUT_BYTES: usize = 2 << 20;

/// The size of each part in bytes: half a second-level cache.
const CUT_BYTES: usize = 512 << 10;

/// Rows of the largest tile of any level.
const MAX_TILE_ROWS: usize = 12;

/// Elements from one row to the next in a copy of a tile's rows, so that neighbouring rows start in different sets of the cache.
pub const COPY_STRIDE: usize = INNER_BLOCK + LANES;

/// Rows that AMX processes at a time: those of two tiles.
pub const AMX_ROWS: usize = 2 * LANES;

/// Elements of a copy of the rows that are processed at a time.
pub const COPY_ROOM: usize = AMX_ROWS * COPY_STRIDE;

/// With fewer panels, copying a tile's part of `left` does not pay.
const MIN_PANELS_TO_COPY: usize = 4;

/// The left matrix: element `(i, k)` is `data[i * row + k * step]`.
#[derive(Clone, Copy)]
pub struct LeftMatrix<'a, T> {
    pub data: &'a [T],
    pub row: usize,
    pub step: usize,
}

impl<T> LeftMatrix<'_, T> {
    /// Whether the rows of a tile conflict in the cache: they are transposed, or a multiple of half a page apart.
    fn lies_badly(&self) -> bool {
        self.step != 1 || (self.row * size_of::<T>()).is_multiple_of(2048)
    }
}

/// The elements that are used if a causal mask makes the others zero or unread. Rows are counted from the start of the product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// All elements.
    Full,
    /// Row `i` of `out` is read up to column `start + i`; later columns may be left unwritten.
    Columns { start: usize },
    /// `left` is zero beyond inner index `start + i`.
    Before { start: usize },
    /// `left` is zero before inner index `i`.
    Below,
}

/// A product of `left` [rows, inner] and `right` [inner, columns].
#[derive(Clone, Copy)]
pub struct Product<'a, T> {
    pub rows: usize,
    pub columns: usize,
    pub inner: usize,
    pub left: LeftMatrix<'a, T>,
    /// Panels of `inner` rows.
    pub right: &'a [T],
    pub reach: Reach,
    /// Whether to add to `out` or to replace it.
    pub add: bool,
    /// Floats from one row of `out` to the next.
    pub stride: usize,
}

kernel! {
    /// Computes `product` into `out`.
    ///
    /// # Panics
    /// When a slice is too short for the sizes given.
    pub fn multiply<L, T>(product: Product<'_, T>, out: &mut [f32]) {
        let Product { rows, columns, inner, left, right, reach, add, stride } = product;
        if rows == 0 || columns == 0 || inner == 0 {
            return;
        }
        let inner = inner.div_ceil(T::STEPS);
        assert!((rows - 1) * left.row + (inner - 1) * left.step < left.data.len(), "the left matrix is too short");
        assert!(columns.div_ceil(LANES) * inner * LANES <= right.len(), "the right matrix is too short");
        assert!((rows - 1) * stride + columns <= out.len(), "the result is too short");
        let mut copy = [const { MaybeUninit::<T>::uninit() }; COPY_ROOM];
        let has_tiles = L::HAS_TILES && T::STEPS == 2;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `L` is the level this variant is compiled for, of an `Instructions` that exists only where AMX is allowed.
        let _tiles = has_tiles.then(|| unsafe { amx::AmxTiles::new() });
        let width = block_columns::<T>(columns, inner);
        let blocks = (0..columns).step_by(width).flat_map(|column| (0..inner).step_by(INNER_BLOCK).map(move |start| (column, start)));
        for (column, start) in blocks {
            let end = (start + INNER_BLOCK).min(inner);
            let mut row = 0;
            while row < rows {
                let count = if has_tiles { AMX_ROWS.min(rows - row) } else { tile_rows::<L>(rows - row) };
                let (first, last) = inner_range::<T>(reach, row, count, inner);
                // The sums of an instruction must not depend on which row is the first.
                let first = if has_tiles { first / LANES * LANES } else { first };
                let (from, to) = (start.max(first), end.min(last));
                let columns = read_columns(reach, row, count, columns).min(column + width).saturating_sub(column);
                if from < to && columns > 0 {
                    // SAFETY: row + count <= rows and to <= inner, and a panel begins at `column`, so by the assertions above every
                    // element of the tile's operands and of its result lies within the slices; `L` is the level this variant is
                    // compiled for.
                    unsafe {
                        let mut tile = ProductTile {
                            inner: to - from,
                            left: left.data.as_ptr().add(row * left.row + from * left.step),
                            row: left.row,
                            step: left.step,
                            right: right.as_ptr().add(column * inner + from * LANES),
                            panel: inner * LANES,
                            out: out.as_mut_ptr().add(row * stride + column),
                            stride,
                            columns,
                            // A block before this one has written the tile.
                            add: add || first < start,
                        };
                        let is_copied = columns > MIN_PANELS_TO_COPY * LANES && left.lies_badly();
                        #[cfg(target_arch = "x86_64")]
                        if has_tiles {
                            amx::run(tile, count, is_copied || left.step != 1, &mut copy);
                            row += count;
                            continue;
                        }
                        if is_copied {
                            tile.copy(count, &mut copy);
                        }
                        tile.run::<L>(count);
                    }
                }
                row += count;
            }
        }
    }
}

/// Number of columns processed at a time: all, or a multiple of two panels.
#[inline(always)]
fn block_columns<T>(columns: usize, inner: usize) -> usize {
    let column = inner.min(INNER_BLOCK) * size_of::<T>();
    if columns * column > MAX_UNCUT_BYTES {
        (CUT_BYTES / column).next_multiple_of(2 * LANES)
    } else {
        columns
    }
}

/// The columns that are used in rows `row..row + count`.
#[inline(always)]
fn read_columns(reach: Reach, row: usize, count: usize, columns: usize) -> usize {
    match reach {
        Reach::Columns { start } => columns.min((start + row + count).next_multiple_of(LANES)),
        Reach::Full | Reach::Before { .. } | Reach::Below => columns,
    }
}

/// The inner elements that are used in rows `row..row + count`.
#[inline(always)]
fn inner_range<T: Element>(reach: Reach, row: usize, count: usize, inner: usize) -> (usize, usize) {
    match reach {
        Reach::Full | Reach::Columns { .. } => (0, inner),
        Reach::Before { start } => (0, inner.min((start + row + count).div_ceil(T::STEPS))),
        Reach::Below => ((row / T::STEPS).min(inner), inner),
    }
}

/// Number of rows of the next tile.
#[inline(always)]
fn tile_rows<L: Level>(left: usize) -> usize {
    if L::ROWS >= MAX_TILE_ROWS && left >= MAX_TILE_ROWS {
        MAX_TILE_ROWS
    } else {
        left.min(6)
    }
}

/// A few rows of a product, and a block of its inner dimension.
#[derive(Clone, Copy)]
pub struct ProductTile<T> {
    /// Elements along the inner dimension.
    pub inner: usize,
    pub left: *const T,
    pub row: usize,
    pub step: usize,
    /// The first panel.
    pub right: *const T,
    /// Elements from one panel to the next.
    pub panel: usize,
    pub out: *mut f32,
    pub stride: usize,
    pub columns: usize,
    pub add: bool,
}

impl<T: Element> ProductTile<T> {
    /// Copies `left`, to read it from the copy: transposed rows side by side, others with a stride that avoids conflicts in the cache.
    ///
    /// # Safety
    /// `left` reaches as far as `count` rows of the tile's sizes say; `inner` is at most [`INNER_BLOCK`], `count` at most [`MAX_TILE_ROWS`].
    #[inline(always)]
    unsafe fn copy(&mut self, count: usize, room: &mut [MaybeUninit<T>; COPY_ROOM]) {
        let to = room.as_mut_ptr().cast::<T>();
        // SAFETY: the caller's promise; the copy takes at most TALLEST · BLOCK or TALLEST · COPY_STRIDE elements.
        unsafe {
            if self.step == 1 {
                for i in 0..count {
                    std::ptr::copy_nonoverlapping(self.left.add(i * self.row), to.add(i * COPY_STRIDE), self.inner);
                }
                self.row = COPY_STRIDE;
            } else {
                for k in 0..self.inner {
                    let (from, to) = (self.left.add(k * self.step), to.add(k * MAX_TILE_ROWS));
                    if self.row == 1 && count == MAX_TILE_ROWS {
                        to.cast::<[T; MAX_TILE_ROWS]>()
                            .write_unaligned(from.cast::<[T; MAX_TILE_ROWS]>().read_unaligned());
                    } else {
                        (0..count).for_each(|i| to.add(i).write(from.add(i * self.row).read()));
                    }
                }
                (self.row, self.step) = (1, MAX_TILE_ROWS);
            }
            self.left = to;
        }
    }

    /// # Safety
    /// The processor has the level's instructions, and the pointers reach as far as `count` rows of the tile's sizes say.
    #[inline(always)]
    unsafe fn run<L: Level>(self, count: usize) {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            match count {
                12 => self.run_rows::<L, 12>(),
                6 => self.run_rows::<L, 6>(),
                5 => self.run_rows::<L, 5>(),
                4 => self.run_rows::<L, 4>(),
                3 => self.run_rows::<L, 3>(),
                2 => self.run_rows::<L, 2>(),
                _ => self.run_rows::<L, 1>(),
            }
        }
    }

    /// # Safety
    /// As for [`Self::run`], with `R` rows.
    #[inline(always)]
    unsafe fn run_rows<L: Level, const R: usize>(self) {
        let mut column = 0;
        // SAFETY: the caller's promise, passed on; a panel begins at each multiple of LANES below `columns`.
        unsafe {
            while L::PANELS == 2 && column + LANES < self.columns {
                self.run_panels::<L, R, 2>(column);
                column += 2 * LANES;
            }
            while column < self.columns {
                self.run_panels::<L, R, 1>(column);
                column += LANES;
            }
        }
    }

    /// # Safety
    /// As for [`Self::run`], with `R` rows, and `P` panels from the one that begins with `column`.
    #[inline(always)]
    unsafe fn run_panels<L: Level, const R: usize, const P: usize>(self, column: usize) {
        // SAFETY: the caller promises R rows of `inner` elements behind `left`, as many vectors in each of the panels, and R rows of
        // `columns` floats behind `out`; a narrower panel goes by way of a full vector on the stack.
        unsafe {
            for i in 0..R {
                for p in 0..P {
                    L::expect(self.out.add(i * self.stride + column + p * LANES));
                }
            }
            let mut sums = [[L::zero(); P]; R];
            let right = self.right.add(column / LANES * self.panel);
            for k in 0..self.inner {
                let mut rights = [L::zero(); P];
                for (p, vector) in rights.iter_mut().enumerate() {
                    *vector = L::load(right.add(p * self.panel + k * LANES).cast());
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let left = *self.left.add(i * self.row + k * self.step);
                    for (sum, right) in sums.iter_mut().zip(rights) {
                        *sum = T::fma::<L>(left, right, *sum);
                    }
                }
            }
            let out = self.out.add(column);
            if self.columns - column >= P * LANES {
                // Unrolled, so that the sums stay in registers throughout. In a loop they would have a copy in memory.
                for (i, sums) in sums.iter().enumerate() {
                    for (p, sum) in sums.iter().enumerate() {
                        self.put::<L>(*sum, out.add(i * self.stride + p * LANES), LANES);
                    }
                }
                return;
            }
            let sums = sums;
            for (i, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    let done = p * LANES;
                    self.put::<L>(*sum, out.add(i * self.stride + done), self.columns - column - done);
                }
            }
        }
    }

    /// Writes a row of a panel with `width` remaining columns.
    ///
    /// # Safety
    /// As for [`Self::run`], with room for `width` floats behind `out`, or for [`LANES`] where there are more.
    #[inline(always)]
    unsafe fn put<L: Level>(self, sum: L::Vector, out: *mut f32, width: usize) {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            if width >= LANES {
                L::store(if self.add { L::add(L::load(out), sum) } else { sum }, out);
                return;
            }
            let mut row = [0.0; LANES];
            L::store(sum, row.as_mut_ptr());
            for (j, value) in row.iter().enumerate().take(width) {
                let out = out.add(j);
                *out = if self.add { *out + value } else { *value };
            }
        }
    }
}
