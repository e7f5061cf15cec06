//! Continuous batching: a slot that is done takes the next request at once.

use std::time::Instant;

use super::choose::Chooser;
use super::{Reading, Request, Response, Run, SampleError, Sampling};
use crate::engine::{Decode, Feed};
use crate::model::Model;
use crate::tokenizer::Cursor;

/// A request as tokens, waiting for a slot.
pub(super) struct Waiting {
    /// Its number among the requests.
    pub(super) number: usize,
    pub(super) tokens: Vec<u32>,
}

/// A response under way in a slot.
struct Active {
    number: usize,
    chooser: Chooser,
    cursor: Cursor,
    /// Tokens that the slot's cache holds.
    held: usize,
    /// To be fed next, with their positions.
    next: Vec<u32>,
    lines: Vec<u32>,
    columns: Vec<u32>,
    /// The response so far.
    response: Vec<u32>,
}

/// Answers requests with the slots of one decoder.
pub(super) struct Slots<'a> {
    pub(super) model: &'a Model,
    pub(super) requests: &'a [Request],
    pub(super) sampling: &'a Sampling,
    pub(super) run: &'a Run<'a>,
    pub(super) decoder: Box<dyn Decode>,
    pub(super) slots: usize,
}

impl Slots<'_> {
    /// The responses to `waiting`, with their numbers; the last one waiting is taken first.
    pub(super) fn answer(&mut self, mut waiting: Vec<Waiting>) -> Result<Vec<(usize, Response)>, SampleError> {
        let begun = Instant::now();
        let (total, mut tokens) = (waiting.len(), 0);
        let mut slots: Vec<Option<Active>> = (0..self.slots).map(|_| None).collect();
        let mut done = Vec::with_capacity(total);
        while done.len() < total {
            if (self.run.stop)() {
                return Err(SampleError::Stopped);
            }
            for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
                *slot = waiting.pop().map(|request| self.begin(request));
            }
            tokens += slots.iter().flatten().count();
            let before = done.len();
            self.step(&mut slots, &mut done)?;
            if done.len() > before {
                (self.run.progress)(Reading {
                    done: done.len(),
                    total,
                    tokens_per_second: tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9),
                });
            }
        }
        Ok(done)
    }

    fn stream(&self, number: usize) -> &str {
        self.requests.get(number).map_or("", |request| &request.stream)
    }

    fn begin(&self, request: Waiting) -> Active {
        let mut active = Active {
            number: request.number,
            chooser: Chooser::new(self.sampling, self.stream(request.number)),
            cursor: Cursor::default(),
            held: 0,
            next: Vec::new(),
            lines: Vec::new(),
            columns: Vec::new(),
            response: Vec::new(),
        };
        active.queue(self.model, request.tokens);
        active
    }

    /// One token for each active slot; those that are done move to `done`.
    fn step(&mut self, slots: &mut [Option<Active>], done: &mut Vec<(usize, Response)>) -> Result<(), SampleError> {
        let active = slots.iter().enumerate();
        let feeds: Vec<Feed<'_>> = active
            .filter_map(|(slot, active)| {
                let active = active.as_ref()?;
                Some(Feed {
                    slot,
                    start: active.held,
                    tokens: &active.next,
                    lines: &active.lines,
                    columns: &active.columns,
                })
            })
            .collect();
        let logits = self.decoder.feed(&feeds)?.to_vec();
        let rows = logits.chunks(self.model.shape.vocabulary);
        let active = slots.iter_mut().filter(|slot| slot.is_some());
        for (slot, logits) in active.zip(rows) {
            if let Some(response) = slot.as_mut().and_then(|active| self.extend(active, logits).transpose()) {
                let number = slot.take().map_or(0, |active| active.number);
                done.push((number, response?));
            }
        }
        Ok(())
    }

    /// Adds the next token to a response; returns the response where that was its last.
    fn extend(&self, active: &mut Active, logits: &[f32]) -> Result<Option<Response>, SampleError> {
        // Rows of the embedding beyond the tokenizer's tokens stand for nothing.
        let known = logits.get(..self.model.tokenizer.vocabulary()).unwrap_or(logits);
        let token = active.chooser.choose(known, self.stream(active.number))?;
        active.held += active.next.len();
        active.response.push(token);
        let finished = token == self.model.tokenizer.end();
        let full = active.response.len() >= self.sampling.max_tokens || active.held >= self.model.shape.context;
        if !finished && !full {
            active.queue(self.model, vec![token]);
            return Ok(None);
        }
        let text = active
            .response
            .split_last()
            .filter(|_| finished)
            .map_or(active.response.as_slice(), |(_, text)| text);
        Ok(Some(Response {
            text: self.model.tokenizer.decode(text)?,
            tokens: active.response.len() as u32,
            finished,
        }))
    }
}

impl Active {
    /// Has `tokens` fed next.
    fn queue(&mut self, model: &Model, tokens: Vec<u32>) {
        let shape = &model.shape;
        (self.lines, self.columns) = self.cursor.positions(&model.tokenizer, &tokens, shape.lines, shape.columns);
        self.next = tokens;
    }
}
