//! The numbers of the single examples that a metric is the mean of.

use crate::scores::{Mean, Score};

/// How far the mean over the examples may lie from the metric, as a share of it: programs round what they write.
const TOLERANCE: f64 = 1e-3;

/// The numbers of the examples behind a metric, each with the example's id: those of the same name, or of the last part of it
/// (`accuracy` for `test.accuracy`). `None` where there are none, or where the metric is not their mean, as an F1 score is not.
pub(super) fn of_metric<'a>(score: &'a Score, metric: &str) -> Option<Vec<(&'a str, f64)>> {
    let value = score.metrics.as_ref()?.find(metric)?;
    let last = metric.rsplit('.').next().unwrap_or(metric);
    [metric, last].into_iter().find_map(|name| {
        let numbers = numbers(score, name);
        let mean = Mean::of(&numbers.iter().map(|(_, number)| *number).collect::<Vec<_>>())?.mean;
        ((mean - value).abs() <= TOLERANCE * value.abs().max(TOLERANCE)).then_some(numbers)
    })
}

/// The standard error of a metric that is the mean of its examples.
pub(super) fn standard_error(score: &Score, metric: &str) -> Option<f64> {
    let numbers: Vec<f64> = of_metric(score, metric)?.into_iter().map(|(_, number)| number).collect();
    let mean = Mean::of(&numbers)?;
    Some(mean.deviation? / (mean.count as f64).sqrt())
}

fn numbers<'a>(score: &'a Score, name: &str) -> Vec<(&'a str, f64)> {
    let number = |example: &'a kinds::artifact::metrics::Example| {
        let (_, number) = example.numbers.iter().find(|(known, _)| known == name)?;
        Some((example.id.as_str(), *number))
    };
    score.examples.iter().filter_map(number).collect()
}
