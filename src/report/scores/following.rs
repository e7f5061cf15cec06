//! How numbered models follow the requested number of steps (docs/method.md, 6.2), and how many of their answers filters kept.

use std::rc::Rc;

use super::results::{MetricColumn, MetricColumns, lines_by_data, table_of_lines};
use super::{KeptSkips, Score, Scores};
use crate::table::ReportTable;
use kinds::metrics::{MetricMap, names};

const FOLLOWING: [MetricColumns; 5] = [
    ("", &[MetricColumn::count("requests", names::REQUESTS)]),
    ("", &[MetricColumn::count("skips", names::REAL_SKIPS)]),
    (
        "consistent",
        &[
            MetricColumn::share("%", names::CONSISTENCY),
            MetricColumn::share("skips %", names::CONSISTENCY_REAL_SKIPS),
            MetricColumn::share("right %", names::ACCURACY_CONSISTENT),
        ],
    ),
    ("", &[MetricColumn::new("steps", names::AVERAGE_STEPS, 1.0, 2)]),
    (
        "kept",
        &[
            MetricColumn::count("skips", names::KEPT),
            MetricColumn::share("valid %", names::KEPT_VALID),
        ],
    ),
];

/// The number of rows that a filter kept: not measured, but shown beside the metrics.
const ROWS_KEPT: &str = "rows";

const ROWS: [MetricColumns; 1] = [("", &[MetricColumn::count("rows", ROWS_KEPT)])];

impl Scores {
    /// A row for each evaluation of a numbered model and each data set; `None` without rows.
    pub fn followings(&self) -> Option<ReportTable> {
        let (data, rows) = (self.data(), self.rows());
        let lines = lines_by_data(rows.iter().filter(|row| row.is_numbered()), &data);
        let title = "Numbered models: do they take the requested number of steps?";
        table_of_lines(self, title, &lines, &FOLLOWING, following_number)
    }
}

/// A row for each filter: the requests, how the answers follow them, and the number of rows that it kept. `None` without filters.
pub fn skips_table(kept: &[KeptSkips]) -> Option<ReportTable> {
    let scores = Scores {
        scores: kept.iter().map(as_score).collect(),
        ..Scores::default()
    };
    let (rows, headings) = (scores.rows(), [&FOLLOWING[..], &ROWS[..]].concat());
    let title = "Skips: requests to the numbered models, and the answers that were kept";
    let lines: Vec<_> = rows.iter().map(|row| (row, None)).collect();
    table_of_lines(&scores, title, &lines, &headings, following_number)
}

/// A filter as a score on one data set without a name.
fn as_score(kept: &KeptSkips) -> Score {
    let mut following = kept.following.clone().unwrap_or_default();
    following.insert(ROWS_KEPT, kept.rows);
    Score {
        place: kept.place.clone(),
        data: String::new(),
        metrics: Some(MetricMap::from([(names::FOLLOWING, following.into())])),
        answers: Rc::default(),
        examples: Rc::default(),
        series: Rc::default(),
    }
}

/// A number of `following`. Kept answers are summed over the numbers of steps left out.
fn following_number(score: &Score, metric: &str) -> Option<f64> {
    let following = score.following()?;
    let sum = |metric: &str| -> Option<f64> {
        following.get(names::BY_SKIP)?;
        following.list(names::BY_SKIP).iter().map(|skip| skip.number(metric)).sum()
    };
    match metric {
        names::KEPT => sum(names::KEPT),
        names::KEPT_VALID => Some(sum(names::KEPT_VALID)? / sum(names::KEPT).filter(|kept| *kept > 0.0)?),
        metric => following.number(metric),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use kinds::metrics::{MetricMap, names};
    use lab::text::Paint;

    fn following(kept: u64) -> MetricMap {
        let skip = |skip: i64, kept: u64| {
            MetricMap::from([
                (names::SKIP, skip.into()),
                (names::REQUESTS, 40_u64.into()),
                (names::CONSISTENT, 30_u64.into()),
                (names::RIGHT, 20_u64.into()),
                (names::KEPT, kept.into()),
                (names::KEPT_VALID, (kept / 2).into()),
            ])
        };
        MetricMap::from([
            (names::REQUESTS, 80_u64.into()),
            (names::REAL_SKIPS, 57_u64.into()),
            (names::CONSISTENCY, Some(0.5).into()),
            (names::CONSISTENCY_REAL_SKIPS, Some(0.25).into()),
            (names::ACCURACY_CONSISTENT, None::<f64>.into()),
            (names::AVERAGE_STEPS, Some(1.5).into()),
            (names::BY_SKIP, vec![skip(0, 0), skip(1, kept), skip(2, 0)].into()),
        ])
    }

    #[test]
    fn numbered_models_have_a_table_of_their_own() {
        let mut scores = example();
        assert_eq!(scores.followings(), None);
        for score in &mut scores.scores {
            if score.place.iteration == Some(0)
                && let Some(metrics) = &mut score.metrics
            {
                metrics.insert("following", following(10));
            }
        }
        insta::assert_snapshot!(scores.followings().unwrap().text(Paint::default()), @r"
        phase       start  stage     n  data       requests  skips  consistent %     skips %  right %        steps  kept skips     valid %
        cold start  cold   score[0]  1  in_domain        80     57          50.0        25.0        –         1.50          10        50.0
        cold start  cold   score[0]  1  ood_easy         80     57          50.0        25.0        –         1.50          10        50.0

        warm start  warm   score[0]  3  in_domain        80     57    50.0 ± 0.0  25.0 ± 0.0        –  1.50 ± 0.00          10  50.0 ± 0.0
        warm start  warm   score[0]  3  ood_easy         80     57    50.0 ± 0.0  25.0 ± 0.0        –  1.50 ± 0.00          10  50.0 ± 0.0
        ");
        assert_eq!(scores.main_table().rows.len(), 1 + 2);
    }

    #[test]
    fn what_filters_kept_has_a_row_for_each() {
        assert_eq!(skips_table(&[]), None);
        let kept = [(1, 10), (2, 20)].map(|(seed, kept)| {
            let mut place = example().scores[2].place.clone();
            place.variant.insert("seed".to_owned(), seed.to_string());
            (place.stage, place.node) = ("skips[1]".to_owned(), seed);
            KeptSkips {
                place,
                rows: kept - 1,
                full_steps: Some(2.5),
                following: Some(following(kept)),
            }
        });
        insta::assert_snapshot!(skips_table(&kept).unwrap().text(Paint::default()), @r"
        phase        start  stage     n  requests  skips  consistent %     skips %  right %        steps  kept skips     valid %    rows
        iteration 1  cold   skips[1]  2        80     57    50.0 ± 0.0  25.0 ± 0.0        –  1.50 ± 0.00      15 ± 7  50.0 ± 0.0  14 ± 7
        ");
        let nothing = KeptSkips {
            following: None,
            ..kept[0].clone()
        };
        insta::assert_snapshot!(skips_table(&[nothing]).unwrap().text(Paint::default()), @r"
        phase        start  stage     n  requests  skips  consistent %  skips %  right %  steps  kept skips  valid %  rows
        iteration 1  cold   skips[1]  1         –      –             –        –        –      –           –        –     9
        ");
    }
}
