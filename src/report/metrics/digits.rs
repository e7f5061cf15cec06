//! How many digits of a number are shown.
//!
//! Two digits of a deviation, and the mean down to the same place; without a deviation, up to four digits. Numbers of one column have the
//! same decimals, unless that would hide most digits of some of them.

use super::ROUNDING;

/// Digits of a number without a deviation.
const DIGITS: i32 = 4;
/// Digits of a deviation.
const SPREAD_DIGITS: i32 = 2;
/// More decimals than this are written with a power of ten, as are numbers with more digits before the point.
const MAX_DECIMALS: i32 = 7;
/// Digits that a number may lose for the sake of its column.
const MAX_LOST: usize = 2;

/// A number to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShownNumber {
    pub value: f64,
    /// What its digits follow: a deviation, or half of an interval.
    pub spread: Option<f64>,
}

/// The form of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberFormat {
    /// With this many decimals.
    Fixed(usize),
    /// With a power of ten.
    Scientific,
}

/// The form of the numbers of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnFormat {
    /// All have these decimals.
    Same(usize),
    /// Each number has the form that fits it alone.
    Own,
}

impl ColumnFormat {
    /// The form of a column of finite numbers; `digits` are the decimals that are asked for.
    pub fn of(numbers: &[ShownNumber], digits: Option<usize>) -> Self {
        if let Some(digits) = digits {
            return Self::Same(digits);
        }
        let mut own: Vec<usize> = Vec::new();
        for number in numbers {
            match number.format() {
                NumberFormat::Fixed(decimals) => own.push(decimals),
                NumberFormat::Scientific => return Self::Own,
            }
        }
        let mut spread: Vec<usize> = numbers
            .iter()
            .zip(&own)
            .filter(|(number, _)| number.real_spread().is_some())
            .map(|(_, decimals)| *decimals)
            .collect();
        spread.sort_unstable();
        let same = match spread.get(spread.len() / 2) {
            Some(middle) => *middle,
            None => {
                let largest = numbers.iter().map(|number| number.value.abs()).fold(0.0, f64::max);
                let most = own.iter().copied().max().unwrap_or(0);
                most.min(usize::try_from(DIGITS - 1 - exponent(largest, DIGITS)).unwrap_or(0))
            }
        };
        let is_lost = |(number, own): (&ShownNumber, &usize)| number.value != 0.0 && *own > same + MAX_LOST;
        if numbers.iter().zip(&own).any(is_lost) {
            Self::Own
        } else {
            Self::Same(same)
        }
    }

    /// The form of one of the numbers.
    pub fn for_number(self, number: ShownNumber) -> NumberFormat {
        match self {
            Self::Same(decimals) => NumberFormat::Fixed(decimals),
            Self::Own => number.format(),
        }
    }
}

impl ShownNumber {
    /// The spread, but for one that comes from rounding alone.
    fn real_spread(&self) -> Option<f64> {
        self.spread.filter(|spread| *spread > ROUNDING * self.value.abs())
    }

    /// The form that fits this number alone.
    fn format(&self) -> NumberFormat {
        let value = self.value;
        let is_large = exponent(value, DIGITS) >= MAX_DECIMALS;
        if let Some(spread) = self.real_spread() {
            if !spread.is_finite() {
                return NumberFormat::Scientific;
            }
            let decimals = SPREAD_DIGITS - 1 - exponent(spread, SPREAD_DIGITS);
            return match usize::try_from(decimals) {
                _ if decimals > MAX_DECIMALS || (decimals < 0 && is_large) => NumberFormat::Scientific,
                Ok(decimals) => NumberFormat::Fixed(decimals),
                Err(_) => NumberFormat::Fixed(0),
            };
        }
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return NumberFormat::Fixed(0);
        }
        let decimals = DIGITS - 1 - exponent(value, DIGITS);
        if decimals > MAX_DECIMALS || is_large {
            return NumberFormat::Scientific;
        }
        let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
        let without_zeros = text.split_once('.').map_or("", |(_, decimals)| decimals.trim_end_matches('0'));
        NumberFormat::Fixed(without_zeros.len())
    }
}

impl NumberFormat {
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Fixed(decimals) => without_sign_of_zero(format!("{value:.decimals$}")),
            Self::Scientific if value == 0.0 => "0".to_owned(),
            Self::Scientific => format!("{value:.3e}"),
        }
    }

    /// A deviation, which needs fewer digits.
    pub fn spread_text(self, spread: f64) -> String {
        match self {
            Self::Scientific if spread != 0.0 => format!("{spread:.1e}"),
            format => format.text(spread),
        }
    }
}

fn without_sign_of_zero(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        _ => text,
    }
}

/// The power of ten of the first digit, of a number that is rounded to so many digits; 0 for 0.
fn exponent(number: f64, digits: i32) -> i32 {
    let places = usize::try_from(digits - 1).unwrap_or(0);
    let text = format!("{number:.places$e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(numbers: &[(f64, f64)], digits: Option<usize>) -> Vec<String> {
        let numbers: Vec<ShownNumber> = numbers
            .iter()
            .map(|(value, spread)| ShownNumber {
                value: *value,
                spread: (*spread >= 0.0).then_some(*spread),
            })
            .collect();
        let format = ColumnFormat::of(&numbers, digits);
        let text = |number: &ShownNumber| {
            let format = format.for_number(*number);
            let spread = number
                .spread
                .map_or_else(String::new, |spread| format!(" ± {}", format.spread_text(spread)));
            format.text(number.value) + &spread
        };
        numbers.iter().map(text).collect()
    }

    #[test]
    fn a_deviation_has_two_digits_and_a_column_one_form() {
        assert_eq!(
            column(&[(0.812_34, 0.0123), (0.79, 0.0216), (0.5, 0.1)], None),
            ["0.812 ± 0.012", "0.790 ± 0.022", "0.500 ± 0.100"]
        );
        assert_eq!(column(&[(123.4, 12.0), (99.0, 25.0)], None), ["123 ± 12", "99 ± 25"]);
        assert_eq!(column(&[(123.4, 120.0)], None), ["123 ± 120"]);
        assert_eq!(column(&[(0.5, 0.0), (0.5, 1e-17)], None), ["0.5 ± 0.0", "0.5 ± 0.0"]);
        assert_eq!(column(&[(0.5, 0.009_999_999)], None), ["0.500 ± 0.010"]);
        assert_eq!(column(&[(2e300, 1e300)], None), ["2.000e300 ± 1.0e300"]);
        assert_eq!(column(&[(2e300, f64::INFINITY)], None), ["2.000e300 ± inf"]);
    }

    #[test]
    fn without_deviation_there_are_up_to_four_digits() {
        assert_eq!(column(&[(0.812_345, -1.0), (0.5, -1.0)], None), ["0.8123", "0.5000"]);
        assert_eq!(column(&[(12.345_6, -1.0), (0.812_3, -1.0)], None), ["12.35", "0.81"]);
        assert_eq!(column(&[(1024.0, -1.0), (16.0, -1.0)], None), ["1024", "16"]);
        assert_eq!(column(&[(-0.0, -1.0)], None), ["0"]);
        assert_eq!(column(&[(0.000_012, -1.0), (1.5, -1.0)], None), ["1.200e-5", "1.5"]);
        assert_eq!(column(&[(123_456_789.0, -1.0)], None), ["123456789"]);
    }

    #[test]
    fn digits_go_before_all_this() {
        assert_eq!(column(&[(0.812_34, 0.0123), (2.0, -1.0)], Some(1)), ["0.8 ± 0.0", "2.0"]);
        assert_eq!(column(&[(-0.000_1, -1.0)], Some(2)), ["0.00"]);
    }
}
