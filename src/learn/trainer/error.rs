//! Why a training ended without a model.

use std::path::PathBuf;

use crate::engine::{Bytes, EngineError};
use crate::model::{ArchitectureError, ModelError};
use crate::tokenizer::TokenizerError;

/// Why a training ended without a model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("stopped")]
    Stopped,
    #[error("there are no rows to train on; see what the stage that makes `data` put out")]
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
        "training diverged at step {step}: loss {loss}, gradient norm {gradient_norm} (rows {rows}); lower `learning_rate`, raise `warmup` or lower `clip`"
    )]
    Diverged {
        step: u64,
        loss: f64,
        gradient_norm: f64,
        rows: String,
    },
    #[error("`model` has {field} {written}, and the base has {found}; leave `model` out to take the base's, or train a base of that shape")]
    OtherShape {
        field: &'static str,
        written: String,
        found: String,
    },
    #[error(
        "the base's tokenizer does not know {text:?} (row \"{row}\": {line:?}); train the base on rows that have it, or give the base's training such rows as `vocabulary`"
    )]
    Unknown { text: String, row: String, line: String },
    #[error(
        "training needs {needed} of memory ({weights} for the program, weights, gradient and moments, {activations} for activations), and {available} are there{advice}; train a smaller `model` or on shorter rows, freeze weights (`frozen`), use fewer `threads` or `dtype = \"bf16\"`, or free memory"
    )]
    Memory {
        needed: Bytes,
        weights: Bytes,
        activations: Bytes,
        available: Bytes,
        advice: String,
    },
    #[error("cannot write {path}: {error}", path = path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("cannot go on from the checkpoint {path}: {error}; remove it to train from the start", path = path.display())]
    Restore { path: PathBuf, error: EngineError },
    #[error("the model is impossible: {0}")]
    Architecture(#[from] ArchitectureError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}
