//! Instruction sets: each kernel is written once, over [`Level`], and compiled for every set that may be found at run time.
//!
//! A level's vector is always [`LANES`] floats wide, whatever registers hold it, so that packed panels have one layout. The levels
//! differ in the last bits (a fused multiply-add rounds once), never in the order of the additions.

/// Floats in one vector and columns in one packed panel.
pub const LANES: usize = 16;

/// The arithmetic of one instruction set.
///
/// # Safety
/// The functions that are `unsafe` may be called only where the processor has the set, that is, within a kernel's variant for it;
/// `load` and `store` need [`LANES`] valid floats behind the pointer, of any alignment.
pub trait Level {
    /// [`LANES`] floats.
    type Vector: Copy;
    /// Rows of the largest tile of a matrix product whose accumulators fit the registers.
    const ROWS: usize;
    /// `a * b + c`, rounded once where the set has such an instruction.
    fn fma(a: f32, b: f32, c: f32) -> f32;
    unsafe fn zero() -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(vector: Self::Vector, to: *mut f32);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c` in every lane.
    unsafe fn broadcast_fma(a: f32, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

/// Any processor.
pub struct Plain;

impl Level for Plain {
    type Vector = [f32; LANES];
    const ROWS: usize = 6;
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        // NEON is always there on AArch64; elsewhere `mul_add` without the instruction is a slow library call.
        if cfg!(target_arch = "aarch64") {
            a.mul_add(b, c)
        } else {
            a * b + c
        }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Vector {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Vector {
        // SAFETY: the caller promises LANES floats; the read is unaligned.
        unsafe { from.cast::<Self::Vector>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(vector: Self::Vector, to: *mut f32) {
        // SAFETY: the caller promises room for LANES floats; the write is unaligned.
        unsafe { to.cast::<Self::Vector>().write_unaligned(vector) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    unsafe fn broadcast_fma(a: f32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| Self::fma(a, b[lane], c[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Level};

    /// AVX2 with FMA: sixteen registers of eight floats.
    pub struct Avx2;

    impl Level for Avx2 {
        type Vector = [__m256; 2];
        const ROWS: usize = 6;
        #[inline(always)]
        fn fma(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
        #[inline(always)]
        unsafe fn zero() -> Self::Vector {
            // SAFETY: the caller promises AVX2 and FMA; so for every block of this impl.
            unsafe { [_mm256_setzero_ps(); 2] }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::Vector {
            // SAFETY: the caller promises LANES floats behind the pointer; the loads are unaligned.
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES / 2))] }
        }
        #[inline(always)]
        unsafe fn store(vector: Self::Vector, to: *mut f32) {
            // SAFETY: the caller promises room for LANES floats behind the pointer; the stores are unaligned.
            unsafe {
                _mm256_storeu_ps(to, vector[0]);
                _mm256_storeu_ps(to.add(LANES / 2), vector[1]);
            }
        }
        #[inline(always)]
        unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
            // SAFETY: as in `zero`.
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }
        #[inline(always)]
        unsafe fn broadcast_fma(a: f32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
            // SAFETY: as in `zero`.
            unsafe {
                let a = _mm256_set1_ps(a);
                [_mm256_fmadd_ps(a, b[0], c[0]), _mm256_fmadd_ps(a, b[1], c[1])]
            }
        }
    }

    /// AVX-512: thirty-two registers of sixteen floats.
    pub struct Avx512;

    impl Level for Avx512 {
        type Vector = __m512;
        const ROWS: usize = 12;
        #[inline(always)]
        fn fma(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
        #[inline(always)]
        unsafe fn zero() -> Self::Vector {
            // SAFETY: the caller promises AVX-512F; so for every block of this impl.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::Vector {
            // SAFETY: the caller promises LANES floats behind the pointer; the load is unaligned.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(vector: Self::Vector, to: *mut f32) {
            // SAFETY: the caller promises room for LANES floats behind the pointer; the store is unaligned.
            unsafe { _mm512_storeu_ps(to, vector) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
            // SAFETY: as in `zero`.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn broadcast_fma(a: f32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
            // SAFETY: as in `zero`.
            unsafe { _mm512_fmadd_ps(_mm512_set1_ps(a), b, c) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};
