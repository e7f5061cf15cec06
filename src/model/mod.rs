//! The decoder: its shape, its weights and its files; no arithmetic (see [`crate::engine`]).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shape of a Llama-style decoder, as an experiment describes it under `[models]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Architecture {
    /// Width of the residual stream.
    pub width: usize,
    /// Number of decoder layers.
    pub layers: usize,
    /// Number of query heads; divides `width`.
    pub heads: usize,
    /// Number of key/value heads; divides `heads` (0: as many as `heads`).
    pub kv_heads: usize,
    /// Width of the SwiGLU feed-forward layer (0: 8/3 of `width`, rounded up to a multiple of 16).
    pub feed_forward: usize,
    /// Base of the rotary position embedding.
    pub rope_theta: f64,
    /// Epsilon of the RMS norms.
    pub norm_epsilon: f64,
    /// Whether the output layer shares the embedding's weights.
    pub tied: bool,
    /// Rows of the learned embedding of the line number (0: none).
    pub lines: usize,
    /// Rows of the learned embedding of the column since the last line break or colon (0: none).
    pub columns: usize,
    /// The longest sequence, in tokens.
    pub context: usize,
}

impl Default for Architecture {
    fn default() -> Self {
        Self {
            width: 64,
            layers: 2,
            heads: 4,
            kv_heads: 0,
            feed_forward: 0,
            rope_theta: 10_000.0,
            norm_epsilon: 1e-5,
            tied: true,
            lines: 64,
            columns: 64,
            context: 1024,
        }
    }
}

/// All that decides the shapes of the weights: the architecture with its defaults worked out, and the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub vocabulary: usize,
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub feed_forward: usize,
    pub rope_theta: f64,
    pub norm_epsilon: f64,
    pub tied: bool,
    pub lines: usize,
    pub columns: usize,
    pub context: usize,
}

impl Shape {
    /// The width of one head.
    pub fn head(&self) -> usize {
        self.width / self.heads
    }
}

/// A tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// The weights by name, with Hugging Face's Llama names (`model.embed_tokens.weight`, `model.layers.0.self_attn.q_proj.weight`
/// as [out, in], …, `lm_head.weight` where not tied) and, for the learned positions, `model.embed_lines.weight` [lines, width] and
/// `model.embed_columns.weight` [columns, width].
pub type Weights = BTreeMap<String, Array>;
