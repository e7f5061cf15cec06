//! Confidence intervals of differences: the paired bootstrap.
//!
//! A difference between two models is a mean over pairs: the same problem, answered by both under the same seed. Another draw of
//! problems and another draw of seeds would have given another mean. The bootstrap estimates by how much: it draws both again, with
//! replacement. Problems and seeds are drawn independently, because answers to one problem under several seeds resemble each other,
//! and so do one model's answers to several problems. The weight of a pair is the number of draws of its problem times the number
//! of draws of its seed.

use std::collections::HashMap;
use std::hash::Hash;

use learn::seed::Stream;

/// The number of resamples.
pub const RESAMPLES: usize = 2000;

/// The share of the resampled means that an interval contains.
const CONFIDENCE: f64 = 0.95;

/// One problem under one seed, with the differences between two models in `N` measures.
#[derive(Clone, Copy, Debug)]
pub struct AnswerPair<S, P, const N: usize> {
    pub seed: S,
    pub problem: P,
    pub differences: [f64; N],
}

/// A mean difference with its confidence interval, which covers other problems and other seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// The mean of each measure with its 95 % percentile interval; `None` without pairs. Equal pairs give equal intervals.
pub fn confidence_intervals<S: Eq + Hash + Copy, P: Eq + Hash + Copy, const N: usize>(
    pairs: &[AnswerPair<S, P, N>],
) -> Option<[Interval; N]> {
    let table = NumberedPairs::new(pairs);
    let means = table.mean(&vec![1; table.seeds], &vec![1; table.problems])?;
    let mut stream = Stream::new(0, "paired bootstrap");
    let drawn = (0..RESAMPLES).filter_map(|_| {
        let (seeds, problems) = (draw(table.seeds, &mut stream), draw(table.problems, &mut stream));
        table.mean(&seeds, &problems)
    });
    let drawn: Vec<[f64; N]> = drawn.collect();
    Some(std::array::from_fn(|measure| {
        let mut values: Vec<f64> = drawn.iter().map(|means| means[measure]).collect();
        values.sort_by(f64::total_cmp);
        Interval {
            mean: means[measure],
            low: quantile(&values, (1.0 - CONFIDENCE) / 2.0).unwrap_or(means[measure]),
            high: quantile(&values, f64::midpoint(1.0, CONFIDENCE)).unwrap_or(means[measure]),
        }
    }))
}

/// The pairs with seeds and problems numbered in the order of their first appearance.
struct NumberedPairs<const N: usize> {
    pairs: Vec<(usize, usize, [f64; N])>,
    seeds: usize,
    problems: usize,
}

impl<const N: usize> NumberedPairs<N> {
    fn new<S: Eq + Hash + Copy, P: Eq + Hash + Copy>(pairs: &[AnswerPair<S, P, N>]) -> Self {
        let (mut seeds, mut problems) = (HashMap::new(), HashMap::new());
        let numbered = pairs.iter().map(|pair| {
            let (next_seed, next_problem) = (seeds.len(), problems.len());
            let seed = *seeds.entry(pair.seed).or_insert(next_seed);
            let problem = *problems.entry(pair.problem).or_insert(next_problem);
            (seed, problem, pair.differences)
        });
        Self {
            pairs: numbered.collect(),
            seeds: seeds.len(),
            problems: problems.len(),
        }
    }

    /// The mean of the pairs, weighted by the draws of their seeds times those of their problems; `None` without weight.
    fn mean(&self, seeds: &[u32], problems: &[u32]) -> Option<[f64; N]> {
        let (mut sums, mut count) = ([0.0; N], 0.0);
        for (seed, problem, differences) in &self.pairs {
            let times = f64::from(seeds[*seed]) * f64::from(problems[*problem]);
            count += times;
            sums.iter_mut()
                .zip(differences)
                .for_each(|(sum, difference)| *sum += times * difference);
        }
        (count > 0.0).then(|| sums.map(|sum| sum / count))
    }
}

/// The number of times that each of `count` things is drawn in `count` draws with replacement.
fn draw(count: usize, stream: &mut Stream) -> Vec<u32> {
    let mut times = vec![0; count];
    for _ in 0..count {
        times[stream.below(count as u64) as usize] += 1;
    }
    times
}

/// The value below which the share `at` of the sorted `values` lies, between two neighbours in proportion.
fn quantile(values: &[f64], at: f64) -> Option<f64> {
    let place = at * (values.len().checked_sub(1)?) as f64;
    let (below, above) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(seeds: u64, problems: u64, difference: impl Fn(u64, u64) -> f64) -> Vec<AnswerPair<u64, u64, 1>> {
        let pair = |seed, problem| AnswerPair {
            seed,
            problem,
            differences: [difference(seed, problem)],
        };
        (0..seeds)
            .flat_map(|seed| (0..problems).map(move |problem| (seed, problem)))
            .map(|(s, p)| pair(s, p))
            .collect()
    }

    /// The same in the plainest way: resampled lists of problems and seeds, every pair looked up.
    fn plainly(pairs: &[AnswerPair<u64, u64, 1>], seeds: u64, problems: u64) -> Vec<f64> {
        let look_up = |s, p| pairs.iter().find(|pair| pair.seed == s && pair.problem == p).unwrap().differences[0];
        let mut stream = Stream::new(0, "paired bootstrap");
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let seeds: Vec<u64> = (0..seeds).map(|_| stream.below(seeds)).collect();
                let problems: Vec<u64> = (0..problems).map(|_| stream.below(problems)).collect();
                let drawn = seeds.iter().flat_map(|s| problems.iter().map(|p| look_up(*s, *p)));
                drawn.sum::<f64>() / (seeds.len() * problems.len()) as f64
            })
            .collect();
        means.sort_by(f64::total_cmp);
        means
    }

    #[test]
    fn it_does_what_the_plain_way_does() {
        let pairs = pairs(3, 11, |s, p| ((s * 5 + p * 7) % 6) as f64 - 2.0);
        let [found] = confidence_intervals(&pairs).unwrap();
        let means = plainly(&pairs, 3, 11);
        assert!((found.low - quantile(&means, 0.025).unwrap()).abs() < 1e-12);
        assert!((found.high - quantile(&means, 0.975).unwrap()).abs() < 1e-12);
        assert_eq!(confidence_intervals(&pairs), confidence_intervals(&pairs));
    }

    #[test]
    fn it_finds_what_numpy_finds() {
        // import numpy as np; rng = np.random.default_rng(0); d = np.repeat([1.0, 0.0, -1.0], [120, 320, 60])
        // m = rng.choice(d, (100000, 500)).mean(1); print(d.mean(), np.percentile(m, [2.5, 97.5]))
        // 0.12 [0.068 0.172]
        let difference = |p| match p {
            0..120 => 1.0,
            120..440 => 0.0,
            _ => -1.0,
        };
        let [found] = confidence_intervals(&pairs(1, 500, |_, p| difference(p))).unwrap();
        assert!((found.mean - 0.12).abs() < 1e-12);
        assert!((found.low - 0.068).abs() < 0.004 && (found.high - 0.172).abs() < 0.004, "{found:?}");
    }

    #[test]
    fn seeds_that_disagree_widen_it() {
        let [agreed] = confidence_intervals(&pairs(3, 100, |_, p| f64::from(u8::from(p < 50)))).unwrap();
        let [mixed] = confidence_intervals(&pairs(3, 100, |s, p| f64::from(u8::from(p < 50)) + s as f64 - 1.0)).unwrap();
        assert!((agreed.mean - mixed.mean).abs() < 1e-12);
        assert!(mixed.high - mixed.low > 2.0 * (agreed.high - agreed.low), "{agreed:?} {mixed:?}");
    }

    #[test]
    fn problems_of_one_seed_alone_are_counted_once() {
        let own = |seed: u64| {
            pairs(1, 50, |_, p| (p % 2) as f64).into_iter().map(move |pair| AnswerPair {
                seed,
                problem: (seed, pair.problem),
                differences: pair.differences,
            })
        };
        let pairs: Vec<_> = own(1).chain(own(2)).collect();
        let [found] = confidence_intervals(&pairs).unwrap();
        assert!(found.mean == 0.5 && found.low < 0.45 && found.high > 0.55, "{found:?}");
    }

    #[test]
    fn nothing_has_no_interval_and_no_difference_a_point() {
        assert_eq!(confidence_intervals::<u64, u64, 1>(&[]), None);
        let [same] = confidence_intervals(&pairs(2, 10, |_, _| 0.0)).unwrap();
        assert_eq!(
            same,
            Interval {
                mean: 0.0,
                low: 0.0,
                high: 0.0
            }
        );
    }

    #[test]
    fn quantiles_are_numpy_s() {
        // np.percentile([1, 2, 4, 8], [0, 2.5, 50, 97.5, 100])
        let found = [0.0, 0.025, 0.5, 0.975, 1.0].map(|at| quantile(&[1.0, 2.0, 4.0, 8.0], at).unwrap());
        let expected = [1.0, 1.075, 3.0, 7.7, 8.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}
