//! The architecture of a model as an experiment describes it, its presets, and the shape that results.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture_error::{ArchitectureError, MAX_SIZE, in_range, positive};
use super::{Llama3Scaling, ModelShape, Places, RopeScaling, TokenPositions};

/// The shape of a Llama-style decoder, as an experiment describes it under `[models]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Architecture {
    /// Width of the residual stream.
    pub width: usize,
    /// Number of decoder layers.
    pub layers: usize,
    /// Number of query heads; divides `width` unless `head_dim` is given.
    pub heads: usize,
    /// Number of key/value heads; divides `heads` (0: as many as `heads`).
    pub kv_heads: usize,
    /// Width of one head (0: `width` / `heads`).
    pub head_dim: usize,
    /// Width of the SwiGLU feed-forward layer (0: 8/3 of `width`, rounded up to a multiple of 16).
    pub feed_forward: usize,
    /// Whether queries, keys and values have biases, as in Qwen2.
    pub qkv_bias: bool,
    /// Base of the rotary position embedding.
    pub rope_theta: f64,
    /// Llama 3's scaling of the rotary positions. Default: no scaling.
    pub rope_scaling: Option<Llama3Scaling>,
    /// Epsilon of the RMS norms.
    pub norm_epsilon: f64,
    /// Whether the output layer shares the embedding's weights.
    pub tied: bool,
    /// What the model knows of the positions of its tokens: `lines` (rotary positions, and the tables of `lines` and `columns`) or `places`
    /// (of digits and the lines that work on them; without `lines`, `columns` and rotary positions).
    pub positions: TokenPositions,
    /// Rows of the learned embedding of the line number (0: none).
    pub lines: usize,
    /// Rows of the learned embedding of the column since the last line break or colon (0: none).
    pub columns: usize,
    /// The longest sequence, in tokens.
    pub context: usize,
}

impl Default for Architecture {
    /// The preset `tiny`.
    fn default() -> Self {
        Self {
            width: 64,
            layers: 2,
            heads: 4,
            kv_heads: 0,
            head_dim: 0,
            feed_forward: 0,
            qkv_bias: false,
            rope_theta: 10_000.0,
            rope_scaling: None,
            norm_epsilon: 1e-5,
            tied: true,
            positions: TokenPositions::Lines,
            lines: 64,
            columns: 64,
            context: 1024,
        }
    }
}

/// The names of the presets, from small to large.
pub const PRESETS: &[&str] = &["tiny", "small", "medium"];

impl Architecture {
    fn sized(width: usize, layers: usize, heads: usize) -> Self {
        Self {
            width,
            layers,
            heads,
            ..Self::default()
        }
    }

    /// The preset `name`, or `None`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "tiny" => Some(Self::default()),
            "small" => Some(Self::sized(128, 3, 4)),
            "medium" => Some(Self::sized(256, 6, 8)),
            _ => None,
        }
    }

    /// Checks that the architecture is valid.
    ///
    /// # Errors
    /// When a field contradicts another or is out of range. The message names the field.
    pub fn check(&self) -> Result<(), ArchitectureError> {
        for (field, number, least) in [
            ("width", self.width, 1),
            ("layers", self.layers, 1),
            ("heads", self.heads, 1),
            ("context", self.context, 1),
            ("kv_heads", self.kv_heads, 0),
            ("head_dim", self.head_dim, 0),
            ("feed_forward", self.feed_forward, 0),
            ("lines", self.lines, 0),
            ("columns", self.columns, 0),
        ] {
            in_range(field, number, least)?;
        }
        if self.head_dim == 0 {
            divides("heads", self.heads, "width", self.width)?;
        }
        if self.kv_heads > 0 {
            divides("kv_heads", self.kv_heads, "heads", self.heads)?;
        }
        let (field, head) = match self.head_dim {
            0 => ("width` / `heads", self.width / self.heads),
            head => ("head_dim", head),
        };
        if !head.is_multiple_of(2) {
            return Err(ArchitectureError::OddHead { field, head });
        }
        if self.heads.saturating_mul(head) > MAX_SIZE {
            let (field, number) = ("heads` · `head_dim", self.heads.saturating_mul(head));
            return Err(ArchitectureError::TooLarge { field, number });
        }
        positive("rope_theta", self.rope_theta)?;
        positive("norm_epsilon", self.norm_epsilon)?;
        if let TokenPositions::Places(places) = self.positions {
            places.check()?;
            self.check_unused("places")?;
        }
        self.rope_scaling.as_ref().map_or(Ok(()), Llama3Scaling::check)
    }

    /// Refuses fields of other positions than those of `kind`. Tables without rows are as good as none.
    fn check_unused(&self, kind: &'static str) -> Result<(), ArchitectureError> {
        let default = Self::default();
        let given = [
            ("lines", ![0, default.lines].contains(&self.lines)),
            ("columns", ![0, default.columns].contains(&self.columns)),
            ("rope_theta", self.rope_theta != default.rope_theta),
            ("rope_scaling", self.rope_scaling.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) => Err(ArchitectureError::Unused { field, kind }),
            None => Ok(()),
        }
    }

    /// The places that the model knows, if it knows places.
    fn places(&self) -> Option<Places> {
        match self.positions {
            TokenPositions::Lines => None,
            TokenPositions::Places(places) => Some(places),
        }
    }

    /// The shape for a vocabulary of n tokens.
    ///
    /// # Errors
    /// As [`Architecture::check`], and when the vocabulary is out of range.
    pub fn shape(&self, vocabulary: usize) -> Result<ModelShape, ArchitectureError> {
        self.check()?;
        in_range("vocabulary", vocabulary, 1)?;
        let places = self.places();
        let unless_places = |rows| if places.is_some() { 0 } else { rows };
        Ok(ModelShape {
            vocabulary,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            kv_heads: if self.kv_heads == 0 { self.heads } else { self.kv_heads },
            head_dim: if self.head_dim == 0 {
                self.width / self.heads
            } else {
                self.head_dim
            },
            feed_forward: if self.feed_forward == 0 {
                (self.width * 8).div_ceil(3).next_multiple_of(16)
            } else {
                self.feed_forward
            },
            qkv_bias: self.qkv_bias,
            qk_norm: false,
            rope_theta: self.rope_theta,
            rope_scaling: self.rope_scaling.map(RopeScaling::Llama3),
            norm_epsilon: self.norm_epsilon,
            tied: self.tied,
            lines: unless_places(self.lines),
            columns: unless_places(self.columns),
            places,
            context: self.context,
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

fn divides(divisor: &'static str, by: usize, field: &'static str, number: usize) -> Result<(), ArchitectureError> {
    if number.is_multiple_of(by) {
        return Ok(());
    }
    Err(ArchitectureError::Indivisible {
        divisor,
        by,
        field,
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut Architecture)) -> String {
        let mut architecture = Architecture::default();
        change(&mut architecture);
        architecture.shape(10).unwrap_err().to_string()
    }

    #[test]
    fn presets_are_sound_and_their_zeros_worked_out() {
        for name in PRESETS {
            Architecture::preset(name).unwrap().check().unwrap();
        }
        let shape = Architecture::preset("tiny").unwrap().shape(50).unwrap();
        assert_eq!((shape.kv_heads, shape.feed_forward, shape.head_dim), (4, 176, 16));
        assert_eq!((shape.lines, shape.columns, shape.places), (64, 64, None));
        let places = Architecture {
            positions: TokenPositions::Places(Places::default()),
            ..Architecture::default()
        };
        let shape = places.shape(50).unwrap();
        assert_eq!((shape.lines, shape.columns, shape.places), (0, 0, Some(Places::default())));
    }

    #[test]
    fn errors_name_the_field() {
        insta::assert_snapshot!(problem(|a| a.layers = 0), @"`layers` must be at least 1");
        insta::assert_snapshot!(problem(|a| a.lines = usize::MAX), @"`lines` = 18446744073709551615 is too large, it must be at most 1048576");
        insta::assert_snapshot!(problem(|a| a.heads = 5), @"`heads` = 5 must divide `width` = 64");
        insta::assert_snapshot!(problem(|a| a.kv_heads = 3), @"`kv_heads` = 3 must divide `heads` = 4");
        insta::assert_snapshot!(problem(|a| a.heads = 64), @"`width` / `heads` = 1 must be even, since rotary positions turn pairs");
        insta::assert_snapshot!(problem(|a| a.head_dim = 5), @"`head_dim` = 5 must be even, since rotary positions turn pairs");
        insta::assert_snapshot!(problem(|a| a.head_dim = MAX_SIZE), @"`heads` · `head_dim` = 4194304 is too large, it must be at most 1048576");
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        };
        let scaled = |scaling| problem(|a| a.rope_scaling = Some(scaling));
        insta::assert_snapshot!(scaled(Llama3Scaling { factor: 0.0, ..scaling }), @"`rope_scaling.factor` = 0 must be a positive number");
        insta::assert_snapshot!(scaled(Llama3Scaling { low_freq_factor: 4.0, ..scaling }), @"`rope_scaling.low_freq_factor` = 4 must be less than `rope_scaling.high_freq_factor` = 4");
        insta::assert_snapshot!(scaled(Llama3Scaling { original_context: 0, ..scaling }), @"`rope_scaling.original_context` must be at least 1");
        insta::assert_snapshot!(problem(|a| a.rope_theta = -1.0), @"`rope_theta` = -1 must be a positive number");
        let places = |places: Places, change: fn(&mut Architecture)| {
            problem(|a| {
                a.positions = TokenPositions::Places(places);
                change(a);
            })
        };
        let nine = Places::default();
        insta::assert_snapshot!(places(Places { rows: 13, ..nine }, |_| ()), @"`positions.rows` = 13 must be at least 14: `positions.top` = 11 needs a row for each index from two before 0 to the top");
        insta::assert_snapshot!(places(Places { top: 0, ..nine }, |_| ()), @"`positions.top` must be at least 1");
        insta::assert_snapshot!(places(Places { top: usize::MAX, ..nine }, |_| ()), @"`positions.top` = 18446744073709551615 is too large, it must be at most 1048576");
        insta::assert_snapshot!(places(nine, |a| a.lines = 32), @"`lines` is not used with `positions` of the kind `places`; leave it out");
        insta::assert_snapshot!(places(nine, |a| a.rope_theta = 1e8), @"`rope_theta` is not used with `positions` of the kind `places`; leave it out");
        let vocabulary = |tokens| Architecture::default().shape(tokens).unwrap_err().to_string();
        insta::assert_snapshot!(vocabulary(0), @"`vocabulary` must be at least 1");
        insta::assert_snapshot!(vocabulary(1 << 40), @"`vocabulary` = 1099511627776 is too large, it must be at most 1048576");
        assert_eq!(Architecture::preset("huge"), None);
    }
}
