//! Differences of metrics to a baseline as a table.

use std::collections::BTreeSet;

use super::cell::diverged_text;
use super::columns::MetricColumn;
use super::differences::{BaselineScores, Compared, MetricDifference, Pairing};
use super::digits::{ColumnFormat, NumberFormat, ShownNumber};
use super::grid::MetricGrid;
use super::table::{label_column, range_text};
use crate::layout::ReportLayout;
use crate::scores::{Baseline, NoBaseline, SEED, Score, Scores, interval_end, signed};
use crate::table::{ColumnGroup, NO_NUMBER, ReportTable, TableCell, TableRow};
use lab::text::Align;

/// The differences of one row, by metric.
type RowDifferences = Vec<Compared>;

/// The grid without the baseline's own rows, and the differences of each row.
pub(super) struct Differences<'a> {
    pub grid: MetricGrid<'a>,
    pub rows: Vec<RowDifferences>,
}

impl<'a> Differences<'a> {
    /// The differences of the `scores`; the baseline's own may be any of `all`.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn new(all: &'a Scores, scores: Vec<&'a Score>, layout: &ReportLayout, baseline: &'a Baseline) -> Result<Self, NoBaseline> {
        all.require_baseline(baseline)?;
        let mut grid = MetricGrid::unfolded(all, scores, layout);
        let bases = BaselineScores::new(all, baseline);
        grid.rows.retain(|row| !bases.is_own(row));
        let differences = |row| grid.chosen.columns.iter().map(|column| bases.compare(row, column)).collect();
        let rows = grid.rows.iter().map(differences).collect();
        Ok(Self { grid, rows })
    }

    fn found(&self) -> impl Iterator<Item = &MetricDifference> {
        self.rows.iter().flatten().filter_map(Compared::difference)
    }
}

impl Compared {
    pub(super) fn difference(&self) -> Option<&MetricDifference> {
        match self {
            Self::Difference(difference) => Some(difference),
            _ => None,
        }
    }
}

impl MetricGrid<'_> {
    /// A row for each variant but the baseline's: the difference of each metric, with a 95 % interval. `None` without metrics or rows.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn differences_table(
        all: &Scores,
        scores: Vec<&Score>,
        layout: &ReportLayout,
        baseline: &Baseline,
    ) -> Result<Option<ReportTable>, NoBaseline> {
        let differences = Differences::new(all, scores, layout, baseline)?;
        let grid = &differences.grid;
        if grid.is_empty() || grid.rows.is_empty() {
            return Ok(None);
        }
        let counts: BTreeSet<usize> = differences.found().map(|found| found.runs).collect();
        let counts_differ = counts.len() > 1;
        let mut column_groups: Vec<ColumnGroup> = grid.rows_by.iter().map(label_column).collect();
        column_groups.extend(counts_differ.then(|| ColumnGroup::single("n", Align::Right).as_label()));
        let headings = grid.chosen.columns.iter().map(|column| format!("Δ {}", column.heading()));
        column_groups.extend(headings.map(|heading| ColumnGroup::single(&heading, Align::Right)));
        let mut rows: Vec<TableRow> = grid.label_rows();
        for (row, found) in rows.iter_mut().zip(&differences.rows) {
            row.cells.extend(counts_differ.then(|| TableCell::plain(count_text(found))));
        }
        for (at, column) in grid.chosen.columns.iter().enumerate() {
            add_cells(&mut rows, &differences.rows, at, column);
        }
        let table = ReportTable {
            title: title(&differences, baseline, &counts),
            column_groups,
            rows,
        };
        Ok(Some(table.with_axes_apart()))
    }
}

/// The number of pairs of runs: `3`, or `2–3` where metrics differ.
fn count_text(found: &RowDifferences) -> String {
    let runs = || found.iter().filter_map(Compared::difference).map(|found| found.runs);
    range_text(runs().min().unwrap_or(0), runs().max().unwrap_or(0))
}

fn title(differences: &Differences<'_>, baseline: &Baseline, counts: &BTreeSet<usize>) -> String {
    let mut title = format!("Differences to {}", baseline.name());
    let with_interval = || differences.found().filter(|found| found.interval.is_some());
    let is_by = |pairing: Pairing| with_interval().any(|found| found.pairing == pairing);
    let run = if differences.grid.averaged == [SEED] { "seed" } else { "run" };
    match (is_by(Pairing::Examples), is_by(Pairing::Runs)) {
        (true, false) => title += ", with 95 % intervals (paired by example)",
        (false, true) => title += &format!(", with 95 % intervals (paired by {run})"),
        (true, true) => title += &format!(", with 95 % intervals (paired by example; without examples, by {run})"),
        (false, false) => {}
    }
    if let (Some(count), 1) = (counts.first().filter(|count| **count > 1), counts.len()) {
        title += &format!(", {count} {run}s");
    }
    title
}

/// Adds the cells of the metric with this number.
fn add_cells(rows: &mut [TableRow], differences: &[RowDifferences], at: usize, column: &MetricColumn) {
    let scale = column.scale();
    let shown: Vec<ShownNumber> = differences
        .iter()
        .filter_map(|row| Some(shown_number(row.get(at)?.difference()?, scale)))
        .collect();
    let format = ColumnFormat::of(&shown, column.digits);
    for (row, differences) in rows.iter_mut().zip(differences) {
        row.cells.push(match &differences[at] {
            Compared::Nothing => TableCell::default(),
            Compared::Open => TableCell::plain(NO_NUMBER),
            Compared::Diverged(diverged, pairs) => TableCell::plain(diverged_text(*diverged, *pairs)),
            Compared::Difference(found) => {
                let text = difference_text(found, format.for_number(shown_number(found, scale)), scale);
                TableCell::linked(text, found.nodes.iter().copied())
            }
        });
    }
}

/// The difference with what its digits follow: half of the interval.
fn shown_number(found: &MetricDifference, scale: f64) -> ShownNumber {
    ShownNumber {
        value: found.mean * scale,
        spread: found.interval.map(|[low, high]| (high - low) / 2.0 * scale),
    }
}

/// `+0.012 [-0.003, +0.027]`
fn difference_text(found: &MetricDifference, format: NumberFormat, scale: f64) -> String {
    let with_sign = |number: f64, is_end: bool| match format {
        NumberFormat::Fixed(decimals) if is_end => interval_end(number, decimals),
        NumberFormat::Fixed(decimals) => signed(number, decimals),
        NumberFormat::Scientific if number > 0.0 => format!("+{}", format.text(number)),
        NumberFormat::Scientific => format.text(number),
    };
    let mean = with_sign(found.mean * scale, false);
    match found.interval {
        Some([low, high]) => format!("{mean} [{}, {}]", with_sign(low * scale, true), with_sign(high * scale, true)),
        None => mean,
    }
}
