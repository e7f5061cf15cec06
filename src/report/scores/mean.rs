//! Mean and standard deviation.

/// The mean and standard deviation of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub mean: f64,
    /// The sample standard deviation (divided by `count` − 1); `None` for a single number.
    pub deviation: Option<f64>,
    pub count: usize,
}

impl Mean {
    /// The mean of `numbers`; `None` without numbers, and if one is NaN or infinite: a run that diverged has no mean with others.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len();
        let first = *numbers.first()?;
        if !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        // A sum of equal numbers is rounded, and would deviate from them.
        let are_equal = numbers.iter().all(|number| number.total_cmp(&first).is_eq());
        let (mean, deviation) = if are_equal { (first, 0.0) } else { moments(numbers) };
        let deviation = (count > 1).then_some(deviation);
        Some(Self { mean, deviation, count })
    }

    /// `99.80 ± 0.12` with two decimals, or `99.80` for a single number; both parts times `scale`.
    pub fn format(&self, scale: f64, decimals: usize) -> String {
        let mean = format!("{:.decimals$}", self.mean * scale);
        match self.deviation {
            Some(deviation) => format!("{mean} ± {:.decimals$}", deviation * scale),
            None => mean,
        }
    }
}

/// The mean and the sample standard deviation of two or more numbers.
fn moments(numbers: &[f64]) -> (f64, f64) {
    let in_units_of = |unit: f64| {
        let count = numbers.len();
        let mean = numbers.iter().map(|number| number / unit).sum::<f64>() / count as f64;
        let squares: f64 = numbers.iter().map(|number| (number / unit - mean).powi(2)).sum();
        (mean * unit, (squares / (count - 1) as f64).sqrt() * unit)
    };
    let (mean, deviation) = in_units_of(1.0);
    if mean.is_finite() && deviation.is_finite() {
        return (mean, deviation);
    }
    // Sums or squares of numbers from about 1e154 on are beyond the largest one.
    in_units_of(numbers.iter().map(|number| number.abs()).fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        // python3 -c 'import statistics as s; x = [2, 4, 4, 5]; print(s.mean(x), s.stdev(x))'
        let mean = Mean::of(&[2.0, 4.0, 4.0, 5.0]).unwrap();
        assert_eq!(mean.mean, 3.75);
        assert!((mean.deviation.unwrap() - 1.258_305_739_211_791_6).abs() < 1e-15);
        assert_eq!(mean.format(1.0, 2), "3.75 ± 1.26");
    }

    #[test]
    fn equal_numbers_do_not_deviate_and_large_ones_have_a_mean() {
        assert_eq!(
            Mean::of(&[0.1, 0.1, 0.1]).map(|mean| (mean.mean, mean.deviation)),
            Some((0.1, Some(0.0)))
        );
        assert_eq!(Mean::of(&[1e308, 1e308, 1e308]).map(|mean| mean.mean), Some(1e308));
        let mean = Mean::of(&[1e300, 2e300, 3e300]).unwrap();
        assert!((mean.mean / 2e300 - 1.0).abs() < 1e-12, "{mean:?}");
        assert!((mean.deviation.unwrap() / 1e300 - 1.0).abs() < 1e-12, "{mean:?}");
    }

    #[test]
    fn one_number_has_no_deviation_and_none_no_mean() {
        assert_eq!(Mean::of(&[0.998]).unwrap().format(100.0, 1), "99.8");
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[1.0, f64::NAN]), None);
        assert_eq!(Mean::of(&[f64::INFINITY]), None);
    }
}
