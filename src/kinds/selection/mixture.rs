//! How often each row of several data sets is in a mixture.

use super::shares::{apportion, share_of};
use learn::seed::Stream;

/// The rows of a mixture, by data set.
#[derive(Clone, Debug, PartialEq)]
pub enum Proportions<'a> {
    /// Each row so often, by data set; of a fraction, as many rows by chance.
    Repetitions(&'a [f64]),
    /// Shares of the mixture by data set, as weights. Without a size, as many rows as there can be without repeating one.
    Weights(&'a [f64], Option<usize>),
    /// So many rows, in proportion to those of the data sets.
    Size(usize),
    /// All rows.
    All,
}

impl Proportions<'_> {
    /// The number of rows of each data set in the mixture, given the `lengths` of the data sets. A data set without rows has none.
    pub fn counts(&self, lengths: &[usize]) -> Vec<usize> {
        let counts = match self {
            Self::Repetitions(repetitions) => {
                let counts = repetitions.iter().zip(lengths);
                counts.map(|(repetitions, length)| share_of(*repetitions, *length)).collect()
            }
            Self::Weights(weights, Some(size)) => by_weight(weights, *size),
            Self::Weights(weights, None) => {
                let size = size_without_repeats(weights, lengths);
                let counts = by_weight(weights, size).into_iter().zip(lengths);
                counts.map(|(count, length)| count.min(*length)).collect()
            }
            Self::Size(size) => apportion(lengths, *size),
            Self::All => lengths.to_vec(),
        };
        let counts: Vec<usize> = counts;
        let present = counts.into_iter().zip(lengths);
        present.map(|(count, length)| if *length == 0 { 0 } else { count }).collect()
    }
}

/// The rows of a data set of `length` rows that make `count` rows, each `count / length` times, rounded down or up; which rows are rounded up
/// is drawn. They are in the order of the data set, one round after the other.
pub fn picks(length: usize, count: usize, stream: &mut Stream) -> Vec<usize> {
    if length == 0 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..length).collect();
    let rest = count % length;
    if rest > 0 {
        stream.shuffle(&mut order);
        order.truncate(rest);
        order.sort_unstable();
    } else {
        order.clear();
    }
    let rounds = (0..count / length).flat_map(|_| 0..length);
    rounds.chain(order).collect()
}

/// `size` divided by weights, by largest remainders; of equal remainders, the first.
fn by_weight(weights: &[f64], size: usize) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let ideal: Vec<f64> = weights.iter().map(|weight| size as f64 * (weight / total)).collect();
    let mut counts: Vec<usize> = ideal.iter().map(|ideal| ideal.floor() as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).filter(|place| weights[*place] > 0.0).collect();
    order.sort_by(|one, other| (ideal[*other].fract()).total_cmp(&ideal[*one].fract()));
    let left = size.saturating_sub(counts.iter().sum());
    for place in order.into_iter().take(left) {
        counts[place] += 1;
    }
    counts
}

/// The largest size at which no row is repeated: what the data set allows that is the smallest for its weight.
fn size_without_repeats(weights: &[f64], lengths: &[usize]) -> usize {
    /// Against rounding: 30 rows at a weight of 0.3 make 100 and not 99.
    const ROUNDING: f64 = 1e-9;
    let total: f64 = weights.iter().sum();
    let present = weights
        .iter()
        .zip(lengths)
        .filter(|(weight, length)| **weight > 0.0 && **length > 0);
    let sizes = present.map(|(weight, length)| *length as f64 / (weight / total));
    let size = sizes.reduce(f64::min).unwrap_or_default();
    (size + ROUNDING).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_are_as_expected() {
        for (proportions, lengths, counts) in [
            (Proportions::All, &[3, 0, 5][..], &[3, 0, 5][..]),
            (Proportions::Repetitions(&[2.0, 0.5, 1.25]), &[10, 10, 10], &[20, 5, 13]),
            (Proportions::Repetitions(&[3.0, 1.0]), &[0, 2], &[0, 2]),
            (Proportions::Weights(&[3.0, 1.0], Some(1000)), &[100, 5000], &[750, 250]),
            (Proportions::Weights(&[1.0, 1.0, 1.0], Some(100)), &[9, 9, 9], &[34, 33, 33]),
            (Proportions::Weights(&[0.1, 0.2, 0.7], Some(10)), &[9, 9, 9], &[1, 2, 7]),
            (Proportions::Weights(&[0.3, 0.7], None), &[30, 700], &[30, 70]),
            (Proportions::Weights(&[1.0, 1.0], None), &[30, 7], &[7, 7]),
            (Proportions::Weights(&[1.0, 0.0], None), &[30, 7], &[30, 0]),
            (Proportions::Weights(&[1.0, 1.0], Some(10)), &[0, 7], &[0, 5]),
            (Proportions::Weights(&[1.0, 1.0], None), &[0, 7], &[0, 7]),
            (Proportions::Size(10), &[50, 50, 0], &[5, 5, 0]),
            (Proportions::Size(200), &[75, 25], &[150, 50]),
            (Proportions::Size(5), &[0, 0], &[0, 0]),
        ] {
            assert_eq!(proportions.counts(lengths), counts, "{proportions:?} {lengths:?}");
        }
    }

    #[test]
    fn rows_are_drawn_evenly_and_by_the_seed() {
        let drawn = |seed| picks(10, 25, &mut Stream::new(seed, "picks"));
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert_eq!(picks(3, 6, &mut Stream::new(1, "x")), [0, 1, 2, 0, 1, 2]);
        // Each row is among 3 of 10 with a probability of 0.3.
        let mut counts = [0_u32; 10];
        for seed in 0..2_000 {
            for place in picks(10, 3, &mut Stream::new(seed, "even")) {
                counts[place] += 1;
            }
        }
        assert!(counts.iter().all(|count| (500..=700).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn no_row_is_there_more_often_than_the_repetitions_rounded_up(length in 1_usize..50, repetitions in 0.0..4.0_f64, seed: u64) {
            let count = Proportions::Repetitions(&[repetitions]).counts(&[length])[0];
            prop_assert!((count as f64 - repetitions * length as f64).abs() <= 0.5);
            let mut times = vec![0_usize; length];
            picks(length, count, &mut Stream::new(seed, "x")).into_iter().for_each(|place| times[place] += 1);
            prop_assert_eq!(times.iter().sum::<usize>(), count);
            for times in times {
                prop_assert!(times <= repetitions.ceil() as usize && times >= count / length);
            }
        }

        #[test]
        fn weights_make_the_size(weights in proptest::collection::vec(0.01..10.0_f64, 1..6), size in 0_usize..100_000) {
            let lengths = vec![10; weights.len()];
            let counts = Proportions::Weights(&weights, Some(size)).counts(&lengths);
            prop_assert_eq!(counts.iter().sum::<usize>(), size);
            let total: f64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!((*count as f64 - size as f64 * weight / total).abs() < 1.0 + 1e-6);
            }
        }

        #[test]
        fn without_a_size_nothing_is_repeated_and_one_data_set_is_used_up(
            sets in proptest::collection::vec((0.01..10.0_f64, 1_usize..1000), 1..6),
        ) {
            let (weights, lengths): (Vec<f64>, Vec<usize>) = sets.into_iter().unzip();
            let counts = Proportions::Weights(&weights, None).counts(&lengths);
            prop_assert!(counts.iter().zip(&lengths).all(|(count, length)| count <= length));
            prop_assert!(counts.iter().zip(&lengths).any(|(count, length)| count + 1 >= *length));
        }
    }
}
