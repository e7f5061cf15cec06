//! Numbers compared as numbers: `$1,080.00` is `1080`, and `711` is not `11`.

use super::spec::MetricSpec;
use crate::scoring::ratio::Ratio;
use crate::task::Amount;

/// When two numbers are equal.
#[derive(Debug)]
pub(super) struct NumberRule {
    tolerance: Option<Tolerance>,
    relative: Option<Tolerance>,
    percent: bool,
}

/// A tolerance, exact as it is written and as a float.
#[derive(Debug)]
struct Tolerance {
    exact: Option<Ratio>,
    float: f64,
}

impl Tolerance {
    fn new(float: f64) -> Self {
        let exact = Amount::of_json(&float.to_string()).and_then(|amount| Ratio::of(&amount));
        Self { exact, float }
    }

    /// Whether the difference of two numbers is at most this, times `scale`.
    fn holds(&self, answer: &Amount, right: &Amount, scale: &Amount) -> bool {
        let exact = || {
            let (answer, right) = (Ratio::of(answer)?, Ratio::of(right)?);
            let limit = self.exact?.times(Ratio::of(scale)?.absolute())?;
            answer.plus(right.negative())?.absolute().at_most(limit)
        };
        exact().unwrap_or_else(|| (float(answer) - float(right)).abs() <= self.float * float(scale).abs())
    }
}

impl NumberRule {
    pub(super) fn new(spec: &MetricSpec) -> Self {
        Self {
            tolerance: spec.tolerance.map(Tolerance::new),
            relative: spec.relative_tolerance.map(Tolerance::new),
            percent: spec.percent,
        }
    }

    /// Whether an answer is the number `right`, in digits or words, with any unit; `None` if `right` is no number.
    pub(super) fn is_right(&self, answer: &str, right: &str) -> Option<bool> {
        let right = self.read(right)?;
        let Some(answer) = self.read(answer) else { return Some(false) };
        let one = Amount::of_json("1")?;
        let within = |tolerance: &Option<Tolerance>, scale: &Amount| {
            tolerance.as_ref().is_some_and(|tolerance| tolerance.holds(&answer, &right, scale))
        };
        Some(answer == right || within(&self.tolerance, &one) || within(&self.relative, &right))
    }

    fn read(&self, text: &str) -> Option<Amount> {
        let plain = text.replace("\\%", "%").replace("{,}", ",");
        let amount = Amount::parse(plain.trim().trim_end_matches('.'))?;
        let lower = plain.to_lowercase();
        let is_percent = ["%", "percent", "per cent"].iter().any(|sign| lower.contains(sign));
        Some(if self.percent && is_percent { amount.hundredth() } else { amount })
    }
}

fn float(amount: &Amount) -> f64 {
    let (negative, digits, exponent, denominator) = amount.parts();
    let digits = if digits.is_empty() { "0" } else { digits };
    let value = format!("{digits}e{exponent}").parse::<f64>().unwrap_or(f64::NAN) / denominator as f64;
    if negative { -value } else { value }
}
