//! Scores as comma-separated values.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use kinds::metrics::{MetricMap, MetricValue, names};
use serde_json::Value;

use super::{Score, Scores};
use crate::table::axis_title;

impl Scores {
    /// A heading and a line for each finished score, with a column for each axis and each metric that is a single value, by its full name:
    /// `following.consistency`, `folds.0.f1`. An axis with the name of another column is called `axis.NAME`.
    ///
    /// # Errors
    /// When a record cannot be written.
    pub fn csv(&self) -> io::Result<String> {
        let axes = self.axes();
        let finished = self.scores.iter().filter(|score| score.is_finished());
        let finished: Vec<(&Score, SingleValues)> = finished.map(|score| (score, single_values(score))).collect();
        // A metric that has parts for some scores and is null for others has columns for its parts only.
        let with_parts: BTreeSet<&str> = finished
            .iter()
            .flat_map(|(score, _)| score.metrics.iter().flat_map(MetricMap::iter))
            .filter(|(_, value)| matches!(value, MetricValue::Map(_) | MetricValue::List(_) | MetricValue::Values(_)))
            .map(|(name, _)| name)
            .collect();
        let has_column = |(name, value): &(&String, &String)| !value.is_empty() || !with_parts.contains(name.as_str());
        let values = finished.iter().flat_map(|(_, values)| values);
        let metrics: BTreeSet<String> = values.filter(has_column).map(|(name, _)| name.clone()).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        let titles = axes
            .iter()
            .map(|axis| axis_title(axis, |title| is_ours(title) || metrics.contains(title)));
        let ours = |title: &str| title.to_owned();
        let head = ["stage", "iteration"].map(ours).into_iter().chain(titles).chain(["data"].map(ours));
        writer.write_record(head.chain(metrics.iter().cloned()))?;
        for (score, values) in &finished {
            writer.write_record(fields(score, values, &axes, &metrics))?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

/// Whether a column of ours has this name, in any report: a name does not depend on which evaluations have run.
fn is_ours(title: &str) -> bool {
    const PLACE: [&str; 3] = ["stage", "iteration", "data"];
    const METRICS: [&str; 9] = [
        names::ANSWERS,
        names::ACCURACY,
        names::VALID,
        names::VALID_RIGHT,
        names::AVERAGE_STEPS,
        names::AVERAGE_STEPS_RIGHT,
        names::AVERAGE_FULL_STEPS,
        names::AVERAGE_TOKENS,
        names::INCOMPLETE,
    ];
    PLACE.contains(&title) || METRICS.contains(&title)
}

fn fields(score: &Score, found: &SingleValues, axes: &[&str], metrics: &BTreeSet<String>) -> impl Iterator<Item = String> {
    let head = [
        score.place.stage.clone(),
        score.place.iteration.map_or_else(String::new, |k| k.to_string()),
    ];
    let coordinates = axes.iter().map(|axis| score.place.variant.get(*axis).cloned().unwrap_or_default());
    let values = metrics.iter().map(move |name| found.get(name).cloned().unwrap_or_default());
    let values: Vec<String> = coordinates.chain([score.data.clone()]).chain(values).collect();
    head.into_iter().chain(values)
}

/// The metrics that are single values, by full name; null is an empty text.
type SingleValues = BTreeMap<String, String>;

fn single_values(score: &Score) -> SingleValues {
    let found = score.metrics.iter().flat_map(MetricMap::flattened);
    found.filter_map(|(name, value)| Some((name, single_value(value)?))).collect()
}

fn single_value(value: &MetricValue) -> Option<String> {
    match value {
        MetricValue::Number(number) => Some(number.to_string()),
        MetricValue::Other(Value::Null) => Some(String::new()),
        MetricValue::Other(Value::String(text)) => Some(text.clone()),
        MetricValue::Other(Value::Bool(truth)) => Some(truth.to_string()),
        MetricValue::NotFinite(number) => Some(number.text().to_owned()),
        MetricValue::Map(_) | MetricValue::List(_) | MetricValue::Values(_) | MetricValue::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_for_every_finished_score() {
        let csv = super::super::tests::example().csv().unwrap();
        assert_eq!(csv.lines().count(), 1 + 22);
        insta::assert_snapshot!(csv.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
        stage,iteration,seed,start,data,accuracy,average_full_steps,average_steps
        score[0],0,1,cold,in_domain,0.98,2.61,2.6
        score[0],0,1,cold,ood_easy,0.1,2.61,2.6
        ");
    }

    #[test]
    fn tables_are_columns_and_lists_are_left_out() {
        let mut scores = super::super::tests::example();
        scores.scores.truncate(2);
        let mut with = |at: usize, following: Value| {
            let metrics = scores.scores[at].metrics.as_mut().unwrap();
            metrics.insert("by_full_steps", MetricValue::Other(json!([1])));
            metrics.insert("following", serde_json::from_value::<MetricValue>(following).unwrap());
        };
        with(0, Value::Null);
        with(1, json!({"consistency": 0.5, "by_skip": []}));
        insta::assert_snapshot!(scores.csv().unwrap(), @r"
        stage,iteration,seed,start,data,accuracy,average_full_steps,average_steps,following.consistency
        score[0],0,1,cold,in_domain,0.98,2.61,2.6,
        score[0],0,1,cold,ood_easy,0.1,2.61,2.6,0.5
        ");
    }

    #[test]
    fn what_diverged_says_so() {
        let mut scores = super::super::tests::example();
        scores.scores.truncate(1);
        scores.scores[0].metrics = serde_json::from_value(json!({"loss": "NaN", "folds": [1, "-Infinity"]})).ok();
        let csv = scores.csv().unwrap();
        assert!(csv.starts_with("stage,iteration,seed,start,data,folds.0,folds.1,loss\n"), "{csv}");
        assert!(csv.ends_with(",in_domain,1,-Infinity,NaN\n"), "{csv}");
        assert_eq!(scores.json()["rows"][0]["metrics"]["loss"], "NaN");
    }

    #[test]
    fn each_number_of_a_program_has_a_column() {
        let mut scores = super::super::tests::example();
        scores.scores.truncate(2);
        // A text, since `json!` sorts names.
        let metrics = r#"{"a.b": 1, "a": {"b": 2}, "folds": [{"f1": 3}], "accuracy": {"dev": 4}}"#;
        scores.scores[0].metrics = serde_json::from_str(metrics).ok();
        scores.scores[1].metrics = serde_json::from_value(json!({"accuracy": 5, "folds": null})).ok();
        insta::assert_snapshot!(scores.csv().unwrap(), @r"
        stage,iteration,seed,start,data,a.b,a.b#2,accuracy,accuracy.dev,folds.0.f1
        score[0],0,1,cold,in_domain,1,2,,4,3
        score[0],0,1,cold,ood_easy,,,5,,
        ");
    }

    #[test]
    fn every_column_has_a_name_of_its_own() {
        let mut scores = super::super::tests::example();
        scores.scores.truncate(1);
        let score = &mut scores.scores[0];
        let axes = ["data", "stage", "iteration", "accuracy", "loss", "steps", "following"];
        score.place.variant = axes.map(|axis| (axis.to_owned(), format!("of {axis}"))).into();
        let metrics = json!({"accuracy": 0.5, "loss": 1.5, "axis.loss": 2.5, "following": {"requests": 3}});
        score.metrics = serde_json::from_value(metrics).unwrap();
        insta::assert_snapshot!(scores.csv().unwrap(), @r"
        stage,iteration,axis.accuracy,axis.data,following,axis.iteration,axis.axis.loss,axis.stage,steps,data,accuracy,axis.loss,following.requests,loss
        score[0],0,of accuracy,of data,of following,of iteration,of loss,of stage,of steps,in_domain,0.5,2.5,3,1.5
        ");
    }

    #[test]
    fn fields_with_commas_and_quotes_are_quoted() {
        let mut scores = super::super::tests::example();
        scores.scores.truncate(1);
        let score = &mut scores.scores[0];
        (score.place.stage, score.place.iteration) = ("a".to_owned(), None);
        (score.place.variant, score.data) = (BTreeMap::new(), "1,\"2\"".to_owned());
        score.metrics = Some(MetricMap::default());
        assert_eq!(scores.csv().unwrap(), "stage,iteration,data\na,,\"1,\"\"2\"\"\"\n");
    }
}
