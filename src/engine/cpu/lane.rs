//! One thread's part of a decoder: some of the slots, and the memory to run their new tokens.

use super::cache::Slot;
use super::kernel::number::Number;
use super::kernel::rope::{Turn, turn};
use super::kernel::{activation, lookup, norm};
use super::parameters::Parameters;
use crate::engine::Feed;

/// One feed of a call.
#[derive(Clone, Copy, Debug)]
struct Work {
    /// Its place among the call's feeds.
    row: usize,
    slot: usize,
    start: usize,
    /// Its tokens' places among the lane's.
    first: usize,
    count: usize,
}

/// Some slots and their working memory.
#[derive(Clone, Debug)]
pub struct Lane<T> {
    slots: Vec<Slot>,
    work: Vec<Work>,
    tokens: Vec<u32>,
    lines: Vec<u32>,
    columns: Vec<u32>,
    /// The residual stream. [tokens, width]
    stream: Vec<f32>,
    normed: Vec<f32>,
    scales: Vec<f32>,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    gates: Vec<f32>,
    hidden: Vec<f32>,
    /// One query's scores. [capacity]
    scores: Vec<f32>,
    /// [feeds, vocabulary]
    logits: Vec<f32>,
    /// A product's left operand, where it is converted.
    room: Vec<T>,
}

impl<T: Number> Lane<T> {
    /// A lane of `slots` empty slots.
    pub fn new(parameters: &Parameters<T>, slots: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot::new(parameters)).collect(),
            work: Vec::new(),
            tokens: Vec::new(),
            lines: Vec::new(),
            columns: Vec::new(),
            stream: Vec::new(),
            normed: Vec::new(),
            scales: Vec::new(),
            qkv: Vec::new(),
            attended: Vec::new(),
            gates: Vec::new(),
            hidden: Vec::new(),
            scores: vec![0.0; Slot::capacity(&parameters.shape)],
            logits: Vec::new(),
            room: Vec::new(),
        }
    }

    /// How many tokens a slot holds (none, where the lane has no such slot).
    pub fn held(&self, slot: usize) -> usize {
        self.slots.get(slot).map_or(0, |slot| slot.held)
    }

    /// Forgets the last call's feeds.
    pub fn clear(&mut self) {
        self.work.clear();
        self.tokens.clear();
        self.lines.clear();
        self.columns.clear();
    }

    /// Takes a feed for `slot` of this lane; `row` is its place among the call's feeds.
    pub fn add(&mut self, row: usize, slot: usize, feed: &Feed<'_>) {
        self.work.push(Work {
            row,
            slot,
            start: feed.start,
            first: self.tokens.len(),
            count: feed.tokens.len(),
        });
        self.tokens.extend_from_slice(feed.tokens);
        self.lines.extend_from_slice(feed.lines);
        self.columns.extend_from_slice(feed.columns);
        self.slots[slot].held = feed.start + feed.tokens.len();
    }

    /// The rows of logits, each with its feed's place.
    pub fn logits(&self, vocabulary: usize) -> impl Iterator<Item = (usize, &[f32])> {
        self.work.iter().map(|work| work.row).zip(self.logits.chunks_exact(vocabulary))
    }

    /// Runs the decoder over the feeds taken.
    pub fn run(&mut self, parameters: &Parameters<T>) {
        if self.work.is_empty() {
            return;
        }
        self.embed(parameters);
        for layer in 0..parameters.shape.layers {
            self.attend(parameters, layer);
            if layer + 1 == parameters.shape.layers {
                self.keep_last(parameters);
            }
            self.feed_forward(parameters, layer);
        }
        self.score(parameters);
    }

    fn embed(&mut self, parameters: &Parameters<T>) {
        let (layout, width, tokens) = (&parameters.layout, parameters.shape.width, self.tokens.len());
        self.stream.clear();
        self.stream.resize(tokens * width, 0.0);
        lookup::add_rows(parameters.slice(layout.embedding.range()), width, &self.tokens, &mut self.stream);
        if layout.lines.rows > 0 {
            lookup::add_rows(parameters.slice(layout.lines.range()), width, &self.lines, &mut self.stream);
        }
        if layout.columns.rows > 0 {
            lookup::add_rows(parameters.slice(layout.columns.range()), width, &self.columns, &mut self.stream);
        }
        self.normed.resize(tokens * width, 0.0);
        self.scales.resize(tokens, 0.0);
        self.qkv.resize(tokens * parameters.qkv_width(), 0.0);
        self.attended.resize(tokens * parameters.attended_width(), 0.0);
        self.gates.resize(tokens * 2 * parameters.shape.feed_forward, 0.0);
        self.hidden.resize(tokens * parameters.shape.feed_forward, 0.0);
    }

    /// Norm, queries, keys and values, the cache, and the heads' results.
    fn attend(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, stride) = (parameters.cpu, &parameters.shape, parameters.qkv_width());
        self.norm(parameters, parameters.layout.layers[layer].attention_norm.clone());
        parameters.layers[layer]
            .qkv
            .apply(cpu, &self.normed, self.tokens.len(), false, &mut self.qkv, stride, &mut self.room);
        for work in &self.work {
            let rows = &mut self.qkv[work.first * stride..(work.first + work.count) * stride];
            turn(
                cpu,
                &parameters.rope,
                Turn::Forward,
                rows,
                stride,
                shape.heads + shape.kv_heads,
                work.start,
            );
            let slot = &mut self.slots[work.slot];
            for (index, row) in rows.chunks_exact(stride).enumerate() {
                slot.write(&parameters.shape, layer, work.start + index, row);
            }
            let last_layer = layer + 1 == shape.layers;
            let first = if last_layer { work.count - 1 } else { 0 };
            for index in first..work.count {
                let width = parameters.attended_width();
                let out = &mut self.attended[(work.first + index) * width..][..width];
                let row = &rows[index * stride..(index + 1) * stride];
                slot.read(parameters, layer, work.start + index + 1, row, &mut self.scores, out);
            }
        }
    }

    /// Past the last attention only the last token of each feed counts: its row moves to the front.
    fn keep_last(&mut self, parameters: &Parameters<T>) {
        let (width, attended) = (parameters.shape.width, parameters.attended_width());
        for (to, work) in self.work.iter().enumerate() {
            let from = work.first + work.count - 1;
            self.stream.copy_within(from * width..(from + 1) * width, to * width);
            self.attended.copy_within(from * attended..(from + 1) * attended, to * attended);
        }
        self.stream.truncate(self.work.len() * width);
    }

    /// The output projection and the feed-forward layer.
    fn feed_forward(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, width, hidden, packed) = (
            parameters.cpu,
            parameters.shape.width,
            parameters.shape.feed_forward,
            &parameters.layers[layer],
        );
        let rows = self.stream.len() / width;
        packed
            .output
            .apply(cpu, &self.attended, rows, true, &mut self.stream, width, &mut self.room);
        self.norm(parameters, parameters.layout.layers[layer].feed_forward_norm.clone());
        packed
            .gates
            .apply(cpu, &self.normed, rows, false, &mut self.gates, 2 * hidden, &mut self.room);
        activation::forward(cpu, &self.gates[..rows * 2 * hidden], hidden, &mut self.hidden);
        packed
            .down
            .apply(cpu, &self.hidden, rows, true, &mut self.stream, width, &mut self.room);
    }

    fn score(&mut self, parameters: &Parameters<T>) {
        let (rows, vocabulary) = (self.work.len(), parameters.shape.vocabulary);
        self.norm(parameters, parameters.layout.final_norm.clone());
        self.logits.resize(rows * vocabulary, 0.0);
        parameters.head.apply(
            parameters.cpu,
            &self.normed,
            rows,
            false,
            &mut self.logits,
            vocabulary,
            &mut self.room,
        );
    }

    /// Norms the residual stream.
    fn norm(&mut self, parameters: &Parameters<T>, weight: std::ops::Range<usize>) {
        let epsilon = parameters.shape.norm_epsilon as f32;
        norm::forward(
            parameters.cpu,
            &self.stream,
            parameters.slice(weight),
            epsilon,
            &mut self.normed,
            &mut self.scales,
        );
    }
}
