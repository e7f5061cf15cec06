//! The elements of a product's operands: floats, or pairs of bf16.
//!
//! Processors take two steps of the inner dimension of a bf16 product at once. So an operand's element is a [`Bf16Pair`] of neighbours
//! along that dimension. Sums are always f32.

use super::level::{LANES, Level};

/// Two bf16 numbers, neighbours along the inner dimension: the first in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16Pair(pub u32);

/// The element type of a product's operands.
pub trait Element: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// Steps of the inner dimension in one element.
    const STEPS: usize;

    /// The floats themselves if they need no conversion.
    fn view(floats: &[f32]) -> Option<&[Self]>;

    /// Writes `count` elements, at most [`LANES`], of as many first and as many second neighbours.
    ///
    /// # Safety
    /// The processor has the level's instructions; `count` floats lie behind `first`, and behind `second` where `STEPS` is 2, and
    /// there is room for `count` elements behind `to`.
    unsafe fn put_across<L: Level>(first: *const f32, second: *const f32, count: usize, to: *mut Self);

    /// Writes the elements of `count` floats, at most `LANES * STEPS`: neighbours lie side by side, and beside an odd last one is 0.
    ///
    /// # Safety
    /// As for [`Self::put_across`], with `count` floats behind `from`.
    unsafe fn put_along<L: Level>(from: *const f32, count: usize, to: *mut Self);

    /// Converts `count` floats in place to elements of neighbours, stored from the start.
    ///
    /// # Safety
    /// The processor has the level's instructions; behind `floats` there is a whole number of `LANES * STEPS` floats, at least `count`.
    unsafe fn put_in_place<L: Level>(floats: *mut f32, count: usize);

    /// Stores the numbers of `row` as the neighbours with index `step` in `out`, and keeps those with lower indices.
    ///
    /// # Panics
    /// When `out` does not have as many elements as `row` has numbers.
    fn put_neighbours(row: &[Self], step: usize, out: &mut [Self]);

    /// `sum + left · right` in every lane.
    ///
    /// # Safety
    /// The processor has the level's instructions.
    unsafe fn fma<L: Level>(left: Self, right: L::Vector, sum: L::Vector) -> L::Vector;
}

impl Element for f32 {
    const STEPS: usize = 1;

    fn view(floats: &[f32]) -> Option<&[Self]> {
        Some(floats)
    }

    #[inline(always)]
    unsafe fn put_across<L: Level>(first: *const f32, _: *const f32, count: usize, to: *mut Self) {
        // SAFETY: the caller promises `count` floats and room for them.
        unsafe {
            if count == LANES {
                L::store(L::load(first), to);
            } else {
                std::ptr::copy_nonoverlapping(first, to, count);
            }
        }
    }

    #[inline(always)]
    unsafe fn put_along<L: Level>(from: *const f32, count: usize, to: *mut Self) {
        // SAFETY: as above.
        unsafe { Self::put_across::<L>(from, from, count, to) }
    }

    #[inline(always)]
    unsafe fn put_in_place<L: Level>(_: *mut f32, _: usize) {}

    fn put_neighbours(row: &[Self], _: usize, out: &mut [Self]) {
        out.copy_from_slice(row);
    }

    #[inline(always)]
    unsafe fn fma<L: Level>(left: Self, right: L::Vector, sum: L::Vector) -> L::Vector {
        // SAFETY: the caller's promise, passed on.
        unsafe { L::broadcast_fma(left, right, sum) }
    }
}

impl Element for Bf16Pair {
    const STEPS: usize = 2;

    fn view(_: &[f32]) -> Option<&[Self]> {
        None
    }

    #[inline(always)]
    unsafe fn put_across<L: Level>(first: *const f32, second: *const f32, count: usize, to: *mut Self) {
        // SAFETY: the caller's promise, passed on; a pair is a u32.
        unsafe { L::interleave(first, second, count, to.cast()) }
    }

    #[inline(always)]
    unsafe fn put_along<L: Level>(from: *const f32, count: usize, to: *mut Self) {
        // SAFETY: the caller's promise, passed on; a pair is a u32.
        unsafe { L::narrow(from, count, to.cast()) }
    }

    #[inline(always)]
    unsafe fn put_in_place<L: Level>(floats: *mut f32, count: usize) {
        for vector in 0..count.div_ceil(2 * LANES) {
            // SAFETY: the caller promises the floats and the instructions. The output lies before the input that is still to be read: a
            // pair takes the place of the float before its own two, or of the first of them.
            unsafe { L::narrow(floats.add(vector * 2 * LANES), 2 * LANES, floats.add(vector * LANES).cast()) }
        }
    }

    fn put_neighbours(row: &[Self], step: usize, out: &mut [Self]) {
        let (out, rest) = out.as_chunks_mut::<2>();
        assert!(rest.is_empty() && out.len() == row.len(), "as many elements as numbers");
        for (pair, [first, second]) in row.iter().zip(out) {
            (*first, *second) = if step == 0 {
                (Self(pair.0 & 0xffff), Self(pair.0 >> 16))
            } else {
                (
                    Self(first.0 & 0xffff | pair.0 << 16),
                    Self(second.0 & 0xffff | pair.0 & 0xffff_0000),
                )
            };
        }
    }

    #[inline(always)]
    unsafe fn fma<L: Level>(left: Self, right: L::Vector, sum: L::Vector) -> L::Vector {
        // SAFETY: the caller's promise, passed on.
        unsafe { L::pair_fma(left.0, right, sum) }
    }
}
