//! The engines: forward and backward pass, optimizer step and cached decoding over the weights of one decoder.
//!
//! Two engines implement the same traits: `candle` (the reference, on any candle device) and `cpu` (our own). Neither uses
//! tokenizers, data sets or stages. The residual stream starts as token embedding + line embedding + column embedding, and rotary
//! positions count from the start of each sequence; or it starts as token embedding + the rows of its places, and there are no rotary positions.

pub mod candle;
mod check;
mod choice;
pub mod cpu;
mod dtype;
mod frozen;
mod scored;
mod state;

use std::fmt;
use std::ops::Range;

use crate::model::lora::is_adapter;
use crate::model::{Lora, ModelError, Places, Weights};

pub use choice::{
    Engine, check_dtype, check_frozen, check_lora, decoder, decoding_memory, instruction_set, numeric_class, recommended_slots,
    scoring_memory, trainer, training_memory,
};
pub use cpu::instructions;
pub use dtype::Dtype;
pub use frozen::Frozen;
pub use scored::{ScoredFeed, Target, TokenScore};
use state::arrays;
#[cfg(test)]
pub(crate) use state::reader;
pub use state::{NamedTensor, ReadTensor, TensorGroup};

/// The target of a token that has no loss.
pub const IGNORED: u32 = u32::MAX;

/// Sequences laid end to end, without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// [tokens]
    pub tokens: Vec<u32>,
    /// The next token, or [`IGNORED`]. [tokens]
    pub targets: Vec<u32>,
    /// Line number of each token, less than the shape's `lines` (empty if that is 0). [tokens]
    pub lines: Vec<u32>,
    /// Column of each token, less than the shape's `columns` (empty if that is 0). [tokens]
    pub columns: Vec<u32>,
    /// Rows of the table of places: for each token one for its index and for each of the two before it, less than the shape's `place_rows`
    /// (empty if that is 0). [tokens, 3]
    pub places: Vec<u32>,
    /// Lengths of the sequences; their sum is the number of tokens. [sequences]
    pub lengths: Vec<usize>,
}

impl Batch {
    /// The tokens `range` of the sequence that begins at token `first`, for a slot that holds those before them.
    #[cfg(test)]
    fn feed(&self, slot: usize, first: usize, range: Range<usize>) -> Feed<'_> {
        let all = Feed {
            slot,
            start: 0,
            tokens: &self.tokens,
            lines: &self.lines,
            columns: &self.columns,
            places: &self.places,
        };
        Feed {
            start: range.start,
            ..all.piece(first + range.start..first + range.end)
        }
    }

    /// Number of tokens that have a loss.
    pub fn trained(&self) -> usize {
        self.targets.iter().filter(|target| **target != IGNORED).count()
    }
}

/// The result of one optimizer step.
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
    /// Decoupled weight decay: weights shrink by `learning_rate * weight_decay`. It applies to matrices and embeddings, not to norms and biases.
    pub weight_decay: f64,
    /// Gradients with a larger norm are clipped to this norm (infinite: no clipping).
    pub clip: f64,
}

/// How a decoder is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    pub optimizer: Optimizer,
    /// Frozen weights have no gradient and no moments, and are not part of the gradient norm.
    pub frozen: Frozen,
    /// Whether the backward pass recomputes activations instead of keeping them: less memory, more time, the same bits.
    pub recompute: bool,
    /// Adapters to train instead of all weights. They are among the weights, with PEFT's names.
    pub lora: Option<Lora>,
    /// The seed of the adapters' dropout.
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
    /// Trains all weights and keeps activations.
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

/// The optimizer's state: moments by weight name, and the number of steps taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    pub steps: u64,
    pub first: Weights,
    pub second: Weights,
}

/// The size of one sequence of a batch, for estimates of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequence {
    pub tokens: usize,
    /// Number of tokens that are trained on.
    pub trained: usize,
}

/// An upper bound on the memory of an engine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryEstimate {
    /// Weights (flat and packed), gradient and moments.
    pub weights: usize,
    /// Everything else; it grows with the sequences and the threads.
    pub activations: usize,
}

impl MemoryEstimate {
    pub fn total(self) -> usize {
        self.weights + self.activations
    }
}

/// Memory of the program besides the engine, in bytes: code, tokens and files.
pub const PROGRAM_MEMORY: usize = 64 << 20;

/// A number of bytes, displayed as `1.2 GB`. The rest of the program has `lab::text::bytes`, which changes with this one.
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
    /// Takes one optimizer step on the mean loss over all trained tokens of `batches` (gradient accumulation: gradients are summed).
    ///
    /// # Errors
    /// When the engine's device fails or a batch does not fit the shape.
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepResult, EngineError>;

    /// Mean cross-entropy over all trained tokens of `batches`, as [`TrainingEngine::step`] has it, but without dropout; 0 if there are none.
    /// It changes nothing of what later steps compute. `batches` is read to its end, one batch at a time.
    ///
    /// # Errors
    /// As [`TrainingEngine::step`].
    fn loss(&mut self, batches: &mut dyn Iterator<Item = Batch>) -> Result<f64, EngineError>;

    /// Number of optimizer steps taken.
    fn steps(&self) -> u64;

    /// Number of trained parameters.
    fn trained(&self) -> usize;

    /// The current weights or moments, borrowed if possible. Frozen weights have no moments. With adapters, these are the adapters'
    /// tensors only.
    ///
    /// # Errors
    /// When the engine's device fails.
    fn tensors(&self, part: TensorGroup) -> Result<Vec<NamedTensor<'_>>, EngineError>;

    /// Restores the state after `steps` steps from a checkpoint: `read` returns weights and moments, tensor by tensor.
    ///
    /// # Errors
    /// When `read` fails or a tensor has the wrong shape. The trainer must not be used after that.
    fn restore(&mut self, steps: u64, read: &mut ReadTensor<'_>) -> Result<(), EngineError>;

    /// A copy of the current weights.
    ///
    /// # Errors
    /// When the engine's device fails.
    fn weights(&self) -> Result<Weights, EngineError> {
        Ok(arrays(self.tensors(TensorGroup::Weights)?))
    }

    /// Returns the final weights. Everything else is freed first if possible.
    ///
    /// # Errors
    /// When the engine's device fails.
    fn finish(self: Box<Self>) -> Result<Weights, EngineError>;

    /// A copy of the current state of the optimizer.
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

/// New tokens for one cache slot of a [`DecodingEngine`].
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// Index of the slot.
    pub slot: usize,
    /// Number of cached tokens to keep before these; later ones are dropped (0: the slot starts empty).
    pub start: usize,
    /// At least one. [tokens]
    pub tokens: &'a [u32],
    /// As in [`Batch`]. [tokens]
    pub lines: &'a [u32],
    /// As in [`Batch`]. [tokens]
    pub columns: &'a [u32],
    /// As in [`Batch`]. [tokens, 3]
    pub places: &'a [u32],
}

impl<'a> Feed<'a> {
    /// The tokens in `range`, which are fed after those before them. This feed has all tokens of the sequence.
    pub fn piece(self, range: Range<usize>) -> Self {
        let part = |list: &'a [u32], each: usize| list.get(range.start * each..range.end * each).unwrap_or_default();
        Self {
            slot: self.slot,
            start: range.start,
            tokens: part(self.tokens, 1),
            lines: part(self.lines, 1),
            columns: part(self.columns, 1),
            places: part(self.places, Places::TABLES),
        }
    }
}

/// Decodes with a preallocated key/value cache of a fixed number of slots.
pub trait DecodingEngine {
    /// Appends each feed's tokens to its slot and returns the logits of each feed's last token, in the order of the feeds:
    /// [feeds, vocabulary]. A slot may occur at most once per call. A row does not depend on the other feeds of the call.
    ///
    /// # Errors
    /// When the engine's device fails, or a slot would exceed the context.
    fn feed(&mut self, feeds: &[Feed<'_>]) -> Result<&[f32], EngineError>;

    /// Appends each feed's tokens to its slot, as [`DecodingEngine::feed`] does, and returns the scores of the targets, in the order of the
    /// feeds and their targets. A score depends on the tokens of its slot alone: not on the other feeds of the call, nor on how the tokens
    /// were cut into calls. Only a few rows of logits exist at a time.
    ///
    /// # Errors
    /// When the engine's device fails, a slot would exceed the context, or a target has no place in its feed.
    fn score(&mut self, feeds: &[ScoredFeed<'_>]) -> Result<Vec<TokenScore>, EngineError>;

    /// Replaces the content of slot `to` by the first `count` tokens of slot `from`, with the same bits as if they had been fed.
    ///
    /// # Errors
    /// When a slot does not exist, `from` holds fewer tokens, or the engine's device fails.
    fn copy(&mut self, from: usize, to: usize, count: usize) -> Result<(), EngineError>;
}

/// An error of an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A tensor of a file or checkpoint has the wrong shape.
    #[error("tensor `{name}` has shape {found:?}, but the model needs {expected:?}")]
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
    /// A batch or a feed has an index that the decoder does not have.
    #[error("{what} {found} is out of range (known: 0 to {})", .bound.saturating_sub(1))]
    OutOfRange { what: &'static str, found: usize, bound: usize },
    /// The parts of a batch or a feed have different lengths.
    #[error("{found} {what}, expected {expected}")]
    Count { what: &'static str, expected: usize, found: usize },
    /// A pattern of `frozen` matches no weight.
    #[error("`frozen` has the pattern `{pattern}`, which matches no weight (known: {known})")]
    UnknownWeight { pattern: String, known: String },
    /// `frozen` matches all weights.
    #[error("`frozen` matches all weights; nothing would be trained")]
    AllFrozen,
    /// The engine cannot freeze weights.
    #[error("the engine `candle` cannot freeze weights; set `engine = \"cpu\"` to use `frozen`")]
    CannotFreeze,
    /// The engine has no dropout.
    #[error("the engine `candle` has no dropout; set `engine = \"cpu\"`, or `dropout = 0`")]
    CannotDropOut,
    /// A tensor of a checkpoint cannot be read.
    #[error("cannot read tensor `{name}`: {error}")]
    Unreadable { name: String, error: std::io::Error },
    /// The thread pool cannot be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        threads: usize,
        source: rayon::ThreadPoolBuildError,
    },
    /// The device does not exist.
    #[error("no device `{0}` (known: cpu, cuda:N, metal:N)")]
    UnknownDevice(String),
    /// The engine does not support the device.
    #[error("the engine `cpu` does not support the device `{0}`; set `engine = \"candle\"` to use it")]
    WrongDevice(String),
    /// The engine does not support the dtype.
    #[error("the engine `candle` supports only f32; set `engine = \"cpu\"` for bf16")]
    WrongDtype,
    /// A weight cannot be read from the model's file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// candle or its device failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
