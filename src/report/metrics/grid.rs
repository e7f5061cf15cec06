//! The rows and columns of a table of metrics, and the scores of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cell::MetricCell;
use super::columns::{ChosenColumns, Joins, KnownMetrics, MetricColumn};
use crate::layout::{BestRows, Better, Dimension, ReportLayout, RowOrder};
use crate::scores::{SEED, Score, Scores, distinct};

/// Metrics by variant: rows that the layout separates, and columns for each metric.
#[derive(Clone, Debug)]
pub struct MetricGrid<'a> {
    pub(super) rows_by: Vec<Dimension>,
    pub(super) columns_by: Vec<Dimension>,
    pub(super) rows: Vec<GridRow<'a>>,
    /// The values of `columns_by`; one empty key where there are none.
    pub(super) column_keys: Vec<Vec<&'a str>>,
    pub(super) chosen: ChosenColumns,
    /// The axes that cells are means over.
    pub(super) averaged: Vec<&'a str>,
    /// The number of rows that the layout asks for, and the heading of the metric by which they are the best.
    pub(super) best: Option<(usize, String)>,
    /// Whether the rows have another order than that of the file.
    pub(super) is_ordered: bool,
    /// Whether no stage has metrics yet.
    pub(super) is_pending: bool,
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct GridRow<'a> {
    /// The values of `rows_by`.
    pub key: Vec<&'a str>,
    pub scores: Vec<&'a Score>,
}

/// The value of a score in a dimension; empty without one.
fn coordinate<'a>(dimension: &Dimension, score: &'a Score) -> &'a str {
    match dimension {
        Dimension::Axis(axis) => score.place.variant.get(axis).map_or("", String::as_str),
        Dimension::Stage => &score.place.stage,
        Dimension::Data => &score.data,
    }
}

fn key<'a>(dimensions: &[Dimension], score: &'a Score) -> Vec<&'a str> {
    dimensions.iter().map(|dimension| coordinate(dimension, score)).collect()
}

impl<'a> MetricGrid<'a> {
    /// The metrics that are shown.
    pub(crate) fn metric_columns(&self) -> &[MetricColumn] {
        &self.chosen.columns
    }

    /// The grid of those `scores` whose stages the layout chooses; `all` says how axes and values are ordered.
    pub fn new(all: &'a Scores, scores: Vec<&'a Score>, layout: &ReportLayout) -> Self {
        let mut scores = scores;
        scores.retain(|score| layout.shows_stage(&score.place.stage));
        let rows_by = layout.rows.clone().unwrap_or_else(|| default_rows(all, &scores, &layout.columns));
        let columns_by = layout.columns.clone();
        let is_free = |dimension: &Dimension| !rows_by.contains(dimension) && !columns_by.contains(dimension);
        let joins = Joins {
            stages: is_free(&Dimension::Stage) && count_stages(&scores) > 1,
            data: is_free(&Dimension::Data) && has_several_sets(&scores),
        };
        let known = KnownMetrics::of(&scores, joins);
        let chosen = known.choose(layout);
        let mut grid = Self {
            rows: rows(all, &scores, &rows_by),
            column_keys: sorted_keys(all, &scores, &columns_by),
            averaged: Vec::new(),
            best: None,
            is_ordered: false,
            is_pending: known.is_empty(),
            rows_by,
            columns_by,
            chosen,
        };
        grid.averaged = grid.averaged_axes(all);
        grid.keep_best(layout.best.as_ref(), &known, layout);
        if let Some(order) = &layout.order {
            grid.sort(all, order, &known, layout);
        }
        grid.warn_of_namesakes(all, layout);
        grid
    }

    /// The grid without columns by axes: each of their values has a row.
    pub(super) fn unfolded(all: &'a Scores, scores: Vec<&'a Score>, layout: &ReportLayout) -> Self {
        let mut layout = layout.clone();
        if let Some(rows) = &mut layout.rows {
            rows.append(&mut layout.columns);
        }
        layout.columns.clear();
        layout.best = None;
        Self::new(all, scores, &layout)
    }

    /// Patterns that fit nothing, each with its place and the names there are.
    pub fn warnings(&self) -> &[String] {
        &self.chosen.warnings
    }

    /// The names of the metrics that a report without a choice leaves out.
    pub fn hidden(&self) -> &[String] {
        &self.chosen.hidden
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.chosen.columns.is_empty()
    }

    /// The scores of a row in the columns of this key.
    pub(super) fn scores_at<'s>(&'s self, row: &'s GridRow<'a>, column_key: &'s [&'a str]) -> impl Iterator<Item = &'a Score> + 's {
        let scores = row.scores.iter().copied();
        scores.filter(move |score| key(&self.columns_by, score) == column_key)
    }

    /// The cells of a metric, by row and then by key of its columns.
    pub(super) fn cells(&self, column: &MetricColumn) -> Vec<Vec<MetricCell>> {
        let cell = |row: &GridRow<'a>, key: &Vec<&'a str>| MetricCell::of(self.scores_at(row, key), column);
        let row = |row: &GridRow<'a>| self.column_keys.iter().map(|key| cell(row, key)).collect();
        self.rows.iter().map(row).collect()
    }

    /// The axes on which scores of one cell differ, as far as these are not one stage that variants share.
    fn averaged_axes(&self, all: &'a Scores) -> Vec<&'a str> {
        let mut cells: BTreeMap<(usize, Vec<&str>, &str, &str), Vec<&'a Score>> = BTreeMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            for score in &row.scores {
                let place = (at, key(&self.columns_by, score), score.place.stage.as_str(), score.data.as_str());
                cells.entry(place).or_default().push(score);
            }
        }
        let differ = |scores: &Vec<&Score>, axis: &str| {
            let nodes: BTreeSet<usize> = scores.iter().map(|score| score.place.node).collect();
            let values: BTreeSet<_> = scores.iter().map(|score| score.place.variant.get(axis)).collect();
            nodes.len() > 1 && values.len() > 1
        };
        let axes = all.axes().into_iter();
        axes.filter(|axis| cells.values().any(|scores| differ(scores, axis))).collect()
    }

    /// Keeps the best rows, the best one first. A row without the metric is none of them.
    fn keep_best(&mut self, best: Option<&BestRows>, known: &KnownMetrics<'a>, layout: &ReportLayout) {
        let Some(BestRows { count, by }) = best else { return };
        let column = match by {
            Some(pattern) => known.find(pattern, layout),
            None => self.chosen.columns.first().cloned(),
        };
        let Some(column) = column.filter(|_| !self.is_pending) else {
            self.warn_of_metric(by.as_deref(), known);
            return;
        };
        let mut rows: Vec<(f64, GridRow<'a>)> = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            rows.extend(row.mean(&column).map(|mean| (mean, row)));
        }
        rows.sort_by(|(a, _), (b, _)| column.better.unwrap_or(Better::Higher).compare(*a, *b));
        self.rows = rows.into_iter().take(*count).map(|(_, row)| row).collect();
        self.best = Some((*count, column.heading()));
        self.is_ordered = true;
    }

    fn warn_of_metric(&mut self, pattern: Option<&str>, known: &KnownMetrics<'a>) {
        if let Some(pattern) = pattern.filter(|_| !self.is_pending) {
            self.chosen.warnings.push(format!("no metric `{pattern}`: {}", known.names()));
        }
    }

    /// An axis that is called `stage` or `data` is written otherwise: the plain name, of which there is one value alone, is a slip.
    fn warn_of_namesakes(&mut self, all: &'a Scores, layout: &ReportLayout) {
        let asked = layout.rows.iter().flatten().chain(&layout.columns);
        let slips = asked.filter_map(|dimension| {
            let name = dimension.name();
            let values: BTreeSet<&str> = all.scores.iter().map(|score| coordinate(dimension, score)).collect();
            let is_slip = !matches!(dimension, Dimension::Axis(_)) && values.len() <= 1 && all.axes().contains(&name.as_str());
            is_slip.then(|| format!("`{name}` is not the axis of this name: write `axis.{name}`"))
        });
        self.chosen.warnings.extend(slips);
    }

    /// Sorts the rows by a dimension or by a metric; rows without it come last.
    fn sort(&mut self, all: &'a Scores, order: &RowOrder, known: &KnownMetrics<'a>, layout: &ReportLayout) {
        let turned = |ordering: std::cmp::Ordering| if order.is_descending { ordering.reverse() } else { ordering };
        let axes: Vec<String> = all.axes().into_iter().map(str::to_owned).collect();
        let dimension = Dimension::named(&order.by, &axes);
        if let Some(at) = self.rows_by.iter().position(|row| Some(row) == dimension.as_ref()) {
            self.rows.sort_by(|a, b| turned(compare_values(a.key[at], b.key[at])));
        } else if let Some(column) = known.find(&order.by, layout) {
            let mut rows: Vec<(Option<f64>, GridRow<'a>)> = Vec::new();
            rows.extend(std::mem::take(&mut self.rows).into_iter().map(|row| (row.mean(&column), row)));
            rows.sort_by(|(a, _), (b, _)| match (a, b) {
                (Some(a), Some(b)) => turned(a.total_cmp(b)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
            self.rows = rows.into_iter().map(|(_, row)| row).collect();
        } else {
            if dimension.is_some() && !self.is_pending {
                let message = format!("rows cannot be sorted by `{}`, which does not separate them", order.by);
                self.chosen.warnings.push(message);
            } else {
                self.warn_of_metric(Some(&order.by), known);
            }
            return;
        }
        self.is_ordered = true;
    }
}

impl GridRow<'_> {
    /// The mean over all scores of the row, whatever their column; `None` without one, or if a run diverged.
    fn mean(&self, column: &MetricColumn) -> Option<f64> {
        Some(MetricCell::of(self.scores.iter().copied(), column).mean?.mean)
    }
}

/// Numbers by size, other texts by letter.
fn compare_values(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}

/// All axes but the seed and those of columns; the stage where several have metrics, and the data set where one has several.
fn default_rows(all: &Scores, scores: &[&Score], columns: &[Dimension]) -> Vec<Dimension> {
    let axes = all.axes().into_iter().filter(|axis| *axis != SEED);
    let mut rows: Vec<Dimension> = axes.map(|axis| Dimension::Axis(axis.to_owned())).collect();
    rows.extend((count_stages(scores) > 1).then_some(Dimension::Stage));
    rows.extend(has_several_sets(scores).then_some(Dimension::Data));
    rows.retain(|row| !columns.contains(row));
    rows
}

fn count_stages(scores: &[&Score]) -> usize {
    let stages: BTreeSet<&str> = scores.iter().map(|score| score.place.stage.as_str()).collect();
    stages.len()
}

/// Whether a stage has metrics of several data sets.
fn has_several_sets(scores: &[&Score]) -> bool {
    let mut sets: BTreeMap<&str, &str> = BTreeMap::new();
    scores
        .iter()
        .any(|score| *sets.entry(&score.place.stage).or_insert(&score.data) != score.data)
}

/// The distinct keys of the scores, in the order of the values of each dimension.
fn sorted_keys<'a>(all: &'a Scores, scores: &[&'a Score], dimensions: &[Dimension]) -> Vec<Vec<&'a str>> {
    let ranks: Vec<HashMap<&str, usize>> = dimensions
        .iter()
        .map(|dimension| {
            let values = match dimension {
                Dimension::Axis(axis) => all.values(axis),
                other => distinct(all.scores.iter().map(|score| coordinate(other, score))),
            };
            values.into_iter().enumerate().map(|(rank, value)| (value, rank)).collect()
        })
        .collect();
    let found: BTreeSet<Vec<&'a str>> = scores.iter().map(|score| key(dimensions, score)).collect();
    let mut found: Vec<Vec<&'a str>> = found.into_iter().collect();
    found.sort_by_cached_key(|key| {
        let rank = |(value, ranks): (&&str, &HashMap<&str, usize>)| ranks.get(value).copied();
        key.iter().zip(&ranks).map(rank).collect::<Vec<Option<usize>>>()
    });
    found
}

/// The rows in the order of their keys.
fn rows<'a>(all: &'a Scores, scores: &[&'a Score], dimensions: &[Dimension]) -> Vec<GridRow<'a>> {
    let mut by_key: BTreeMap<Vec<&str>, Vec<&'a Score>> = BTreeMap::new();
    for score in scores {
        by_key.entry(key(dimensions, score)).or_default().push(score);
    }
    let keys = sorted_keys(all, scores, dimensions).into_iter();
    let row = |key: Vec<&'a str>| GridRow {
        scores: by_key.remove(&key).unwrap_or_default(),
        key,
    };
    keys.map(row).collect()
}
