//! Sampling: prompts → responses, many at once in a cache with a fixed number of slots.

mod choose;
mod error;
mod memory;
mod queue;
mod slots;
mod stop;

use std::collections::BTreeMap;
use std::fmt;

use crate::dataset::FilledPrompt;
use crate::engine::{self, Dtype, Engine};
use crate::model::{Model, ModelShape, WeightSource};
use crate::positions::{self, PlacedToken};
use crate::tokenizer::Tokenizer;

pub use error::SampleError;

use queue::{Queue, QueuedRequest};
use slots::{BatchSampler, SamplingInput};

/// One prompt to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The prompt as the model reads it, filled in with [`Model::prompt`].
    pub prompt: FilledPrompt,
    /// Names the random stream, and the request in messages: the row's id, the requested number of steps, and the index of the sample. The
    /// same label, prompt, limit and seed give the same response, whatever the other requests are.
    pub stream: String,
    /// The longest response, in tokens.
    pub max_tokens: usize,
}

/// How tokens are chosen and computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0: always the likeliest token (the first of equally likely ones). Above 0: drawn from the softmax of the logits divided by it.
    pub temperature: f64,
    /// Draw only from this many likeliest tokens (the first of equally likely ones).
    pub top_k: Option<usize>,
    /// Draw only from the smallest set of likeliest tokens whose probabilities reach this sum. It is applied after `top_k`.
    pub top_p: Option<f64>,
    /// A response ends before the first of these texts.
    pub stop: Vec<String>,
    pub seed: u64,
    pub engine: Engine,
    pub dtype: Dtype,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: None,
            stop: Vec::new(),
            seed: 0,
            engine: Engine::default(),
            dtype: Dtype::default(),
        }
    }
}

/// The model's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The text without the end-of-sequence token or the stop string.
    pub text: String,
    /// Number of tokens, including those that ended it.
    pub tokens: u32,
    /// Whether the model ended it or wrote a stop string. Otherwise it was cut at its limit or the context.
    pub finished: bool,
}

/// Settings of how sampling runs. They do not change the result.
pub struct SamplingRun<'a> {
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Available memory in bytes; `None` if unknown.
    pub memory: Option<u64>,
    /// Called with the number of a request and its response, when it is answered.
    pub answered: &'a dyn Fn(usize, &Response),
    /// Called when requests are answered.
    pub progress: &'a dyn Fn(SamplingProgress),
    /// Called before each step. If it returns true, sampling ends with [`SampleError::Stopped`].
    pub stop: &'a dyn Fn() -> bool,
}

/// The progress of sampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingProgress {
    /// Requests answered.
    pub done: usize,
    /// Total requests.
    pub total: usize,
    /// New tokens per second, mean since the start.
    pub tokens_per_second: f64,
}

/// Returns the model's responses to `requests`, in their order. A response depends only on its request, the model and `sampling`.
///
/// # Errors
/// When a prompt leaves no space in the model's context or has a character for which the model has no token, memory does not suffice, the
/// logits are not finite, or the engine or the tokenizer fails; [`SampleError::Stopped`] when `run.stop` returns true.
pub fn sample<W>(model: &Model<W>, requests: &[Request], sampling: &Sampling, run: &SamplingRun<'_>) -> Result<Vec<Response>, SampleError>
where
    for<'w> &'w W: WeightSource,
{
    answer(model, requests, sampling, run, usize::MAX)
}

/// [`sample`] with a cache of at most `slots` slots.
fn answer<W>(
    model: &Model<W>,
    requests: &[Request],
    sampling: &Sampling,
    run: &SamplingRun<'_>,
    slots: usize,
) -> Result<Vec<Response>, SampleError>
where
    for<'w> &'w W: WeightSource,
{
    let asked = SamplingInput {
        shape: &model.shape,
        tokenizer: &model.tokenizer,
        requests,
        sampling,
    };
    let waiting = tokenise(asked)?;
    let longest = waiting.iter().map(|request| request.tokens.len()).max().unwrap_or(0);
    let limits = waiting
        .iter()
        .zip(requests)
        .map(|(waits, request)| waits.tokens.len().saturating_add(request.max_tokens));
    // The cache need not be longer than the longest prompt with its response.
    let shape = ModelShape {
        context: model.shape.context.min(limits.max().unwrap_or(0)),
        ..model.shape.clone()
    };
    let best = engine::recommended_slots(sampling.engine, sampling.dtype, &shape);
    let slots = slots.min(requests.len()).min(best).max(1);
    let slots = memory::slots_that_fit(sampling, &shape, slots, longest, run)?;
    let decoder = engine::decoder(
        sampling.engine,
        sampling.dtype,
        run.device,
        &shape,
        &model.weights,
        slots,
        run.threads,
    )?;
    let mut done = BatchSampler::new(asked, decoder, Queue::new(waiting, slots), slots).answer(run)?;
    done.sort_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, response)| response).collect())
}

/// Why a model cannot read a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// It has more tokens than the model's context.
    Tokens { tokens: usize, context: usize },
    /// A number in it has more digits than the highest index that the model has places for.
    Digits { digits: usize, top: usize },
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens { tokens, context } => write!(f, "its prompt has {tokens} tokens, and the model's context {context}"),
            Self::Digits { digits, top } => {
                write!(f, "its prompt has a number of {digits} digits, and the model places for {top}")
            }
        }
    }
}

impl TooLong {
    /// Why a model of `shape` cannot read a prompt; `None` if it can.
    fn of(shape: &ModelShape, prompt: &[PlacedToken]) -> Option<Self> {
        if prompt.len() > shape.context {
            let (tokens, context) = (prompt.len(), shape.context);
            return Some(Self::Tokens { tokens, context });
        }
        let (digits, top) = (positions::top(prompt), shape.places?.top);
        (digits > top).then_some(Self::Digits { digits, top })
    }
}

/// The requests whose prompts the model cannot read, by number, with the reason.
///
/// # Errors
/// When a prompt has a character for which the model has no token, or the tokenizer fails.
pub fn too_long<W>(model: &Model<W>, requests: &[Request]) -> Result<BTreeMap<usize, TooLong>, SampleError> {
    let mut long = BTreeMap::new();
    for (number, request) in requests.iter().enumerate() {
        let tokens = placed(&model.shape, &model.tokenizer, request)?;
        long.extend(TooLong::of(&model.shape, &tokens).map(|reason| (number, reason)));
    }
    Ok(long)
}

fn tokenise(asked: SamplingInput<'_>) -> Result<Vec<QueuedRequest>, SampleError> {
    let requests = asked.requests.iter().enumerate();
    requests
        .map(|(number, request)| {
            let tokens = placed(asked.shape, asked.tokenizer, request)?;
            let stream = || request.stream.clone();
            if tokens.is_empty() {
                return Err(SampleError::EmptyPrompt { stream: stream() });
            }
            match TooLong::of(asked.shape, &tokens) {
                None => Ok(QueuedRequest { number, tokens }),
                Some(TooLong::Tokens { tokens, context }) => Err(SampleError::PromptTooLong {
                    stream: stream(),
                    tokens,
                    context,
                }),
                Some(TooLong::Digits { digits, top }) => Err(SampleError::BeyondTop {
                    stream: stream(),
                    digits,
                    top,
                }),
            }
        })
        .collect()
}

/// The tokens of a prompt, and where they stand.
fn placed(shape: &ModelShape, tokenizer: &Tokenizer, request: &Request) -> Result<Vec<PlacedToken>, SampleError> {
    let tokens = tokens(tokenizer, request)?;
    Ok(positions::placed(shape, tokenizer, &tokens, tokens.len()))
}

/// The tokens of a prompt, which must not leave out anything of it.
fn tokens(tokenizer: &Tokenizer, request: &Request) -> Result<Vec<u32>, SampleError> {
    let tokens = tokenizer.filled_prompt(&request.prompt)?;
    if tokenizer.may_lack(&tokens)
        && let Some(unknown) = tokenizer.unknown_in_filled(&request.prompt)?
    {
        let text = &request.prompt.text;
        return Err(SampleError::Unknown {
            stream: request.stream.clone(),
            line: text.lines().find(|line| line.contains(&unknown)).unwrap_or(text).to_owned(),
            text: unknown,
        });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests;
