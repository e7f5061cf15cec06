//! One cell: a metric over the runs that it is a mean of.

use std::collections::BTreeMap;

use super::columns::MetricColumn;
use super::digits::{ColumnFormat, ShownNumber};
use super::{examples, student};
use crate::scores::{Mean, Score};
use crate::table::{NO_NUMBER, TableCell};

/// A metric over some runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MetricCell {
    /// The finished runs that have the metric. One that variants share counts once.
    pub runs: usize,
    /// Those of them whose number is NaN or infinite.
    pub diverged: usize,
    /// `None` without runs, or if one of them diverged.
    pub mean: Option<Mean>,
    /// Of a single run, over its examples.
    pub standard_error: Option<f64>,
    /// Whether a run is not finished.
    pub is_waiting: bool,
    /// The stages of the runs.
    pub nodes: Vec<usize>,
}

impl MetricCell {
    /// The metric of these scores.
    pub fn of<'a>(scores: impl Iterator<Item = &'a Score>, column: &MetricColumn) -> Self {
        let runs: BTreeMap<usize, &Score> = scores
            .filter(|score| column.is_of(score))
            .map(|score| (score.place.node, score))
            .collect();
        let numbers: Vec<(usize, f64)> = runs
            .iter()
            .filter_map(|(node, score)| Some((*node, column.number(score)?)))
            .collect();
        let values: Vec<f64> = numbers.iter().map(|(_, number)| *number).collect();
        let diverged = values.iter().filter(|value| !value.is_finite()).count();
        let only = numbers.first().filter(|_| numbers.len() == 1 && diverged == 0);
        Self {
            runs: numbers.len(),
            diverged,
            mean: Mean::of(&values),
            standard_error: only.and_then(|(node, _)| examples::standard_error(runs.get(node)?, &column.name)),
            is_waiting: runs.values().any(|score| !score.is_finished()),
            nodes: numbers.iter().map(|(node, _)| *node).collect(),
        }
    }

    /// The ends of the 95 % interval over the runs.
    pub fn interval(&self) -> Option<[f64; 2]> {
        student::interval(&self.mean?)
    }

    /// The mean with what its digits follow, times `scale`.
    pub fn shown(&self, scale: f64) -> Option<ShownNumber> {
        let mean = self.mean?;
        let spread = mean.deviation.or(self.standard_error);
        Some(ShownNumber {
            value: mean.mean * scale,
            spread: spread.map(|spread| spread * scale),
        })
    }

    /// `0.812 ± 0.012`, `0.812 [0.782, 0.842]`, `– (1 of 3 diverged)`; empty where there is nothing to come.
    pub fn table_cell(&self, format: ColumnFormat, scale: f64, with_interval: bool) -> TableCell {
        let text = match self.shown(scale) {
            Some(shown) => {
                let format = format.for_number(shown);
                let value = format.text(shown.value);
                match (self.interval().filter(|_| with_interval), shown.spread) {
                    (Some([low, high]), _) => format!("{value} [{}, {}]", format.text(low * scale), format.text(high * scale)),
                    (None, Some(spread)) => format!("{value} ± {}", format.spread_text(spread)),
                    (None, None) => value,
                }
            }
            None if self.diverged > 0 => diverged_text(self.diverged, self.runs),
            None if self.is_waiting => NO_NUMBER.to_owned(),
            None => String::new(),
        };
        TableCell::linked(text, self.nodes.iter().copied())
    }
}

/// What stands in place of a mean over runs of which some gave no number.
pub(super) fn diverged_text(diverged: usize, runs: usize) -> String {
    match runs {
        1 => format!("{NO_NUMBER} (diverged)"),
        _ => format!("{NO_NUMBER} ({diverged} of {runs} diverged)"),
    }
}
