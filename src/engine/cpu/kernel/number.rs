//! What the operands of a product are made of: floats, or pairs of bf16.
//!
//! A product in bf16 takes two steps of its inner dimension at once, because processors do: an operand's element is a [`Pair`] of
//! neighbours along that dimension. Sums are f32 in both.

#[cfg(doc)]
use super::level::LANES;
use super::level::Level;

/// Two bf16 numbers, neighbours along the inner dimension: the first in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(pub u32);

/// What the operands of a product are made of.
pub trait Number: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// Steps of the inner dimension in one element.
    const STEPS: usize;

    /// Floats as they are, where they need no conversion.
    fn view(floats: &[f32]) -> Option<&[Self]>;

    /// The element of `STEPS` neighbours.
    fn of<L: Level>(first: f32, second: f32) -> Self;

    /// Writes [`LANES`] elements, of as many first and as many second neighbours.
    ///
    /// # Safety
    /// The processor has the level's instructions; [`LANES`] floats lie behind `first`, and behind `second` where `STEPS` is 2, and
    /// there is room for [`LANES`] elements behind `to`.
    unsafe fn put_across<L: Level>(first: *const f32, second: *const f32, to: *mut Self);

    /// Writes [`LANES`] elements, of neighbours that lie side by side.
    ///
    /// # Safety
    /// As for [`Self::put_across`], with `LANES * STEPS` floats behind `from`.
    unsafe fn put_along<L: Level>(from: *const f32, to: *mut Self);

    /// `sum + left · right` in every lane.
    ///
    /// # Safety
    /// The processor has the level's instructions.
    unsafe fn fma<L: Level>(left: Self, right: L::Vector, sum: L::Vector) -> L::Vector;
}

impl Number for f32 {
    const STEPS: usize = 1;

    fn view(floats: &[f32]) -> Option<&[Self]> {
        Some(floats)
    }

    #[inline(always)]
    fn of<L: Level>(first: f32, _: f32) -> Self {
        first
    }

    #[inline(always)]
    unsafe fn put_across<L: Level>(first: *const f32, _: *const f32, to: *mut Self) {
        // SAFETY: the caller promises LANES floats and room for them.
        unsafe { L::store(L::load(first), to) }
    }

    #[inline(always)]
    unsafe fn put_along<L: Level>(from: *const f32, to: *mut Self) {
        // SAFETY: as above.
        unsafe { L::store(L::load(from), to) }
    }

    #[inline(always)]
    unsafe fn fma<L: Level>(left: Self, right: L::Vector, sum: L::Vector) -> L::Vector {
        // SAFETY: the caller's promise, passed on.
        unsafe { L::broadcast_fma(left, right, sum) }
    }
}

impl Number for Pair {
    const STEPS: usize = 2;

    fn view(_: &[f32]) -> Option<&[Self]> {
        None
    }

    #[inline(always)]
    fn of<L: Level>(first: f32, second: f32) -> Self {
        Self(u32::from(narrow(first)) | u32::from(narrow(second)) << 16)
    }

    #[inline(always)]
    unsafe fn put_across<L: Level>(first: *const f32, second: *const f32, to: *mut Self) {
        // SAFETY: the caller's promise, passed on; a pair is a u32.
        unsafe { L::interleave(first, second, to.cast()) }
    }

    #[inline(always)]
    unsafe fn put_along<L: Level>(from: *const f32, to: *mut Self) {
        // SAFETY: the caller's promise, passed on; a pair is a u32.
        unsafe { L::narrow(from, to.cast()) }
    }

    #[inline(always)]
    unsafe fn fma<L: Level>(left: Self, right: L::Vector, sum: L::Vector) -> L::Vector {
        // SAFETY: the caller's promise, passed on.
        unsafe { L::pair_fma(left.0, right, sum) }
    }
}

/// The nearest bf16, of two equally near ones the even; NaN stays NaN.
#[inline(always)]
pub fn narrow(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // Rounding could carry a NaN's bits into the sign.
    let quiet = bits >> 16 | 0x40;
    (if x.is_nan() { quiet } else { rounded }) as u16
}
