//! `config.json`: Hugging Face's `LlamaConfig`, with two fields of ours for the learned positions.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Architecture, ModelError, Shape};
use crate::tokenizer::Tokenizer;

/// The newest format this program writes and reads.
const FORMAT: u32 = 1;

/// What this program writes; the others compute the same, but for what [`ConfigFile::unsupported`] and [`ConfigFile::context`] see to.
const ARCHITECTURE: &str = "LlamaForCausalLM";
const ARCHITECTURES: [&str; 3] = [ARCHITECTURE, "MistralForCausalLM", "Phi3ForCausalLM"];
const ACTIVATION: &str = "silu";

/// The fields of `config.json` that this program writes or must heed; others are left alone.
#[derive(Debug, Serialize, Deserialize)]
struct ConfigFile {
    architectures: Vec<String>,
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default)]
    num_key_value_heads: Option<usize>,
    #[serde(default)]
    head_dim: Option<usize>,
    #[serde(default = "silu")]
    hidden_act: String,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    #[serde(default)]
    rope_theta: Option<f64>,
    #[serde(default)]
    rope_scaling: Option<Value>,
    /// What Transformers 5 writes in place of the two fields above.
    #[serde(default, skip_serializing)]
    rope_parameters: Option<RopeParameters>,
    /// A token sees as many before it, itself included.
    #[serde(default, skip_serializing)]
    sliding_window: Option<usize>,
    /// Which share of a head is turned.
    #[serde(default, skip_serializing)]
    partial_rotary_factor: Option<f64>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    pad_token_id: Option<u32>,
    #[serde(default)]
    bos_token_id: Option<u32>,
    #[serde(default)]
    eos_token_id: Option<Ends>,
    #[serde(default = "float32", alias = "dtype")]
    torch_dtype: String,
    /// Rows of `model.embed_lines.weight`.
    #[serde(default, skip_serializing_if = "is_zero")]
    line_positions: usize,
    /// Rows of `model.embed_columns.weight`.
    #[serde(default, skip_serializing_if = "is_zero")]
    column_positions: usize,
    /// See [`FORMAT`]; files of other programs have none.
    #[serde(default = "first_format")]
    runner_format: u32,
}

/// The token that ends a completion, or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Ends {
    One(u32),
    Several(Vec<u32>),
}

impl Ends {
    pub(super) fn list(self) -> Vec<u32> {
        match self {
            Self::One(end) => vec![end],
            Self::Several(ends) => ends,
        }
    }
}

#[derive(Debug, Deserialize)]
struct RopeParameters {
    #[serde(default)]
    rope_theta: Option<f64>,
    #[serde(default)]
    rope_type: Option<String>,
    #[serde(default)]
    partial_rotary_factor: Option<f64>,
}

/// What a `config.json` says.
pub(super) struct Config {
    pub(super) shape: Shape,
    /// The tokens that end a completion.
    pub(super) ends: Vec<u32>,
}

fn silu() -> String {
    ACTIVATION.to_owned()
}

fn float32() -> String {
    "float32".to_owned()
}

fn first_format() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(rows: &usize) -> bool {
    *rows == 0
}

impl ConfigFile {
    fn of(shape: &Shape, tokenizer: &Tokenizer, dtype: &str) -> Self {
        let ends = match tokenizer.ends() {
            [end] => Ends::One(*end),
            ends => Ends::Several(ends.to_vec()),
        };
        Self {
            architectures: vec![ARCHITECTURE.to_owned()],
            model_type: "llama".to_owned(),
            vocab_size: shape.vocabulary,
            hidden_size: shape.width,
            intermediate_size: shape.feed_forward,
            num_hidden_layers: shape.layers,
            num_attention_heads: shape.heads,
            num_key_value_heads: Some(shape.kv_heads),
            head_dim: Some(shape.head()),
            hidden_act: silu(),
            max_position_embeddings: shape.context,
            rms_norm_eps: shape.norm_epsilon,
            rope_theta: Some(shape.rope_theta),
            rope_scaling: None,
            rope_parameters: None,
            sliding_window: None,
            partial_rotary_factor: None,
            attention_bias: false,
            mlp_bias: false,
            tie_word_embeddings: shape.tied,
            pad_token_id: tokenizer.is_ours().then_some(0),
            bos_token_id: tokenizer.begin().first().copied(),
            eos_token_id: Some(ends),
            torch_dtype: dtype.to_owned(),
            line_positions: shape.lines,
            column_positions: shape.columns,
            runner_format: FORMAT,
        }
    }

    /// The first thing about the model that this program does not do: field, value, what it does.
    fn unsupported(&self) -> Option<(&'static str, String, &'static str)> {
        let head = self.hidden_size.checked_div(self.num_attention_heads);
        let rope_type = self.rope_parameters.as_ref().and_then(|rope| rope.rope_type.as_deref());
        let rotary = self.rope_parameters.as_ref().and_then(|rope| rope.partial_rotary_factor);
        let rotary = rotary.or(self.partial_rotary_factor).unwrap_or(1.0);
        if !self.architectures.iter().any(|name| ARCHITECTURES.contains(&name.as_str())) {
            let known = "LlamaForCausalLM, MistralForCausalLM or Phi3ForCausalLM";
            Some(("architectures", format!("{:?}", self.architectures), known))
        } else if rotary != 1.0 {
            Some(("partial_rotary_factor", rotary.to_string(), "1"))
        } else if self.hidden_act != ACTIVATION {
            Some(("hidden_act", format!("{:?}", self.hidden_act), "\"silu\""))
        } else if let Some(scaling) = &self.rope_scaling {
            Some(("rope_scaling", scaling.to_string(), "null"))
        } else if let Some(scaling) = rope_type.filter(|name| *name != "default") {
            Some(("rope_parameters.rope_type", format!("{scaling:?}"), "\"default\""))
        } else if self.attention_bias || self.mlp_bias {
            Some(("attention_bias or mlp_bias", "true".to_owned(), "false"))
        } else if self.head_dim.is_some_and(|width| Some(width) != head) {
            let found = self.head_dim.unwrap_or_default().to_string();
            Some(("head_dim", found, "hidden_size / num_attention_heads"))
        } else {
            None
        }
    }

    /// The longest sequence. Within a sliding window all tokens see each other, and beyond it our decoder is another model.
    fn context(&self) -> usize {
        let window = self.sliding_window.filter(|window| *window > 0);
        window.unwrap_or(usize::MAX).min(self.max_position_embeddings)
    }

    fn architecture(&self) -> Architecture {
        let rope = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        Architecture {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            feed_forward: self.intermediate_size,
            rope_theta: rope.or(self.rope_theta).unwrap_or(Architecture::default().rope_theta),
            norm_epsilon: self.rms_norm_eps,
            tied: self.tie_word_embeddings,
            lines: self.line_positions,
            columns: self.column_positions,
            context: self.context(),
        }
    }
}

/// Writes `config.json` for `shape`, for weights of the type that Hugging Face calls `dtype`.
pub(super) fn write(shape: &Shape, tokenizer: &Tokenizer, dtype: &str, path: &Path) -> Result<(), ModelError> {
    super::files::write_json(&ConfigFile::of(shape, tokenizer, dtype), path)
}

/// What the `config.json` at `path` describes.
pub(super) fn read(path: &Path) -> Result<Config, ModelError> {
    let config: ConfigFile = super::files::read_json(path)?;
    if config.runner_format > FORMAT {
        return Err(ModelError::Newer {
            path: path.to_owned(),
            found: config.runner_format,
            known: FORMAT,
        });
    }
    if let Some((field, found, known)) = config.unsupported() {
        return Err(ModelError::Unsupported {
            path: path.to_owned(),
            field,
            found,
            known,
        });
    }
    let shape = config.architecture().shape(config.vocab_size);
    let shape = shape.map_err(|error| ModelError::Architecture {
        path: path.to_owned(),
        error,
    })?;
    let ends = config.eos_token_id.map(Ends::list).unwrap_or_default();
    Ok(Config { shape, ends })
}
