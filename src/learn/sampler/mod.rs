//! Decoding: prompts → responses, many at once over a cache with a fixed number of slots.

mod choose;
mod error;
mod memory;
mod queue;
mod slots;
mod stop;

use crate::engine::{self, Dtype, Engine};
use crate::model::{Model, ModelShape, WeightSource};

pub use error::SampleError;

use queue::{Queue, QueuedRequest};
use slots::{BatchSampler, SamplingInput};

/// One prompt to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The text that the model reads, rendered with [`Model::prompt`].
    pub prompt: String,
    /// Names the random stream, and the request in messages: the row's id, what is asked for, and which sample it is. The same
    /// label, prompt and seed give the same response, whatever else is asked.
    pub stream: String,
}

/// How tokens are chosen, and by what they are computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0: always the likeliest token (of equally likely ones, the first); above, drawn from the softmax of the logits divided by it.
    pub temperature: f64,
    /// Draw from this many likeliest tokens only (of equally likely ones, the first).
    pub top_k: Option<usize>,
    /// Draw from the smallest set of likeliest tokens whose probabilities reach this sum; with `top_k`, of the tokens it leaves.
    pub top_p: Option<f64>,
    /// A response ends before the first of these texts.
    pub stop: Vec<String>,
    /// The longest response, in tokens.
    pub max_tokens: usize,
    pub seed: u64,
    pub engine: Engine,
    pub dtype: Dtype,
}

impl Default for Sampling {
    /// Greedy, at most 512 tokens.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: None,
            stop: Vec::new(),
            max_tokens: 512,
            seed: 0,
            engine: Engine::default(),
            dtype: Dtype::default(),
        }
    }
}

/// What the model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Without the end-of-sequence token or the stop string.
    pub text: String,
    /// How many tokens it took, those that ended it included.
    pub tokens: u32,
    /// Whether the model ended it or wrote a stop string; else it was cut at `max_tokens` or the context.
    pub finished: bool,
}

/// Where and how a sampling runs; nothing of it changes the result.
pub struct SamplingRun<'a> {
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Bytes that the sampling may take; nothing where they are not known.
    pub memory: Option<u64>,
    /// Told as requests are done.
    pub progress: &'a dyn Fn(SamplingProgress),
    /// Asked after each step: whether to end with [`SampleError::Stopped`].
    pub stop: &'a dyn Fn() -> bool,
}

/// How far a sampling is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingProgress {
    /// Requests answered.
    pub done: usize,
    /// Requests in all.
    pub total: usize,
    /// New tokens, since the start.
    pub tokens_per_second: f64,
}

/// The model's responses to `requests`, in their order. A response depends on its request, the model and `sampling` alone.
///
/// # Errors
/// When a prompt leaves no room in the model's context, memory does not suffice, the logits are not numbers, or the engine or the tokenizer fails;
/// [`SampleError::Stopped`] when `run.stop` says so.
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
    // The cache need not be longer than the longest response.
    let shape = ModelShape {
        context: model.shape.context.min(longest.saturating_add(sampling.max_tokens)),
        ..model.shape.clone()
    };
    let best = engine::recommended_slots(sampling.engine, sampling.dtype, &shape);
    let slots = slots.min(requests.len()).min(best).max(1);
    let slots = memory::fit(sampling, &shape, slots, longest, run)?;
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

fn tokenise(asked: SamplingInput<'_>) -> Result<Vec<QueuedRequest>, SampleError> {
    let (context, requests) = (asked.shape.context, asked.requests.iter().enumerate());
    requests
        .map(|(number, request)| {
            let tokens = asked.tokenizer.prompt(&request.prompt)?;
            let stream = || request.stream.clone();
            if tokens.is_empty() {
                return Err(SampleError::EmptyPrompt { stream: stream() });
            }
            if tokens.len() > context {
                return Err(SampleError::PromptTooLong {
                    stream: stream(),
                    tokens: tokens.len(),
                    context,
                });
            }
            Ok(QueuedRequest { number, tokens })
        })
        .collect()
}

#[cfg(test)]
mod tests;
