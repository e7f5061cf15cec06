//! The product on AMX's tiles against its definition, on any processor with AVX512_BF16. Without AMX its instructions raise a signal, and
//! the handler emulates them after the manual (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, `TDPBF16PS`).
#![cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]

use std::cell::RefCell;
use std::sync::Once;

use proptest::prelude::*;

use super::kernels::{Numbers, plain, rounded};
use crate::engine::cpu::kernel::Instructions;
use crate::engine::cpu::kernel::element::Bf16Pair;
use crate::engine::cpu::kernel::panels::{left_columns, left_rows, pack, size};
use crate::engine::cpu::kernel::product::{LeftMatrix, Product, Reach, multiply};
use crate::seed::Stream;

/// Bytes of a row of a tile, and its rows.
const ROW: usize = 64;
const ROWS: usize = 16;

/// The contents of a thread's tiles, and their configuration by `ldtilecfg`.
struct AdamWState {
    /// Rows, and bytes of each, by tile.
    shapes: [(usize, usize); 8],
    tiles: [[[u8; ROW]; ROWS]; 8],
}

thread_local! {
    static STATE: RefCell<AdamWState> = const { RefCell::new(AdamWState { shapes: [(0, 0); 8], tiles: [[[0; ROW]; ROWS]; 8] }) };
}

impl AdamWState {
    fn float(&self, tile: usize, row: usize, column: usize) -> f32 {
        f32::from_le_bytes(self.tiles[tile][row][4 * column..][..4].try_into().unwrap())
    }

    fn half(&self, tile: usize, row: usize, column: usize) -> f32 {
        let half = u16::from_le_bytes(self.tiles[tile][row][2 * column..][..2].try_into().unwrap());
        f32::from_bits(u32::from(half) << 16)
    }

    /// `TDPBF16PS`.
    fn multiply(&mut self, to: usize, left: usize, right: usize) {
        let ((rows, bytes), (_, inner)) = (self.shapes[to], self.shapes[left]);
        assert_eq!(
            (self.shapes[left].0, self.shapes[right]),
            (rows, (inner / 4, bytes)),
            "the tiles fit"
        );
        for row in 0..rows {
            for column in 0..bytes / 4 {
                let mut sums = [0.0_f32; 2];
                for k in 0..inner / 4 {
                    for (place, sum) in sums.iter_mut().enumerate() {
                        *sum = self
                            .half(left, row, 2 * k + place)
                            .mul_add(self.half(right, k, 2 * column + place), *sum);
                    }
                }
                let sum = self.float(to, row, column) + (sums[0] + sums[1]);
                self.tiles[to][row][4 * column..][..4].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }
}

/// Emulates the instruction at `code` and returns its length; `None` if it is not one of AMX. `register` returns the values of registers.
///
/// # Safety
/// `code` is where a program stopped at an instruction that its processor does not know.
unsafe fn step(code: *const u8, register: &dyn Fn(usize) -> usize) -> Option<usize> {
    // SAFETY: an instruction of three bytes of prefix has at least two more.
    let [vex, first, second, operation, operands] = unsafe { code.cast::<[u8; 5]>().read_unaligned() };
    if vex != 0xc4 || first & 31 != 2 || second & 0x84 != 0 {
        return None;
    }
    let (extend, prefix, last) = (
        |bit: u8, by: usize| if first & bit == 0 { by } else { 0 },
        second & 3,
        usize::from(!second >> 3 & 15),
    );
    let (mode, reg, rm) = (operands >> 6, usize::from(operands >> 3 & 7), usize::from(operands & 7));
    // The address, the distance of rows, and the bytes of the instruction.
    let memory = || {
        let mut length = 5;
        let (mut base, mut index) = (rm + extend(0x20, 8), None);
        if rm == 4 {
            // SAFETY: the byte belongs to the instruction.
            let sib = unsafe { code.add(5).read() };
            assert_eq!(sib >> 6, 0, "an index is counted once");
            (base, index) = (
                usize::from(sib & 7) + extend(0x20, 8),
                Some(usize::from(sib >> 3 & 7) + extend(0x40, 8)),
            );
            length += 1;
        }
        let offset = match mode {
            0 if base & 7 != 5 => 0,
            // SAFETY: as above.
            1 => unsafe { code.add(length).cast::<i8>().read() }.into(),
            // SAFETY: as above.
            _ => unsafe { code.add(length).cast::<i32>().read_unaligned() },
        };
        length += [0, 1, 4][usize::from(mode)];
        let address = register(base).wrapping_add_signed(offset as isize);
        (address as *mut u8, index.map_or(0, register), length)
    };
    STATE.with_borrow_mut(|state| {
        // SAFETY: as the program would read and write there itself.
        unsafe {
            match (prefix, operation, mode) {
                (0, 0x49, 3) => state.shapes = [(0, 0); 8],
                (0, 0x49, _) => {
                    let (from, _, length) = memory();
                    let config = from.cast::<[u8; 64]>().read_unaligned();
                    assert_eq!(config[..16], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    let bytes = |tile: usize| u16::from_le_bytes([config[16 + 2 * tile], config[17 + 2 * tile]]).into();
                    state.shapes = std::array::from_fn(|tile| (config[48 + tile].into(), bytes(tile)));
                    assert!(config[32..48].iter().chain(&config[56..]).all(|byte| *byte == 0));
                    state.tiles = [[[0; ROW]; ROWS]; 8];
                    return Some(length);
                }
                (3, 0x49, 3) => state.tiles[reg] = [[0; ROW]; ROWS],
                (2, 0x5c, 3) => state.multiply(reg, rm, last),
                (2 | 3, 0x4b, 0..3) => {
                    let ((rows, bytes), (at, distance, length)) = (state.shapes[reg], memory());
                    for row in 0..rows {
                        let (memory, tile) = (at.add(row * distance), state.tiles[reg][row].as_mut_ptr());
                        let (from, to) = if prefix == 3 { (memory, tile) } else { (tile, memory) };
                        std::ptr::copy_nonoverlapping(from, to, bytes);
                    }
                    return Some(length);
                }
                _ => return None,
            }
        }
        Some(5)
    })
}

extern "C" fn illegal(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    /// The place of each register in the context, in the order of the instructions' numbers.
    const PLACES: [libc::c_int; 16] = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    // SAFETY: the system gives a handler the registers of the thread that stopped, at an instruction.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize];
        let register = |number: usize| registers[PLACES[number] as usize] as usize;
        match step(at as *const u8, &register) {
            Some(length) => registers[libc::REG_RIP as usize] = at + length as i64,
            None => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}

/// AMX, native or emulated by the handler; `None` without AVX512_BF16.
fn amx() -> Option<Instructions> {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: the handler changes nothing but this module's state and the registers it is given.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = illegal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0);
        }
    });
    Instructions::amx()
}

/// A product's sizes and its reach; `left` is zero outside the reach.
fn reaches(rows: usize) -> impl Strategy<Value = Reach> {
    prop_oneof![
        3 => Just(Reach::Full),
        1 => (0..rows + 4).prop_map(|start| Reach::Before { start }),
        1 => Just(Reach::Below),
        1 => (0..rows + 4).prop_map(|start| Reach::Columns { start }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn products_on_tiles_are_sums_of_products_of_bf16(
        (rows, reach) in (1..70usize).prop_flat_map(|rows| (Just(rows), reaches(rows))),
        columns in 1..100usize, inner in prop_oneof![1..130usize, 760..800usize], transposed: bool, add: bool, seed: u64,
    ) {
        let Some(set) = amx() else { return Ok(()) };
        let mut stream = Stream::new(seed, "tiles");
        let (stride, row) = (columns + 3, if transposed { 1 } else { inner });
        let mut left = Numbers::new(&mut stream, rows * inner).get().to_vec();
        let step = if transposed { rows } else { 1 };
        for (i, k) in (0..rows).flat_map(|i| (0..inner).map(move |k| (i, k))) {
            let is_zero = match reach {
                Reach::Before { start } => k > start + i,
                Reach::Below => k < i,
                Reach::Full | Reach::Columns { .. } => false,
            };
            if is_zero {
                left[i * row + k * step] = 0.0;
            }
        }
        let right = Numbers::new(&mut stream, inner * columns);
        let mut panels = vec![Bf16Pair::default(); size::<Bf16Pair>(inner, columns)];
        pack(plain(), right.get(), columns, inner, columns, &mut panels);
        let pairs = inner.div_ceil(2);
        let mut operand = vec![Bf16Pair::default(); rows * pairs];
        let taken = if transposed {
            left_columns(plain(), &left, rows, inner, rows, &mut operand);
            LeftMatrix { data: &operand, row: 1, step: rows }
        } else {
            left_rows(plain(), &left, inner, inner, &mut operand);
            LeftMatrix { data: &operand, row: pairs, step: 1 }
        };
        let product = Product { rows, columns, inner, left: taken, right: &panels, reach, add, stride };
        let before = Numbers::new(&mut stream, rows * stride);
        let mut out = before.get()[..rows * stride].to_vec();
        multiply(set, product, &mut out[..(rows - 1) * stride + columns]);
        for (i, j) in (0..rows).flat_map(|i| (0..stride).map(move |j| (i, j))) {
            let start = before.get()[i * stride + j];
            let found = out[i * stride + j];
            if j >= columns {
                prop_assert!(found == start, "written beyond the columns at {i}, {j}");
                continue;
            }
            if matches!(reach, Reach::Columns { start } if j > start + i) {
                continue;
            }
            let sum: f64 = (0..inner).map(|k| rounded(left[i * row + k * step]) * rounded(right.get()[k * columns + j])).sum();
            let expected = sum + if add { f64::from(start) } else { 0.0 };
            prop_assert!((f64::from(found) - expected).abs() < 1e-3, "{i}, {j}: {found}, not {expected}");
        }
        // A row is the same bits by itself.
        if reach == Reach::Full {
            let alone = LeftMatrix { data: &operand[(rows - 1) * taken.row..], ..taken };
            let mut last = before.get()[(rows - 1) * stride..][..columns].to_vec();
            multiply(set, Product { rows: 1, left: alone, ..product }, &mut last);
            prop_assert_eq!(&last[..], &out[(rows - 1) * stride..][..columns]);
        }
    }
}
