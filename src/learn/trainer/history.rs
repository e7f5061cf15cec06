//! The metrics of each step, and the training curve.

use super::{Recipe, TrainingPoint, schedule};

/// The largest number of points of a curve.
const MAX_CURVE_POINTS: usize = 200;

/// The metrics of one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StepMetrics {
    pub(super) loss: f64,
    pub(super) gradient_norm: f64,
    /// Number of tokens in this step.
    pub(super) tokens: f64,
}

/// The curve of a training of `steps` steps: at most 200 points, each the mean over the same number of steps (the last over the rest).
pub(super) fn curve(history: &[StepMetrics], recipe: &Recipe, steps: u64) -> Vec<TrainingPoint> {
    let stride = history.len().div_ceil(MAX_CURVE_POINTS).max(1);
    let (mut step, mut tokens) = (0, 0.0);
    let chunks = history.chunks(stride);
    chunks
        .map(|moments| {
            let mean = |part: fn(&StepMetrics) -> f64| moments.iter().map(part).sum::<f64>() / moments.len() as f64;
            step += moments.len() as u64;
            tokens += moments.iter().map(|moment| moment.tokens).sum::<f64>();
            TrainingPoint {
                step,
                loss: mean(|moment| moment.loss),
                learning_rate: Some(schedule::learning_rate(recipe, step - 1, steps)),
                gradient_norm: Some(mean(|moment| moment.gradient_norm)),
                tokens: Some(tokens as u64),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_means_and_tokens_add_up() {
        let history: Vec<StepMetrics> = (0..401)
            .map(|step| StepMetrics {
                loss: f64::from(step),
                gradient_norm: 1.0,
                tokens: 10.0,
            })
            .collect();
        let curve = curve(&history, &Recipe::default(), 401);
        assert_eq!(curve.len(), 134);
        assert_eq!((curve[0].step, curve[0].loss, curve[0].tokens), (3, 1.0, Some(30)));
        let last = curve.last().unwrap();
        assert_eq!((last.step, last.loss, last.tokens), (401, 399.5, Some(4010)));
    }
}
