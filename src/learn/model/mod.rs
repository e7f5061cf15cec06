//! The decoder: its shape, its weights and its files. The computations are in [`crate::engine`].

mod adapters;
mod architecture;
mod architecture_error;
mod chat;
mod config_file;
mod error;
mod files;
mod import;
mod initialise;
mod json_file;
pub mod lora;
mod prompter;
mod rotary;
mod stand_in;
mod stored_tensor;
mod tensor_file;
mod token_positions;
mod weight_source;
mod weights_file;

use std::collections::BTreeMap;

use crate::dataset::Prompt;
use crate::tokenizer::Tokenizer;

pub use adapters::Adapters;
pub use architecture::{Architecture, PRESETS};
pub use architecture_error::ArchitectureError;
pub use chat::ModelChat;
pub use error::ModelError;
pub use files::{is_model, load, open};
pub use import::{chat_of, import, import_adapter};
pub use initialise::initialise;
pub use lora::{Lora, LoraError};
pub use prompter::Prompter;
pub use rotary::{Llama3Scaling, LongRope, RopeScaling, Yarn};
pub use stored_tensor::{StoredTensor, le_bytes, write_tensors};
pub use tensor_file::TensorFile;
pub use token_positions::{Places, TokenPositions};
pub use weight_source::WeightSource;
pub use weights_file::WeightsFile;

/// A trained decoder with its tokenizer. Its weights are in memory, or in their file.
#[derive(Clone, Debug)]
pub struct Model<W = Weights> {
    pub shape: ModelShape,
    pub weights: W,
    pub tokenizer: Tokenizer,
    /// The prompt it was trained with.
    pub prompt: Prompt,
    /// Its chat template, if it has one.
    pub chat: Option<ModelChat>,
}

/// Everything that determines the shapes of the weights: the architecture with its defaults filled in, and the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelShape {
    pub vocabulary: usize,
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// The width of one head.
    pub head_dim: usize,
    pub feed_forward: usize,
    /// Whether queries, keys and values have biases, as in Qwen2.
    pub qkv_bias: bool,
    /// Whether each head's queries and keys have an RMS norm before they are rotated, as in Qwen3.
    pub qk_norm: bool,
    pub rope_theta: f64,
    pub rope_scaling: Option<RopeScaling>,
    pub norm_epsilon: f64,
    pub tied: bool,
    pub lines: usize,
    pub columns: usize,
    /// The places of digits and lines, which take the place of all other positions; `None` for a model with rotary positions.
    pub places: Option<Places>,
    pub context: usize,
}

/// The smallest number of tensors of a layer: two norms, and four matrices if some are joined.
const MIN_TENSORS_PER_LAYER: usize = 6;

/// The memory for listing the tensors of this many layers is negligible.
const ALWAYS_ALLOWED_LAYERS: usize = 1 << 10;

impl ModelShape {
    /// Whether a file with n `tensors` cannot have all layers. This is checked before the tensors are listed, since a damaged file may declare
    /// any number of layers.
    fn is_deeper_than(&self, tensors: usize) -> bool {
        self.layers > tensors || self.layers > ALWAYS_ALLOWED_LAYERS.max(tensors / MIN_TENSORS_PER_LAYER)
    }

    /// Rows of the three tables of places together; 0 if the model knows none.
    pub fn place_rows(&self) -> usize {
        self.places.map_or(0, |places| places.rows.saturating_mul(Places::TABLES))
    }

    /// Number of parameters.
    pub fn size(&self) -> usize {
        let sizes = self.parameters();
        let sizes = sizes.values().map(|shape| shape.iter().copied().fold(1, usize::saturating_mul));
        sizes.fold(0, usize::saturating_add)
    }

    /// Name and shape of every weight.
    pub fn parameters(&self) -> BTreeMap<String, Vec<usize>> {
        let (q_width, kv_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut parameters = BTreeMap::new();
        for layer in 0..self.layers {
            for (name, shape) in [
                ("input_layernorm", vec![self.width]),
                ("self_attn.q_proj", vec![q_width, self.width]),
                ("self_attn.k_proj", vec![kv_width, self.width]),
                ("self_attn.v_proj", vec![kv_width, self.width]),
                ("self_attn.o_proj", vec![self.width, q_width]),
                ("post_attention_layernorm", vec![self.width]),
                ("mlp.gate_proj", vec![self.feed_forward, self.width]),
                ("mlp.up_proj", vec![self.feed_forward, self.width]),
                ("mlp.down_proj", vec![self.width, self.feed_forward]),
            ] {
                parameters.insert(format!("model.layers.{layer}.{name}.weight"), shape);
            }
            if self.qkv_bias {
                for (name, width) in [("q_proj", q_width), ("k_proj", kv_width), ("v_proj", kv_width)] {
                    parameters.insert(format!("model.layers.{layer}.self_attn.{name}.bias"), vec![width]);
                }
            }
            if self.qk_norm {
                for name in ["q_norm", "k_norm"] {
                    parameters.insert(format!("model.layers.{layer}.self_attn.{name}.weight"), vec![self.head_dim]);
                }
            }
        }
        for (name, rows) in [
            ("model.embed_tokens.weight", self.vocabulary),
            ("model.embed_lines.weight", self.lines),
            ("model.embed_columns.weight", self.columns),
            ("model.embed_places.weight", self.place_rows()),
            ("lm_head.weight", if self.tied { 0 } else { self.vocabulary }),
        ] {
            if rows > 0 {
                parameters.insert(name.to_owned(), vec![rows, self.width]);
            }
        }
        parameters.insert("model.norm.weight".to_owned(), vec![self.width]);
        parameters
    }
}

/// A tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// The weights by name, with Hugging Face's Llama names (`model.embed_tokens.weight`, `model.layers.0.self_attn.q_proj.weight` as
/// [out, in], …, `model.layers.0.self_attn.q_proj.bias` [out] if there are biases, `model.layers.0.self_attn.q_norm.weight` [head] if there are
/// norms of queries and keys, `lm_head.weight` if not tied). The tables of the learned
/// positions are `model.embed_lines.weight` [lines, width] and `model.embed_columns.weight` [columns, width]; or
/// `model.embed_places.weight` [3 · rows, width], the rows for a token's index, then those for the index before and the one before that.
pub type Weights = BTreeMap<String, Array>;
