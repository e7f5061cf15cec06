//! How much a token costs in models of different sizes, for forecasts.

use learn::model::Architecture;

/// The weights of a model in memory and in an artifact, in bytes.
const WEIGHT_BYTES: f64 = 4.0;

/// A vocabulary of some size: without data, a model's own is not known.
const VOCABULARY: usize = 64;

/// The weights whose products take as long as the rest of the work that each token takes in a small model: norms, attention, the softmax.
const REST: f64 = 20_000.0;

/// The number of weights of a model; `None` where the table describes none.
pub(super) fn weights(model: &Architecture) -> Option<f64> {
    Some(model.shape(VOCABULARY).ok()?.size() as f64)
}

/// The number of weights of a model whose artifact has so many bytes.
pub(super) fn weights_of_artifact(bytes: f64) -> f64 {
    bytes / WEIGHT_BYTES
}

/// Proportional to the time that a token takes in a model of so many weights.
pub(super) fn cost(weights: f64) -> f64 {
    weights + REST
}
