//! Continuous batching: when a slot has finished a response, it starts the next request.

use std::time::Instant;

use super::choose::{TokenCandidates, TokenChooser};
use super::queue::{Queue, SlotStart};
use super::stop::StopStrings;
use super::{Request, Response, SampleError, Sampling, SamplingProgress, SamplingRun};
use crate::engine::{DecodingEngine, Feed};
use crate::model::ModelShape;
use crate::positions::{self, Cursor, PlaceMap, PlacedToken, TokenRows};
use crate::tokenizer::Tokenizer;

/// The inputs of sampling.
#[derive(Clone, Copy)]
pub(super) struct SamplingInput<'a> {
    pub(super) shape: &'a ModelShape,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) requests: &'a [Request],
    pub(super) sampling: &'a Sampling,
}

/// A response in progress in a slot.
struct ActiveResponse {
    number: usize,
    chooser: TokenChooser,
    cursor: Cursor,
    /// Number of tokens in the slot's cache.
    held: usize,
    /// The next tokens to feed.
    next: Vec<PlacedToken>,
    /// The same as the engine reads them.
    rows: TokenRows,
    /// The response so far.
    response: Vec<u32>,
}

/// Answers requests with the slots of one decoder.
pub(super) struct BatchSampler<'a> {
    asked: SamplingInput<'a>,
    /// The rows of places, if the model knows them.
    map: Option<PlaceMap>,
    decoder: Box<dyn DecodingEngine>,
    queue: Queue,
    /// By slot.
    active: Vec<Option<ActiveResponse>>,
    candidates: TokenCandidates,
    done: Vec<(usize, Response)>,
}

impl<'a> BatchSampler<'a> {
    /// A sampler for a decoder with n slots.
    pub(super) fn new(asked: SamplingInput<'a>, decoder: Box<dyn DecodingEngine>, queue: Queue, slots: usize) -> Self {
        Self {
            asked,
            map: asked.shape.places.map(PlaceMap::middle),
            decoder,
            queue,
            active: (0..slots).map(|_| None).collect(),
            candidates: TokenCandidates::default(),
            done: Vec::with_capacity(asked.requests.len()),
        }
    }

    /// Returns all responses with the numbers of their requests.
    pub(super) fn answer(mut self, run: &SamplingRun<'_>) -> Result<Vec<(usize, Response)>, SampleError> {
        let begun = Instant::now();
        let (total, mut tokens) = (self.asked.requests.len(), 0);
        while self.done.len() < total {
            if (run.stop)() {
                return Err(SampleError::Stopped);
            }
            self.begin()?;
            tokens += self.active.iter().flatten().count();
            let before = self.done.len();
            self.step()?;
            if self.done.len() > before {
                for (number, response) in self.done.iter().skip(before) {
                    (run.answered)(*number, response);
                }
                (run.progress)(SamplingProgress {
                    done: self.done.len(),
                    total,
                    tokens_per_second: tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9),
                });
            }
        }
        Ok(self.done)
    }

    /// Starts requests in the free slots.
    fn begin(&mut self) -> Result<(), SampleError> {
        for start in self.queue.admit() {
            if start.shared > 0 && start.from != start.slot {
                self.decoder.copy(start.from, start.slot, start.shared)?;
            }
            if let Some(active) = self.active.get_mut(start.slot) {
                *active = Some(ActiveResponse::new(self.asked, self.map.as_ref(), &start));
            }
        }
        Ok(())
    }

    /// Samples one token for each active slot. Finished responses move to `done`.
    fn step(&mut self) -> Result<(), SampleError> {
        let active = self.active.iter().enumerate();
        let feeds: Vec<_> = active.filter_map(|(slot, active)| Some(active.as_ref()?.feed(slot))).collect();
        let logits = self.decoder.feed(&feeds)?;
        let rows = logits.chunks(self.asked.shape.vocabulary);
        let active = self.active.iter_mut().enumerate().filter(|(_, slot)| slot.is_some());
        for ((slot, place), logits) in active.zip(rows) {
            let Some(active) = place else { continue };
            self.queue.read(slot, &active.next);
            if let Some(response) = active.extend(self.asked, self.map.as_ref(), logits, &mut self.candidates)? {
                self.done.push((active.number, response));
                self.queue.free(slot);
                *place = None;
            }
        }
        Ok(())
    }
}

impl SamplingInput<'_> {
    fn stream(&self, number: usize) -> &str {
        self.requests.get(number).map_or("", |request| &request.stream)
    }

    fn max_tokens(&self, number: usize) -> usize {
        self.requests.get(number).map_or(0, |request| request.max_tokens)
    }
}

impl ActiveResponse {
    fn new(asked: SamplingInput<'_>, map: Option<&PlaceMap>, start: &SlotStart) -> Self {
        let prompt = &start.request.tokens;
        let mut active = Self {
            number: start.request.number,
            chooser: TokenChooser::new(asked.sampling, asked.stream(start.request.number)),
            cursor: Cursor::at_end(asked.shape, asked.tokenizer, prompt),
            held: start.shared,
            next: Vec::new(),
            rows: TokenRows::default(),
            response: Vec::new(),
        };
        active.queue(asked, map, prompt.get(start.shared..).unwrap_or_default());
        active
    }

    /// Sets the next tokens to feed.
    fn queue(&mut self, asked: SamplingInput<'_>, map: Option<&PlaceMap>, tokens: &[PlacedToken]) {
        self.next.clear();
        self.next.extend_from_slice(tokens);
        self.rows.clear();
        self.rows.extend(asked.shape, map, tokens);
    }

    fn feed(&self, slot: usize) -> Feed<'_> {
        self.rows.feed(slot, self.held)
    }

    /// Adds the next token to the response. Returns the response if it is finished.
    fn extend(
        &mut self,
        asked: SamplingInput<'_>,
        map: Option<&PlaceMap>,
        logits: &[f32],
        candidates: &mut TokenCandidates,
    ) -> Result<Option<Response>, SampleError> {
        let SamplingInput {
            shape,
            tokenizer,
            sampling,
            ..
        } = asked;
        // The embedding may have more rows than the tokenizer has tokens.
        let known = logits.get(..tokenizer.vocabulary()).unwrap_or(logits);
        let token = self.chooser.choose(sampling, known, candidates, asked.stream(self.number))?;
        self.held += self.next.len();
        self.response.push(token);
        let ended = tokenizer.ends().contains(&token);
        let next = self.cursor.advance(tokenizer, token);
        // A model has no rows for a line beyond its highest index, as it has no positions beyond its context.
        let fits = self.held < shape.context && positions::reaches(shape, &[next]);
        let full = self.response.len() >= asked.max_tokens(self.number) || !fits;
        let stops = StopStrings(&sampling.stop);
        if ended || full || stops.reached(tokenizer, &self.response)? {
            let text = self
                .response
                .split_last()
                .filter(|_| ended)
                .map_or(self.response.as_slice(), |(_, text)| text);
            let mut text = tokenizer.decode(text)?;
            let stop = stops.first(&text);
            text.truncate(stop.unwrap_or(text.len()));
            let finished = ended || stop.is_some();
            if finished || full {
                let tokens = self.response.len() as u32;
                return Ok(Some(Response { text, tokens, finished }));
            }
        }
        self.queue(asked, map, &[next]);
        Ok(None)
    }
}
