//! The learning rate at each step.

use super::{Recipe, Schedule};

/// The learning rate of step `step` (from 0) of `steps`. It rises linearly to its maximum at the last step of the warm-up, then falls
/// according to the schedule.
pub(super) fn learning_rate(recipe: &Recipe, step: u64, steps: u64) -> f64 {
    let warmup = (recipe.warmup * steps as f64).ceil();
    let step = step as f64;
    if step < warmup {
        return recipe.learning_rate * (step + 1.0) / warmup;
    }
    let progress = (step - warmup) / (steps as f64 - warmup).max(1.0);
    let share = match recipe.schedule {
        Schedule::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress)),
        Schedule::Linear => 1.0 - progress,
        Schedule::Constant => 1.0,
    };
    recipe.learning_rate * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule) -> Vec<f64> {
        let recipe = Recipe {
            schedule,
            warmup: 0.2,
            learning_rate: 2.0,
            ..Recipe::default()
        };
        (0..10).map(|step| (learning_rate(&recipe, step, 10) * 1e3).round() / 1e3).collect()
    }

    #[test]
    fn it_rises_then_falls() {
        assert_eq!(rates(Schedule::Linear), [1.0, 2.0, 2.0, 1.75, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(rates(Schedule::Constant), [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(
            rates(Schedule::Cosine),
            [1.0, 2.0, 2.0, 1.924, 1.707, 1.383, 1.0, 0.617, 0.293, 0.076]
        );
    }
}
