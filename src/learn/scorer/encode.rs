//! The tokens of requests, by the rules of lm-evaluation-harness 0.4.13 (`TemplateLM._encode_pair`, `get_rolling_token_windows`).

use std::ops::Range;

use super::{ScoreError, ScoreRequest, TextRequest};
use crate::dataset::FilledPrompt;
use crate::tokenizer::Tokenizer;

/// Tokens of which the last ones are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScoredSequence {
    /// The number of its request.
    pub(super) request: usize,
    /// At most one more than the model's context, since the model does not read the last one.
    pub(super) tokens: Vec<u32>,
    /// The number of tokens at the end that are scored: at least one, and not all.
    pub(super) scored: usize,
}

impl ScoredSequence {
    /// The tokens that the model reads.
    pub(super) fn input(&self) -> &[u32] {
        self.tokens.split_last().map_or(&[], |(_, input)| input)
    }

    /// The tokens to score: each with the number of tokens of the input that it comes after, less one.
    pub(super) fn targets(&self) -> impl DoubleEndedIterator<Item = (usize, u32)> {
        let first = self.tokens.len().saturating_sub(self.scored);
        let targets = self.tokens.get(first..).unwrap_or_default().iter();
        targets
            .enumerate()
            .map(move |(index, token)| ((first + index).saturating_sub(1), *token))
    }
}

/// The tokens of a request: those of its context, and those of its continuation.
pub(super) struct EncodedPair {
    pub(super) context: Vec<u32>,
    pub(super) continuation: Vec<u32>,
}

impl EncodedPair {
    /// Encodes context and continuation together, and cuts them where the context ends: before its trailing blanks, which usually belong to
    /// the first token of the continuation. An empty context is the token `prefix`.
    ///
    /// # Errors
    /// When the continuation has no tokens of its own, some text has no token, or the tokenizer fails.
    pub(super) fn new(tokenizer: &Tokenizer, request: &ScoreRequest, prefix: u32) -> Result<Self, ScoreError> {
        let kept = request.context_without_blanks().len();
        let ScoreRequest {
            context,
            continuation,
            stream,
        } = request;
        let mut whole = context.clone();
        whole.text += continuation;
        // A text that is filled in asks for no control tokens, and neither does a continuation.
        whole.filled.push(context.text.len()..whole.text.len());
        let mut tokens = encode(tokenizer, &whole, stream)?;
        let mut context = tokenizer.filled_prompt(&beginning(context, kept))?;
        let continuation_tokens = tokens.split_off(context.len().min(tokens.len()));
        if continuation_tokens.is_empty() {
            return Err(ScoreError::NoTokens {
                stream: stream.clone(),
                continuation: continuation.clone(),
            });
        }
        if context.is_empty() {
            context.push(prefix);
        }
        Ok(Self {
            context,
            continuation: continuation_tokens,
        })
    }

    /// Whether the continuation alone is longer than the model's context.
    pub(super) fn is_too_long(&self, context: usize) -> bool {
        self.continuation.len() > context
    }

    /// The sequence to score, and the number of tokens that are cut from the left of its context.
    pub(super) fn sequence(self, request: usize, context: usize) -> (ScoredSequence, usize) {
        let (mut tokens, scored) = (self.context, self.continuation.len());
        tokens.extend(self.continuation);
        let cut = tokens.len().saturating_sub(context + 1);
        tokens.drain(..cut);
        (ScoredSequence { request, tokens, scored }, cut)
    }
}

/// The sequences of a whole text, which begins after `prefix`.
///
/// # Errors
/// When some text has no token, or the tokenizer fails.
pub(super) fn windows(
    tokenizer: &Tokenizer,
    request: usize,
    text: &TextRequest,
    prefix: u32,
    context: usize,
) -> Result<Vec<ScoredSequence>, ScoreError> {
    let mut tokens = vec![prefix];
    tokens.extend(encode(tokenizer, &text.text, &text.stream)?);
    Ok(windows_of(&tokens, request, context))
}

/// Windows of `tokens` for a model with a context of `context` tokens. Each token but the first is scored, once. All windows but the last
/// score as many tokens as the context has, after the one before these; the last has all tokens before its own that still fit.
pub(super) fn windows_of(tokens: &[u32], request: usize, context: usize) -> Vec<ScoredSequence> {
    let (mut windows, mut before) = (Vec::new(), 1);
    while before < tokens.len() {
        let scored = context.max(1).min(tokens.len() - before);
        let end = before + scored;
        let start = end.saturating_sub(context.max(1) + 1);
        windows.push(ScoredSequence {
            request,
            tokens: tokens.get(start..end).unwrap_or_default().to_vec(),
            scored,
        });
        before = end;
    }
    windows
}

/// The tokens of a text, which must not leave out anything of it.
fn encode(tokenizer: &Tokenizer, prompt: &FilledPrompt, stream: &str) -> Result<Vec<u32>, ScoreError> {
    let tokens = tokenizer.filled_prompt(prompt)?;
    if tokenizer.may_lack(&tokens)
        && let Some(unknown) = tokenizer.unknown_in_filled(prompt)?
    {
        let text = &prompt.text;
        return Err(ScoreError::Unknown {
            stream: stream.to_owned(),
            line: text.lines().find(|line| line.contains(&unknown)).unwrap_or(text).to_owned(),
            text: unknown,
        });
    }
    Ok(tokens)
}

/// The first `kept` bytes of a prompt.
fn beginning(prompt: &FilledPrompt, kept: usize) -> FilledPrompt {
    let cut = |ranges: &[Range<usize>]| ranges.iter().map(|range| range.start.min(kept)..range.end.min(kept)).collect();
    FilledPrompt {
        text: prompt.text.get(..kept).unwrap_or_default().to_owned(),
        filled: cut(&prompt.filled),
        answers: cut(&prompt.answers),
        is_whole: prompt.is_whole,
    }
}
