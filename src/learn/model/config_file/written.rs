//! `config.json` as this program writes it: Hugging Face's `LlamaConfig`, `Qwen2Config` or `Qwen3Config`. A model with learned positions is
//! none of them. It has extra fields and its own name, so that other programs refuse it.

use std::path::Path;

use serde::Serialize;

use super::family::Family;
use super::{ACTIVATION, FIRST_FORMAT, LINEAR, LLAMA3, LONGROPE, NEWEST_FORMAT, YARN};
use crate::model::architecture::{is_false, is_zero};
use crate::model::json_file::write_json;
use crate::model::{LongRope, ModelError, ModelShape, RopeScaling, TokenPositions};
use crate::tokenizer::Tokenizer;

/// The fields in their order in the file.
#[derive(Debug, Serialize)]
struct WrittenConfig {
    architectures: Vec<&'static str>,
    model_type: &'static str,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    hidden_act: &'static str,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    /// A model that knows places has no rotary positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    rope_theta: Option<f64>,
    rope_scaling: Option<WrittenScaling>,
    /// Qwen2 has no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention_bias: Option<bool>,
    /// Whether queries, keys and values have biases, in an architecture of our own.
    #[serde(skip_serializing_if = "is_false")]
    qkv_bias: bool,
    /// Whether queries and keys have norms, in an architecture of our own.
    #[serde(skip_serializing_if = "is_false")]
    qk_norm: bool,
    mlp_bias: bool,
    tie_word_embeddings: bool,
    pad_token_id: Option<u32>,
    bos_token_id: Option<u32>,
    eos_token_id: EndTokens,
    torch_dtype: String,
    /// Rows of `model.embed_lines.weight`.
    #[serde(skip_serializing_if = "is_zero")]
    line_positions: usize,
    /// Rows of `model.embed_columns.weight`.
    #[serde(skip_serializing_if = "is_zero")]
    column_positions: usize,
    /// Places of tokens, whose rows are in `model.embed_places.weight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    positions: Option<TokenPositions>,
    runner_format: u32,
}

/// The tokens that end a completion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum EndTokens {
    One(u32),
    Several(Vec<u32>),
}

/// A scaling of rotary positions.
#[derive(Debug, Default, Serialize)]
struct WrittenScaling {
    rope_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    low_freq_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high_freq_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_factor: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    long_factor: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_fast: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta_slow: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_max_position_embeddings: Option<usize>,
}

impl WrittenScaling {
    fn new(scaling: &RopeScaling, context: usize) -> Self {
        match scaling {
            RopeScaling::Linear(factor) => Self {
                rope_type: LINEAR,
                factor: Some(*factor),
                ..Self::default()
            },
            RopeScaling::Yarn(yarn) => Self {
                rope_type: YARN,
                factor: Some(yarn.factor),
                beta_fast: Some(yarn.fast),
                beta_slow: Some(yarn.slow),
                truncate: (!yarn.whole_pairs).then_some(false),
                attention_factor: Some(yarn.magnitude),
                original_max_position_embeddings: Some(yarn.original_context),
                ..Self::default()
            },
            RopeScaling::Llama3(scaling) => Self {
                rope_type: LLAMA3,
                factor: Some(scaling.factor),
                low_freq_factor: Some(scaling.low_freq_factor),
                high_freq_factor: Some(scaling.high_freq_factor),
                original_max_position_embeddings: Some(scaling.original_context),
                ..Self::default()
            },
            // The second list is for sequences longer than the context, so it is never used.
            RopeScaling::LongRope(LongRope { divisors, magnitude }) => Self {
                rope_type: LONGROPE,
                short_factor: Some(divisors.clone()),
                long_factor: Some(divisors.clone()),
                attention_factor: Some(*magnitude),
                original_max_position_embeddings: Some(context),
                ..Self::default()
            },
        }
    }
}

impl WrittenConfig {
    fn new(shape: &ModelShape, tokenizer: &Tokenizer, dtype: &str) -> Self {
        let eos_token_id = match tokenizer.ends() {
            [end] => EndTokens::One(*end),
            ends => EndTokens::Several(ends.to_vec()),
        };
        let family = Family::of(shape);
        let is_ours = family == Family::Runner;
        Self {
            architectures: vec![family.architecture()],
            model_type: family.model_type(),
            vocab_size: shape.vocabulary,
            hidden_size: shape.width,
            intermediate_size: shape.feed_forward,
            num_hidden_layers: shape.layers,
            num_attention_heads: shape.heads,
            num_key_value_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            hidden_act: ACTIVATION,
            max_position_embeddings: shape.context,
            rms_norm_eps: shape.norm_epsilon,
            rope_theta: shape.is_rotary().then_some(shape.rope_theta),
            rope_scaling: shape
                .rope_scaling
                .as_ref()
                .map(|scaling| WrittenScaling::new(scaling, shape.context)),
            attention_bias: (!shape.qkv_bias).then_some(false),
            qkv_bias: shape.qkv_bias && is_ours,
            qk_norm: shape.qk_norm && is_ours,
            mlp_bias: false,
            tie_word_embeddings: shape.tied,
            pad_token_id: tokenizer.is_ours().then_some(0),
            bos_token_id: tokenizer.begin().first().copied(),
            eos_token_id,
            torch_dtype: dtype.to_owned(),
            line_positions: shape.lines,
            column_positions: shape.columns,
            positions: shape.places.map(TokenPositions::Places),
            runner_format: if shape.places.is_some() { NEWEST_FORMAT } else { FIRST_FORMAT },
        }
    }
}

/// Writes `config.json` for `shape`; `dtype` is Hugging Face's name for the weights' type.
pub(in crate::model) fn write(shape: &ModelShape, tokenizer: &Tokenizer, dtype: &str, path: &Path) -> Result<(), ModelError> {
    write_json(&WrittenConfig::new(shape, tokenizer, dtype), path)
}
