//! Errors of scoring.

use crate::engine::{Bytes, EngineError};
use crate::tokenizer::TokenizerError;

/// Scoring ended without log-likelihoods.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("stopped")]
    Stopped,
    #[error(
        "the continuation of `{stream}` has no tokens of its own ({continuation:?}): it is empty, or becomes one token with the end of its context; change `target_delimiter` or the text"
    )]
    NoTokens { stream: String, continuation: String },
    #[error(
        "the continuation of `{stream}` has {tokens} tokens and does not fit into the model's context of {context}; leave such rows out, or score their whole texts with `loglikelihood_rolling`"
    )]
    TooLong { stream: String, tokens: usize, context: usize },
    #[error(
        "the text of `{stream}` has a line or a digit beyond the highest index that the model has places for: {highest}, where `top` of its `positions` is {top}; leave such rows out"
    )]
    BeyondTop { stream: String, highest: usize, top: usize },
    #[error(
        "the model has no token for {text:?} (the text of `{stream}`: {line:?}); leave such rows out, or train the model on rows that contain it, or pass such rows to its training as `vocabulary`"
    )]
    Unknown { text: String, stream: String, line: String },
    #[error(
        "scoring needs {needed} of memory ({weights} for the program and the weights, {cache} for one sequence), but only {available} are available{advice}; score shorter texts, use a smaller model, or free memory"
    )]
    Memory {
        needed: Bytes,
        weights: Bytes,
        cache: Bytes,
        available: Bytes,
        advice: String,
    },
    #[error("the model's logits for `{stream}` are not finite; its weights are damaged or its training diverged")]
    NotANumber { stream: String },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}
