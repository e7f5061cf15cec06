//! The formats of artifacts.

use std::collections::BTreeMap;
use std::path::Path;

use lab::reporter::{ArtifactReader, CurvePoint};
use serde::Deserialize;

use crate::metrics::Metrics;

/// Reads training curves and scores for TensorBoard.
pub const TENSORBOARD: ArtifactReader = ArtifactReader { curve, scores };

/// A point of a model's training curve.
#[derive(Deserialize)]
struct Point {
    step: u64,
    #[serde(flatten)]
    readings: BTreeMap<String, serde_json::Value>,
}

/// The training curve of a model; empty for any other artifact.
fn curve(artifact: &Path) -> Vec<CurvePoint> {
    let text = std::fs::read_to_string(artifact.join("training.jsonl")).unwrap_or_default();
    let points = text.lines().filter_map(|line| serde_json::from_str::<Point>(line).ok());
    let number = |(name, value): (String, serde_json::Value)| Some((name, value.as_f64()?));
    points
        .map(|point| (point.step, point.readings.into_iter().filter_map(number).collect()))
        .collect()
}

/// The main scores of each data set; empty for an artifact that is no metrics.
fn scores(artifact: &Path) -> Vec<Vec<(String, f64)>> {
    let bytes = std::fs::read(artifact.join("metrics.json")).unwrap_or_default();
    let Ok(metrics) = serde_json::from_slice::<Metrics>(&bytes) else {
        return Vec::new();
    };
    let sets = metrics.sets.into_iter().map(|set| {
        let values = [
            ("accuracy", set.accuracy),
            ("valid_right", set.valid_right),
            ("average_steps", set.average_steps),
            ("average_tokens", set.average_tokens),
        ];
        let there = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        there.collect()
    });
    sets.collect()
}
