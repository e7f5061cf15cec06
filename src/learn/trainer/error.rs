//! Errors of a training.

use std::path::PathBuf;

use crate::chat::ChatError;
use crate::dataset::Row;
use crate::engine::{Bytes, EngineError};
use crate::model::{ArchitectureError, ModelError};
use crate::tokenizer::TokenizerError;

/// A training ended without a model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("stopped")]
    Stopped,
    #[error("there are no rows to train on; check the output of the stage that makes `data`")]
    NoRows,
    #[error(
        "{count} rows are longer than the model's context of {context} tokens, the longest has {longest} (rows {rows}); raise `context` of the model or leave them out"
    )]
    TooLong {
        count: usize,
        context: usize,
        longest: usize,
        rows: String,
    },
    #[error(
        "{count} rows have a line or a digit beyond the highest index that the model has places for: {highest}, where `top` of its `positions` is {top} (rows {rows}); raise `top`, and `rows` with it, or leave them out"
    )]
    BeyondTop {
        count: usize,
        top: usize,
        highest: usize,
        rows: String,
    },
    #[error(
        "there is nothing to measure in `validation`: it has no rows, or none of their tokens is trained on; check the output of the stage that makes it"
    )]
    NothingHeldOut,
    #[error(
        "{count} rows of `validation` are longer than the model's context of {context} tokens, the longest has {longest} (rows {rows}); raise `context` of the model or leave them out"
    )]
    HeldOutTooLong {
        count: usize,
        context: usize,
        longest: usize,
        rows: String,
    },
    #[error(
        "{count} rows of `validation` have a line or a digit beyond the highest index that the model has places for: {highest}, where `top` of its `positions` is {top} (rows {rows}); raise `top`, and `rows` with it, or leave them out"
    )]
    HeldOutBeyondTop {
        count: usize,
        top: usize,
        highest: usize,
        rows: String,
    },
    #[error(
        "the tokenizer has no token for {text:?} (row \"{row}\" of `validation`: {line:?}), since it is made of the training's rows; pass the validation set as `vocabulary` too"
    )]
    HeldOutUnknown { text: String, row: String, line: String },
    #[error("training diverged at step {step}: held-out loss {loss}; lower `learning_rate`, raise `warmup` or lower `clip`")]
    HeldOutDiverged { step: u64, loss: f64 },
    #[error(
        "training diverged at step {step}: loss {loss}, gradient norm {gradient_norm} (rows {rows}); lower `learning_rate`, raise `warmup` or lower `clip`"
    )]
    Diverged {
        step: u64,
        loss: f64,
        gradient_norm: f64,
        rows: String,
    },
    #[error("`model` has {field} {written}, but the base has {found}; leave `model` out to use the base's, or train a base of that shape")]
    OtherShape {
        field: &'static str,
        written: String,
        found: String,
    },
    #[error(
        "the base's tokenizer has no token for {text:?} (row \"{row}\": {line:?}); train the base on rows that contain it, or pass such rows to the base's training as `vocabulary`"
    )]
    Unknown { text: String, row: String, line: String },
    #[error(
        "training needs {needed} of memory ({weights} for the program, weights, gradient and moments, {activations} for activations), but only {available} are available{advice}; train a smaller `model` or on shorter rows, freeze weights (`frozen`), use fewer `threads` or `dtype = \"bf16\"`, or free memory"
    )]
    Memory {
        needed: Bytes,
        weights: Bytes,
        activations: Bytes,
        available: Bytes,
        advice: String,
    },
    #[error("row \"{row}\": {error}")]
    ChatRow { row: String, error: ChatError },
    #[error(transparent)]
    Chat(#[from] ChatError),
    #[error("cannot write {path}: {error}", path = path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("cannot resume from the checkpoint {path}: {error}; remove it to train from the start", path = path.display())]
    Restore { path: PathBuf, error: EngineError },
    #[error("the model is not valid: {0}")]
    Architecture(#[from] ArchitectureError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl TrainError {
    /// For a row that cannot be written as a chat.
    pub(super) fn chat(row: &Row, error: ChatError) -> Self {
        Self::ChatRow {
            row: row.id.clone(),
            error,
        }
    }
}
