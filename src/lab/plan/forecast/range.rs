//! What may be expected of a number: a likely value, and the range that holds four of five.

/// A likely value and the range that should hold four outcomes of five.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    pub low: f64,
    pub likely: f64,
    pub high: f64,
}

/// The spread of the same stage run twice on one machine, as a standard deviation of the logarithm: other programs take time as well.
const LEAST_SPREAD: f64 = 0.12;

/// The distance below which records count alike.
const NEAR: f64 = 0.05;

/// The standard deviations on either side that hold four of five.
const FOUR_OF_FIVE: f64 = 1.2816;

impl Range {
    /// A number that is known.
    pub fn known(value: f64) -> Self {
        Self {
            low: value,
            likely: value,
            high: value,
        }
    }

    /// The sum with a number that is known.
    #[must_use]
    pub fn plus(self, known: f64) -> Self {
        self.map(|value| value + known)
    }

    /// The sum of two numbers that err alike: one sort of stage that takes longer than thought does so each time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    /// Each of the three values, changed.
    #[must_use]
    pub fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            low: change(self.low),
            likely: change(self.likely),
            high: change(self.high),
        }
    }

    /// The three values of both, joined.
    #[must_use]
    pub fn with(self, other: Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            low: join(self.low, other.low),
            likely: join(self.likely, other.likely),
            high: join(self.high, other.high),
        }
    }

    /// Whether a value lies within.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The range around values that each come from something at a distance: the error to expect of it alone, as a standard deviation of the
/// logarithm. `None` where there are none.
pub(super) fn weighted(values: impl Iterator<Item = (f64, f64)>) -> Option<Range> {
    let values: Vec<(f64, f64)> = values
        .filter(|(distance, value)| distance.is_finite() && *value > 0.0 && value.is_finite())
        .map(|(distance, value)| (distance, value.ln()))
        .collect();
    let nearest = values.iter().map(|(distance, _)| *distance).reduce(f64::min)?;
    // The fourth power, not the second: what is far errs in the same way each time, so many of it say no more than one.
    let weight = |distance: f64| (distance * distance + NEAR * NEAR).powi(-2);
    let sum: f64 = values.iter().map(|(distance, _)| weight(*distance)).sum();
    let mean = values.iter().map(|(distance, value)| weight(*distance) * value).sum::<f64>() / sum;
    let squares = values.iter().map(|(distance, value)| weight(*distance) * (value - mean).powi(2));
    let variance = squares.sum::<f64>() / sum;
    let spread = (variance + nearest * nearest + LEAST_SPREAD * LEAST_SPREAD).sqrt();
    let factor = (FOUR_OF_FIVE * spread).exp();
    let likely = mean.exp();
    Some(Range {
        low: likely / factor,
        likely,
        high: likely * factor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_equal_record_gives_its_value_and_the_least_range() {
        let range = weighted([(0.0, 10.0)].into_iter()).unwrap();
        assert!((range.likely - 10.0).abs() < 1e-9 && range.high / range.low < 1.4, "{range:?}");
        assert_eq!(weighted(std::iter::empty()), None);
    }

    #[test]
    fn a_near_record_outweighs_many_that_are_far() {
        let far = (0..200).map(|_| (0.5, 100.0));
        let range = weighted(far.chain([(0.0, 10.0)])).unwrap();
        assert!(range.likely < 11.0, "{range:?}");
    }

    #[test]
    fn the_range_widens_with_the_distance_and_with_the_disagreement() {
        let width = |values: &[(f64, f64)]| {
            let range = weighted(values.iter().copied()).unwrap();
            range.high / range.low
        };
        assert!(width(&[(0.4, 10.0)]) > 1.5 * width(&[(0.0, 10.0)]));
        assert!(width(&[(0.0, 5.0), (0.0, 20.0)]) > 2.0 * width(&[(0.0, 10.0), (0.0, 10.0)]));
    }

    #[test]
    fn what_is_no_number_says_nothing() {
        assert_eq!(weighted([(0.0, f64::NAN), (f64::INFINITY, 1.0), (0.0, 0.0)].into_iter()), None);
    }
}
