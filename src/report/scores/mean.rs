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
        if count == 0 || !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
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
    fn one_number_has_no_deviation_and_none_no_mean() {
        assert_eq!(Mean::of(&[0.998]).unwrap().format(100.0, 1), "99.8");
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[1.0, f64::NAN]), None);
        assert_eq!(Mean::of(&[f64::INFINITY]), None);
    }
}
