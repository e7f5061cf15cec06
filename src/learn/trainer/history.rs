//! The metrics of each step, and the training curve.

use super::validation::{HeldOutLoss, best_place};
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

/// The curve of a training of `steps` steps: at most 200 points, each the mean over the same number of steps (the last over the rest), and
/// the held-out losses, at the same points or between them.
pub(super) fn curve(history: &[StepMetrics], held_out: &[HeldOutLoss], recipe: &Recipe, steps: u64) -> Vec<TrainingPoint> {
    let mut points = training_points(history, recipe, steps);
    for HeldOutLoss { step, loss } in thinned(held_out) {
        match points.binary_search_by_key(&step, |point| point.step) {
            Ok(place) => points
                .get_mut(place)
                .into_iter()
                .for_each(|point| point.validation_loss = Some(loss)),
            Err(place) => points.insert(
                place,
                TrainingPoint {
                    step,
                    validation_loss: Some(loss),
                    ..TrainingPoint::default()
                },
            ),
        }
    }
    points
}

/// At most 201 of the losses: every so many, the last one and the best one.
fn thinned(held_out: &[HeldOutLoss]) -> Vec<HeldOutLoss> {
    let stride = held_out.len().div_ceil(MAX_CURVE_POINTS).max(1);
    let mut kept: Vec<HeldOutLoss> = held_out.chunks(stride).filter_map(<[_]>::last).copied().collect();
    let best = best_place(held_out).and_then(|place| held_out.get(place));
    if let Some(best) = best
        && let Err(place) = kept.binary_search_by_key(&best.step, |found| found.step)
    {
        kept.insert(place, *best);
    }
    kept
}

fn training_points(history: &[StepMetrics], recipe: &Recipe, steps: u64) -> Vec<TrainingPoint> {
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
                loss: Some(mean(|moment| moment.loss)),
                learning_rate: Some(schedule::learning_rate(recipe, step - 1, steps)),
                gradient_norm: Some(mean(|moment| moment.gradient_norm)),
                tokens: Some(tokens as u64),
                validation_loss: None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> Vec<StepMetrics> {
        let steps = (0..401).map(|step| StepMetrics {
            loss: f64::from(step),
            gradient_norm: 1.0,
            tokens: 10.0,
        });
        steps.collect()
    }

    #[test]
    fn points_are_means_and_tokens_add_up() {
        let curve = curve(&history(), &[], &Recipe::default(), 401);
        assert_eq!(curve.len(), 134);
        assert_eq!((curve[0].step, curve[0].loss, curve[0].tokens), (3, Some(1.0), Some(30)));
        let last = curve.last().unwrap();
        assert_eq!((last.step, last.loss, last.tokens), (401, Some(399.5), Some(4010)));
    }

    #[test]
    fn held_out_losses_stand_at_their_steps_and_change_no_other_number() {
        let found = [(3, 0.5), (10, 0.25), (401, 0.75)].map(|(step, loss)| HeldOutLoss { step, loss });
        let plain = curve(&history(), &[], &Recipe::default(), 401);
        let mut with = curve(&history(), &found, &Recipe::default(), 401);
        let at = |step: u64| with.iter().find(|point| point.step == step).cloned().unwrap();
        assert_eq!((at(3).loss, at(3).validation_loss), (Some(1.0), Some(0.5)));
        assert_eq!((at(10).loss, at(10).tokens, at(10).validation_loss), (None, None, Some(0.25)));
        assert_eq!((at(401).loss, at(401).validation_loss), (Some(399.5), Some(0.75)));
        assert!(with.is_sorted_by_key(|point| point.step));
        with.retain(|point| point.loss.is_some());
        with.iter_mut().for_each(|point| point.validation_loss = None);
        assert_eq!(with, plain);
    }

    #[test]
    fn of_many_held_out_losses_the_best_and_the_last_stay() {
        let mut found: Vec<HeldOutLoss> = (1..=1000).map(|step| HeldOutLoss { step, loss: 1.0 }).collect();
        found[332].loss = 0.5;
        let kept = thinned(&found);
        assert_eq!(kept.len(), 201);
        assert!(kept.contains(&found[332]) && kept.last() == found.last() && kept.is_sorted_by_key(|found| found.step));
        assert_eq!(thinned(&found[..200]), found[..200]);
    }
}
