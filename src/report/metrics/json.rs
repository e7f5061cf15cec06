//! A grid of metrics for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cell::MetricCell;
use super::columns::MetricColumn;
use super::differences::{Compared, Pairing};
use super::differences_table::Differences;
use super::grid::{GridRow, MetricGrid};
use crate::layout::{Dimension, ReportLayout};
use crate::scores::{Baseline, NoBaseline, Score, Scores, distinct};

impl<'a> MetricGrid<'a> {
    /// One for each cell with runs: `{"stage", "variant", "data", "metric", "n", "diverged", "mean", "deviation", "low", "high",
    /// "standard_error", "best"}`. `variant` has the coordinates that name row and column. What several stages or data sets share is null,
    /// and so is what a single run or a run that diverged does not give.
    pub fn json(&self) -> Value {
        let mut found = Vec::new();
        for column in &self.chosen.columns {
            let cells = self.cells(column);
            let best = self.best_cells(column, &cells);
            for ((row, cells), best) in self.rows.iter().zip(&cells).zip(best) {
                for ((key, cell), is_best) in self.column_keys.iter().zip(cells).zip(best) {
                    if cell.runs > 0 {
                        let scores: Vec<&Score> = self.scores_at(row, key).filter(|score| column.is_of(score)).collect();
                        let place = self.place(row, key, &scores, column);
                        found.push(with_cell(place, cell, is_best));
                    }
                }
            }
        }
        found.into()
    }

    /// The differences of all rows: `{"stage", "variant", "data", "metric", "difference", "low", "high", "pairs", "paired_by", "runs"}`.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn differences_json(
        all: &'a Scores,
        scores: Vec<&'a Score>,
        layout: &ReportLayout,
        baseline: &'a Baseline,
    ) -> Result<Vec<Value>, NoBaseline> {
        let Differences { grid, rows } = Differences::new(all, scores, layout, baseline)?;
        let mut json = Vec::new();
        for (row, differences) in grid.rows.iter().zip(&rows) {
            for (column, compared) in grid.chosen.columns.iter().zip(differences) {
                let Compared::Difference(found) = compared else { continue };
                let scores: Vec<&Score> = row.scores.iter().copied().filter(|score| column.is_of(score)).collect();
                let mut entry = grid.place(row, &[], &scores, column);
                entry["difference"] = found.mean.into();
                entry["low"] = found.interval.map(|[low, _]| low).into();
                entry["high"] = found.interval.map(|[_, high]| high).into();
                entry["pairs"] = found.pairs.into();
                entry["paired_by"] = match found.pairing {
                    Pairing::Examples => "example".into(),
                    Pairing::Runs => "run".into(),
                };
                entry["runs"] = found.runs.into();
                json.push(entry);
            }
        }
        Ok(json)
    }

    /// Where a number is from.
    fn place(&self, row: &GridRow<'_>, key: &[&str], scores: &[&Score], column: &MetricColumn) -> Value {
        let rows = self.rows_by.iter().zip(&row.key);
        let columns = self.columns_by.iter().zip(key);
        let axes = rows.chain(columns).filter_map(|(dimension, value)| match dimension {
            Dimension::Axis(axis) => Some((axis.as_str(), *value)),
            Dimension::Stage | Dimension::Data => None,
        });
        let only = |name: fn(&Score) -> &str| {
            let names = distinct(scores.iter().map(|score| name(score)));
            names.first().filter(|_| names.len() == 1).map(|name| (*name).to_owned())
        };
        json!({
            "stage": only(|score| &score.place.stage),
            "variant": axes.collect::<BTreeMap<&str, &str>>(),
            "data": only(|score| &score.data),
            "metric": column.name,
        })
    }
}

fn with_cell(mut entry: Value, cell: &MetricCell, is_best: bool) -> Value {
    let interval = cell.interval();
    entry["n"] = cell.runs.into();
    entry["diverged"] = cell.diverged.into();
    entry["mean"] = cell.mean.map(|mean| mean.mean).into();
    entry["deviation"] = cell.mean.and_then(|mean| mean.deviation).into();
    entry["low"] = interval.map(|[low, _]| low).into();
    entry["high"] = interval.map(|[_, high]| high).into();
    entry["standard_error"] = cell.standard_error.into();
    entry["best"] = is_best.into();
    entry
}
