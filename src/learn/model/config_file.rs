//! `config.json`: Hugging Face's `LlamaConfig` or `Qwen2Config`. A model with learned positions is neither. It has extra fields and its own
//! name, so that other programs refuse it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::architecture::{is_false, is_zero};
use super::json_file::{read_json, write_json};
use super::{Architecture, Llama3Scaling, LongRope, ModelError, ModelShape, RopeScaling};
use crate::tokenizer::Tokenizer;

/// The newest format this program writes and reads.
const NEWEST_FORMAT: u32 = 1;

/// The architecture that this program writes. The others compute the same, except for what [`ConfigFile::unsupported`] and
/// [`ConfigFile::context`] check.
const LLAMA: &str = "LlamaForCausalLM";
/// A Llama with biases of queries, keys and values.
const QWEN2: &str = "Qwen2ForCausalLM";
/// The architecture with learned positions, which no other program supports.
const RUNNER: &str = "RunnerForCausalLM";
const KNOWN_ARCHITECTURES: [&str; 5] = [LLAMA, QWEN2, RUNNER, "MistralForCausalLM", "Phi3ForCausalLM"];
const LLAMA3: &str = "llama3";
const LONGROPE: &str = "longrope";
/// The supported scalings of rotary positions. `su` is the name of `longrope` in Phi-3's first files.
const KNOWN_SCALINGS: [&str; 3] = [LLAMA3, LONGROPE, "su"];
const ACTIVATION: &str = "silu";

/// The fields of `config.json` that this program writes or checks. Others are ignored.
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
    rope_scaling: Option<RopeFields>,
    /// Only in Phi-3; other models have this field in `rope_scaling`.
    #[serde(default, skip_serializing)]
    original_max_position_embeddings: Option<usize>,
    /// Written by Transformers 5 instead of `rope_theta` and `rope_scaling`.
    #[serde(default, skip_serializing)]
    rope_parameters: Option<RopeFields>,
    /// The number of tokens to which a token attends, including itself.
    #[serde(default, skip_serializing)]
    sliding_window: Option<usize>,
    /// Whether `sliding_window` is used. The default is false for Qwen2.
    #[serde(default, skip_serializing)]
    use_sliding_window: Option<bool>,
    /// The share of a head that is rotated.
    #[serde(default, skip_serializing)]
    partial_rotary_factor: Option<f64>,
    /// Whether all four projections have biases. Qwen2 always has three of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attention_bias: Option<bool>,
    /// Whether queries, keys and values have biases, in an architecture of our own.
    #[serde(default, skip_serializing_if = "is_false")]
    qkv_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    pad_token_id: Option<u32>,
    #[serde(default)]
    bos_token_id: Option<u32>,
    #[serde(default)]
    eos_token_id: Option<EndTokens>,
    #[serde(default = "float32", alias = "dtype")]
    torch_dtype: String,
    /// Rows of `model.embed_lines.weight`.
    #[serde(default, skip_serializing_if = "is_zero")]
    line_positions: usize,
    /// Rows of `model.embed_columns.weight`.
    #[serde(default, skip_serializing_if = "is_zero")]
    column_positions: usize,
    /// See [`NEWEST_FORMAT`]. Files of other programs do not have it.
    #[serde(default = "first_format")]
    runner_format: u32,
}

/// The tokens that end a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum EndTokens {
    One(u32),
    Several(Vec<u32>),
}

impl EndTokens {
    pub(super) fn list(self) -> Vec<u32> {
        match self {
            Self::One(end) => vec![end],
            Self::Several(ends) => ends,
        }
    }
}

/// The scaling of rotary positions, and in Transformers 5 all other settings of them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RopeFields {
    #[serde(alias = "type")]
    rope_type: Option<String>,
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
    attention_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    #[serde(skip_serializing)]
    rope_theta: Option<f64>,
    #[serde(skip_serializing)]
    partial_rotary_factor: Option<f64>,
}

impl RopeFields {
    fn from_scaling(scaling: &RopeScaling, context: usize) -> Self {
        match scaling {
            RopeScaling::Llama3(scaling) => Self {
                rope_type: Some(LLAMA3.to_owned()),
                factor: Some(scaling.factor),
                low_freq_factor: Some(scaling.low_freq_factor),
                high_freq_factor: Some(scaling.high_freq_factor),
                original_max_position_embeddings: Some(scaling.original_context),
                ..Self::default()
            },
            // The second list is for sequences longer than the context, so it is never used.
            RopeScaling::LongRope(LongRope { divisors, magnitude }) => Self {
                rope_type: Some(LONGROPE.to_owned()),
                short_factor: Some(divisors.clone()),
                long_factor: Some(divisors.clone()),
                attention_factor: Some(*magnitude),
                original_max_position_embeddings: Some(context),
                ..Self::default()
            },
        }
    }

    /// The type of the scaling, if there is one.
    fn scaled(&self) -> Option<&str> {
        self.rope_type.as_deref().filter(|name| *name != "default")
    }

    fn is_llama3(&self) -> bool {
        self.scaled() == Some(LLAMA3)
    }

    /// Llama 3's scaling, or the name of the missing field.
    fn llama3(&self) -> Result<Llama3Scaling, &'static str> {
        Ok(Llama3Scaling {
            factor: self.factor.ok_or("factor")?,
            low_freq_factor: self.low_freq_factor.ok_or("low_freq_factor")?,
            high_freq_factor: self.high_freq_factor.ok_or("high_freq_factor")?,
            original_context: self.original_max_position_embeddings.ok_or("original_max_position_embeddings")?,
        })
    }
}

/// The content of a `config.json`.
pub(super) struct ModelConfig {
    pub(super) shape: ModelShape,
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

impl ConfigFile {
    fn describing(shape: &ModelShape, tokenizer: &Tokenizer, dtype: &str) -> Self {
        let ends = match tokenizer.ends() {
            [end] => EndTokens::One(*end),
            ends => EndTokens::Several(ends.to_vec()),
        };
        let (architecture, model_type) = match shape {
            ModelShape { lines: 1.., .. } | ModelShape { columns: 1.., .. } => (RUNNER, "runner"),
            ModelShape { qkv_bias: true, .. } => (QWEN2, "qwen2"),
            _ => (LLAMA, "llama"),
        };
        Self {
            architectures: vec![architecture.to_owned()],
            model_type: model_type.to_owned(),
            vocab_size: shape.vocabulary,
            hidden_size: shape.width,
            intermediate_size: shape.feed_forward,
            num_hidden_layers: shape.layers,
            num_attention_heads: shape.heads,
            num_key_value_heads: Some(shape.kv_heads),
            head_dim: Some(shape.head_dim),
            hidden_act: silu(),
            max_position_embeddings: shape.context,
            rms_norm_eps: shape.norm_epsilon,
            rope_theta: Some(shape.rope_theta),
            rope_scaling: shape
                .rope_scaling
                .as_ref()
                .map(|scaling| RopeFields::from_scaling(scaling, shape.context)),
            original_max_position_embeddings: None,
            rope_parameters: None,
            sliding_window: None,
            use_sliding_window: None,
            partial_rotary_factor: None,
            attention_bias: (!shape.qkv_bias).then_some(false),
            qkv_bias: shape.qkv_bias && architecture == RUNNER,
            mlp_bias: false,
            tie_word_embeddings: shape.tied,
            pad_token_id: tokenizer.is_ours().then_some(0),
            bos_token_id: tokenizer.begin().first().copied(),
            eos_token_id: Some(ends),
            torch_dtype: dtype.to_owned(),
            line_positions: shape.lines,
            column_positions: shape.columns,
            runner_format: NEWEST_FORMAT,
        }
    }

    /// The first unsupported field: its name, its value, and the supported values.
    fn unsupported(&self) -> Option<(&'static str, String, &'static str)> {
        let rotary = self.rope_parameters.as_ref().and_then(|rope| rope.partial_rotary_factor);
        let scaled = |rope: &Option<RopeFields>| {
            let kind = rope.as_ref()?.scaled()?;
            (!KNOWN_SCALINGS.contains(&kind)).then(|| format!("{kind:?}"))
        };
        let rotary = rotary.or(self.partial_rotary_factor).unwrap_or(1.0);
        if !self.architectures.iter().any(|name| KNOWN_ARCHITECTURES.contains(&name.as_str())) {
            let known = "LlamaForCausalLM, Qwen2ForCausalLM, MistralForCausalLM or Phi3ForCausalLM";
            Some(("architectures", format!("{:?}", self.architectures), known))
        } else if rotary != 1.0 {
            Some(("partial_rotary_factor", rotary.to_string(), "1"))
        } else if self.hidden_act != ACTIVATION {
            Some(("hidden_act", format!("{:?}", self.hidden_act), "\"silu\""))
        } else if let Some(kind) = scaled(&self.rope_scaling) {
            Some(("rope_scaling.rope_type", kind, "\"default\", \"llama3\" or \"longrope\""))
        } else if let Some(kind) = scaled(&self.rope_parameters) {
            Some(("rope_parameters.rope_type", kind, "\"default\", \"llama3\" or \"longrope\""))
        } else if self.attention_bias == Some(true) || self.mlp_bias {
            Some(("attention_bias or mlp_bias", "true".to_owned(), "false"))
        } else {
            None
        }
    }

    /// The longest sequence for which our decoder computes the same. A model with a sliding window differs beyond the window, and one with
    /// LongRoPE beyond the context of the first training.
    fn context(&self) -> usize {
        let used = self.use_sliding_window.unwrap_or(!self.is_qwen2());
        let window = self.sliding_window.filter(|window| used && *window > 0);
        let first = self.long_rope().and_then(|(_, rope)| self.first_context(rope));
        let bounds = [window, first].into_iter().flatten();
        bounds.fold(self.max_position_embeddings, usize::min)
    }

    /// The context of the first training.
    fn first_context(&self, rope: &RopeFields) -> Option<usize> {
        rope.original_max_position_embeddings.or(self.original_max_position_embeddings)
    }

    fn is_qwen2(&self) -> bool {
        self.architectures.iter().any(|name| name == QWEN2)
    }

    /// The scaling of rotary positions, with the name of its field.
    fn scaling(&self) -> Option<(&'static str, &RopeFields)> {
        let both = [("rope_scaling", &self.rope_scaling), ("rope_parameters", &self.rope_parameters)];
        both.into_iter().find_map(|(place, rope)| {
            let rope = rope.as_ref()?;
            rope.scaled().is_some().then_some((place, rope))
        })
    }

    fn long_rope(&self) -> Option<(&'static str, &RopeFields)> {
        self.scaling().filter(|(_, rope)| !rope.is_llama3())
    }

    /// LongRoPE's scaling, for heads of `head` numbers; on error a field and its problem.
    fn long_scaling(&self, place: &str, rope: &RopeFields, head: usize) -> Result<LongRope, (String, String)> {
        let field = |name: &str| format!("{place}.{name}");
        let missing = |name: &str| (field(name), "is missing".to_owned());
        let is_positive = |number: &f64| number.is_finite() && *number > 0.0;
        let divisors = rope.short_factor.clone().ok_or_else(|| missing("short_factor"))?;
        if divisors.len() != head / 2 || !divisors.iter().all(is_positive) {
            let problem = format!("must be {} positive numbers, one for each pair of a head", head / 2);
            return Err((field("short_factor"), problem));
        }
        let first = self
            .first_context(rope)
            .ok_or_else(|| missing("original_max_position_embeddings"))?;
        let factor = rope.factor.unwrap_or(self.max_position_embeddings as f64 / first as f64);
        // The default of Transformers.
        let magnitude = match rope.attention_factor {
            Some(written) => written,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + libm::log(factor) / libm::log(first as f64)).sqrt(),
        };
        if !is_positive(&magnitude) {
            return Err((field("attention_factor"), format!("is {magnitude}, but must be a positive number")));
        }
        Ok(LongRope { divisors, magnitude })
    }

    fn architecture(&self, rope_scaling: Option<Llama3Scaling>) -> Architecture {
        let rope = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        Architecture {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.head_dim.unwrap_or(0),
            feed_forward: self.intermediate_size,
            qkv_bias: self.qkv_bias || self.is_qwen2(),
            rope_theta: rope.or(self.rope_theta).unwrap_or(Architecture::default().rope_theta),
            rope_scaling,
            norm_epsilon: self.rms_norm_eps,
            tied: self.tie_word_embeddings,
            lines: self.line_positions,
            columns: self.column_positions,
            context: self.context(),
        }
    }
}

/// Writes `config.json` for `shape`; `dtype` is Hugging Face's name for the weights' type.
pub(super) fn write(shape: &ModelShape, tokenizer: &Tokenizer, dtype: &str, path: &Path) -> Result<(), ModelError> {
    write_json(&ConfigFile::describing(shape, tokenizer, dtype), path)
}

/// Reads the `config.json` at `path`.
pub(super) fn read(path: &Path) -> Result<ModelConfig, ModelError> {
    let config: ConfigFile = read_json(path)?;
    if config.runner_format > NEWEST_FORMAT {
        return Err(ModelError::Newer {
            path: path.to_owned(),
            found: config.runner_format,
            known: NEWEST_FORMAT,
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
    let wrong = |(field, problem)| ModelError::Field {
        path: path.to_owned(),
        field,
        problem,
    };
    let llama3 = config.scaling().filter(|(_, rope)| rope.is_llama3());
    let llama3 = llama3.map(|(place, rope)| {
        rope.llama3()
            .map_err(|field| wrong((format!("{place}.{field}"), "is missing".to_owned())))
    });
    let shape = config.architecture(llama3.transpose()?).shape(config.vocab_size);
    let mut shape = shape.map_err(|error| ModelError::Architecture {
        path: path.to_owned(),
        error,
    })?;
    if let Some((place, rope)) = config.long_rope() {
        let scaling = config.long_scaling(place, rope, shape.head_dim).map_err(wrong)?;
        shape.rope_scaling = Some(RopeScaling::LongRope(scaling));
    }
    let ends = config.eos_token_id.map(EndTokens::list).unwrap_or_default();
    Ok(ModelConfig { shape, ends })
}
