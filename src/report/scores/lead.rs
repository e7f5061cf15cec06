//! The first columns of every table of scores.

use super::{ScoreRow, Scores, VariantGroup, place};
use crate::table::{self, ColumnGroup, TableCell};
use lab::text::Align;

/// The columns that name a row: phase, coordinates, stage, and the number of finished evaluations.
pub(super) struct LeadColumns<'a> {
    /// Whether any row has a phase that differs from its stage's name.
    phases: bool,
    axes: Vec<&'a str>,
}

impl<'a> LeadColumns<'a> {
    pub(super) fn new(scores: &'a Scores) -> Self {
        let axes = scores.axes().into_iter().filter(|axis| *axis != place::SEED);
        Self {
            phases: scores.scores.iter().any(|score| score.place.phase != score.place.stage),
            axes: axes.collect(),
        }
    }

    pub(super) fn column_groups(&self) -> Vec<ColumnGroup> {
        let mut column_groups = Vec::new();
        column_groups.extend(self.phases.then(|| ColumnGroup::single("phase", Align::Left)));
        column_groups.extend(self.axes.iter().map(|axis| ColumnGroup::axis(axis)));
        column_groups.push(ColumnGroup::single("stage", Align::Left));
        column_groups.push(ColumnGroup::single("n", Align::Right).as_label());
        column_groups
    }

    pub(super) fn cells(&self, row: &ScoreRow<'_>) -> Vec<TableCell> {
        let finished = row.finished();
        self.cells_with_count(row, TableCell::linked(finished.len().to_string(), finished))
    }

    /// The cells with another count of evaluations.
    pub(super) fn cells_with_count(&self, row: &ScoreRow<'_>, count: TableCell) -> Vec<TableCell> {
        let mut cells = Vec::new();
        cells.extend(self.phases.then(|| TableCell::plain(row.phase)));
        cells.extend(self.coordinates(&row.group));
        cells.push(TableCell::plain(row.stage));
        cells.push(count);
        cells
    }

    /// The cells of a row that belongs to no stage.
    pub(super) fn cells_with_name(&self, name: &str, group: &VariantGroup<'_>) -> Vec<TableCell> {
        let mut cells = Vec::new();
        cells.extend(self.phases.then(|| TableCell::plain(name)));
        cells.extend(self.coordinates(group));
        cells.push(TableCell::plain(if self.phases { "" } else { name }));
        cells.push(TableCell::default());
        cells
    }

    fn coordinates(&self, group: &VariantGroup<'_>) -> impl Iterator<Item = TableCell> {
        let value = |axis: &&str| TableCell::plain(group.get(axis).copied().unwrap_or_default());
        self.axes.iter().map(value).collect::<Vec<_>>().into_iter()
    }
}

/// Table rows with a mark on the first row of each group.
pub(super) fn table_rows<'a>(rows: impl IntoIterator<Item = (&'a ScoreRow<'a>, Vec<TableCell>)>) -> Vec<table::TableRow> {
    let mut last = None;
    let line = |(row, cells): (&'a ScoreRow<'a>, _)| {
        let begins_group = last.as_ref() != Some(&&row.group);
        last = Some(&row.group);
        table::TableRow { cells, begins_group }
    };
    rows.into_iter().map(line).collect()
}
