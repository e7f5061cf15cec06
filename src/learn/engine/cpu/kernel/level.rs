//! Instruction sets: each kernel is written once, over [`Level`], and compiled for every set that may be detected at run time.
//!
//! A level's vector is always [`LANES`] floats wide, whatever its registers, so that packed panels have one layout. The levels differ in
//! the last bits (a fused multiply-add rounds once), but never in the order of the additions.

use super::bf16::narrow;

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
    /// Panels side by side in such a tile, 1 or 2.
    const PANELS: usize;
    /// Whether products of pairs use AMX.
    const HAS_TILES: bool = false;
    /// `a * b + c`, rounded once if the set has such an instruction.
    fn fma(a: f32, b: f32, c: f32) -> f32;
    unsafe fn zero() -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(vector: Self::Vector, to: *mut f32);
    /// Prefetches memory that will be written soon.
    #[inline(always)]
    unsafe fn expect(_to: *mut f32) {}
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c` in every lane.
    unsafe fn broadcast_fma(a: f32, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `a.0 * b.0 + a.1 * b.1 + c` in every lane, of pairs of bf16 (see [`super::element::Bf16Pair`]); `b` holds their bits.
    unsafe fn pair_fma(a: u32, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Writes `count` pairs of bf16, at most [`LANES`]: lane by lane, one of each row.
    #[inline(always)]
    unsafe fn interleave(low: *const f32, high: *const f32, count: usize, to: *mut u32) {
        let put = |lane| {
            // SAFETY: the caller promises `count` floats behind both, and room for as many pairs.
            unsafe {
                let pair = u32::from(narrow(*low.add(lane))) | u32::from(narrow(*high.add(lane))) << 16;
                to.add(lane).write_unaligned(pair);
            }
        };
        // With a constant number of lanes the compiler uses vectors.
        if count == LANES {
            (0..LANES).for_each(put);
        } else {
            (0..count).for_each(put);
        }
    }
    /// Writes pairs of bf16: neighbours in a row of `count` floats, at most 2 · [`LANES`]. If `count` is odd, the last pair has a 0.
    #[inline(always)]
    unsafe fn narrow(row: *const f32, count: usize, to: *mut u32) {
        let put = |lane| {
            // SAFETY: the caller promises `count` floats, and room for half as many pairs, rounded up.
            unsafe {
                let second = if 2 * lane + 1 < count { *row.add(2 * lane + 1) } else { 0.0 };
                let pair = u32::from(narrow(*row.add(2 * lane))) | u32::from(narrow(second)) << 16;
                to.add(lane).write_unaligned(pair);
            }
        };
        if count == 2 * LANES {
            (0..LANES).for_each(put);
        } else {
            (0..count.div_ceil(2)).for_each(put);
        }
    }
    /// Transposes [`LANES`] rows, `step` apart, to [`LANES`] rows of `to`, `stride` apart.
    #[inline(always)]
    unsafe fn transpose(from: *const u32, step: usize, to: *mut u32, stride: usize) {
        // SAFETY: the caller promises LANES numbers in each of LANES rows, and as much room.
        unsafe {
            for (row, column) in (0..LANES).flat_map(|row| (0..LANES).map(move |column| (row, column))) {
                to.add(row * stride + column)
                    .write_unaligned(from.add(column * step + row).read_unaligned());
            }
        }
    }
}

/// The two halves of a pair as floats.
#[inline(always)]
fn widen(pair: u32) -> (f32, f32) {
    (f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000))
}

/// Any processor.
pub struct Portable;

impl Level for Portable {
    type Vector = [f32; LANES];
    const ROWS: usize = 6;
    const PANELS: usize = 1;
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        // AArch64 always has NEON; elsewhere `mul_add` without the instruction is a slow library call.
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
    #[inline(always)]
    unsafe fn pair_fma(a: u32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        let (low, high) = widen(a);
        std::array::from_fn(|lane| {
            let (b_low, b_high) = widen(b[lane].to_bits());
            // The order of the processors that have an instruction for it.
            Self::fma(low, b_low, Self::fma(high, b_high, c[lane]))
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Level, widen};

    /// AVX2 with FMA: sixteen registers of eight floats.
    pub struct Avx2;

    impl Level for Avx2 {
        type Vector = [__m256; 2];
        const ROWS: usize = 6;
        const PANELS: usize = 1;
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
        #[inline(always)]
        unsafe fn pair_fma(a: u32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
            let (low, high) = widen(a);
            let half = |b: __m256, c: __m256| {
                // SAFETY: as in `zero`.
                unsafe {
                    let bits = _mm256_castps_si256(b);
                    let b_low = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits));
                    let b_high = _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32 as i32)));
                    let sum = _mm256_fmadd_ps(_mm256_set1_ps(high), b_high, c);
                    _mm256_fmadd_ps(_mm256_set1_ps(low), b_low, sum)
                }
            };
            [half(b[0], c[0]), half(b[1], c[1])]
        }
    }

    /// AVX-512: thirty-two registers of sixteen floats.
    pub struct Avx512;

    impl Level for Avx512 {
        type Vector = __m512;
        const ROWS: usize = 12;
        const PANELS: usize = 2;
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
        unsafe fn expect(to: *mut f32) {
            // SAFETY: a hint, which reads and writes nothing whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(to.cast()) }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const u32, step: usize, to: *mut u32, stride: usize) {
            // SAFETY: as in `zero`; the caller promises LANES numbers in each of LANES rows, and as much room.
            unsafe {
                let a: [__m512i; LANES] = std::array::from_fn(|k| _mm512_loadu_si512(from.add(k * step).cast()));
                // Pairs of rows, then fours, then the quarters of registers.
                let b: [__m512i; LANES] = std::array::from_fn(|i| match i % 2 {
                    0 => _mm512_unpacklo_epi32(a[i], a[i + 1]),
                    _ => _mm512_unpackhi_epi32(a[i - 1], a[i]),
                });
                let c: [__m512i; LANES] = std::array::from_fn(|i| {
                    let (four, place) = (i / 4 * 4, i % 4);
                    let (first, second) = (b[four + place / 2], b[four + 2 + place / 2]);
                    match place % 2 {
                        0 => _mm512_unpacklo_epi64(first, second),
                        _ => _mm512_unpackhi_epi64(first, second),
                    }
                });
                // Of c[4 f + j], quarter q holds column 4 q + j of the rows 4 f to 4 f + 3.
                for j in 0..4 {
                    let low = [
                        _mm512_shuffle_i32x4::<0x88>(c[j], c[4 + j]),
                        _mm512_shuffle_i32x4::<0xdd>(c[j], c[4 + j]),
                    ];
                    let high = [
                        _mm512_shuffle_i32x4::<0x88>(c[8 + j], c[12 + j]),
                        _mm512_shuffle_i32x4::<0xdd>(c[8 + j], c[12 + j]),
                    ];
                    for (odd, (low, high)) in low.into_iter().zip(high).enumerate() {
                        let (first, second) = (_mm512_shuffle_i32x4::<0x88>(low, high), _mm512_shuffle_i32x4::<0xdd>(low, high));
                        _mm512_storeu_si512(to.add((4 * odd + j) * stride).cast(), first);
                        _mm512_storeu_si512(to.add((4 * odd + 8 + j) * stride).cast(), second);
                    }
                }
            }
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
        #[inline(always)]
        unsafe fn pair_fma(a: u32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
            let (low, high) = widen(a);
            // SAFETY: as in `zero`.
            unsafe {
                let bits = _mm512_castps_si512(b);
                let b_low = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits));
                let b_high = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32)));
                let sum = _mm512_fmadd_ps(_mm512_set1_ps(high), b_high, c);
                _mm512_fmadd_ps(_mm512_set1_ps(low), b_low, sum)
            }
        }
    }

    /// The first `count` lanes of a vector; all where it has fewer.
    #[inline(always)]
    fn first_lanes(count: usize) -> __mmask16 {
        if count >= LANES { !0 } else { (1 << count) - 1 }
    }

    /// AVX-512 with its bf16 instructions, and perhaps AMX's tiles.
    pub struct Bf16<const TILES: bool>;

    /// AVX-512 with its bf16 instructions.
    pub type Avx512Bf16 = Bf16<false>;

    /// AVX-512 with its bf16 instructions, and AMX's tiles.
    pub type Amx = Bf16<true>;

    impl<const TILES: bool> Level for Bf16<TILES> {
        type Vector = __m512;
        const ROWS: usize = Avx512::ROWS;
        const PANELS: usize = Avx512::PANELS;
        const HAS_TILES: bool = TILES;
        #[inline(always)]
        fn fma(a: f32, b: f32, c: f32) -> f32 {
            Avx512::fma(a, b, c)
        }
        #[inline(always)]
        unsafe fn zero() -> Self::Vector {
            // SAFETY: the caller promises AVX-512F and AVX512_BF16; so for every block of this impl.
            unsafe { Avx512::zero() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::Vector {
            // SAFETY: as in `zero`, and the caller promises LANES floats.
            unsafe { Avx512::load(from) }
        }
        #[inline(always)]
        unsafe fn store(vector: Self::Vector, to: *mut f32) {
            // SAFETY: as in `zero`, and the caller promises room for LANES floats.
            unsafe { Avx512::store(vector, to) }
        }
        #[inline(always)]
        unsafe fn expect(to: *mut f32) {
            // SAFETY: as in `zero`.
            unsafe { Avx512::expect(to) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
            // SAFETY: as in `zero`.
            unsafe { Avx512::add(a, b) }
        }
        #[inline(always)]
        unsafe fn broadcast_fma(a: f32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
            // SAFETY: as in `zero`.
            unsafe { Avx512::broadcast_fma(a, b, c) }
        }
        #[inline(always)]
        unsafe fn pair_fma(a: u32, b: Self::Vector, c: Self::Vector) -> Self::Vector {
            // SAFETY: as in `zero`; both types are 512 bits of anything.
            unsafe {
                let a = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(a as i32));
                let b = std::mem::transmute::<__m512, __m512bh>(b);
                _mm512_dpbf16_ps(c, a, b)
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const u32, step: usize, to: *mut u32, stride: usize) {
            // SAFETY: as in `zero`, and the caller promises what `transpose` needs.
            unsafe { Avx512::transpose(from, step, to, stride) }
        }
        #[inline(always)]
        unsafe fn interleave(low: *const f32, high: *const f32, count: usize, to: *mut u32) {
            let lanes = first_lanes(count);
            // SAFETY: as in `zero`, and the caller promises `count` floats and room for as many pairs, beyond which nothing is touched; a vector
            // of bf16 is as many u16.
            unsafe {
                let narrow = |row| {
                    let row = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, row));
                    _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(row))
                };
                let pairs = _mm512_or_si512(narrow(low), _mm512_slli_epi32::<16>(narrow(high)));
                _mm512_mask_storeu_epi32(to.cast(), lanes, pairs);
            }
        }
        #[inline(always)]
        unsafe fn narrow(row: *const f32, count: usize, to: *mut u32) {
            // SAFETY: as in `interleave`; a vector of bf16 is half as many u32.
            unsafe {
                let low = _mm512_maskz_loadu_ps(first_lanes(count), row);
                let high = _mm512_maskz_loadu_ps(first_lanes(count.saturating_sub(LANES)), row.wrapping_add(LANES));
                let pairs = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_mask_storeu_epi32(to.cast(), first_lanes(count.div_ceil(2)), pairs);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Amx, Avx2, Avx512, Avx512Bf16};
