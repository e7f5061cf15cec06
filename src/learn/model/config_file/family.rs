//! The families of models, with the values that Transformers gives to fields that a `config.json` leaves out.

use crate::model::ModelShape;

/// A family of models that the engines compute. All are Llamas, apart from biases, norms of queries and keys, and windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::model) enum Family {
    Llama,
    Mistral,
    /// With biases of queries, keys and values.
    Qwen2,
    /// With norms of queries and keys.
    Qwen3,
    Phi3,
    /// Our own, with learned positions. No other program supports it.
    Runner,
}

const FAMILIES: [Family; 6] = [
    Family::Llama,
    Family::Mistral,
    Family::Qwen2,
    Family::Qwen3,
    Family::Phi3,
    Family::Runner,
];

/// The values of fields that are left out.
pub(super) struct Defaults {
    pub(super) vocabulary: usize,
    pub(super) width: usize,
    pub(super) feed_forward: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// `None`: as many as `heads`.
    pub(super) kv_heads: Option<usize>,
    /// `None`: `width / heads`.
    pub(super) head_dim: Option<usize>,
    pub(super) context: usize,
    pub(super) norm_epsilon: f64,
    /// The token that ends a completion.
    pub(super) end: Option<u32>,
    /// The number of tokens to which a token attends, including itself.
    pub(super) window: Option<usize>,
    /// The context of the first training.
    pub(super) first_context: Option<usize>,
}

/// The values of `LlamaConfig`.
const LLAMA_DEFAULTS: Defaults = Defaults {
    vocabulary: 32_000,
    width: 4096,
    feed_forward: 11_008,
    layers: 32,
    heads: 32,
    kv_heads: None,
    head_dim: None,
    context: 2048,
    norm_epsilon: 1e-6,
    end: Some(2),
    window: None,
    first_context: None,
};

impl Family {
    /// The family of a shape, by whose name its `config.json` goes.
    pub(super) fn of(shape: &ModelShape) -> Self {
        match shape {
            ModelShape { lines: 1.., .. } | ModelShape { columns: 1.., .. } | ModelShape { places: Some(_), .. } => Self::Runner,
            ModelShape {
                qkv_bias: true,
                qk_norm: true,
                ..
            } => Self::Runner,
            ModelShape { qkv_bias: true, .. } => Self::Qwen2,
            ModelShape { qk_norm: true, .. } => Self::Qwen3,
            _ => Self::Llama,
        }
    }

    /// Its name in `architectures`.
    pub(super) fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
            Self::Runner => "RunnerForCausalLM",
        }
    }

    /// Its name in `model_type`.
    pub(super) fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Phi3 => "phi3",
            Self::Runner => "runner",
        }
    }

    /// The family with one of these names in `architectures`.
    pub(super) fn with_architecture<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<Self> {
        names.find_map(|name| FAMILIES.into_iter().find(|family| family.architecture() == name))
    }

    /// The family with this name in `model_type`.
    pub(super) fn with_model_type(name: &str) -> Option<Self> {
        FAMILIES.into_iter().find(|family| family.model_type() == name)
    }

    /// Whether its field `sliding_window` is used only where `use_sliding_window` says so, and from the layer `max_window_layers` on.
    pub(super) fn asks_for_window(self) -> bool {
        matches!(self, Self::Qwen2 | Self::Qwen3)
    }

    pub(super) fn defaults(self) -> Defaults {
        match self {
            Self::Llama | Self::Runner => LLAMA_DEFAULTS,
            Self::Mistral => Defaults {
                feed_forward: 14_336,
                kv_heads: Some(8),
                context: 131_072,
                window: Some(4096),
                ..LLAMA_DEFAULTS
            },
            Self::Qwen2 | Self::Qwen3 => Defaults {
                vocabulary: 151_936,
                feed_forward: 22_016,
                kv_heads: Some(32),
                head_dim: (self == Self::Qwen3).then_some(128),
                context: 32_768,
                end: None,
                window: Some(4096),
                ..LLAMA_DEFAULTS
            },
            Self::Phi3 => Defaults {
                vocabulary: 32_064,
                width: 3072,
                feed_forward: 8192,
                context: 4096,
                norm_epsilon: 1e-5,
                end: Some(32_000),
                first_context: Some(4096),
                ..LLAMA_DEFAULTS
            },
        }
    }
}
