//! How numbered models follow the requested number of steps (METHOD, 6.2), and how many of their answers filters kept.

use std::rc::Rc;

use serde_json::{Map, json};

use super::results::{MetricColumn, MetricColumns, lines_by_data, table_of_lines};
use super::{KeptSkips, Score, Scores};
use crate::table::ReportTable;

const FOLLOWING: [MetricColumns; 5] = [
    ("", &[MetricColumn::count("requests", "requests")]),
    ("", &[MetricColumn::count("skips", "real_skips")]),
    (
        "consistent",
        &[
            MetricColumn::share("%", "consistency"),
            MetricColumn::share("skips %", "consistency_real_skips"),
            MetricColumn::share("right %", "accuracy_consistent"),
        ],
    ),
    ("", &[MetricColumn::new("steps", "average_steps", 1.0, 2)]),
    (
        "kept",
        &[MetricColumn::count("skips", "kept"), MetricColumn::share("valid %", "kept_valid")],
    ),
];

const ROWS: [MetricColumns; 1] = [("", &[MetricColumn::count("rows", "rows")])];

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
        experiment: String::new(),
        scores: kept.iter().map(as_score).collect(),
    };
    let (rows, headings) = (scores.rows(), [&FOLLOWING[..], &ROWS[..]].concat());
    let title = "Skips: requests to the numbered models, and the answers that were kept";
    let lines: Vec<_> = rows.iter().map(|row| (row, None)).collect();
    table_of_lines(&scores, title, &lines, &headings, following_number)
}

/// A filter as a score on one data set without a name.
fn as_score(kept: &KeptSkips) -> Score {
    let mut following = json!(kept.following);
    following["rows"] = kept.rows.into();
    Score {
        place: kept.place.clone(),
        data: String::new(),
        metrics: Some(Map::from_iter([("following".to_owned(), following)])),
        answers: Rc::default(),
    }
}

/// A number of `following`. Kept answers are summed over the numbers of steps left out.
fn following_number(score: &Score, metric: &str) -> Option<f64> {
    let following = score.following()?;
    let sum = |metric: &str| -> Option<f64> {
        let skips = following.get("by_skip")?.as_array()?.iter();
        skips.map(|skip| skip.get(metric)?.as_f64()).sum()
    };
    match metric {
        "kept" => sum("kept"),
        "kept_valid" => Some(sum("kept_valid")? / sum("kept").filter(|kept| *kept > 0.0)?),
        metric => following.get(metric)?.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use kinds::metrics::{BySkip, Following};
    use lab::text::Paint;

    fn following(kept: u64) -> Following {
        let skip = |skip, kept| BySkip {
            skip,
            requests: 40,
            consistent: 30,
            right: 20,
            kept,
            kept_valid: kept / 2,
        };
        Following {
            requests: 80,
            real_skips: 57,
            consistency: Some(0.5),
            consistency_real_skips: Some(0.25),
            accuracy_consistent: None,
            average_steps: Some(1.5),
            by_skip: vec![skip(0, 0), skip(1, kept), skip(2, 0)],
        }
    }

    #[test]
    fn numbered_models_have_a_table_of_their_own() {
        let mut scores = example();
        assert_eq!(scores.followings(), None);
        for score in &mut scores.scores {
            if score.place.iteration == Some(0)
                && let Some(metrics) = &mut score.metrics
            {
                metrics.insert("following".to_owned(), json!(following(10)));
            }
        }
        insta::assert_snapshot!(scores.followings().unwrap().text(Paint::default()), @r"
        phase       start  stage     n  data       requests  skips  consistent %     skips %  right %        steps  kept skips     valid %
        cold start  cold   score[0]  1  in_domain        80     57          50.0        25.0        –         1.50          10        50.0
        cold start  cold   score[0]  1  ood_easy         80     57          50.0        25.0        –         1.50          10        50.0

        warm start  warm   score[0]  3  in_domain        80     57    50.0 ± 0.0  25.0 ± 0.0        –  1.50 ± 0.00          10  50.0 ± 0.0
        warm start  warm   score[0]  3  ood_easy         80     57    50.0 ± 0.0  25.0 ± 0.0        –  1.50 ± 0.00          10  50.0 ± 0.0
        ");
        assert_eq!(scores.results().rows.len(), 1 + 2);
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
