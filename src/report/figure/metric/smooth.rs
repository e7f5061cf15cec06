//! Smoothing of curves.

/// A curve is smoothed over this share of its points.
const SHARE: usize = 40;

/// The weight of the past in the exponential moving average of a curve with this number of points; `None` if it has too few to be smoothed.
pub(super) fn weight(points: usize) -> Option<f64> {
    let span = points / SHARE;
    (span > 1).then(|| 1.0 - 2.0 / (span as f64 + 1.0))
}

/// The exponential moving average, without the bias of its beginning. It begins anew after a value that is no finite number.
pub(super) fn smoothed(values: impl Iterator<Item = f64>, weight: f64) -> Vec<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    let each = values.map(|value| {
        if !value.is_finite() {
            (sum, weights) = (0.0, 0.0);
            return value;
        }
        sum = weight * sum + (1.0 - weight) * value;
        weights = weight * weights + (1.0 - weight);
        sum / weights
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_has_no_bias_and_stays_within_the_values() {
        let constant = smoothed([3.0; 5].into_iter(), 0.9);
        assert!(constant.iter().all(|value| (value - 3.0).abs() < 1e-12), "{constant:?}");
        // By hand: (0.5 · 0 + 0.5 · 1) / 0.75 = 2/3.
        let two = smoothed([0.0, 1.0].into_iter(), 0.5);
        assert!((two[0] - 0.0).abs() < 1e-12 && (two[1] - 2.0 / 3.0).abs() < 1e-12, "{two:?}");
        let interrupted = smoothed([1.0, f64::NAN, 5.0].into_iter(), 0.9);
        assert!((interrupted[0] - 1.0).abs() < 1e-12 && interrupted[1].is_nan() && (interrupted[2] - 5.0).abs() < 1e-12);
    }

    #[test]
    fn short_curves_are_not_smoothed() {
        assert_eq!((weight(0), weight(79)), (None, None));
        assert!((weight(10_000).unwrap() - (1.0 - 2.0 / 251.0)).abs() < 1e-12);
    }
}
