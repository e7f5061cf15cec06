//! Differences of metrics to a baseline: by example where both sides have examples, else by run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::columns::MetricColumn;
use super::grid::GridRow;
use super::{ROUNDING, examples, student};
use crate::scores::{AnswerPair, Baseline, Mean, Score, Scores, confidence_intervals};

/// What is paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairing {
    /// Each example under each seed; the interval covers other examples and other seeds.
    Examples,
    /// Runs; the interval covers other runs.
    Runs,
}

/// The difference of a metric between a row and the baseline.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MetricDifference {
    pub mean: f64,
    /// 95 %; `None` for a single pair.
    pub interval: Option<[f64; 2]>,
    pub pairing: Pairing,
    /// The number of compared examples, or of runs.
    pub pairs: usize,
    /// The number of pairs of runs.
    pub runs: usize,
    /// The stages of the row and of the baseline.
    pub nodes: Vec<usize>,
}

/// What is known of a difference.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Compared {
    /// The row has no such metric.
    Nothing,
    /// One side has not run, or the baseline has no such metric.
    Open,
    /// So many of so many pairs have a number that is NaN or infinite.
    Diverged(usize, usize),
    Difference(MetricDifference),
}

/// Finds the baseline's score for a score.
pub(super) struct BaselineScores<'a> {
    baseline: &'a Baseline,
    scores: HashMap<(&'a str, &'a BTreeMap<String, String>), Vec<&'a Score>>,
}

impl<'a> BaselineScores<'a> {
    pub fn new(all: &'a Scores, baseline: &'a Baseline) -> Self {
        let mut scores: HashMap<_, Vec<&Score>> = HashMap::new();
        for score in &all.scores {
            let place = (score.place.stage.as_str(), &score.place.variant);
            scores.entry(place).or_default().push(score);
        }
        Self { baseline, scores }
    }

    /// On the same data set, or on the only one of the baseline.
    fn of(&self, score: &Score) -> Option<&'a Score> {
        let mut variant = score.place.variant.clone();
        variant.extend(self.baseline.variant.clone());
        let stage = self.baseline.stage.as_deref().unwrap_or(&score.place.stage);
        let found = self.scores.get(&(stage, &variant))?;
        let same = found.iter().find(|other| other.data == score.data);
        same.or(found.first().filter(|_| found.len() == 1)).copied()
    }

    /// Whether the row is the baseline itself.
    pub fn is_own(&self, row: &GridRow<'_>) -> bool {
        let is_own = |score: &&Score| {
            let base = self.of(score);
            base.is_some_and(|base| base.place == score.place && base.data == score.data)
        };
        row.scores.iter().all(is_own)
    }

    /// Compares the metric of a row with that of the baseline.
    pub fn compare(&self, row: &GridRow<'_>, column: &MetricColumn) -> Compared {
        let mut pairs: BTreeMap<(usize, usize), (&Score, &Score)> = BTreeMap::new();
        let mut is_open = false;
        for score in row.scores.iter().copied().filter(|score| column.is_of(score)) {
            let has_metric = column.number(score).is_some();
            match self.of(score).filter(|base| has_metric && column.number(base).is_some()) {
                Some(base) => {
                    pairs.insert((score.place.node, base.place.node), (score, base));
                }
                None => is_open |= has_metric || !score.is_finished(),
            }
        }
        let pairs: Vec<(&Score, &Score)> = pairs.into_values().collect();
        if pairs.is_empty() {
            return if is_open { Compared::Open } else { Compared::Nothing };
        }
        let number = |score: &Score| column.number(score).unwrap_or(f64::NAN);
        let differences: Vec<f64> = pairs.iter().map(|(score, base)| difference(number(score), number(base))).collect();
        let diverged = differences.iter().filter(|difference| !difference.is_finite()).count();
        if diverged > 0 {
            return Compared::Diverged(diverged, pairs.len());
        }
        let found = by_example(&pairs, column).or_else(|| by_run(&differences));
        found.map_or(Compared::Open, |mut found| {
            let nodes = pairs.iter().flat_map(|(score, base)| [score.place.node, base.place.node]);
            found.nodes = nodes.collect::<BTreeSet<usize>>().into_iter().collect();
            found.runs = pairs.len();
            Compared::Difference(found)
        })
    }
}

/// The difference of two numbers; 0 where it comes from rounding alone.
fn difference(now: f64, then: f64) -> f64 {
    let difference = now - then;
    // An infinite difference is as large as this share of an infinite number, and is none of rounding.
    if difference.is_finite() && difference.abs() <= ROUNDING * now.abs().max(then.abs()) {
        0.0
    } else {
        difference
    }
}

/// `None` unless both runs of each pair have the same examples: else the mean would not be the difference of the numbers that the table has.
fn by_example(pairs: &[(&Score, &Score)], column: &MetricColumn) -> Option<MetricDifference> {
    let mut found: Vec<AnswerPair<usize, (&str, usize), 1>> = Vec::new();
    for (at, (score, base)) in pairs.iter().enumerate() {
        let before = found.len();
        let now = examples::of_metric(score, &column.name)?;
        let then: HashMap<(&str, usize), f64> = numbered(&examples::of_metric(base, &column.name)?).collect();
        let common = numbered(&now).filter_map(|(problem, now)| {
            Some(AnswerPair {
                seed: at,
                problem,
                differences: [now - then.get(&problem)?],
            })
        });
        found.extend(common);
        let common = found.len() - before;
        if common == 0 || common != now.len() || common != then.len() {
            return None;
        }
    }
    let [interval] = confidence_intervals(&found)?;
    Some(MetricDifference {
        mean: interval.mean,
        interval: Some([interval.low, interval.high]),
        pairing: Pairing::Examples,
        pairs: found.len(),
        runs: pairs.len(),
        nodes: Vec::new(),
    })
}

/// The examples by id and number, because an id may occur several times.
fn numbered<'a>(examples: &[(&'a str, f64)]) -> impl Iterator<Item = ((&'a str, usize), f64)> {
    let mut counts: HashMap<&'a str, usize> = HashMap::new();
    examples.iter().map(move |(id, number)| {
        let count = counts.entry(id).or_default();
        *count += 1;
        ((*id, *count), *number)
    })
}

fn by_run(differences: &[f64]) -> Option<MetricDifference> {
    let mean = Mean::of(differences)?;
    Some(MetricDifference {
        mean: mean.mean,
        interval: student::interval(&mean),
        pairing: Pairing::Runs,
        pairs: differences.len(),
        runs: differences.len(),
        nodes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_no_difference_and_an_infinite_number_is_one() {
        assert_eq!(difference(0.1 + 0.2, 0.3), 0.0);
        assert_eq!(difference(2.5, 1.0), 1.5);
        assert_eq!(difference(f64::INFINITY, 1.0), f64::INFINITY);
        assert_eq!(difference(1.0, f64::INFINITY), f64::NEG_INFINITY);
        assert!(difference(f64::INFINITY, f64::INFINITY).is_nan());
        assert!(difference(f64::NAN, 1.0).is_nan());
    }
}
