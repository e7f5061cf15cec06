//! The frequencies of rotary positions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ModelShape;
use super::architecture_error::{ArchitectureError, in_range, positive};

/// A scaling of rotary positions, for sequences longer than those of the first training.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// All pairs turn slower by this factor, which is the same as positions divided by it.
    Linear(f64),
    Yarn(Yarn),
    Llama3(Llama3Scaling),
    LongRope(LongRope),
}

/// YaRN (Peng et al. 2023), as Transformers computes it: pairs that make fewer than `slow` turns in the context of the first training turn
/// slower by `factor`, those that make more than `fast` do not change, and between the two the scaling is interpolated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    pub factor: f64,
    pub fast: f64,
    pub slow: f64,
    /// The context of the first training, in tokens.
    pub original_context: usize,
    /// Whether the interpolation starts and ends at whole pairs.
    pub whole_pairs: bool,
    /// A factor on rotated queries and keys.
    pub magnitude: f64,
}

/// One divisor for each pair (LongRoPE, Ding et al. 2024; Phi-3). LongRoPE has two lists of them. This is the one for sequences within the
/// context of the first training, to which our context is limited.
#[derive(Clone, Debug, PartialEq)]
pub struct LongRope {
    /// The divisor of each pair's angle. [head / 2]
    pub divisors: Vec<f64>,
    /// A factor on rotated queries and keys.
    pub magnitude: f64,
}

/// Llama 3's scaling for sequences longer than those of its first training: slow pairs turn slower by `factor`.
///
/// A pair is slowed down if a full turn takes more than `original_context / low_freq_factor` positions, and not changed if it takes fewer
/// than `original_context / high_freq_factor`. Between the two, the scaling is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Llama3Scaling {
    /// Slow pairs turn slower by this factor.
    pub factor: f64,
    pub low_freq_factor: f64,
    pub high_freq_factor: f64,
    /// The context of the first training, in tokens.
    pub original_context: usize,
}

impl std::fmt::Display for RopeScaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Linear(factor) => write!(f, "linear ({factor})"),
            Self::Yarn(yarn) => yarn.fmt(f),
            Self::Llama3(scaling) => scaling.fmt(f),
            Self::LongRope(LongRope { divisors, magnitude }) => {
                let last = divisors.last().copied().unwrap_or(1.0);
                write!(f, "longrope (slowest pair by {last}, magnitude {magnitude})")
            }
        }
    }
}

impl std::fmt::Display for Yarn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            factor,
            fast,
            slow,
            original_context,
            whole_pairs,
            magnitude,
        } = self;
        let parts = if *whole_pairs { "" } else { ", parts of pairs" };
        write!(
            f,
            "yarn {factor} ({slow} to {fast} turns in {original_context}, magnitude {magnitude}{parts})"
        )
    }
}

impl std::fmt::Display for Llama3Scaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } = self;
        write!(f, "{factor} ({low_freq_factor} to {high_freq_factor} in {original_context})")
    }
}

impl Llama3Scaling {
    pub(super) fn check(&self) -> Result<(), ArchitectureError> {
        let Self {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } = *self;
        for (field, number) in [
            ("rope_scaling.factor", factor),
            ("rope_scaling.low_freq_factor", low_freq_factor),
            ("rope_scaling.high_freq_factor", high_freq_factor),
        ] {
            positive(field, number)?;
        }
        if low_freq_factor >= high_freq_factor {
            return Err(ArchitectureError::Frequencies {
                low: low_freq_factor,
                high: high_freq_factor,
            });
        }
        in_range("rope_scaling.original_context", original_context, 1)
    }

    /// The divisor of a pair's frequency (its angle from one position to the next): from 1 for fast pairs to `factor` for slow ones.
    pub fn slowdown(&self, frequency: f64) -> f64 {
        let (low, high) = (self.low_freq_factor, self.high_freq_factor);
        // Number of full turns within the original context.
        let turns = self.original_context as f64 * frequency / std::f64::consts::TAU;
        let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        1.0 / ((1.0 - share) / self.factor + share)
    }
}

impl Yarn {
    /// Turns of the fastest and the slowest pairs whose scaling is interpolated, unless a file says otherwise.
    pub(super) const FAST: f64 = 32.0;
    pub(super) const SLOW: f64 = 1.0;

    /// The magnitude of the paper: `0.1 · weight · ln factor + 1`, with a `weight` of 1 unless a file says otherwise.
    pub(super) fn usual_magnitude(factor: f64, weight: f64) -> f64 {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * weight * libm::log(factor) + 1.0
        }
    }

    fn check(&self, theta: f64) -> Result<(), ArchitectureError> {
        for (field, number) in [
            ("rope_scaling.factor", self.factor),
            ("rope_scaling.beta_fast", self.fast),
            ("rope_scaling.beta_slow", self.slow),
            ("rope_scaling.attention_factor", self.magnitude),
        ] {
            positive(field, number)?;
        }
        if self.slow > self.fast {
            return Err(ArchitectureError::Turns {
                slow: self.slow,
                fast: self.fast,
            });
        }
        // The formula divides by the logarithm.
        if theta <= 1.0 {
            return Err(ArchitectureError::Theta { theta });
        }
        in_range("rope_scaling.original_context", self.original_context, 1)
    }

    /// The plain frequencies `plain` of a head's pairs, scaled.
    fn scaled(&self, plain: impl Iterator<Item = f64>, theta: f64, head: usize) -> Vec<f64> {
        let width = head as f64;
        // The pair that makes n turns in the original context.
        let pair =
            |turns: f64| width * libm::log(self.original_context as f64 / (turns * std::f64::consts::TAU)) / (2.0 * libm::log(theta));
        let (mut first, mut last) = (pair(self.fast), pair(self.slow));
        if self.whole_pairs {
            (first, last) = (first.floor(), last.ceil());
        }
        (first, last) = (first.max(0.0), last.min(width - 1.0));
        if first == last {
            last += 0.001;
        }
        let frequencies = plain.enumerate().map(|(pair, frequency)| {
            let slower = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
            frequency / self.factor * slower + frequency * (1.0 - slower)
        });
        frequencies.collect()
    }
}

impl RopeScaling {
    /// Checks that the scaling can be computed for positions of the base `theta`.
    pub(super) fn check(&self, theta: f64) -> Result<(), ArchitectureError> {
        match self {
            Self::Linear(factor) => positive("rope_scaling.factor", *factor),
            Self::Yarn(yarn) => yarn.check(theta),
            Self::Llama3(scaling) => scaling.check(),
            // Its reader knows how many divisors there must be.
            Self::LongRope(_) => Ok(()),
        }
    }
}

impl ModelShape {
    /// The angle of each pair of a head from one position to the next: `θ^(-2i/head)` (Su et al. 2021), with the shape's scaling; 0 for a
    /// shape without rotary positions. Computed in f64 with `libm`, to be the same on every platform. [head / 2]
    pub fn frequencies(&self) -> Vec<f64> {
        let frequency = |pair: usize| libm::pow(self.rope_theta, -2.0 * pair as f64 / self.head_dim as f64);
        let plain = (0..self.head_dim / 2).map(frequency);
        if !self.is_rotary() {
            return vec![0.0; self.head_dim / 2];
        }
        match &self.rope_scaling {
            None => plain.collect(),
            Some(RopeScaling::Linear(factor)) => plain.map(|frequency| frequency / factor).collect(),
            Some(RopeScaling::Yarn(yarn)) => yarn.scaled(plain, self.rope_theta, self.head_dim),
            Some(RopeScaling::Llama3(scaling)) => plain.map(|frequency| frequency / scaling.slowdown(frequency)).collect(),
            Some(RopeScaling::LongRope(LongRope { divisors, .. })) => plain.zip(divisors).map(|(frequency, by)| frequency / by).collect(),
        }
    }

    /// Whether queries and keys are rotated.
    pub fn is_rotary(&self) -> bool {
        self.places.is_none()
    }

    /// The factor on rotated queries and keys.
    fn magnitude(&self) -> f64 {
        match &self.rope_scaling {
            _ if !self.is_rotary() => 1.0,
            Some(RopeScaling::LongRope(long)) => long.magnitude,
            Some(RopeScaling::Yarn(yarn)) => yarn.magnitude,
            Some(RopeScaling::Linear(_) | RopeScaling::Llama3(_)) | None => 1.0,
        }
    }

    /// Cosines and sines of each pair's angle at each position, times the magnitude. Computed in f64 with `libm`. Both [context, head / 2]
    pub fn turns(&self) -> (Vec<f32>, Vec<f32>) {
        let (frequencies, magnitude) = (self.frequencies(), self.magnitude());
        let angles = || (0..self.context).flat_map(|position| frequencies.iter().map(move |frequency| position as f64 * frequency));
        let table = |function: fn(f64) -> f64| angles().map(|angle| (function(angle) * magnitude) as f32).collect();
        (table(libm::cos), table(libm::sin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-9, "{found}, not {expected}");
        }
    }

    /// The numbers are those of Transformers' formulae (`modeling_rope_utils.py`), computed in f64.
    #[test]
    fn yarn_and_linear_positions_are_transformers() {
        let plain = ModelShape {
            head_dim: 16,
            ..Architecture::default().shape(5).unwrap()
        };
        let yarn = Yarn {
            factor: 4.0,
            fast: Yarn::FAST,
            slow: Yarn::SLOW,
            original_context: 2048,
            whole_pairs: true,
            magnitude: Yarn::usual_magnitude(4.0, 1.0),
        };
        let scaled = |scaling| ModelShape {
            rope_scaling: Some(scaling),
            ..plain.clone()
        };
        let shape = scaled(RopeScaling::Yarn(yarn));
        let borders = [1.0, 0.316_227_766_016_8, 0.1];
        let slow = [2.5e-4, 7.905_694_150_42e-5];
        let between = [2.569_350_598_863e-2, 6.25e-3, 1.383_496_476_324e-3];
        close(&shape.frequencies(), &[&borders[..], &between, &slow].concat());
        let parts = Yarn {
            whole_pairs: false,
            ..yarn
        };
        let between = [2.387_019_232_2e-2, 5.056_971_521_1e-3, 8.112_903_817_0e-4];
        close(
            &scaled(RopeScaling::Yarn(parts)).frequencies(),
            &[&borders[..], &between, &slow].concat(),
        );
        assert!((yarn.magnitude - 1.138_629_436_112).abs() < 1e-12);
        assert!((Yarn::usual_magnitude(40.0, 0.707) / Yarn::usual_magnitude(40.0, 1.0) - 0.921_042_355_316_3).abs() < 1e-12);
        assert_eq!(Yarn::usual_magnitude(0.5, 1.0), 1.0);
        // Cosines and sines are longer by the magnitude, from the first position on.
        let (cosines, _) = shape.turns();
        assert_eq!(cosines[..8], [yarn.magnitude as f32; 8]);
        let halved: Vec<f64> = plain.frequencies().iter().map(|frequency| frequency / 2.5).collect();
        assert_eq!(scaled(RopeScaling::Linear(2.5)).frequencies(), halved);
        // All pairs are at the border of the first training's context.
        let narrow = Yarn {
            original_context: 7,
            ..yarn
        };
        assert!(
            scaled(RopeScaling::Yarn(narrow))
                .frequencies()
                .iter()
                .all(|frequency| frequency.is_finite())
        );
    }

    #[test]
    fn what_yarn_cannot_compute_is_named() {
        let yarn = Yarn {
            factor: 4.0,
            fast: 32.0,
            slow: 1.0,
            original_context: 64,
            whole_pairs: true,
            magnitude: 1.0,
        };
        let message = |yarn, theta| RopeScaling::Yarn(yarn).check(theta).unwrap_err().to_string();
        insta::assert_snapshot!(message(Yarn { factor: f64::INFINITY, ..yarn }, 1e4), @"`rope_scaling.factor` = inf must be a positive number");
        insta::assert_snapshot!(message(Yarn { fast: 0.5, ..yarn }, 1e4), @"`rope_scaling.beta_slow` = 1 must be at most `rope_scaling.beta_fast` = 0.5");
        insta::assert_snapshot!(message(Yarn { original_context: 0, ..yarn }, 1e4), @"`rope_scaling.original_context` must be at least 1");
        insta::assert_snapshot!(message(yarn, 1.0), @"`rope_theta` = 1 must be more than 1, since the scaling of the positions divides by its logarithm");
        insta::assert_snapshot!(RopeScaling::Linear(-2.0).check(1e4).unwrap_err(), @"`rope_scaling.factor` = -2 must be a positive number");
    }

    fn found(rope_scaling: Option<Llama3Scaling>) -> Vec<f64> {
        let architecture = Architecture {
            head_dim: 16,
            rope_theta: 500_000.0,
            rope_scaling,
            ..Architecture::default()
        };
        architecture.shape(5).unwrap().frequencies()
    }

    /// By hand, with the three cases of Meta's published code: fast pairs as they were, slow ones divided, one of those between.
    #[test]
    fn slow_pairs_turn_slower() {
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        };
        let expected = [
            1.0,
            0.193_922_745,
            0.037_606_031,
            0.007_292_664_7,
            5.248_461_6e-4,
            3.428_102_2e-5,
            6.647_869_9e-6,
            1.289_173_2e-6,
        ];
        for (found, expected) in found(Some(scaling)).into_iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-6, "{found}, not {expected}");
        }
        let (plain, scaled) = (found(None), found(Some(scaling)));
        assert_eq!(plain[..4], scaled[..4]);
        assert!((plain[7] / scaled[7] - 8.0).abs() < 1e-12);
    }
}
