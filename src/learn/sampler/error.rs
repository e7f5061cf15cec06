//! Errors of sampling.

use crate::engine::{Bytes, EngineError};
use crate::tokenizer::TokenizerError;

/// Sampling ended without responses.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error("stopped")]
    Stopped,
    #[error("the prompt of `{stream}` has {tokens} tokens and leaves no space in the model's context of {context}")]
    PromptTooLong { stream: String, tokens: usize, context: usize },
    #[error("the prompt of `{stream}` has a number of {digits} digits, and the model places for {top}")]
    BeyondTop { stream: String, digits: usize, top: usize },
    #[error("the prompt of `{stream}` is empty")]
    EmptyPrompt { stream: String },
    #[error(
        "the model has no token for {text:?} (the prompt of `{stream}`: {line:?}); leave such rows out, or train the model on rows that contain it, or pass such rows to its training as `vocabulary`"
    )]
    Unknown { text: String, stream: String, line: String },
    #[error(
        "sampling needs {needed} of memory ({weights} for the program and the weights, {cache} for one sequence), but only {available} are available{advice}; shorten responses (`max_tokens`), use a smaller model, or free memory"
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
