//! A grid of metrics as a table.

use std::collections::BTreeMap;

use super::ROUNDING;
use super::cell::MetricCell;
use super::columns::MetricColumn;
use super::digits::{ColumnFormat, ShownNumber};
use super::grid::{GridRow, MetricGrid};
use crate::layout::{Dimension, ReportLayout};
use crate::scores::SEED;
use crate::table::{ColumnGroup, ReportTable, TableCell, TableRow};
use lab::text::Align;

/// The number of a row, and its mean.
type RowMean = (usize, f64);

/// The cells of one metric, by row and then by key of its columns.
pub(super) type MetricCells = Vec<Vec<MetricCell>>;

impl MetricGrid<'_> {
    /// The table; `None` without metrics, unless they are still to come.
    pub fn table(&self, layout: &ReportLayout) -> Option<ReportTable> {
        if self.is_empty() {
            return self.is_pending.then(|| self.pending_table());
        }
        let cells: Vec<MetricCells> = self.chosen.columns.iter().map(|column| self.cells(column)).collect();
        let counts = RunCounts::of(&cells);
        let mut column_groups: Vec<ColumnGroup> = self.rows_by.iter().map(label_column).collect();
        let counts_differ = counts.common.is_none();
        column_groups.extend(counts_differ.then(|| ColumnGroup::single("n", Align::Right).as_label()));
        column_groups.extend(self.metric_groups());
        let mut rows: Vec<TableRow> = self.label_rows();
        for (row, count) in rows.iter_mut().zip(&counts.by_row) {
            row.cells.extend(counts_differ.then(|| TableCell::plain(count)));
        }
        for (column, cells) in self.chosen.columns.iter().zip(&cells) {
            self.add_cells(&mut rows, column, cells, layout.interval);
        }
        let table = ReportTable {
            title: self.title(&cells, &counts, layout.interval),
            column_groups,
            rows,
        };
        Some(table.with_axes_apart())
    }

    /// The rows alone, of which none has run.
    fn pending_table(&self) -> ReportTable {
        let mut column_groups: Vec<ColumnGroup> = self.rows_by.iter().map(label_column).collect();
        column_groups.push(ColumnGroup::single("n", Align::Right));
        let mut rows = self.label_rows();
        rows.iter_mut().for_each(|row| row.cells.push(TableCell::plain("0")));
        let table = ReportTable {
            title: "Metrics".to_owned(),
            column_groups,
            rows,
        };
        table.with_axes_apart()
    }

    /// The columns of the metrics. Values of axes stand below the metric, or alone where there is one metric.
    fn metric_groups(&self) -> Vec<ColumnGroup> {
        let columns = self.chosen.columns.iter();
        if self.columns_by.is_empty() {
            return columns.map(|column| ColumnGroup::single(&column.heading(), Align::Right)).collect();
        }
        let keys: Vec<String> = self.column_keys.iter().map(|key| self.key_text(key)).collect();
        if self.chosen.columns.len() == 1 {
            return keys.iter().map(|key| ColumnGroup::single(key, Align::Right)).collect();
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        columns
            .map(|column| ColumnGroup::new(&column.heading(), &keys, Align::Right))
            .collect()
    }

    /// `lr=0.1, depth=2`; the names of stages and data sets stand alone.
    fn key_text(&self, key: &[&str]) -> String {
        let part = |(dimension, value): (&Dimension, &&str)| match dimension {
            Dimension::Axis(axis) => format!("{axis}={value}"),
            Dimension::Stage | Dimension::Data => (*value).to_owned(),
        };
        let parts: Vec<String> = self.columns_by.iter().zip(key).map(part).collect();
        parts.join(", ")
    }

    /// The rows with the cells that name them. Rows with one first value are a group, unless they are sorted otherwise.
    pub(super) fn label_rows(&self) -> Vec<TableRow> {
        let firsts = crate::scores::distinct(self.rows.iter().map(|row| row.key.first())).len();
        let has_groups = !self.is_ordered && firsts < self.rows.len() && self.rows_by.len() > 1;
        let before = std::iter::once(None).chain(self.rows.iter().map(Some));
        let row = |(row, before): (&GridRow<'_>, Option<&GridRow<'_>>)| TableRow {
            cells: row.key.iter().map(|value| TableCell::plain(*value)).collect(),
            begins_group: has_groups && before.is_some_and(|before| before.key.first() != row.key.first()),
        };
        self.rows.iter().zip(before).map(row).collect()
    }

    fn add_cells(&self, rows: &mut [TableRow], column: &MetricColumn, cells: &MetricCells, with_interval: bool) {
        let scale = column.scale();
        let shown: Vec<ShownNumber> = cells.iter().flatten().filter_map(|cell| cell.shown(scale)).collect();
        let format = ColumnFormat::of(&shown, column.digits);
        let best = self.best_cells(column, cells);
        for ((row, cells), best) in rows.iter_mut().zip(cells).zip(best) {
            let marked = cells
                .iter()
                .zip(best)
                .map(|(cell, is_best)| cell.table_cell(format, scale, with_interval).marked(is_best));
            row.cells.extend(marked);
        }
    }

    /// Which cells are the best of their column: of the rows about one stage and data set, if there are several that differ and it is known
    /// what is better.
    pub(super) fn best_cells(&self, column: &MetricColumn, cells: &MetricCells) -> Vec<Vec<bool>> {
        let mut marks: Vec<Vec<bool>> = cells.iter().map(|row| vec![false; row.len()]).collect();
        let Some(better) = column.better else { return marks };
        let mut rivals: BTreeMap<(Vec<&str>, usize), Vec<RowMean>> = BTreeMap::new();
        for (at, (row, cells)) in self.rows.iter().zip(cells).enumerate() {
            let places = self.rows_by.iter().zip(&row.key);
            let about: Vec<&str> = places
                .filter(|(dimension, _)| !matches!(dimension, Dimension::Axis(_)))
                .map(|(_, value)| *value)
                .collect();
            for (key, cell) in cells.iter().enumerate() {
                if let Some(mean) = cell.mean {
                    rivals.entry((about.clone(), key)).or_default().push((at, mean.mean));
                }
            }
        }
        for ((_, key), rivals) in rivals {
            let best = rivals.iter().map(|(_, mean)| *mean).min_by(|a, b| better.compare(*a, *b));
            let is_best = |mean: f64| best.is_some_and(|best| (mean - best).abs() <= ROUNDING * best.abs());
            if rivals.iter().any(|(_, mean)| !is_best(*mean)) {
                for (at, _) in rivals.iter().filter(|(_, mean)| is_best(*mean)) {
                    marks[*at][key] = true;
                }
            }
        }
        marks
    }

    /// `Metrics: mean ± standard deviation, 3 seeds`
    fn title(&self, cells: &[MetricCells], counts: &RunCounts, with_interval: bool) -> String {
        let all = || cells.iter().flatten().flatten();
        let has_deviation = all().any(|cell| cell.mean.is_some_and(|mean| mean.deviation.is_some()));
        let has_error = all().any(|cell| cell.standard_error.is_some());
        let mut title = match self.chosen.columns.as_slice() {
            [only] if !self.columns_by.is_empty() => only.heading(),
            _ => "Metrics".to_owned(),
        };
        if !self.columns_by.is_empty() {
            let names: Vec<String> = self.columns_by.iter().map(Dimension::name).collect();
            title += &format!(" by {}", names.join(", "));
        }
        // A mean over seeds is what everybody expects.
        let over = match self.averaged.as_slice() {
            [] | [SEED] => String::new(),
            axes => format!(" over {}", axes.join(", ")),
        };
        match (has_deviation, has_error, with_interval) {
            (true, false, false) => title += &format!(": mean{over} ± standard deviation"),
            (true, true, false) => {
                title += &format!(": mean{over} ± standard deviation; of a single run, ± standard error over its examples");
            }
            (true, _, true) => title += &format!(": mean{over} with 95 % interval (Student's t)"),
            (false, true, _) => title += ": value ± standard error over its examples",
            (false, false, _) => {}
        }
        if let Some(count) = counts.common.filter(|count| *count > 1) {
            let runs = if self.averaged == [SEED] { "seeds" } else { "runs" };
            title += &format!(", {count} {runs}");
        }
        if let Some((count, by)) = &self.best {
            title += &format!(", the best {count} by {by}");
        }
        title
    }
}

/// The column that names rows by a dimension.
pub(super) fn label_column(dimension: &Dimension) -> ColumnGroup {
    match dimension {
        Dimension::Axis(axis) => ColumnGroup::axis(axis),
        Dimension::Stage => ColumnGroup::single("stage", Align::Left),
        Dimension::Data => ColumnGroup::single("data", Align::Left),
    }
}

/// How many runs there are in the cells.
struct RunCounts {
    /// The number of all cells that have any; `None` if they differ.
    common: Option<usize>,
    /// `3`, or `2–3` where the cells of a row differ.
    by_row: Vec<String>,
}

impl RunCounts {
    fn of(metrics: &[MetricCells]) -> Self {
        let rows = metrics.first().map_or(0, Vec::len);
        let counts = |at: usize| metrics.iter().flat_map(move |cells| &cells[at]).map(|cell| cell.runs);
        let mut all: Vec<usize> = (0..rows).flat_map(counts).filter(|count| *count > 0).collect();
        all.sort_unstable();
        all.dedup();
        let text = |at: usize| {
            let found = || counts(at).filter(|count| *count > 0);
            range_text(found().min().unwrap_or(0), found().max().unwrap_or(0))
        };
        Self {
            common: if all.len() > 1 {
                None
            } else {
                Some(all.first().copied().unwrap_or(0))
            },
            by_row: (0..rows).map(text).collect(),
        }
    }
}

/// `3`, `2–3`
pub(super) fn range_text(least: usize, most: usize) -> String {
    if least < most {
        format!("{least}–{most}")
    } else {
        most.to_string()
    }
}
