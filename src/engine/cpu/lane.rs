//! One thread's part of a decoder's call: some of the feeds, with their slots, and the memory to run them.

use super::cache::Slot;
use super::kernel::number::Number;
use super::kernel::product::Left;
use super::kernel::rope::{Turn, turn};
use super::kernel::{activation, lookup, norm};
use super::operand::by_rows;
use super::parameters::Parameters;
use crate::engine::Feed;

/// One feed of a call.
#[derive(Clone, Debug)]
struct Work<T> {
    slot: Slot<T>,
    start: usize,
    /// Its tokens' places among the lane's.
    first: usize,
    count: usize,
}

/// Some feeds and their working memory.
#[derive(Clone, Debug)]
pub struct Lane<T> {
    work: Vec<Work<T>>,
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
    /// A few queries' scores.
    scores: Vec<f32>,
    /// [feeds, vocabulary]
    logits: Vec<f32>,
    /// A product's left operand, where it is converted.
    room: Vec<T>,
}

impl<T: Number> Lane<T> {
    /// A lane without work.
    pub fn new(parameters: &Parameters<T>) -> Self {
        Self {
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
            scores: vec![0.0; Slot::<T>::scores(&parameters.shape)],
            logits: Vec::new(),
            room: Vec::new(),
        }
    }

    /// Takes a feed and its slot.
    pub fn add(&mut self, mut slot: Slot<T>, feed: &Feed<'_>) {
        slot.held = feed.start + feed.tokens.len();
        self.work.push(Work {
            slot,
            start: feed.start,
            first: self.tokens.len(),
            count: feed.tokens.len(),
        });
        self.tokens.extend_from_slice(feed.tokens);
        self.lines.extend_from_slice(feed.lines);
        self.columns.extend_from_slice(feed.columns);
    }

    /// How many tokens the lane has taken.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Gives the slots back, in the order in which they came, and forgets the feeds; the logits stay.
    pub fn take_back(&mut self) -> impl Iterator<Item = Slot<T>> {
        self.tokens.clear();
        self.lines.clear();
        self.columns.clear();
        self.work.drain(..).map(|work| work.slot)
    }

    /// The logits of the last run, in the order of its feeds. [feeds, vocabulary]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Runs the decoder over the feeds taken.
    pub fn run(&mut self, parameters: &Parameters<T>) {
        self.logits.clear();
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
        parameters.set_biases(layer, &mut self.qkv);
        let add = shape.qkv_bias;
        parameters.layers[layer]
            .qkv
            .apply(cpu, &self.normed, self.tokens.len(), add, &mut self.qkv, stride, &mut self.room);
        for work in &self.work {
            let rows = &mut self.qkv[work.first * stride..(work.first + work.count) * stride];
            let heads = shape.heads + shape.kv_heads;
            turn(cpu, &parameters.rope, Turn::Forward, rows, stride, heads, work.start);
        }
        let all = by_rows(cpu, &self.qkv, stride, (self.tokens.len(), stride), &mut self.room);
        let width = parameters.attended_width();
        for work in &mut self.work {
            let rows = &all.data[work.first * all.row..];
            for (index, row) in rows.chunks(all.row).take(work.count).enumerate() {
                work.slot.write(shape, layer, work.start + index, row);
            }
            // Nothing reads the last layer's results but those of the last token.
            let skipped = if layer + 1 == shape.layers { work.count - 1 } else { 0 };
            let out = &mut self.attended[(work.first + skipped) * width..(work.first + work.count) * width];
            let rows = Left {
                data: &rows[skipped * all.row..],
                ..all
            };
            let positions = (work.start + skipped, work.count - skipped);
            work.slot.attend(parameters, layer, positions, rows, &mut self.scores, out);
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
