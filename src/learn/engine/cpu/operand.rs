//! The left operands of products: floats where they lie, or their conversion to the numbers that the engine computes in.

use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::panels::{left_columns, left_rows};
use super::kernel::product::LeftMatrix;
use super::micro_batch::fit;

/// `x` [rows, inner] with rows `stride` apart; `room` is for the conversion and only grows.
pub fn by_rows<'a, T: Element>(
    cpu: Instructions,
    x: &'a [f32],
    stride: usize,
    (rows, inner): (usize, usize),
    room: &'a mut Vec<T>,
) -> LeftMatrix<'a, T> {
    if let Some(data) = T::view(x) {
        return LeftMatrix {
            data,
            row: stride,
            step: 1,
        };
    }
    let row = inner.div_ceil(T::STEPS);
    grow(room, rows * row);
    left_rows(cpu, x, stride, inner, &mut room[..rows * row]);
    LeftMatrix { data: room, row, step: 1 }
}

/// Converts the transpose of `x` [inner, rows] with rows `stride` apart, for [`by_columns`]; nothing to do where floats need none.
pub fn keep_columns<T: Element>(cpu: Instructions, x: &[f32], stride: usize, (rows, inner): (usize, usize), room: &mut Vec<T>) {
    if T::view(x).is_none() {
        grow(room, rows * inner.div_ceil(T::STEPS));
        left_columns(cpu, x, stride, inner, rows, room);
    }
}

/// The transpose of `x`, as [`keep_columns`] was given it, from row `first` on.
pub fn by_columns<'a, T: Element>(x: &'a [f32], stride: usize, rows: usize, first: usize, room: &'a [T]) -> LeftMatrix<'a, T> {
    let (data, step) = match T::view(x) {
        Some(data) => (data, stride),
        None => (room, rows),
    };
    LeftMatrix {
        data: &data[first..],
        row: 1,
        step,
    }
}

/// Gives a buffer at least this length.
pub fn grow<N: Copy + Default>(room: &mut Vec<N>, length: usize) {
    if room.len() < length {
        fit(room, length);
    }
}
