//! What happened at each step, and the training curve made of it.

use super::{Recipe, TrainingPoint, schedule};

/// Points of a curve, at most.
const POINTS: usize = 200;

/// One optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) loss: f64,
    pub(super) gradient_norm: f64,
    /// Read in this step.
    pub(super) tokens: f64,
}

/// The curve of a training of `steps` steps: at most 200 points, each the mean over equally many steps (the last over what is left).
pub(super) fn curve(history: &[Moment], recipe: &Recipe, steps: u64) -> Vec<TrainingPoint> {
    let stride = history.len().div_ceil(POINTS).max(1);
    let (mut step, mut tokens) = (0, 0.0);
    let chunks = history.chunks(stride);
    chunks
        .map(|moments| {
            let mean = |part: fn(&Moment) -> f64| moments.iter().map(part).sum::<f64>() / moments.len() as f64;
            step += moments.len() as u64;
            tokens += moments.iter().map(|moment| moment.tokens).sum::<f64>();
            TrainingPoint {
                step,
                loss: mean(|moment| moment.loss),
                learning_rate: schedule::learning_rate(recipe, step - 1, steps),
                gradient_norm: mean(|moment| moment.gradient_norm),
                tokens: tokens as u64,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_means_and_tokens_add_up() {
        let history: Vec<Moment> = (0..401)
            .map(|step| Moment {
                loss: f64::from(step),
                gradient_norm: 1.0,
                tokens: 10.0,
            })
            .collect();
        let curve = curve(&history, &Recipe::default(), 401);
        assert_eq!(curve.len(), 134);
        assert_eq!((curve[0].step, curve[0].loss, curve[0].tokens), (3, 1.0, 30));
        let last = curve.last().unwrap();
        assert_eq!((last.step, last.loss, last.tokens), (401, 399.5, 4010));
    }
}
