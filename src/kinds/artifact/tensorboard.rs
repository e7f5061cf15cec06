//! Training curves and scores, as TensorBoard shows them.

use std::path::Path;

use lab::reporter::{ArtifactReader, CurvePoint};

use super::{curve, metrics};
use crate::metrics::names;

/// Reads training curves and scores for TensorBoard.
pub const TENSORBOARD: ArtifactReader = ArtifactReader {
    curve: training_curve,
    scores,
};

/// The metrics that TensorBoard shows.
const SHOWN_METRICS: [&str; 4] = [names::ACCURACY, names::VALID_RIGHT, names::AVERAGE_STEPS, names::AVERAGE_TOKENS];

/// The training curve of a model; empty for any other artifact.
fn training_curve(artifact: &Path) -> Vec<CurvePoint> {
    let points = curve::read(artifact).ok().flatten().unwrap_or_default().into_iter();
    let readings = |point: curve::TrainingPoint| {
        let readings = [
            ("gradient_norm", point.gradient_norm),
            ("learning_rate", point.learning_rate),
            ("loss", Some(point.loss)),
            ("tokens", point.tokens.map(|tokens| tokens as f64)),
        ];
        let known = readings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        (point.step, known.collect())
    };
    points.map(readings).collect()
}

/// The main scores of each data set; empty for an artifact that is not metrics.
fn scores(artifact: &Path) -> Vec<Vec<(String, f64)>> {
    let sets = metrics::read(artifact).unwrap_or_default().into_iter();
    sets.map(|set| {
        let known = SHOWN_METRICS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), set.number(name)?)));
        known.collect()
    })
    .collect()
}
