//! The left operands of products: floats in place, or converted to the engine's number format.

use super::buffer::grow;
use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::panels::{left_columns, left_rows};
use super::kernel::product::LeftMatrix;
use super::rows::RowView;

/// The rows `x` as a left operand; `converted` holds them if they need conversion, and only grows.
pub fn by_rows<'a, T: Element>(cpu: Instructions, x: RowView<'a>, converted: &'a mut Vec<T>) -> LeftMatrix<'a, T> {
    if let Some(data) = T::view(x.data) {
        return LeftMatrix {
            data,
            row: x.stride,
            step: 1,
        };
    }
    let row = x.width.div_ceil(T::STEPS);
    grow(converted, x.count * row);
    left_rows(cpu, x.data, x.stride, x.width, &mut converted[..x.count * row]);
    LeftMatrix {
        data: converted,
        row,
        step: 1,
    }
}

/// Converts the transpose of `x`, for [`by_columns`]. Does nothing if floats need no conversion.
pub fn keep_columns<T: Element>(cpu: Instructions, x: RowView<'_>, converted: &mut Vec<T>) {
    if T::view(x.data).is_none() {
        grow(converted, x.width * x.count.div_ceil(T::STEPS));
        left_columns(cpu, x.data, x.stride, x.count, x.width, converted);
    }
}

/// The transpose of `x` as a left operand, from its row `first` on. `x` has `width` columns and rows `stride` apart; `converted` is the
/// result of [`keep_columns`].
pub fn by_columns<'a, T: Element>(x: &'a [f32], stride: usize, width: usize, first: usize, converted: &'a [T]) -> LeftMatrix<'a, T> {
    let (data, step) = match T::view(x) {
        Some(data) => (data, stride),
        None => (converted, width),
    };
    LeftMatrix {
        data: &data[first..],
        row: 1,
        step,
    }
}
