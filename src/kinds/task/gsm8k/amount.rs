//! Numbers as people write them: `$1,080.00`, `18 eggs`, `-3.5%`, `$1.5 million`, `1.8e7`, `5 1/2`, `½`, `5 dozen`, `eighteen`.

use super::digits;
use super::spoken;
use super::words::{self, Scale};

/// An exact number: two notations of the same number are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    negative: bool,
    /// Without zeros at its ends; empty for zero.
    digits: String,
    /// The number is `digits` · 10^`exponent` / `denominator`.
    exponent: i64,
    /// Has no factor in common with 10 and with `digits`.
    denominator: u64,
}

/// The most words that multiply a number: `2 hundred thousand`.
const MAX_SCALES: usize = 3;
/// The most zeros that a plain number is written with.
const MAX_ZEROS: u64 = 400;

impl Amount {
    /// Reads a number with, before it, a sign and a currency, and after it, a word that multiplies it (`thousand`, `k`, `dozen`), a
    /// fraction (`1/2`, `½`, `and a half`) and a unit. `None` if the text has a second number, in digits or in words, or calculates
    /// with the number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.contains(words::is_full_width) {
            return Self::parse(&words::half_width(text));
        }
        let (amount, mut rest) = Self::beginning(text)?;
        let before = text.split(char::is_alphanumeric).next().unwrap_or_default();
        if words::has_stray_mark(before, rest) {
            return None;
        }
        // The same number once more, as in `18 (eighteen)`.
        if let Some((inner, after)) = words::bracketed(rest)
            && let Some((again, unit)) = Self::beginning(inner)
            && again == amount
            && words::is_unit(unit)
        {
            rest = after;
        }
        words::is_unit(rest).then_some(amount)
    }

    /// The number that `text` begins with, after marks, a sign and a currency, and what follows it.
    pub(crate) fn beginning(text: &str) -> Option<(Self, &str)> {
        let (negative, with_currency, text) = words::start(text);
        let (mut amount, rest) = Self::unsigned(text)?;
        let rest = amount.scale(rest, with_currency);
        amount.negative = negative && !amount.digits.is_empty();
        Some((amount, rest))
    }

    /// The number that `text` is in JSON.
    pub(crate) fn of_json(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
        let exponent = exponent.checked_sub(decimals.len() as i64)?;
        let mut amount = Self::new(format!("{whole}{decimals}"), exponent, 1)?;
        amount.negative = negative && !amount.digits.is_empty();
        Some(amount)
    }

    /// Whether the number ends where `rest` begins: not `18x`, `18th` or `18²`.
    pub(crate) fn ends_before(rest: &str) -> bool {
        words::is_end(rest)
    }

    /// The number as `digits` · 10^`exponent` / `denominator`, without its sign. There are no digits for zero.
    pub(crate) fn parts(&self) -> (bool, &str, i64, u64) {
        (self.negative, &self.digits, self.exponent, self.denominator)
    }

    /// A hundredth of the number: what a percentage is.
    pub(crate) fn hundredth(self) -> Self {
        match self.digits.is_empty() {
            true => self,
            false => Self {
                exponent: self.exponent.saturating_sub(2),
                ..self
            },
        }
    }

    /// The number in plain digits: `1080.5`, `-3`, `1/3`; very large and very small ones as `12e300`.
    pub(crate) fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let (digits, denominator) = (self.digits.as_str(), self.denominator);
        let zeros = |count: u64| "0".repeat(count as usize);
        let size = self.exponent.unsigned_abs();
        match (self.exponent, denominator) {
            _ if digits.is_empty() => "0".to_owned(),
            _ if size > MAX_ZEROS => match denominator {
                1 => format!("{sign}{digits}e{}", self.exponent),
                denominator => format!("{sign}{digits}e{}/{denominator}", self.exponent),
            },
            (0.., 1) => format!("{sign}{digits}{}", zeros(size)),
            (0.., denominator) => format!("{sign}{digits}{}/{denominator}", zeros(size)),
            (_, 1) => {
                let padded = format!("{}{digits}", zeros((size + 1).saturating_sub(digits.len() as u64)));
                let (whole, decimals) = padded.split_at(padded.len() - size as usize);
                format!("{sign}{whole}.{decimals}")
            }
            (_, denominator) => format!("{sign}{digits}/{denominator}{}", zeros(size)),
        }
    }

    /// `None` where the exponent has more than 64 bits.
    fn new(digits: String, exponent: i64, denominator: u64) -> Option<Self> {
        let (mut digits, mut exponent, mut denominator) = (digits, exponent, denominator);
        let common = digits::greatest_common_divisor(digits::remainder(&digits, denominator), denominator);
        digits = digits::quotient(&digits, common);
        denominator /= common;
        // A factor of 10 in the denominator is a decimal more.
        for (factor, other) in [(10, 1), (2, 5), (5, 2)] {
            while denominator.is_multiple_of(factor) {
                denominator /= factor;
                digits = digits::times_plus(&digits, other, 0);
                exponent = exponent.checked_sub(1)?;
            }
        }
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            (exponent, denominator) = (0, 1);
        } else {
            let zeros = digits.len() - digits.trim_end_matches('0').len();
            exponent = exponent.checked_add(zeros as i64)?;
        }
        Some(Self {
            negative: false,
            digits: significant.to_owned(),
            exponent,
            denominator,
        })
    }

    /// The number that `text` begins with, and what follows it. A full stop or a comma that ends the number is left to what follows.
    fn unsigned(text: &str) -> Option<(Self, &str)> {
        if let Some((numerator, denominator, rest)) = words::fraction_sign(text) {
            return Some((Self::new(numerator.to_string(), 0, denominator)?, rest));
        }
        if let Some(rest) = words::half(text) {
            return Some((Self::new("1".to_owned(), 0, 2)?, rest));
        }
        if let Some((numerator, denominator, rest)) = words::latex_fraction(text) {
            return Some((Self::new(numerator, 0, denominator)?, rest));
        }
        if let Some((number, rest)) = spoken::number(text) {
            if let Some(rest) = words::quarters(number, rest) {
                return Some((Self::new(number.to_string(), 0, 4)?, rest));
            }
            return Self::with_fraction(&number.to_string(), rest);
        }
        if let Some((number, rest)) = digits::spaced(text) {
            let (decimals, rest) = decimals(rest);
            return Some((Self::decimal(&number, decimals, 0)?, rest));
        }
        let end = text.find(|c: char| !(c.is_ascii_digit() || ",.".contains(c))).unwrap_or(text.len());
        let written = text.get(..end)?.trim_end_matches(['.', ',']);
        let rest = text.get(written.len()..)?;
        let (whole, decimals) = written.split_once('.').unwrap_or((written, ""));
        if decimals.contains(['.', ',']) || !digits::is_grouped(whole) || written.is_empty() {
            return None;
        }
        let is_whole = whole.len() == written.len();
        let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
        if let Some((exponent, rest)) = digits::exponent(rest) {
            return Some((Self::decimal(&whole, decimals, exponent)?, rest));
        }
        if is_whole {
            return Self::with_fraction(&whole, rest);
        }
        Some((Self::decimal(&whole, decimals, 0)?, rest))
    }

    /// The number of the digits `whole` and a fraction that `rest` may begin with, and what follows.
    fn with_fraction<'t>(whole: &str, rest: &'t str) -> Option<(Self, &'t str)> {
        match words::fraction(whole, rest) {
            Some((numerator, denominator, rest)) => Some((Self::new(numerator, 0, denominator)?, rest)),
            None => Some((Self::decimal(whole, "", 0)?, rest)),
        }
    }

    fn decimal(whole: &str, decimals: &str, exponent: i64) -> Option<Self> {
        Self::new(format!("{whole}{decimals}"), exponent - decimals.len() as i64, 1)
    }

    /// Multiplies the number by the words that `rest` begins with, and returns what follows them.
    fn scale<'t>(&mut self, rest: &'t str, with_currency: bool) -> &'t str {
        let mut rest = rest;
        for _ in 0..MAX_SCALES {
            let Some((scale, after)) = words::scale(rest, with_currency) else {
                break;
            };
            let scaled = match scale {
                Scale::Zeros(zeros) => Self::new(self.digits.clone(), self.exponent + zeros, self.denominator),
                Scale::Times(factor) => Self::new(digits::times_plus(&self.digits, factor, 0), self.exponent, self.denominator),
            };
            let Some(scaled) = scaled else { break };
            *self = scaled;
            rest = after;
        }
        rest
    }
}

/// The decimals that `text` begins with, and what follows them.
fn decimals(text: &str) -> (&str, &str) {
    let digits = text.strip_prefix('.').unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    match digits.split_at_checked(end) {
        Some((decimals, rest)) if !decimals.is_empty() => (decimals, rest),
        _ => ("", text),
    }
}
