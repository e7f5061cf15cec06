//! The columns that every table of scores begins with.

use std::collections::BTreeMap;

use super::{Row, Scores, place};
use crate::sheet::{self, Cell, Span};
use lab::text::Align;

/// What says which row it is: the phase of the loop, the coordinates, the stage, and how many evaluations are finished.
pub(super) struct Lead<'a> {
    /// Whether any row has a phase that is more than its stage's name.
    phases: bool,
    axes: Vec<&'a str>,
}

impl<'a> Lead<'a> {
    pub(super) fn of(scores: &'a Scores) -> Self {
        let axes = scores.axes().into_iter().filter(|axis| *axis != place::SEED);
        Self {
            phases: scores.scores.iter().any(|score| score.place.phase != score.place.stage),
            axes: axes.collect(),
        }
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        spans.extend(self.phases.then(|| Span::alone("phase", Align::Left)));
        spans.extend(self.axes.iter().map(|axis| Span::alone(axis, Align::Left)));
        spans.push(Span::alone("stage", Align::Left));
        spans.push(Span::alone("n", Align::Right).leading());
        spans
    }

    pub(super) fn cells(&self, row: &Row<'_>) -> Vec<Cell> {
        let finished = row.finished();
        self.counted(row, Cell::from(finished.len().to_string(), finished))
    }

    /// The cells where `count` of the row's evaluations matter.
    pub(super) fn counted(&self, row: &Row<'_>, count: Cell) -> Vec<Cell> {
        let mut cells = Vec::new();
        cells.extend(self.phases.then(|| Cell::text(row.phase)));
        cells.extend(self.coordinates(&row.group));
        cells.push(Cell::text(row.stage));
        cells.push(count);
        cells
    }

    /// The cells of a row that is no stage's: `name`, then the coordinates.
    pub(super) fn named(&self, name: &str, group: &BTreeMap<&str, &str>) -> Vec<Cell> {
        let mut cells = Vec::new();
        cells.extend(self.phases.then(|| Cell::text(name)));
        cells.extend(self.coordinates(group));
        cells.push(Cell::text(if self.phases { "" } else { name }));
        cells.push(Cell::default());
        cells
    }

    fn coordinates(&self, group: &BTreeMap<&str, &str>) -> impl Iterator<Item = Cell> {
        let value = |axis: &&str| Cell::text(group.get(axis).copied().unwrap_or_default());
        self.axes.iter().map(value).collect::<Vec<_>>().into_iter()
    }
}

/// Marks where a new group of rows begins.
pub(super) fn rows<'a>(rows: impl IntoIterator<Item = (&'a Row<'a>, Vec<Cell>)>) -> Vec<sheet::Row> {
    let mut last = None;
    let line = |(row, cells): (&'a Row<'a>, _)| {
        let begins = last.as_ref() != Some(&&row.group);
        last = Some(&row.group);
        sheet::Row { cells, begins }
    };
    rows.into_iter().map(line).collect()
}
