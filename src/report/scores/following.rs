//! How numbered models follow the number of steps that they are asked for (METHOD, 6.2).

use super::lead::{self, Lead};
use super::results::Column;
use super::{Row, Scores};
use crate::report::Align;
use crate::report::sheet::{Sheet, Span};

const COLUMNS: [Column; 5] = [
    Column {
        title: "skips asked for",
        metric: "real_skips",
        scale: 1.0,
        decimals: 0,
    },
    Column {
        title: "consistent %",
        metric: "consistency",
        scale: 100.0,
        decimals: 1,
    },
    Column {
        title: "consistent skips %",
        metric: "consistency_real_skips",
        scale: 100.0,
        decimals: 1,
    },
    Column {
        title: "right of consistent %",
        metric: "accuracy_consistent",
        scale: 100.0,
        decimals: 1,
    },
    Column {
        title: "steps",
        metric: "average_steps",
        scale: 1.0,
        decimals: 2,
    },
];

impl Scores {
    /// A row for each evaluation of a numbered model and each data set; nothing where there is none.
    pub fn followings(&self) -> Option<Sheet> {
        let (lead, data, all) = (Lead::of(self), self.data(), self.rows());
        let rows: Vec<&Row<'_>> = all.iter().filter(|row| row.is_numbered()).collect();
        let mut spans = lead.spans();
        spans.push(Span::alone("data", Align::Left));
        spans.extend(COLUMNS.iter().map(|column| Span::alone(column.title, Align::Right)));
        let line = |row: &'_ Row<'_>, name: &str| {
            let scores = row.on(name);
            let number = |column: &Column| column.cell(&scores, |score| score.following()?.get(column.metric)?.as_f64());
            let mut cells = lead.cells(row);
            cells.push(crate::report::sheet::Cell::text(name));
            cells.extend(COLUMNS.iter().map(number));
            cells
        };
        let on = |row: &Row<'_>, name: &str| !row.on(name).is_empty();
        let lines = rows.iter().flat_map(|row| {
            let data = data.iter().filter(|name| on(row, name));
            data.map(|name| (*row, line(row, name))).collect::<Vec<_>>()
        });
        (!rows.is_empty()).then(|| Sheet {
            title: "Numbered models: do they take as many steps as asked for?".to_owned(),
            spans,
            rows: lead::rows(lines),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use crate::report::Paint;
    use serde_json::json;

    #[test]
    fn numbered_models_have_a_table_of_their_own() {
        let mut scores = example();
        assert_eq!(scores.followings(), None);
        for score in &mut scores.scores {
            if score.place.iteration == Some(0)
                && let Some(metrics) = &mut score.metrics
            {
                let following = json!({"real_skips": 57, "consistency": 0.5, "consistency_real_skips": 0.25, "accuracy_consistent": null, "average_steps": 1.5});
                metrics.insert("following".to_owned(), following);
            }
        }
        insta::assert_snapshot!(scores.followings().unwrap().text(Paint::default()), @r"
        phase       start  stage     n  data       skips asked for  consistent %  consistent skips %  right of consistent %        steps
        cold start  cold   score[0]  1  in_domain               57          50.0                25.0                      –         1.50
        cold start  cold   score[0]  1  ood_easy                57          50.0                25.0                      –         1.50
        warm start  warm   score[0]  3  in_domain           57 ± 0    50.0 ± 0.0          25.0 ± 0.0                      –  1.50 ± 0.00
        warm start  warm   score[0]  3  ood_easy            57 ± 0    50.0 ± 0.0          25.0 ± 0.0                      –  1.50 ± 0.00
        ");
        assert_eq!(scores.results().rows.len(), 1 + 2);
    }
}
