//! The inner loop of the matrix product on AMX (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18). An
//! instruction adds the products of 16 pairs of bf16 to each of 16 rows of 16 sums.
//!
//! Its right operand is a piece of a packed panel, and its left one 16 rows of `left` in place, or a copy of them padded with zeros. Within
//! an instruction the first and the second numbers of pairs are summed separately, so that the last bits differ from those of AVX512_BF16.

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use super::level::{Avx512, LANES, Level};
use super::product::{AMX_ROWS, COPY_ROOM, COPY_STRIDE, ProductTile};

/// Rows and columns of a tile of sums, and the pairs that an instruction takes of each.
const TILE_SIDE: usize = LANES;

/// Bytes from one row of a panel to the next.
const PANEL_ROW_BYTES: usize = TILE_SIDE * size_of::<u32>();

/// Used instead of a panel beyond the last.
static EMPTY_PIECE: PanelPiece = PanelPiece([0; TILE_SIDE * TILE_SIDE]);

/// The piece of a panel that an instruction reads.
#[repr(align(64))]
struct PanelPiece([u32; TILE_SIDE * TILE_SIDE]);

/// Whether the processor has the instructions and the system allows this process to use them.
pub fn is_allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        // Bits of AMX_BF16 and AMX_TILE.
        let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (1 << 22 | 1 << 24) == (1 << 22 | 1 << 24);
        has && permission()
    })
}

/// Requests the tiles' registers from the system, which saves them only on request.
#[cfg(target_os = "linux")]
fn permission() -> bool {
    use std::ffi::c_long;
    /// `arch_prctl`, its request for a part of the processor's state, and the tiles' data as that part.
    const ARCH_PRCTL: c_long = 158;
    const ARCH_REQ_XCOMP_PERM: c_long = 0x1023;
    const XFEATURE_XTILEDATA: c_long = 18;
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    // SAFETY: the C library's function; the request reads and writes no memory of ours.
    unsafe { syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permission() -> bool {
    false
}

/// The tiles of this thread, with 16 rows of 64 bytes each. They are released when this is dropped.
pub struct AmxTiles(());

/// The configuration that `ldtilecfg` reads.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl AmxTiles {
    /// # Safety
    /// [`is_allowed`] has returned true.
    pub unsafe fn new() -> Self {
        let first_eight = |index: usize, value: u8| if index < 8 { value } else { 0 };
        let config = TileConfig {
            palette: 1,
            start: 0,
            reserved: [0; 14],
            bytes: std::array::from_fn(|index| first_eight(index, PANEL_ROW_BYTES as u8).into()),
            rows: std::array::from_fn(|index| first_eight(index, TILE_SIDE as u8)),
        };
        // SAFETY: the caller's promise; the 64 bytes are read.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for AmxTiles {
    fn drop(&mut self) {
        // SAFETY: there are tiles. Without them, changing to another task need not save their 8 KB.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Computes `count` rows of a product.
///
/// # Safety
/// There are [`AmxTiles`] and AVX-512. The pointers are valid for `count` rows, at most [`AMX_ROWS`], of the tile's sizes. Its elements are
/// pairs, and its `inner` is at most [`super::product::INNER_BLOCK`].
#[inline(always)]
pub unsafe fn run<T: Copy>(tile: ProductTile<T>, count: usize, copy: bool, room: &mut [MaybeUninit<T>; COPY_ROOM]) {
    const { assert!(size_of::<T>() == size_of::<u32>()) };
    let (tiles, pieces) = (count.div_ceil(TILE_SIDE), tile.inner.div_ceil(TILE_SIDE));
    // The last pairs if they do not fill an instruction.
    let rest = tile.inner % TILE_SIDE;
    let mut left = tile.left.cast::<u32>();
    let mut row = tile.row;
    // SAFETY: the caller's promise: rows and pairs that are read lie within the operands, or were copied into `room`, which has space for
    // AMX_ROWS rows of BLOCK pairs; what is beyond `columns` or `count` goes by way of memory of its own.
    unsafe {
        if copy || rest > 0 || count < tiles * TILE_SIDE {
            let to = room.as_mut_ptr().cast::<u32>();
            fill(left, (tile.row, tile.step), (count, tile.inner), to);
            (left, row) = (to, COPY_STRIDE);
        }
        for column in (0..tile.columns).step_by(2 * TILE_SIDE) {
            let width = (tile.columns - column).min(2 * TILE_SIDE);
            let right = tile.right.cast::<u32>().add(column / TILE_SIDE * tile.panel);
            // Elements from one piece to the next.
            let step = TILE_SIDE * TILE_SIDE;
            let (second, second_step) = match width > TILE_SIDE {
                true => (right.add(tile.panel), step),
                false => (EMPTY_PIECE.0.as_ptr(), 0),
            };
            let out = tile.out.add(column);
            let is_whole = width == 2 * TILE_SIDE && count == tiles * TILE_SIDE;
            let mut sums = MaybeUninit::<[f32; AMX_ROWS * 2 * TILE_SIDE]>::uninit();
            let (to, stride) = match is_whole {
                true => (out, tile.stride),
                false => (sums.as_mut_ptr().cast::<f32>(), 2 * TILE_SIDE),
            };
            if !is_whole && tile.add {
                to.write_bytes(0, AMX_ROWS * 2 * TILE_SIDE);
                (0..count).for_each(|i| std::ptr::copy_nonoverlapping(out.add(i * tile.stride), to.add(i * stride), width));
            }
            let mut part = TileBlock {
                left,
                row,
                right,
                second,
                second_step,
                pieces: tile.inner / TILE_SIDE,
                to,
                stride,
                add: tile.add,
            };
            if part.pieces > 0 {
                part.run(tiles);
                part.add = true;
            }
            if rest > 0 {
                let whole = pieces - 1;
                let mut panels = [const { PanelPiece([0; TILE_SIDE * TILE_SIDE]) }; 2];
                let sources = [right, second].into_iter().take(width.div_ceil(TILE_SIDE));
                for (panel, from) in panels.iter_mut().zip(sources) {
                    std::ptr::copy_nonoverlapping(from.add(whole * step), panel.0.as_mut_ptr(), rest * TILE_SIDE);
                }
                let [right, second] = &panels;
                let last = TileBlock {
                    left: left.add(whole * TILE_SIDE),
                    right: right.0.as_ptr(),
                    second: second.0.as_ptr(),
                    pieces: 1,
                    ..part
                };
                last.run(tiles);
            }
            if !is_whole {
                (0..count).for_each(|i| std::ptr::copy_nonoverlapping(to.add(i * stride), out.add(i * tile.stride), width));
            }
        }
    }
}

/// Copies the left operand, element `(i, k)` at `i * row + k * step`, to rows [`COPY_STRIDE`] apart, and fills up tiles with zeros.
///
/// # Safety
/// The processor has AVX-512; the sizes lie within the operand, and AMX_ROWS and BLOCK.
#[inline(always)]
unsafe fn fill(from: *const u32, (row, step): (usize, usize), (count, inner): (usize, usize), to: *mut u32) {
    let (tiles, pieces) = (count.div_ceil(TILE_SIDE), inner.div_ceil(TILE_SIDE));
    // SAFETY: the caller's promise; of what is written, a row's last piece ends within COPY_STRIDE.
    unsafe {
        if step == 1 {
            for i in 0..tiles * TILE_SIDE {
                let (to, inner) = (to.add(i * COPY_STRIDE), if i < count { inner } else { 0 });
                if inner > 0 {
                    std::ptr::copy_nonoverlapping(from.add(i * row), to, inner);
                }
                to.add(inner).write_bytes(0, pieces * TILE_SIDE - inner);
            }
            return;
        }
        for (tile, piece) in (0..tiles).flat_map(|tile| (0..pieces).map(move |piece| (tile, piece))) {
            let (first, start) = (tile * TILE_SIDE, piece * TILE_SIDE);
            let (rows, pairs) = ((count - first).min(TILE_SIDE), (inner - start).min(TILE_SIDE));
            let (from, to) = (from.add(first * row + start * step), to.add(first * COPY_STRIDE + start));
            if (rows, pairs, row) == (TILE_SIDE, TILE_SIDE, 1) {
                Avx512::transpose(from, step, to, COPY_STRIDE);
                continue;
            }
            for (i, k) in (0..TILE_SIDE).flat_map(|i| (0..TILE_SIDE).map(move |k| (i, k))) {
                let number = if i < rows && k < pairs {
                    from.add(i * row + k * step).read()
                } else {
                    0
                };
                to.add(i * COPY_STRIDE + k).write(number);
            }
        }
    }
}

/// One or two tiles of rows by two panels, over whole instructions along the inner dimension.
#[derive(Clone, Copy)]
struct TileBlock {
    left: *const u32,
    /// Elements from one row of `left` to the next.
    row: usize,
    right: *const u32,
    /// The other panel.
    second: *const u32,
    /// Elements from one of its pieces to the next.
    second_step: usize,
    pieces: usize,
    to: *mut f32,
    stride: usize,
    add: bool,
}

impl TileBlock {
    /// # Safety
    /// There are [`AmxTiles`], and the pointers reach as far as the sizes say; `pieces` is at least 1.
    #[inline(always)]
    unsafe fn run(self, tiles: usize) {
        let row = self.row * size_of::<u32>();
        let stride = self.stride * size_of::<f32>();
        let second_step = self.second_step * size_of::<u32>();
        // SAFETY: the caller's promise; what the loop reads and writes is what its operands say. No other code uses the tiles.
        unsafe {
            if tiles == 1 {
                asm!(
                    "tilezero tmm0", "tilezero tmm1",
                    "test {add:e}, {add:e}", "jz 3f",
                    "tileloadd tmm0, [{to} + {stride}*1]", "tileloadd tmm1, [{to} + {stride}*1 + 64]",
                    "3:",
                    "tileloadd tmm4, [{left} + {row}*1]",
                    "tileloadd tmm6, [{right} + {panel}*1]", "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{second} + {panel}*1]", "tdpbf16ps tmm1, tmm4, tmm7",
                    "add {left}, 64", "add {right}, 1024", "add {second}, {second_step}",
                    "dec {pieces}", "jnz 3b",
                    "tilestored [{to} + {stride}*1], tmm0", "tilestored [{to} + {stride}*1 + 64], tmm1",
                    add = in(reg) u32::from(self.add), to = in(reg) self.to, stride = in(reg) stride, row = in(reg) row,
                    panel = in(reg) PANEL_ROW_BYTES, second_step = in(reg) second_step,
                    left = inout(reg) self.left => _, right = inout(reg) self.right => _, second = inout(reg) self.second => _,
                    pieces = inout(reg) self.pieces => _, options(nostack),
                );
                return;
            }
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                "test {add:e}, {add:e}", "jz 3f",
                "tileloadd tmm0, [{to} + {stride}*1]", "tileloadd tmm1, [{to} + {stride}*1 + 64]",
                "tileloadd tmm2, [{below} + {stride}*1]", "tileloadd tmm3, [{below} + {stride}*1 + 64]",
                "3:",
                "tileloadd tmm4, [{left} + {row}*1]",
                "tileloadd tmm6, [{right} + {panel}*1]", "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{second} + {panel}*1]", "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{lower} + {row}*1]", "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left}, 64", "add {lower}, 64", "add {right}, 1024", "add {second}, {second_step}",
                "dec {pieces}", "jnz 3b",
                "tilestored [{to} + {stride}*1], tmm0", "tilestored [{to} + {stride}*1 + 64], tmm1",
                "tilestored [{below} + {stride}*1], tmm2", "tilestored [{below} + {stride}*1 + 64], tmm3",
                add = in(reg) u32::from(self.add), to = in(reg) self.to, below = in(reg) self.to.add(TILE_SIDE * self.stride), stride = in(reg) stride,
                row = in(reg) row, panel = in(reg) PANEL_ROW_BYTES, second_step = in(reg) second_step,
                left = inout(reg) self.left => _, lower = inout(reg) self.left.add(TILE_SIDE * self.row) => _,
                right = inout(reg) self.right => _, second = inout(reg) self.second => _,
                pieces = inout(reg) self.pieces => _, options(nostack),
            );
        }
    }
}
