//! Series: metrics by step, as a training writes them.
//!
//! A row has a step and any numbers. The step is the first of [`STEP_NAMES`] that is a finite number in the row, else the row's number, from 1.
//! `series.jsonl` has a line for each row of each file, with the numbers under their full names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::ArtifactError;
use super::rows::{NamedFile, read_rows};
use crate::foreign::{FileFormat, RecordRefused};
use crate::metrics::{MetricMap, MetricValue, told_apart};

/// The names of what counts the steps; the first that a row has counts. They are no metrics.
pub(super) const STEP_NAMES: [&str; 6] = ["step", "global_step", "iteration", "iter", "epoch", ROW];

/// The unit where the rows are counted.
const ROW: &str = "row";

/// The file of the series within an artifact.
pub(super) const SERIES_FILE: &str = "series.jsonl";

/// One metric by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The dotted name of the metric: `loss`, `eval.loss`.
    pub name: String,
    /// What the steps count: `step`, `epoch`.
    pub unit: String,
    /// Step and value, ascending by step. A value may be NaN or infinite.
    pub points: Vec<(f64, f64)>,
}

/// The series of a metrics artifact, in the order of its files and columns; empty if it has none.
///
/// # Errors
/// When they cannot be read.
pub fn read_series(folder: &Path) -> Result<Vec<Series>, ArtifactError> {
    let mut all: Vec<Series> = Vec::new();
    let mut places: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
    let mut count = 0;
    each_row(folder, &mut |row| {
        count += 1;
        let (unit, step) = step_of(&row).map_or((ROW, f64::from(count)), |(unit, step)| (unit, step.as_number().unwrap_or_default()));
        each_number(&row, &mut |name, value| {
            let place = *places.entry((name, unit)).or_insert_with_key(|(name, unit)| {
                all.push(Series {
                    name: name.clone(),
                    unit: (*unit).to_owned(),
                    points: Vec::new(),
                });
                all.len() - 1
            });
            if let (Some(series), Some(value)) = (all.get_mut(place), value.as_number()) {
                series.points.push((step, value));
            }
        });
        Ok(())
    })?;
    // Rows of one step stay in their order.
    all.iter_mut().for_each(|series| series.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    Ok(all)
}

/// Calls `take` with each row of the artifact's file of series, if there is one.
pub(super) fn each_row(folder: &Path, take: &mut dyn FnMut(MetricMap) -> Result<(), RecordRefused>) -> Result<(), ArtifactError> {
    let path = folder.join(SERIES_FILE);
    if !path.exists() {
        return Ok(());
    }
    let name = path.display().to_string();
    let file = NamedFile { name: &name, path: &path };
    read_rows(file, FileFormat::Jsonl, false, take)
}

/// What counts the steps of a row, and its step.
pub(super) fn step_of(row: &MetricMap) -> Option<(&'static str, &MetricValue)> {
    let is_step = |value: &MetricValue| value.as_number().is_some_and(f64::is_finite);
    let value_of = |wanted: &str| row.iter().find(|(name, value)| *name == wanted && is_step(value));
    STEP_NAMES.iter().find_map(|name| Some((*name, value_of(name)?.1)))
}

/// Calls `take` with each number of a row that is no step and has a name.
fn each_number(row: &MetricMap, take: &mut dyn FnMut(String, &MetricValue)) {
    row.each_leaf("", &mut |name, value| {
        if value.as_number().is_some() && !name.is_empty() && !STEP_NAMES.contains(&name.as_str()) {
            take(name, value);
        }
    });
}

/// Writes the series of several sources.
pub(super) struct SeriesWriter {
    path: PathBuf,
    /// None until there is a row.
    file: Option<BufWriter<File>>,
    /// The names of all series.
    known: BTreeSet<String>,
}

/// A file, or a list in one, that series come from.
pub(super) struct SeriesSource<'w> {
    writer: &'w mut SeriesWriter,
    /// What comes before the names of the series.
    before: String,
    rows: u64,
    columns: Vec<Column>,
    /// The places in `columns` by name.
    places: BTreeMap<String, usize>,
}

struct Column {
    /// Its name in the source.
    name: String,
    /// Its name in the artifact.
    written: String,
    last: MetricValue,
    /// The row of the last value.
    row: u64,
}

impl SeriesWriter {
    pub fn new(folder: &Path) -> Self {
        Self {
            path: folder.join(SERIES_FILE),
            file: None,
            known: BTreeSet::new(),
        }
    }

    /// Begins a source; `before` comes before the names of its series.
    pub fn source(&mut self, before: String) -> SeriesSource<'_> {
        SeriesSource {
            writer: self,
            before,
            rows: 0,
            columns: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    fn write(&mut self, row: &MetricMap) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(BufWriter::new(File::create(&self.path)?));
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        serde_json::to_writer(&mut *file, row)?;
        file.write_all(b"\n")
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<(), ArtifactError> {
        let Some(mut file) = self.file else { return Ok(()) };
        file.flush().map_err(ArtifactError::io("write", &self.path))
    }
}

impl SeriesSource<'_> {
    /// Adds a row; `within` comes before the names of its numbers. Where a name has two numbers in a row, the first one counts.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, row: &MetricMap, within: &str) -> io::Result<()> {
        self.rows += 1;
        let counted = MetricValue::from(self.rows);
        let (unit, step) = step_of(row).unwrap_or((ROW, &counted));
        let mut written = vec![(unit.to_owned(), step.clone())];
        each_number(row, &mut |name, value| {
            if let Some(name) = self.column(within.to_owned() + &name, value) {
                written.push((name, value.clone()));
            }
        });
        if written.len() == 1 {
            return Ok(());
        }
        self.writer.write(&written.into_iter().collect())
    }

    /// Notes a value, and returns the name under which it is written; `None` if the row has one already.
    fn column(&mut self, name: String, value: &MetricValue) -> Option<String> {
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            let written = told_apart(format!("{}{name}", self.before), &mut self.writer.known);
            self.columns.push(Column {
                name,
                written,
                last: value.clone(),
                row: 0,
            });
            self.columns.len() - 1
        });
        let column = self.columns.get_mut(place).filter(|column| column.row < self.rows)?;
        (column.last, column.row) = (value.clone(), self.rows);
        Some(column.written.clone())
    }

    /// The number of series.
    pub fn count(&self) -> usize {
        self.columns.len()
    }

    /// The last value of each series, by its name in the source.
    pub fn last_values(self) -> impl Iterator<Item = (String, MetricValue)> {
        self.columns.into_iter().map(|column| (column.name, column.last))
    }
}
