//! Training curves, series and scores, as TensorBoard shows them.

use std::collections::BTreeMap;
use std::path::Path;

use lab::reporter::{ArtifactReader, CurvePoint};

use super::metrics::Metrics;
use super::{curve, metrics};
use crate::metrics::{MetricMap, names};

/// Reads training curves, series and scores for TensorBoard.
pub const TENSORBOARD: ArtifactReader = ArtifactReader {
    curve: |artifact| {
        let series = series(artifact);
        if series.is_empty() { training_curve(artifact) } else { series }
    },
    scores,
};

/// The most numbers of a program that are shown, and the most series.
const MOST_NAMES: usize = 200;

/// The metrics that TensorBoard shows.
const SHOWN_METRICS: [&str; 4] = [names::ACCURACY, names::VALID_RIGHT, names::AVERAGE_STEPS, names::AVERAGE_TOKENS];

/// The training curve of a model; empty for any other artifact.
fn training_curve(artifact: &Path) -> Vec<CurvePoint> {
    let points = curve::read(artifact).ok().flatten().unwrap_or_default().into_iter();
    let readings = |point: curve::TrainingPoint| {
        let readings = [
            ("gradient_norm", point.gradient_norm),
            ("learning_rate", point.learning_rate),
            ("loss", point.loss),
            ("tokens", point.tokens.map(|tokens| tokens as f64)),
            ("validation_loss", point.validation_loss),
        ];
        let known = readings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        (point.step, known.collect())
    };
    points.map(readings).collect()
}

/// The series of metrics by step; empty for any other artifact. A step that is no whole number counts as the one below.
fn series(artifact: &Path) -> Vec<CurvePoint> {
    let mut steps: BTreeMap<u64, Vec<(String, f64)>> = BTreeMap::new();
    for series in metrics::read_series(artifact).unwrap_or_default().into_iter().take(MOST_NAMES) {
        for (step, value) in series.points {
            steps.entry(step as u64).or_default().push((series.name.clone(), value));
        }
    }
    steps.into_iter().collect()
}

/// The main scores of each data set, and the first numbers of a program; empty for an artifact that is not metrics.
fn scores(artifact: &Path) -> Vec<Vec<(String, f64)>> {
    let shown = |set: MetricMap| -> Vec<(String, f64)> {
        let known = SHOWN_METRICS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), set.number(name)?)));
        known.collect()
    };
    let first = |set: MetricMap| set.numbers().into_iter().take(MOST_NAMES).collect();
    match metrics::read_metrics(artifact) {
        Ok(Metrics::Sets(sets)) => sets.into_iter().map(shown).collect(),
        Ok(Metrics::Any(metrics)) => vec![first(metrics)],
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_out_loss_is_a_series_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "{\"step\": 2, \"loss\": 0.5, \"validation_loss\": 0.75}\n{\"step\": 3, \"validation_loss\": 0.25}\n";
        std::fs::write(folder.path().join("training.jsonl"), lines).unwrap();
        let named = |values: &[(&str, f64)]| values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Vec<_>>();
        assert_eq!(
            (TENSORBOARD.curve)(folder.path()),
            [
                (2, named(&[("loss", 0.5), ("validation_loss", 0.75)])),
                (3, named(&[("validation_loss", 0.25)]))
            ]
        );
    }

    #[test]
    fn a_program_s_numbers_are_scores_and_its_series_curves() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("metrics.json", r#"{"f1": 0.5, "results": {"acc,none": "NaN"}, "model": "x"}"#);
        write(
            "series.jsonl",
            "{\"epoch\": 0.5, \"loss\": 2}\n{\"epoch\": 1, \"loss\": 1, \"acc\": 0.5}\n",
        );
        let scores = scores(folder.path());
        let names: Vec<&str> = scores[0].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((scores.len(), names), (1, vec!["f1", "results.acc,none"]));
        let points = (TENSORBOARD.curve)(folder.path());
        let named = |values: &[(&str, f64)]| values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Vec<_>>();
        assert_eq!(points, [(0, named(&[("loss", 2.0)])), (1, named(&[("loss", 1.0), ("acc", 0.5)]))]);
    }
}
