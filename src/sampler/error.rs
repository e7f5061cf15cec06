//! Why there are no responses.

use crate::engine::EngineError;
use crate::tokenizer::TokenizerError;

/// Why there are no responses.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error("stopped")]
    Stopped,
    #[error("the prompt of `{stream}` has {tokens} tokens and leaves no room in the model's context of {context}")]
    PromptTooLong { stream: String, tokens: usize, context: usize },
    #[error("the prompt of `{stream}` is empty")]
    EmptyPrompt { stream: String },
    #[error("the model's logits for `{stream}` are not numbers; its weights are damaged or its training diverged")]
    NotANumber { stream: String },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}
