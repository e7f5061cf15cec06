//! The table of scores: means over the seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::{Mean, Score, Scores, distinct};
use crate::report::{Align, Color, Paint, Table, wording};

/// A column that each data set has.
struct Column {
    title: &'static str,
    metric: &'static str,
    scale: f64,
    decimals: usize,
    /// The full solutions are given, and how they differ between seeds is of no interest.
    deviates: bool,
}

const COLUMNS: [Column; 3] = [
    Column {
        title: "%",
        metric: "accuracy",
        scale: 100.0,
        decimals: 1,
        deviates: true,
    },
    Column {
        title: "steps",
        metric: "average_steps",
        scale: 1.0,
        decimals: 2,
        deviates: true,
    },
    Column {
        title: "full",
        metric: "average_full_steps",
        scale: 1.0,
        decimals: 2,
        deviates: false,
    },
];

/// What stands where there is no number yet.
const NONE: &str = "–";

/// The scores of one row: one stage, all seeds.
struct Row<'a> {
    stage: &'a str,
    group: BTreeMap<&'a str, &'a str>,
    scores: Vec<&'a Score>,
}

impl Scores {
    /// A row for each evaluation of each variant, seeds apart; for each data set accuracy (%), the average number of steps and
    /// that of the full solutions: mean ± sample standard deviation over the `n` seeds that are finished.
    pub fn table(&self, paint: Paint) -> String {
        let axes: Vec<&str> = self.axes().into_iter().filter(|axis| *axis != super::SEED).collect();
        let data = distinct(self.scores.iter().map(|score| score.data.as_str()));
        let mut titles = vec![("stage".to_owned(), Align::Left)];
        titles.extend(axes.iter().map(|axis| ((*axis).to_owned(), Align::Left)));
        titles.push(("n".to_owned(), Align::Right));
        titles.extend(data.iter().flat_map(|name| titles_of(name)));
        let mut table = Table::new(titles);
        for row in self.rows() {
            table.row(row.cells(&axes, &data).into_iter().map(|cell| {
                let color = (cell == NONE).then_some(Color::Dim);
                (cell, color)
            }));
        }
        table.render(paint)
    }

    /// What the table leaves open: how many evaluations are still to come.
    pub fn note(&self) -> Option<String> {
        let (all, missing) = self.evaluations();
        (missing > 0).then(|| format!("{missing} of {} with scores not run yet", wording::stages(all)))
    }

    /// The rows, those with equal coordinates together.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut places: BTreeMap<(BTreeMap<&str, &str>, &str), usize> = BTreeMap::new();
        for score in &self.scores {
            let place = *places.entry((score.group(), &score.stage)).or_insert_with(|| {
                rows.push(Row {
                    stage: &score.stage,
                    group: score.group(),
                    scores: Vec::new(),
                });
                rows.len() - 1
            });
            if let Some(row) = rows.get_mut(place) {
                row.scores.push(score);
            }
        }
        let groups = distinct(rows.iter().map(|row| row.group.clone()));
        rows.sort_by_key(|row| groups.iter().position(|group| *group == row.group));
        rows
    }
}

/// The titles of a data set's columns; the first one carries its name.
fn titles_of(data: &str) -> impl Iterator<Item = (String, Align)> + '_ {
    COLUMNS.iter().enumerate().map(move |(i, column)| match i {
        0 => (format!("{data} {}", column.title), Align::Right),
        _ => (column.title.to_owned(), Align::Right),
    })
}

impl Row<'_> {
    fn cells(&self, axes: &[&str], data: &[&str]) -> Vec<String> {
        let finished: BTreeSet<usize> = self
            .scores
            .iter()
            .filter(|score| score.is_finished())
            .map(|score| score.source)
            .collect();
        let coordinates = axes.iter().map(|axis| self.group.get(axis).copied().unwrap_or_default().to_owned());
        let mut cells = vec![self.stage.to_owned()];
        cells.extend(coordinates);
        cells.push(finished.len().to_string());
        for name in data {
            // By source: each evaluation counts once, however many variants share it.
            let scores = self
                .scores
                .iter()
                .filter(|score| score.data == *name)
                .map(|score| (score.source, *score));
            let scores: BTreeMap<usize, &Score> = scores.collect();
            cells.extend(COLUMNS.iter().map(|column| column.cell(&scores)));
        }
        cells
    }
}

impl Column {
    /// The mean over `scores`; empty where there is nothing to come either.
    fn cell(&self, scores: &BTreeMap<usize, &Score>) -> String {
        let numbers: Vec<f64> = scores.values().filter_map(|score| score.number(self.metric)).collect();
        match Mean::of(&numbers) {
            Some(mean) => {
                let deviation = mean.deviation.filter(|_| self.deviates);
                Mean { deviation, ..mean }.text(self.scale, self.decimals)
            }
            None if scores.is_empty() => String::new(),
            None => NONE.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_start_and_iteration() {
        let scores = super::super::tests::example();
        insta::assert_snapshot!(scores.table(Paint::default()), @r"
        stage     start  n  in_domain %        steps  full  ood_easy %        steps  full
        score[0]  cold   1         98.0         2.60  2.61        10.0         2.60  2.61
        score[1]  cold   2   98.2 ± 0.1  1.80 ± 0.00  2.61  10.2 ± 0.1  1.80 ± 0.00  2.61
        score[0]  warm   3   98.6 ± 0.1  2.60 ± 0.00  2.61  10.6 ± 0.1  2.60 ± 0.00  2.61
        score[1]  warm   3   98.6 ± 0.1  1.80 ± 0.00  2.61  10.6 ± 0.1  1.80 ± 0.00  2.61
        ");
        assert_eq!(scores.note().unwrap(), "1 of 10 stages with scores not run yet");
    }

    #[test]
    fn what_has_not_run_is_shown_as_open() {
        let mut scores = super::super::tests::example();
        scores.scores.truncate(4);
        scores.scores.iter_mut().for_each(|score| score.metrics = None);
        insta::assert_snapshot!(scores.table(Paint::default()), @r"
        stage     start  n  in_domain %  steps  full  ood_easy %  steps  full
        score[0]  cold   0            –      –     –           –      –     –
        score[1]  cold   0            –      –     –           –      –     –
        ");
    }
}
