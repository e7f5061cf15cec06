//! The engines: forward and backward pass, optimizer step and cached decoding over the weights of one decoder.
//!
//! Two stand behind the same traits: `candle` (any candle device; the reference) and `cpu` (our own). Neither knows of
//! tokenizers, data sets or stages. The residual stream starts as token embedding + line embedding + column embedding; rotary
//! positions are counted from the start of each sequence.

pub mod candle;
mod check;
mod choice;
pub mod cpu;
mod frozen;
mod state;

use std::fmt;

use crate::model::lora::is_adapter;
use crate::model::{Lora, ModelError, Weights};

pub use choice::{
    Dtype, Engine, check_dtype, check_frozen, check_lora, decoder, decoding_memory, instruction_set, numeric_class, recommended_slots,
    trainer, training_memory,
};
pub use cpu::instructions;
pub use frozen::Frozen;
use state::arrays;
#[cfg(test)]
pub(crate) use state::reader;
pub use state::{NamedTensor, ReadTensor, TensorGroup};

/// The target of a token whose prediction is not trained on.
pub const IGNORED: u32 = u32::MAX;

/// Sequences laid end to end, without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// [tokens]
    pub tokens: Vec<u32>,
    /// The token that follows, or [`IGNORED`]. [tokens]
    pub targets: Vec<u32>,
    /// Line number of each token, below the shape's `lines` (empty where that is 0). [tokens]
    pub lines: Vec<u32>,
    /// Column of each token, below the shape's `columns` (empty where that is 0). [tokens]
    pub columns: Vec<u32>,
    /// The sequences' lengths; they sum to the number of tokens. [sequences]
    pub lengths: Vec<usize>,
}

/// What one optimizer step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// Mean cross-entropy over the trained tokens of all micro-batches, before the update.
    pub loss: f64,
    /// Euclidean norm of the gradient, before clipping.
    pub gradient_norm: f64,
}

/// AdamW (Loshchilov & Hutter 2019) with clipping by the global norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Decoupled: weights shrink by `learning_rate * weight_decay`. Applies to matrices and embeddings, not to norms and biases.
    pub weight_decay: f64,
    /// The largest gradient norm that is left as it is (infinite: never clipped).
    pub clip: f64,
}

/// How a decoder is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    pub optimizer: Optimizer,
    /// Weights that stay as they are: no gradient, no moments, and not a part of the gradient's norm.
    pub frozen: Frozen,
    /// Whether activations are computed again in the backward pass instead of kept: less memory, more time, the same bits.
    pub recompute: bool,
    /// Adapters that are trained in place of all weights; they stand among the weights with PEFT's names.
    pub lora: Option<Lora>,
    /// What the adapters' dropout is drawn from.
    pub seed: u64,
}

impl Training {
    /// Whether the weight `name` is trained.
    pub fn trains(&self, name: &str) -> bool {
        match self.lora {
            Some(_) => is_adapter(name),
            None => !self.frozen.holds(name),
        }
    }
}

impl From<Optimizer> for Training {
    /// All weights are trained, and activations are kept.
    fn from(optimizer: Optimizer) -> Self {
        Self {
            optimizer,
            frozen: Frozen::default(),
            recompute: false,
            lora: None,
            seed: 0,
        }
    }
}

/// The optimizer's memory: moments by the weights' names, and the number of steps taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    pub steps: u64,
    pub first: Weights,
    pub second: Weights,
}

/// A sequence of a batch, as far as its memory goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequence {
    pub tokens: usize,
    /// How many of them are trained on.
    pub trained: usize,
}

/// Bytes that an engine will take at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryEstimate {
    /// Weights in all their forms, gradient and moments.
    pub weights: usize,
    /// All else, which grows with the sequences and the threads.
    pub activations: usize,
}

impl MemoryEstimate {
    pub fn total(self) -> usize {
        self.weights + self.activations
    }
}

/// What a program with an engine takes beside it, in bytes: code, tokens and files.
pub const PROGRAM_MEMORY: usize = 64 << 20;

/// Bytes for people: `1.2 GB`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bytes(pub usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mega = self.0 as f64 / 1e6;
        if mega >= 1000.0 {
            write!(f, "{:.1} GB", mega / 1e3)
        } else {
            write!(f, "{mega:.0} MB")
        }
    }
}

/// Trains one decoder.
pub trait TrainingEngine {
    /// One optimizer step on the mean loss over all trained tokens of `batches` (gradient accumulation: their gradients add up).
    ///
    /// # Errors
    /// When the engine's device fails or a batch does not fit the shape.
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepResult, EngineError>;

    /// How many optimizer steps were taken.
    fn steps(&self) -> u64;

    /// How many numbers are trained.
    fn trained(&self) -> usize;

    /// Weights or moments as they are now, where they lie if that is possible. Frozen weights have no moments; where adapters are
    /// trained, they are the weights that are meant.
    ///
    /// # Errors
    /// When the engine's device fails.
    fn tensors(&self, part: TensorGroup) -> Result<Vec<NamedTensor<'_>>, EngineError>;

    /// Goes on from a checkpoint: replaces weights and memory by what `read` gives, tensor by tensor, after `steps` steps.
    ///
    /// # Errors
    /// When `read` fails or a shape is not this decoder's; the trainer is then of no use.
    fn restore(&mut self, steps: u64, read: &mut ReadTensor<'_>) -> Result<(), EngineError>;

    /// A copy of the weights as they are now.
    ///
    /// # Errors
    /// When the engine's device fails.
    fn weights(&self) -> Result<Weights, EngineError> {
        Ok(arrays(self.tensors(TensorGroup::Weights)?))
    }

    /// The weights at the end; all else is given back first, where that is possible.
    ///
    /// # Errors
    /// When the engine's device fails.
    fn finish(self: Box<Self>) -> Result<Weights, EngineError>;

    /// A copy of the optimizer's memory as it is now.
    ///
    /// # Errors
    /// When the engine's device fails.
    fn moments(&self) -> Result<Moments, EngineError> {
        Ok(Moments {
            steps: self.steps(),
            first: arrays(self.tensors(TensorGroup::First)?),
            second: arrays(self.tensors(TensorGroup::Second)?),
        })
    }
}

/// New tokens for one slot of a [`DecodingEngine`].
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// Which slot of the cache.
    pub slot: usize,
    /// How many tokens the slot holds before these; what it held after that is forgotten (0: the slot starts anew).
    pub start: usize,
    /// At least one. [tokens]
    pub tokens: &'a [u32],
    /// As in [`Batch`]. [tokens]
    pub lines: &'a [u32],
    /// As in [`Batch`]. [tokens]
    pub columns: &'a [u32],
}

/// Decodes with a preallocated key/value cache of a fixed number of slots.
pub trait DecodingEngine {
    /// Appends each feed's tokens to its slot (each slot at most once a call) and returns the logits of each feed's last token,
    /// in the order of the feeds: [feeds, vocabulary]. A row does not depend on the other feeds of the call.
    ///
    /// # Errors
    /// When the engine's device fails, or a slot would outgrow the context.
    fn feed(&mut self, feeds: &[Feed<'_>]) -> Result<&[f32], EngineError>;

    /// Makes slot `to` hold the first `count` tokens that slot `from` holds, and nothing else: the same bits as if they had been fed.
    ///
    /// # Errors
    /// When there is no such slot, it holds fewer tokens, or the engine's device fails.
    fn copy(&mut self, from: usize, to: usize, count: usize) -> Result<(), EngineError>;
}

/// Why an engine could not go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A tensor of a file or checkpoint is not as the decoder needs it.
    #[error("tensor `{name}` has shape {found:?} where the model needs {expected:?}")]
    Tensor {
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    /// A tensor is missing.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A sequence is longer than the model's context.
    #[error("a sequence of {tokens} tokens is longer than the model's context of {context}")]
    TooLong { tokens: usize, context: usize },
    /// A batch or a feed names something that the decoder does not have.
    #[error("{what} {found} is out of range (known: 0 to {})", .bound.saturating_sub(1))]
    OutOfRange { what: &'static str, found: usize, bound: usize },
    /// The parts of a batch or a feed do not belong together.
    #[error("{found} {what} where {expected} are needed")]
    Count { what: &'static str, expected: usize, found: usize },
    /// What should be frozen is not there.
    #[error("`frozen` names `{pattern}`, and no weight is called so (known: {known})")]
    UnknownWeight { pattern: String, known: String },
    /// Nothing is left to train.
    #[error("`frozen` holds all weights: none is left to train")]
    AllFrozen,
    /// The engine trains all weights.
    #[error("the engine `candle` trains all weights; set `engine = \"cpu\"` for `frozen`")]
    CannotFreeze,
    /// The engine draws nothing.
    #[error("the engine `candle` has no dropout; set `engine = \"cpu\"`, or `dropout = 0`")]
    CannotDropOut,
    /// A checkpoint ended early.
    #[error("cannot read tensor `{name}`: {error}")]
    Unreadable { name: String, error: std::io::Error },
    /// The machine gave no threads.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        threads: usize,
        source: rayon::ThreadPoolBuildError,
    },
    /// No device of that name.
    #[error("no device `{0}` (known: cpu, cuda:N, metal:N)")]
    UnknownDevice(String),
    /// The engine does not compute there.
    #[error("the engine `cpu` computes on the processor, not on `{0}`; set `engine = \"candle\"` to use that device")]
    WrongDevice(String),
    /// The engine does not compute in these numbers.
    #[error("the engine `candle` computes in f32 alone; set `engine = \"cpu\"` for bf16")]
    WrongDtype,
    /// A weight could not be read from the model's file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device or candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
