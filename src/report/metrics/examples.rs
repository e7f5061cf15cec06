//! The numbers of the single examples that a metric is the mean of.

use crate::scores::{Mean, Score};
use kinds::artifact::metrics::numbers_behind;

/// How far the mean over the examples may lie from the metric, as a share of it: programs round what they write.
const TOLERANCE: f64 = 1e-3;

/// The numbers of the examples behind a metric, each with the example's id. `None` where there are none, or where the metric is not their
/// mean, as an F1 score is not.
pub(super) fn of_metric<'a>(score: &'a Score, metric: &str) -> Option<Vec<(&'a str, f64)>> {
    let value = score.metrics.as_ref()?.number(metric)?;
    let is_mean = |numbers: &Vec<(&str, f64)>| {
        let numbers: Vec<f64> = numbers.iter().map(|(_, number)| *number).collect();
        let mean = Mean::of(&numbers).map(|mean| mean.mean);
        mean.is_some_and(|mean| (mean - value).abs() <= TOLERANCE * value.abs().max(TOLERANCE))
    };
    numbers_behind(&score.examples, metric).into_iter().find(is_mean)
}

/// The standard error of a metric that is the mean of its examples.
pub(super) fn standard_error(score: &Score, metric: &str) -> Option<f64> {
    let numbers: Vec<f64> = of_metric(score, metric)?.into_iter().map(|(_, number)| number).collect();
    let mean = Mean::of(&numbers)?;
    Some(mean.deviation? / (mean.count as f64).sqrt())
}
