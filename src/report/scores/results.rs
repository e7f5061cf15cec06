//! The main table: accuracy and steps by start and iteration, means over the seeds.

use std::collections::BTreeMap;

use super::lead::{self, LeadColumns};
use super::{Mean, Score, ScoreRow, Scores, VariantGroup, distinct};
use crate::table::{self, ColumnGroup, NO_NUMBER, ReportTable, TableCell};
use kinds::metrics::names;
use lab::text::Align;

/// A metric, and how it is printed.
pub(super) struct MetricColumn {
    pub title: &'static str,
    pub metric: &'static str,
    pub scale: f64,
    pub decimals: usize,
}

/// Columns under one heading, which may be empty.
pub(super) type MetricColumns = (&'static str, &'static [MetricColumn]);

const COLUMNS: [MetricColumn; 2] = [
    MetricColumn::share("%", names::ACCURACY),
    MetricColumn::new("steps", names::AVERAGE_STEPS, 1.0, 2),
];

const VALID: [MetricColumn; 1] = [MetricColumn::share("valid %", names::VALID_RIGHT)];

/// The columns of the table of answers. (docs/method.md, 6.1 without the columns of the main table.)
const ANSWERS: [MetricColumns; 1] = [(
    "",
    &[
        MetricColumn::new("right: steps", names::AVERAGE_STEPS_RIGHT, 1.0, 2),
        MetricColumn::share("fewer %", names::FEWER_SHARE),
        MetricColumn::share("right %", names::FEWER_ACCURACY),
        MetricColumn::share("same %", names::SAME_SHARE),
        MetricColumn::share("right %", names::SAME_ACCURACY),
        MetricColumn::share("more %", names::MORE_SHARE),
        MetricColumn::share("right %", names::MORE_ACCURACY),
        MetricColumn::share("no end %", names::INCOMPLETE),
        MetricColumn::new("tokens", names::AVERAGE_TOKENS, 1.0, 1),
    ],
)];

/// The number of answers with a label.
const LABELLED: &str = "agreement.labelled";

/// The columns of the table of agreement.
const AGREEMENT: [MetricColumns; 2] = [
    (
        "",
        &[
            MetricColumn::count("labels", LABELLED),
            MetricColumn::share("agree %", "agreement.agreed"),
            MetricColumn::new("kappa", "agreement.kappa", 1.0, 2),
        ],
    ),
    (
        "right",
        &[
            MetricColumn::count("both", "agreement.both_right"),
            MetricColumn::count("judge", "agreement.judge_alone"),
            MetricColumn::count("label", "agreement.label_alone"),
            MetricColumn::count("neither", "agreement.neither_right"),
            MetricColumn::count("unscored", "agreement.unscored"),
        ],
    ),
];

/// The name of the row of the full solutions.
const FULL_SOLUTIONS: &str = "full solutions";

impl Scores {
    /// A row for each evaluation of each variant but for the seeds. For each data set it has accuracy (%) and the average number of steps:
    /// mean ± sample standard deviation over the `n` finished seeds. The steps of the full solutions come first. Evaluations of numbered
    /// models have a table of their own.
    pub fn main_table(&self) -> ReportTable {
        let (lead, data, all) = (LeadColumns::new(self), self.data(), self.rows());
        let rows: Vec<&ScoreRow<'_>> = all.iter().filter(|row| !row.is_numbered()).collect();
        let mut table = self.metrics_table("Accuracy (%) and average number of steps", &rows, &COLUMNS);
        full_solutions(&lead, &rows, &data, &mut table.rows);
        table
    }

    /// The same rows with the share of the correct answers whose steps are all valid; `None` without such a metric.
    pub fn validity(&self) -> Option<ReportTable> {
        let all = self.rows();
        let rows: Vec<&ScoreRow<'_>> = all.iter().filter(|row| !row.is_numbered()).collect();
        let mut scores = rows.iter().flat_map(|row| &row.scores);
        let is_known = scores.any(|score| score.number(names::VALID_RIGHT).is_some());
        is_known.then(|| self.metrics_table("Correct answers whose steps are all valid (%)", &rows, &VALID))
    }

    /// A row for each row of the main table and data set: the average steps of the correct answers; the share of answers with fewer, the same
    /// and more steps than the full solution, and the accuracy of each; the share without an end; the average number of tokens. `None` without
    /// rows.
    pub fn answers(&self) -> Option<ReportTable> {
        let (data, rows) = (self.data(), self.rows());
        let lines = lines_by_data(rows.iter().filter(|row| !row.is_numbered()), &data);
        let title = "Answers with fewer, the same and more steps than the full solution";
        table_of_lines(self, title, &lines, &ANSWERS, Score::number)
    }

    /// A row for each evaluation with labels, and each data set: how far its judge agrees with them. `None` without rows.
    pub fn agreement(&self) -> Option<ReportTable> {
        let (data, rows) = (self.data(), self.rows());
        let labelled = rows
            .iter()
            .filter(|row| row.scores.iter().any(|score| score.number(LABELLED).is_some()));
        let title = "Judges and labels: do they say the same answers are right?";
        table_of_lines(self, title, &lines_by_data(labelled, &data), &AGREEMENT, Score::number)
    }

    fn metrics_table(&self, title: &str, rows: &[&ScoreRow<'_>], columns: &'static [MetricColumn]) -> ReportTable {
        let (lead, data) = (LeadColumns::new(self), self.data());
        let mut column_groups = lead.column_groups();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        column_groups.extend(data.iter().map(|name| ColumnGroup::new(name, &titles, Align::Right)));
        let line = |row: &&ScoreRow<'_>| {
            let mut cells = lead.cells(row);
            cells.extend(data.iter().flat_map(|name| metric_cells(row, name, columns)));
            cells
        };
        let rows = lead::table_rows(rows.iter().map(|row| (*row, line(row))));
        let title = title.to_owned();
        ReportTable {
            title,
            column_groups,
            rows,
        }
        .with_axes_apart()
    }
}

/// Each of the rows on each of the data sets that it has.
pub(super) fn lines_by_data<'a>(
    rows: impl Iterator<Item = &'a ScoreRow<'a>>,
    data: &[&'a str],
) -> Vec<(&'a ScoreRow<'a>, Option<&'a str>)> {
    let lines = rows.flat_map(|row| {
        let data = data.iter().filter(|name| !row.on(name).is_empty());
        data.map(move |name| (row, Some(*name)))
    });
    lines.collect()
}

/// A line for each row on its data set, or on the only one; `number` reads a metric. `None` without rows.
pub(super) fn table_of_lines(
    scores: &Scores,
    title: &str,
    rows: &[(&ScoreRow<'_>, Option<&str>)],
    headings: &[MetricColumns],
    number: fn(&Score, &str) -> Option<f64>,
) -> Option<ReportTable> {
    let lead = LeadColumns::new(scores);
    let mut column_groups = lead.column_groups();
    if rows.iter().any(|(_, data)| data.is_some()) {
        column_groups.push(ColumnGroup::single("data", Align::Left));
    }
    for (heading, columns) in headings {
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        column_groups.push(ColumnGroup::new(heading, &titles, Align::Right));
    }
    let line = |(row, data): &(&ScoreRow<'_>, Option<&str>)| {
        let found = row.on(data.unwrap_or_default());
        let columns = headings.iter().flat_map(|(_, columns)| columns.iter());
        let mut cells = lead.cells(row);
        cells.extend(data.map(TableCell::plain));
        cells.extend(columns.map(|column| column.cell(&found, |score| number(score, column.metric))));
        cells
    };
    let lines = rows.iter().map(|pair| (pair.0, line(pair)));
    let table = || ReportTable {
        title: title.to_owned(),
        column_groups,
        rows: lead::table_rows(lines),
    };
    (!rows.is_empty()).then(|| table().with_axes_apart())
}

fn metric_cells<'a>(row: &'a ScoreRow<'_>, data: &str, columns: &'static [MetricColumn]) -> impl Iterator<Item = TableCell> + use<'a> {
    let scores = row.on(data);
    columns
        .iter()
        .map(move |column| column.cell(&scores, |score| score.number(column.metric)))
}

/// Inserts the steps of the full solutions before the rows, once for consecutive groups with equal steps.
fn full_solutions(lead: &LeadColumns<'_>, rows: &[&ScoreRow<'_>], data: &[&str], lines: &mut Vec<table::TableRow>) {
    let groups = distinct(rows.iter().map(|row| &row.group));
    let steps = |group: &VariantGroup<'_>| -> Vec<TableCell> {
        let rows = || rows.iter().filter(|row| row.group == *group);
        data.iter().map(|name| full_steps(rows().map(|row| row.on(name)))).collect()
    };
    let mut runs: Vec<(Vec<TableCell>, Vec<&VariantGroup<'_>>)> = Vec::new();
    for group in groups {
        let steps = steps(group);
        let is_same = |before: &[TableCell]| before.iter().map(|cell| &cell.text).eq(steps.iter().map(|cell| &cell.text));
        match runs.last_mut().filter(|(before, _)| is_same(before)) {
            Some((_, groups)) => groups.push(group),
            None => runs.push((steps, vec![group])),
        }
    }
    let is_only = runs.len() == 1;
    // From the last to the first, so that the indices stay valid.
    for (steps, groups) in runs
        .iter()
        .rev()
        .filter(|(steps, _)| !steps.iter().all(|cell| cell.text.is_empty()))
    {
        let Some(first) = groups.first() else { continue };
        let at = rows.iter().position(|row| row.group == **first).unwrap_or(0);
        let mut shared: VariantGroup<'_> = if is_only { VariantGroup::new() } else { (*first).clone() };
        shared.retain(|axis, value| groups.iter().all(|group| group.get(axis) == Some(value)));
        let mut cells = lead.cells_with_name(FULL_SOLUTIONS, &shared);
        // Of a full solution, the number of steps alone is known.
        let cell = |column: &MetricColumn, steps: &TableCell| match column.metric {
            names::AVERAGE_STEPS => steps.clone(),
            _ => TableCell::default(),
        };
        cells.extend(steps.iter().flat_map(|steps| COLUMNS.iter().map(move |column| cell(column, steps))));
        if let Some(first) = lines.get_mut(at).filter(|_| groups.len() == 1) {
            first.begins_group = false;
        }
        lines.insert(at, table::TableRow { cells, begins_group: true });
    }
}

/// The mean number of steps of the full solutions, over the scores of all rows.
fn full_steps<'a>(scores: impl Iterator<Item = BTreeMap<usize, &'a Score>>) -> TableCell {
    let scores: BTreeMap<usize, &Score> = scores.flatten().collect();
    let found = scores
        .iter()
        .filter_map(|(node, score)| Some((*node, score.number(names::AVERAGE_FULL_STEPS)?)));
    let (nodes, numbers): (Vec<usize>, Vec<f64>) = found.unzip();
    match Mean::of(&numbers) {
        Some(mean) => TableCell::linked(format!("{:.2}", mean.mean), nodes),
        None => TableCell::default(),
    }
}

impl MetricColumn {
    pub(super) const fn new(title: &'static str, metric: &'static str, scale: f64, decimals: usize) -> Self {
        Self {
            title,
            metric,
            scale,
            decimals,
        }
    }

    /// A share, in percent.
    pub(super) const fn share(title: &'static str, metric: &'static str) -> Self {
        Self::new(title, metric, 100.0, 1)
    }

    /// A whole number.
    pub(super) const fn count(title: &'static str, metric: &'static str) -> Self {
        Self::new(title, metric, 1.0, 0)
    }

    /// A count that is equal for all seeds has no deviation.
    fn format(&self, mean: &Mean) -> String {
        let is_one_count = self.decimals == 0 && mean.deviation == Some(0.0);
        let shown = Mean {
            deviation: mean.deviation.filter(|_| !is_one_count),
            ..*mean
        };
        shown.format(self.scale, self.decimals)
    }

    /// The mean over `scores`; empty without scores.
    pub(super) fn cell(&self, scores: &BTreeMap<usize, &Score>, number: impl Fn(&Score) -> Option<f64>) -> TableCell {
        let found = || scores.iter().filter_map(|(node, score)| Some((*node, number(score)?)));
        let numbers: Vec<f64> = found().map(|(_, number)| number).collect();
        match Mean::of(&numbers) {
            Some(mean) => TableCell::linked(self.format(&mean), found().map(|(node, _)| node)),
            None if scores.is_empty() => TableCell::default(),
            None => TableCell::plain(NO_NUMBER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use lab::text::Paint;

    #[test]
    fn a_row_for_each_start_and_iteration() {
        let scores = example();
        insta::assert_snapshot!(scores.main_table().text(Paint::default()), @r"
        phase           start  stage     n  in_domain %        steps  ood_easy %        steps
        full solutions                                          2.61                     2.61

        cold start      cold   score[0]  1         98.0         2.60        10.0         2.60
        iteration 1     cold   score[1]  2   98.2 ± 0.1  1.80 ± 0.00  10.2 ± 0.1  1.80 ± 0.00

        warm start      warm   score[0]  3   98.6 ± 0.1  2.60 ± 0.00  10.6 ± 0.1  2.60 ± 0.00
        iteration 1     warm   score[1]  3   98.6 ± 0.1  1.80 ± 0.00  10.6 ± 0.1  1.80 ± 0.00
        ");
        assert_eq!(scores.note().unwrap(), "1 of 10 stages with scores missing");
    }

    #[test]
    fn axes_are_told_apart_from_columns_of_ours() {
        let mut scores = example();
        for score in &mut scores.scores {
            let start = score.place.variant.remove("start").unwrap();
            let names = ["stage", "steps", "n", "phase", "data"];
            let values = names.map(|name| (name.to_owned(), format!("{start} {name}")));
            score.place.variant.extend(values);
        }
        let titles = |table: crate::table::ReportTable| {
            let titles: Vec<String> = table.columns().map(|(_, column)| column.title.clone()).collect();
            titles
        };
        assert_eq!(
            titles(scores.main_table())[..8],
            ["phase", "data", "axis.n", "axis.phase", "axis.stage", "axis.steps", "stage", "n"]
        );
        assert_eq!(titles(scores.answers().unwrap())[..3], ["phase", "axis.data", "axis.n"]);
    }

    #[test]
    fn what_has_not_run_is_shown_as_open() {
        let mut scores = example();
        scores.scores.truncate(4);
        scores.scores.iter_mut().for_each(|score| score.metrics = None);
        insta::assert_snapshot!(scores.main_table().text(Paint::default()), @r"
        phase        start  stage     n  in_domain %  steps  ood_easy %  steps
        cold start   cold   score[0]  0            –      –           –      –
        iteration 1  cold   score[1]  0            –      –           –      –
        ");
    }

    #[test]
    fn full_solutions_that_differ_stand_before_each_group() {
        let mut scores = example();
        for score in scores.scores.iter_mut().filter(|score| score.place.variant["start"] == "warm") {
            if let Some(metrics) = &mut score.metrics {
                metrics.insert("average_full_steps", Some(3.5));
            }
        }
        insta::assert_snapshot!(scores.main_table().text(Paint::default()), @r"
        phase           start  stage     n  in_domain %        steps  ood_easy %        steps
        full solutions  cold                                    2.61                     2.61
        cold start      cold   score[0]  1         98.0         2.60        10.0         2.60
        iteration 1     cold   score[1]  2   98.2 ± 0.1  1.80 ± 0.00  10.2 ± 0.1  1.80 ± 0.00

        full solutions  warm                                    3.50                     3.50
        warm start      warm   score[0]  3   98.6 ± 0.1  2.60 ± 0.00  10.6 ± 0.1  2.60 ± 0.00
        iteration 1     warm   score[1]  3   98.6 ± 0.1  1.80 ± 0.00  10.6 ± 0.1  1.80 ± 0.00
        ");
    }

    #[test]
    fn groups_that_follow_each_other_share_the_full_solutions() {
        let mut scores = example();
        let mut others = scores.scores.split_off(12);
        for score in &mut others {
            score.place.variant.insert("start".to_owned(), "hot".to_owned());
            if let Some(metrics) = &mut score.metrics {
                metrics.insert("average_full_steps", Some(3.5));
            }
        }
        scores.scores.extend(example().scores.split_off(12));
        scores.scores.extend(others);
        let table = scores.main_table();
        let first = |row: &crate::table::TableRow| format!("{} {}", row.cells[0].text, row.cells[1].text);
        let rows: Vec<String> = table.rows.iter().map(first).collect();
        assert_eq!(
            rows,
            [
                "full solutions ",
                "cold start cold",
                "iteration 1 cold",
                "warm start warm",
                "iteration 1 warm",
                "full solutions hot",
                "warm start hot",
                "iteration 1 hot"
            ]
        );
    }

    #[test]
    fn luck_has_a_table_with_the_same_rows() {
        let mut scores = example();
        assert_eq!(scores.validity(), None, "no metric, no table");
        for score in scores.scores.iter_mut().filter(|score| score.data == "in_domain") {
            if let Some(metrics) = &mut score.metrics {
                metrics.insert("valid_right", Some(0.25));
            }
        }
        let table = scores.validity().unwrap();
        assert_eq!(table.rows.len(), 4);
        let texts = |row: usize| table.rows[row].cells[4..].iter().map(|cell| cell.text.clone()).collect::<Vec<_>>();
        assert_eq!(
            (texts(0), texts(3)),
            (vec!["25.0".into(), "–".into()], vec!["25.0 ± 0.0".into(), "–".into()])
        );
    }

    #[test]
    fn answers_have_a_row_for_each_data_set() {
        let mut scores = example();
        for score in scores.scores.iter_mut().filter(|score| score.data == "in_domain") {
            if let Some(metrics) = &mut score.metrics {
                metrics.insert("fewer.share", Some(0.5));
                metrics.insert("fewer.accuracy", Some(0.75));
                metrics.insert("incomplete", Some(0.125));
            }
        }
        let table = scores.answers().unwrap();
        let titles: Vec<&str> = table.columns().map(|(_, column)| column.title.as_str()).collect();
        assert_eq!(titles[..7], ["phase", "start", "stage", "n", "data", "right: steps", "fewer %"]);
        let texts = |row: usize| table.rows[row].cells[4..].iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>();
        assert_eq!(texts(0), ["in_domain", "–", "50.0", "75.0", "–", "–", "–", "–", "12.5", "–"]);
        assert_eq!(texts(1)[..3], ["ood_easy", "–", "–"]);
    }

    #[test]
    fn a_number_leads_to_the_evaluations_behind_it() {
        let table = example().main_table();
        let last = table.rows.last().unwrap();
        assert_eq!(last.cells[4].nodes, [8, 10, 12]);
    }
}
