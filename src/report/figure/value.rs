//! The value of a point, as text.

use super::{Divergence, FigurePoint, Spread};
use crate::table::{NO_NUMBER, TableCell};

/// A cell with the value of a point, which opens its stages.
pub(super) fn point_cell(point: &FigurePoint, unit: &str) -> TableCell {
    let unit = if point.y.is_finite() { unit } else { "" };
    TableCell::linked(format!("{}{unit}", value_text(point)), point.nodes.iter().copied())
}

/// `98.6 ± 0.1`, with the decimals of the greater of both; `0.012 ×÷ 1.3`; `– (1 of 3 diverged)`
pub(super) fn value_text(point: &FigurePoint) -> String {
    if let Some(Divergence { count, of, .. }) = point.diverged {
        return format!("{NO_NUMBER} ({count} of {of} diverged)");
    }
    match point.spread {
        Some(Spread::Deviation(deviation)) => {
            let decimals = decimals(point.y.abs().max(deviation));
            format!("{:.decimals$} ± {deviation:.decimals$}", point.y)
        }
        Some(Spread::Factor(factor)) => format!("{} ×÷ {}", number(point.y), number(factor)),
        None => number(point.y),
    }
}

/// The number of decimals for three digits.
fn decimals(number: f64) -> usize {
    match number.abs() {
        0.0 => 0,
        ..0.1 => 4,
        ..10.0 => 2,
        ..1000.0 => 1,
        _ => 0,
    }
}

/// The number with about three digits and no zeros at the end; tiny numbers have two digits and an exponent.
pub(super) fn number(number: f64) -> String {
    if number != 0.0 && number.abs() < 1e-4 {
        return format!("{number:.1e}");
    }
    let decimals = decimals(number);
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::bare;
    use super::*;

    #[test]
    fn numbers_have_as_many_figures_as_help() {
        assert_eq!(
            [0.0, 0.01234, 2.5, 98.64, 1234.5].map(number),
            ["0", "0.0123", "2.5", "98.6", "1234"]
        );
        let with = |y, deviation| {
            let spread = Some(Spread::Deviation(deviation));
            value_text(&FigurePoint { spread, ..bare(0.0, y) })
        };
        assert_eq!(with(99.96, 0.03), "100.0 ± 0.0");
        assert_eq!(with(7104.2, 3.5), "7104 ± 4");
        assert_eq!(with(0.0, 0.0), "0 ± 0");
        assert_eq!(with(1.4756, 0.0041), "1.48 ± 0.00");
        let diverged = FigurePoint {
            diverged: Some(Divergence { count: 1, of: 3, at: 0.5 }),
            ..bare(0.0, f64::NAN)
        };
        assert_eq!(value_text(&diverged), "– (1 of 3 diverged)");
        assert_eq!(point_cell(&diverged, " %").text, "– (1 of 3 diverged)");
    }
}
