//! The frequencies of rotary positions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{in_range, positive};
use super::{ArchitectureError, ModelShape};

/// A scaling of rotary positions, for sequences longer than those of the first training.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    Llama3(Llama3Scaling),
    LongRope(LongRope),
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
            Self::Llama3(scaling) => scaling.fmt(f),
            Self::LongRope(LongRope { divisors, magnitude }) => {
                let last = divisors.last().copied().unwrap_or(1.0);
                write!(f, "longrope (slowest pair by {last}, magnitude {magnitude})")
            }
        }
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

impl ModelShape {
    /// The angle of each pair of a head from one position to the next: `θ^(-2i/head)` (Su et al. 2021), with the shape's scaling. Computed in
    /// f64 with `libm`, to be the same on every platform. [head / 2]
    pub fn frequencies(&self) -> Vec<f64> {
        let frequency = |pair: usize| libm::pow(self.rope_theta, -2.0 * pair as f64 / self.head_dim as f64);
        let plain = (0..self.head_dim / 2).map(frequency);
        match &self.rope_scaling {
            None => plain.collect(),
            Some(RopeScaling::Llama3(scaling)) => plain.map(|frequency| frequency / scaling.slowdown(frequency)).collect(),
            Some(RopeScaling::LongRope(LongRope { divisors, .. })) => plain.zip(divisors).map(|(frequency, by)| frequency / by).collect(),
        }
    }

    /// The factor on rotated queries and keys.
    fn magnitude(&self) -> f64 {
        match &self.rope_scaling {
            Some(RopeScaling::LongRope(long)) => long.magnitude,
            Some(RopeScaling::Llama3(_)) | None => 1.0,
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
