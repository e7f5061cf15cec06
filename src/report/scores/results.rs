//! The main table: accuracy and steps by start and iteration, means over the seeds.

use std::collections::BTreeMap;

use super::lead::{self, Lead};
use super::{Mean, Row, Score, Scores, distinct};
use crate::sheet::{self, Cell, NONE, Sheet, Span};
use kinds::metrics::names;
use lab::text::Align;

/// The coordinates that separate rows.
type Group<'a> = BTreeMap<&'a str, &'a str>;

/// A metric, and how it is printed.
pub(super) struct Column {
    pub title: &'static str,
    pub metric: &'static str,
    pub scale: f64,
    pub decimals: usize,
}

/// Columns under one heading, which may be empty.
pub(super) type Heading = (&'static str, &'static [Column]);

const COLUMNS: [Column; 2] = [
    Column::share("%", names::ACCURACY),
    Column::of("steps", names::AVERAGE_STEPS, 1.0, 2),
];

const VALID: [Column; 1] = [Column::share("valid %", names::VALID_RIGHT)];

/// What answers are like. (docs/method.md, 6.1, without the columns of the main table.)
const ANSWERS: [Heading; 1] = [(
    "",
    &[
        Column::of("right: steps", names::AVERAGE_STEPS_RIGHT, 1.0, 2),
        Column::share("fewer %", names::FEWER_SHARE),
        Column::share("right %", names::FEWER_ACCURACY),
        Column::share("same %", names::SAME_SHARE),
        Column::share("right %", names::SAME_ACCURACY),
        Column::share("more %", names::MORE_SHARE),
        Column::share("right %", names::MORE_ACCURACY),
        Column::share("no end %", names::INCOMPLETE),
        Column::of("tokens", names::AVERAGE_TOKENS, 1.0, 1),
    ],
)];

/// What the row of the full solutions is called.
const FULL: &str = "full solutions";

impl Scores {
    /// A row for each evaluation of each variant, seeds apart; for each data set accuracy (%) and the average number of steps: mean ±
    /// sample standard deviation over the `n` seeds that are finished. Before them, the steps of the full solutions. Evaluations of
    /// numbered models are left out: they have a table of their own.
    pub fn results(&self) -> Sheet {
        let (lead, data, all) = (Lead::of(self), self.data(), self.rows());
        let rows: Vec<&Row<'_>> = all.iter().filter(|row| !row.is_numbered()).collect();
        let mut sheet = self.sheet("Accuracy (%) and average number of steps", &rows, &COLUMNS);
        full_solutions(&lead, &rows, &data, &mut sheet.rows);
        sheet
    }

    /// With the same rows, for each data set the share of the right answers whose steps are all valid; nothing where none is known.
    pub fn validity(&self) -> Option<Sheet> {
        let all = self.rows();
        let rows: Vec<&Row<'_>> = all.iter().filter(|row| !row.is_numbered()).collect();
        let mut scores = rows.iter().flat_map(|row| &row.scores);
        let is_known = scores.any(|score| score.number(names::VALID_RIGHT).is_some());
        is_known.then(|| self.sheet("Right answers whose steps are all valid (%)", &rows, &VALID))
    }

    /// A row for each row of the main table and data set: the average steps of the right answers, the share of answers with fewer, as many and
    /// more steps than the full solution, how many of each are right, the share without an end, and the average number of tokens. Nothing where
    /// there is no row.
    pub fn answers(&self) -> Option<Sheet> {
        let (data, rows) = (self.data(), self.rows());
        let lines = by_data(rows.iter().filter(|row| !row.is_numbered()), &data);
        let title = "Answers with fewer steps than the full solution, as many, and more";
        lines_of(self, title, &lines, &ANSWERS, Score::number)
    }

    fn sheet(&self, title: &str, rows: &[&Row<'_>], columns: &'static [Column]) -> Sheet {
        let (lead, data) = (Lead::of(self), self.data());
        let mut spans = lead.spans();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        spans.extend(data.iter().map(|name| Span::of(name, &titles, Align::Right)));
        let line = |row: &&Row<'_>| {
            let mut cells = lead.cells(row);
            cells.extend(data.iter().flat_map(|name| scored(row, name, columns)));
            cells
        };
        Sheet {
            title: title.to_owned(),
            spans,
            rows: lead::rows(rows.iter().map(|row| (*row, line(row)))),
        }
    }
}

/// Each of the rows on each of the data sets that it has.
pub(super) fn by_data<'a>(rows: impl Iterator<Item = &'a Row<'a>>, data: &[&'a str]) -> Vec<(&'a Row<'a>, Option<&'a str>)> {
    let lines = rows.flat_map(|row| {
        let data = data.iter().filter(|name| !row.on(name).is_empty());
        data.map(move |name| (row, Some(*name)))
    });
    lines.collect()
}

/// A line for each row, on the data set that is named, or on the only one; `number` reads a metric. Nothing where there are no rows.
pub(super) fn lines_of(
    scores: &Scores,
    title: &str,
    rows: &[(&Row<'_>, Option<&str>)],
    headings: &[Heading],
    number: fn(&Score, &str) -> Option<f64>,
) -> Option<Sheet> {
    let lead = Lead::of(scores);
    let mut spans = lead.spans();
    if rows.iter().any(|(_, data)| data.is_some()) {
        spans.push(Span::alone("data", Align::Left));
    }
    for (heading, columns) in headings {
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        spans.push(Span::of(heading, &titles, Align::Right));
    }
    let line = |(row, data): &(&Row<'_>, Option<&str>)| {
        let found = row.on(data.unwrap_or_default());
        let columns = headings.iter().flat_map(|(_, columns)| columns.iter());
        let mut cells = lead.cells(row);
        cells.extend(data.map(Cell::text));
        cells.extend(columns.map(|column| column.cell(&found, |score| number(score, column.metric))));
        cells
    };
    let lines = rows.iter().map(|pair| (pair.0, line(pair)));
    (!rows.is_empty()).then(|| Sheet {
        title: title.to_owned(),
        spans,
        rows: lead::rows(lines),
    })
}

fn scored<'a>(row: &'a Row<'_>, data: &str, columns: &'static [Column]) -> impl Iterator<Item = Cell> + use<'a> {
    let scores = row.on(data);
    columns
        .iter()
        .map(move |column| column.cell(&scores, |score| score.number(column.metric)))
}

/// Puts the steps of the full solutions before the rows: once for groups that follow each other and have the same.
fn full_solutions(lead: &Lead<'_>, rows: &[&Row<'_>], data: &[&str], lines: &mut Vec<sheet::Row>) {
    let groups = distinct(rows.iter().map(|row| &row.group));
    let steps = |group: &Group<'_>| -> Vec<Cell> {
        let rows = || rows.iter().filter(|row| row.group == *group);
        data.iter().map(|name| full_steps(rows().map(|row| row.on(name)))).collect()
    };
    let mut runs: Vec<(Vec<Cell>, Vec<&Group<'_>>)> = Vec::new();
    for group in groups {
        let steps = steps(group);
        let is_same = |before: &[Cell]| before.iter().map(|cell| &cell.text).eq(steps.iter().map(|cell| &cell.text));
        match runs.last_mut().filter(|(before, _)| is_same(before)) {
            Some((_, groups)) => groups.push(group),
            None => runs.push((steps, vec![group])),
        }
    }
    let is_only = runs.len() == 1;
    // From the last to the first, so that places stay.
    for (steps, groups) in runs
        .iter()
        .rev()
        .filter(|(steps, _)| !steps.iter().all(|cell| cell.text.is_empty()))
    {
        let Some(first) = groups.first() else { continue };
        let at = rows.iter().position(|row| row.group == **first).unwrap_or(0);
        let mut shared: Group<'_> = if is_only { Group::new() } else { (*first).clone() };
        shared.retain(|axis, value| groups.iter().all(|group| group.get(axis) == Some(value)));
        let mut cells = lead.named(FULL, &shared);
        cells.extend(steps.iter().flat_map(|steps| [Cell::default(), steps.clone()]));
        if let Some(first) = lines.get_mut(at).filter(|_| groups.len() == 1) {
            first.begins = false;
        }
        lines.insert(at, sheet::Row { cells, begins: true });
    }
}

/// The mean number of steps of the full solutions, over the scores of all rows.
fn full_steps<'a>(scores: impl Iterator<Item = BTreeMap<usize, &'a Score>>) -> Cell {
    let scores: BTreeMap<usize, &Score> = scores.flatten().collect();
    let found = scores
        .iter()
        .filter_map(|(source, score)| Some((*source, score.number(names::AVERAGE_FULL_STEPS)?)));
    let (sources, numbers): (Vec<usize>, Vec<f64>) = found.unzip();
    match Mean::of(&numbers) {
        Some(mean) => Cell::from(format!("{:.2}", mean.mean), sources),
        None => Cell::default(),
    }
}

impl Column {
    pub(super) const fn of(title: &'static str, metric: &'static str, scale: f64, decimals: usize) -> Self {
        Self {
            title,
            metric,
            scale,
            decimals,
        }
    }

    /// A share, in percent.
    pub(super) const fn share(title: &'static str, metric: &'static str) -> Self {
        Self::of(title, metric, 100.0, 1)
    }

    /// A whole number.
    pub(super) const fn count(title: &'static str, metric: &'static str) -> Self {
        Self::of(title, metric, 1.0, 0)
    }

    /// A count that is the same for all seeds is just that.
    fn text(&self, mean: &Mean) -> String {
        let is_one_count = self.decimals == 0 && mean.deviation == Some(0.0);
        let shown = Mean {
            deviation: mean.deviation.filter(|_| !is_one_count),
            ..*mean
        };
        shown.text(self.scale, self.decimals)
    }

    /// The mean over `scores`; empty where there is nothing to come either.
    pub(super) fn cell(&self, scores: &BTreeMap<usize, &Score>, number: impl Fn(&Score) -> Option<f64>) -> Cell {
        let found = || scores.iter().filter_map(|(source, score)| Some((*source, number(score)?)));
        let numbers: Vec<f64> = found().map(|(_, number)| number).collect();
        match Mean::of(&numbers) {
            Some(mean) => Cell::from(self.text(&mean), found().map(|(source, _)| source)),
            None if scores.is_empty() => Cell::default(),
            None => Cell::text(NONE),
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
        insta::assert_snapshot!(scores.results().text(Paint::default()), @r"
        phase           start  stage     n  in_domain %        steps  ood_easy %        steps
        full solutions                                          2.61                     2.61

        cold start      cold   score[0]  1         98.0         2.60        10.0         2.60
        iteration 1     cold   score[1]  2   98.2 ± 0.1  1.80 ± 0.00  10.2 ± 0.1  1.80 ± 0.00

        warm start      warm   score[0]  3   98.6 ± 0.1  2.60 ± 0.00  10.6 ± 0.1  2.60 ± 0.00
        iteration 1     warm   score[1]  3   98.6 ± 0.1  1.80 ± 0.00  10.6 ± 0.1  1.80 ± 0.00
        ");
        assert_eq!(scores.note().unwrap(), "1 of 10 stages with scores not run yet");
    }

    #[test]
    fn what_has_not_run_is_shown_as_open() {
        let mut scores = example();
        scores.scores.truncate(4);
        scores.scores.iter_mut().for_each(|score| score.metrics = None);
        insta::assert_snapshot!(scores.results().text(Paint::default()), @r"
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
        insta::assert_snapshot!(scores.results().text(Paint::default()), @r"
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
        let sheet = scores.results();
        let first = |row: &crate::sheet::Row| format!("{} {}", row.cells[0].text, row.cells[1].text);
        let rows: Vec<String> = sheet.rows.iter().map(first).collect();
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
        let sheet = scores.validity().unwrap();
        assert_eq!(sheet.rows.len(), 4);
        let texts = |row: usize| sheet.rows[row].cells[4..].iter().map(|cell| cell.text.clone()).collect::<Vec<_>>();
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
        let sheet = scores.answers().unwrap();
        let titles: Vec<&str> = sheet.columns().map(|(_, column)| column.title.as_str()).collect();
        assert_eq!(titles[..7], ["phase", "start", "stage", "n", "data", "right: steps", "fewer %"]);
        let texts = |row: usize| sheet.rows[row].cells[4..].iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>();
        assert_eq!(texts(0), ["in_domain", "–", "50.0", "75.0", "–", "–", "–", "–", "12.5", "–"]);
        assert_eq!(texts(1)[..3], ["ood_easy", "–", "–"]);
    }

    #[test]
    fn a_number_leads_to_the_evaluations_behind_it() {
        let sheet = example().results();
        let last = sheet.rows.last().unwrap();
        assert_eq!(last.cells[4].sources, [8, 10, 12]);
    }
}
