//! Scoring: the log-likelihood of texts under a model. It knows no stage.
//!
//! Numbers are those of lm-evaluation-harness 0.4.13: how texts are cut into tokens ([`encode`]), and which tokens are scored. What texts have
//! in common is read once ([`plan`], [`slots`]).

mod encode;
mod error;
mod memory;
mod plan;
mod slots;

use std::collections::BTreeMap;

use crate::dataset::FilledPrompt;
use crate::engine::{self, Dtype, Engine};
use crate::model::{Model, ModelShape, WeightSource};
use crate::positions::{self, PlacedToken};
use crate::python::is_space;
use crate::tokenizer::Tokenizer;

pub use error::ScoreError;

use encode::{EncodedPair, ScoredSequence};
use slots::UnitReader;

/// The largest number of tokens that are read in a call of the engine: enough that its products are fast, few enough that its memory is small.
const TOKENS_PER_CALL: usize = 1024;

/// A text whose log-likelihood after another text is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreRequest {
    /// What comes before, as the model reads it. It may be empty.
    pub context: FilledPrompt,
    /// The text to score. Texts of control tokens in it are text.
    pub continuation: String,
    /// Names the request in messages.
    pub stream: String,
}

impl ScoreRequest {
    /// What comes before, without its trailing blanks: these usually belong to the first token of the continuation.
    pub fn context_without_blanks(&self) -> &str {
        self.context.text.trim_end_matches(is_space)
    }
}

/// A text whose log-likelihood as a whole is asked for. It may be longer than the model's context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRequest {
    pub text: FilledPrompt,
    /// Names the request in messages.
    pub stream: String,
}

/// How log-likelihoods are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scoring {
    pub engine: Engine,
    pub dtype: Dtype,
    /// The token before texts that have no context. `None`: the one that is named the first of texts, or else the one that ends a
    /// completion.
    pub prefix: Option<u32>,
}

/// The log-likelihood of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loglikelihood {
    /// The sum of the natural logarithms of its tokens' probabilities.
    pub sum: f64,
    /// The number of tokens that are scored.
    pub tokens: u32,
    /// Whether each of them is the likeliest one after those before it, so that greedy decoding gives the text.
    pub greedy: bool,
    /// The number of tokens at the start of the context that the model has not read, because context and continuation together are too
    /// long. 0 for whole texts.
    pub cut: u32,
}

impl Default for Loglikelihood {
    /// That of no tokens.
    fn default() -> Self {
        Self {
            sum: 0.0,
            tokens: 0,
            greedy: true,
            cut: 0,
        }
    }
}

/// Settings of how scoring runs. They do not change the result.
pub struct ScoringRun<'a> {
    pub threads: usize,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Available memory in bytes; `None` if unknown.
    pub memory: Option<u64>,
    /// Called when requests are scored.
    pub progress: &'a dyn Fn(ScoringProgress),
    /// Called before each step. If it returns true, scoring ends with [`ScoreError::Stopped`].
    pub stop: &'a dyn Fn() -> bool,
}

/// The progress of scoring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoringProgress {
    /// Requests scored.
    pub done: usize,
    /// Total requests.
    pub total: usize,
    /// Tokens read per second, mean since the start.
    pub tokens_per_second: f64,
}

/// The inputs of scoring, besides the sequences.
#[derive(Clone, Copy)]
struct ScoringInput<'a> {
    shape: &'a ModelShape,
    /// The names of the requests.
    streams: &'a [&'a str],
}

/// Returns the log-likelihoods of `requests`, in their order. One depends only on its request, the model and `scoring`. If context and
/// continuation together are longer than the model's context, the start of the context is cut off.
///
/// # Errors
/// When a continuation has no tokens of its own or is longer than the model's context ([`too_long`] finds these), a text has a character for
/// which the model has no token, memory does not suffice, the logits are not finite, or the engine or the tokenizer fails;
/// [`ScoreError::Stopped`] when `run.stop` returns true.
pub fn loglikelihoods<W>(
    model: &Model<W>,
    requests: &[ScoreRequest],
    scoring: Scoring,
    run: &ScoringRun<'_>,
) -> Result<Vec<Loglikelihood>, ScoreError>
where
    for<'w> &'w W: WeightSource,
{
    let (context, prefix) = (model.shape.context, prefix(&model.tokenizer, scoring));
    let (mut sequences, mut cuts) = (Vec::new(), Vec::new());
    for (number, request) in requests.iter().enumerate() {
        let pair = EncodedPair::new(&model.tokenizer, request, prefix)?;
        if pair.is_too_long(context) {
            return Err(ScoreError::TooLong {
                stream: request.stream.clone(),
                tokens: pair.continuation.len(),
                context,
            });
        }
        let (sequence, cut) = pair.sequence(number, context);
        sequences.push(sequence);
        cuts.push(cut as u32);
    }
    let streams: Vec<&str> = requests.iter().map(|request| request.stream.as_str()).collect();
    let mut scores = score(model, sequences, &streams, scoring, run, usize::MAX)?;
    scores.iter_mut().zip(cuts).for_each(|(score, cut)| score.cut = cut);
    Ok(scores)
}

/// Returns the log-likelihoods of whole texts, in their order. A text begins after the prefix token. One that is longer than the model's
/// context is read in windows; each token is scored once.
///
/// # Errors
/// As [`loglikelihoods`]; no text is too long.
pub fn rolling<W>(model: &Model<W>, texts: &[TextRequest], scoring: Scoring, run: &ScoringRun<'_>) -> Result<Vec<Loglikelihood>, ScoreError>
where
    for<'w> &'w W: WeightSource,
{
    let (context, prefix) = (model.shape.context, prefix(&model.tokenizer, scoring));
    let mut sequences = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        sequences.extend(encode::windows(&model.tokenizer, number, text, prefix, context)?);
    }
    let streams: Vec<&str> = texts.iter().map(|text| text.stream.as_str()).collect();
    score(model, sequences, &streams, scoring, run, usize::MAX)
}

/// The requests whose continuations alone are longer than the model's context, by number, with their lengths in tokens.
///
/// # Errors
/// When a continuation has no tokens of its own or a character for which the model has no token, or the tokenizer fails.
pub fn too_long<W>(model: &Model<W>, requests: &[ScoreRequest]) -> Result<BTreeMap<usize, usize>, ScoreError> {
    let prefix = prefix(&model.tokenizer, Scoring::default());
    let mut lengths = BTreeMap::new();
    for (number, request) in requests.iter().enumerate() {
        let pair = EncodedPair::new(&model.tokenizer, request, prefix)?;
        if pair.is_too_long(model.shape.context) {
            lengths.insert(number, pair.continuation.len());
        }
    }
    Ok(lengths)
}

/// The token before texts that have no context.
fn prefix(tokenizer: &Tokenizer, scoring: Scoring) -> u32 {
    scoring.prefix.or(tokenizer.first()).unwrap_or_else(|| tokenizer.end())
}

/// The log-likelihoods of the requests that are named by `streams`, with a cache of at most `slots` slots.
fn score<W>(
    model: &Model<W>,
    sequences: Vec<ScoredSequence>,
    streams: &[&str],
    scoring: Scoring,
    run: &ScoringRun<'_>,
    slots: usize,
) -> Result<Vec<Loglikelihood>, ScoreError>
where
    for<'w> &'w W: WeightSource,
{
    let sequences = placed(model, sequences, streams)?;
    let units = plan::plan(sequences);
    // The cache need not be longer than the longest sequence.
    let longest = units.iter().map(|unit| unit.tokens.len()).max().unwrap_or(0);
    let shape = ModelShape {
        context: model.shape.context.min(longest.max(1)),
        ..model.shape.clone()
    };
    let best = engine::recommended_slots(scoring.engine, scoring.dtype, &shape);
    let slots = slots.min(units.len()).min(best).clamp(1, TOKENS_PER_CALL);
    let slots = memory::slots_that_fit(scoring, &shape, slots, run)?;
    let decoder = engine::decoder(
        scoring.engine,
        scoring.dtype,
        run.device,
        &shape,
        &model.weights,
        slots,
        run.threads,
    )?;
    let asked = ScoringInput {
        shape: &model.shape,
        streams,
    };
    UnitReader::new(asked, decoder, units, slots).read(run)
}

/// The sequences, each with what the model reads of it.
///
/// # Errors
/// When the model has no rows for a place.
fn placed<W>(
    model: &Model<W>,
    sequences: Vec<ScoredSequence>,
    streams: &[&str],
) -> Result<Vec<(Vec<PlacedToken>, ScoredSequence)>, ScoreError> {
    let placed = sequences.into_iter().map(|sequence| {
        let before = sequence.tokens.len().saturating_sub(sequence.scored);
        let tokens = positions::placed(&model.shape, &model.tokenizer, sequence.input(), before);
        match model.shape.places {
            Some(places) if !positions::reaches(&model.shape, &tokens) => Err(ScoreError::BeyondTop {
                stream: streams.get(sequence.request).map_or(String::new(), ToString::to_string),
                highest: positions::top(&tokens),
                top: places.top,
            }),
            _ => Ok((tokens, sequence)),
        }
    });
    placed.collect()
}

#[cfg(test)]
mod tests;
