//! Fewer points for a drawing, with all peaks.

/// The indices of at most about `most` of the values, ascending: the first and the last, and the least and the greatest of each stretch. All
/// that are no finite numbers stay, since they end lines.
pub(super) fn thinned(values: &[f64], most: usize) -> Vec<usize> {
    if values.len() <= most {
        return (0..values.len()).collect();
    }
    let stretch = (2 * values.len()).div_ceil(most.max(2));
    let mut kept = vec![0, values.len() - 1];
    for (i, stretched) in values.chunks(stretch).enumerate() {
        let finite = || stretched.iter().enumerate().filter(|(_, value)| value.is_finite());
        let least = finite().min_by(|(_, a), (_, b)| a.total_cmp(b));
        let greatest = finite().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let others = stretched.iter().enumerate().filter(|(_, value)| !value.is_finite());
        kept.extend(
            least
                .into_iter()
                .chain(greatest)
                .chain(others)
                .map(|(place, _)| i * stretch + place),
        );
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_and_ends_stay() {
        let mut values: Vec<f64> = (0..10_000).map(|i| (f64::from(i) / 300.0).sin()).collect();
        values[5_003] = 9.0;
        values[7_001] = -9.0;
        values[8_000] = f64::NAN;
        let kept = thinned(&values, 300);
        assert!(kept.len() <= 304, "{}", kept.len());
        for index in [0, 5_003, 7_001, 8_000, 9_999] {
            assert!(kept.contains(&index), "{index}");
        }
        assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        assert_eq!(thinned(&[3.0, 1.0, 2.0], 3), [0, 1, 2]);
        assert_eq!(thinned(&[], 300), [0; 0]);
        assert_eq!(thinned(&[3.0, 1.0, 2.0], 0), [0, 1, 2]);
    }
}
