//! The forward pass of a decoder over some feeds of a call, with their slots and working memory.

use std::ops::Range;

use rayon::ThreadPool;

use super::buffer::fit;
use super::cache::CacheSlot;
use super::column_parallel::{ColumnParallel, Processor};
use super::head_norm::{HeadNorms, normed_width};
use super::kernel::element::Element;
use super::kernel::product::LeftMatrix;
use super::kernel::rope::Turn;
use super::kernel::{activation, cross_entropy, lookup, norm};
use super::operand::by_rows;
use super::parameters::Parameters;
use super::rows::{RowView, RowViewMut};
use crate::engine::{Feed, ScoredFeed, TokenScore};

/// The largest number of rows of logits that exist at a time when tokens are scored: enough that the output layer is not read too often.
pub const SCORED_ROWS: usize = 64;

/// One feed of a call, with its slot.
#[derive(Clone, Debug)]
struct ActiveFeed<T> {
    slot: CacheSlot<T>,
    start: usize,
    /// Index of its first token among those of the pass.
    first: usize,
    count: usize,
    /// Tokens before the first one whose row is read after the last attention.
    skipped: usize,
}

/// A token to score, by a row of the pass's results.
#[derive(Clone, Copy, Debug)]
struct PassTarget {
    /// Index among the kept rows.
    row: usize,
    token: u32,
}

/// Some feeds and their working memory.
#[derive(Clone, Debug)]
pub struct DecodePass<T> {
    work: Vec<ActiveFeed<T>>,
    tokens: Vec<u32>,
    lines: Vec<u32>,
    columns: Vec<u32>,
    /// [tokens, 3]
    places: Vec<u32>,
    /// Indices of the tokens whose rows are read after the last attention, in order.
    kept: Vec<usize>,
    /// In the order of their rows.
    targets: Vec<PassTarget>,
    /// [targets]
    scores: Vec<TokenScore>,
    /// The residual stream. [tokens, width]
    stream: Vec<f32>,
    normed: Vec<f32>,
    scales: Vec<f32>,
    qkv: Vec<f32>,
    /// Scales of the norms of queries and keys. [tokens, heads + kv_heads]
    head_scales: Vec<f32>,
    attended: Vec<f32>,
    gates: Vec<f32>,
    hidden: Vec<f32>,
    /// [feeds, vocabulary], or a few rows at a time if tokens are scored
    logits: Vec<f32>,
    /// Queries, keys and values if they need conversion.
    converted: Vec<T>,
    products: ColumnParallel<T>,
}

impl<T: Element> DecodePass<T> {
    /// A pass without feeds, for n threads.
    pub fn new(parameters: &Parameters<T>, threads: usize) -> Self {
        Self {
            work: Vec::new(),
            tokens: Vec::new(),
            lines: Vec::new(),
            columns: Vec::new(),
            places: Vec::new(),
            kept: Vec::new(),
            targets: Vec::new(),
            scores: Vec::new(),
            stream: Vec::new(),
            normed: Vec::new(),
            scales: Vec::new(),
            qkv: Vec::new(),
            head_scales: Vec::new(),
            attended: Vec::new(),
            gates: Vec::new(),
            hidden: Vec::new(),
            logits: Vec::new(),
            converted: Vec::new(),
            products: ColumnParallel::new(threads, CacheSlot::<T>::scores(&parameters.shape)),
        }
    }

    /// Adds a feed and its slot. The row of its last token is read.
    pub fn add(&mut self, slot: CacheSlot<T>, feed: &Feed<'_>) {
        let skipped = feed.tokens.len() - 1;
        self.kept.push(self.tokens.len() + skipped);
        self.extend(slot, feed, skipped);
    }

    /// Adds a feed with its targets, and its slot. The rows before its targets are read.
    pub fn add_scored(&mut self, slot: CacheSlot<T>, scored: &ScoredFeed<'_>) {
        let first = self.tokens.len();
        for target in scored.targets {
            if self.kept.last() != Some(&(first + target.after)) {
                self.kept.push(first + target.after);
            }
            self.targets.push(PassTarget {
                row: self.kept.len() - 1,
                token: target.token,
            });
        }
        let skipped = scored.targets.first().map_or(scored.feed.tokens.len(), |target| target.after);
        self.extend(slot, &scored.feed, skipped);
    }

    fn extend(&mut self, mut slot: CacheSlot<T>, feed: &Feed<'_>, skipped: usize) {
        slot.held = feed.start + feed.tokens.len();
        self.work.push(ActiveFeed {
            slot,
            start: feed.start,
            first: self.tokens.len(),
            count: feed.tokens.len(),
            skipped,
        });
        self.tokens.extend_from_slice(feed.tokens);
        self.lines.extend_from_slice(feed.lines);
        self.columns.extend_from_slice(feed.columns);
        self.places.extend_from_slice(feed.places);
    }

    /// Number of tokens added.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Removes all feeds and returns their slots, in the order in which they were added. The results stay.
    pub fn take_back(&mut self) -> impl Iterator<Item = CacheSlot<T>> {
        self.tokens.clear();
        self.lines.clear();
        self.columns.clear();
        self.places.clear();
        self.kept.clear();
        self.targets.clear();
        self.work.drain(..).map(|work| work.slot)
    }

    /// The logits of the last run, in the order of its feeds. [feeds, vocabulary]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The scores of the last run's targets, in the order in which they were added.
    pub fn scores(&self) -> &[TokenScore] {
        &self.scores
    }

    /// Runs the decoder over the feeds, to the logits after each; `pool` has the threads besides this one.
    pub fn run(&mut self, parameters: &Parameters<T>, pool: &ThreadPool) {
        self.logits.clear();
        self.forward(parameters, pool);
        self.read_out(parameters, pool, 0..self.kept.len());
    }

    /// Runs the decoder over the feeds, to the scores of their targets; `pool` has the threads besides this one.
    pub fn run_scored(&mut self, parameters: &Parameters<T>, pool: &ThreadPool) {
        self.forward(parameters, pool);
        self.scores.clear();
        let (rows, mut from) = (self.kept.len(), 0);
        for first in (0..rows).step_by(SCORED_ROWS) {
            let end = rows.min(first + SCORED_ROWS);
            self.read_out(parameters, pool, first..end);
            let to = self.targets.partition_point(|target| target.row < end);
            self.score(parameters, pool, first, from..to);
            from = to;
        }
    }

    /// All layers, and the final norm of the kept rows.
    fn forward(&mut self, parameters: &Parameters<T>, pool: &ThreadPool) {
        if self.work.is_empty() {
            return;
        }
        self.embed(parameters);
        for layer in 0..parameters.shape.layers {
            self.attend(parameters, pool, layer);
            if layer + 1 == parameters.shape.layers {
                self.keep(parameters);
                if self.kept.is_empty() {
                    return;
                }
            }
            self.feed_forward(parameters, pool, layer);
        }
        self.norm(parameters, parameters.layout.final_norm.clone());
    }

    fn embed(&mut self, parameters: &Parameters<T>) {
        let (layout, width, tokens) = (&parameters.layout, parameters.shape.width, self.tokens.len());
        self.stream.clear();
        fit(&mut self.stream, tokens * width);
        let embedding = parameters.floats.part(layout.embedding.range());
        lookup::add_rows(embedding, width, 1, &self.tokens, &mut self.stream);
        parameters.add_positions(&self.lines, &self.columns, &self.places, &mut self.stream);
        let heads = normed_width(parameters) / parameters.shape.head_dim;
        fit(&mut self.normed, tokens * width);
        fit(&mut self.scales, tokens);
        fit(&mut self.qkv, tokens * parameters.qkv_width());
        fit(&mut self.head_scales, tokens * heads);
        fit(&mut self.attended, tokens * parameters.attended_width());
        fit(&mut self.gates, tokens * 2 * parameters.shape.feed_forward);
        fit(&mut self.hidden, tokens * parameters.shape.feed_forward);
    }

    /// Norm, queries, keys and values, the cache, and the heads' results.
    fn attend(&mut self, parameters: &Parameters<T>, pool: &ThreadPool, layer: usize) {
        let (cpu, shape, stride) = (parameters.cpu, &parameters.shape, parameters.qkv_width());
        self.norm(parameters, parameters.layout.layers[layer].attention_norm.clone());
        parameters.set_biases(layer, &mut self.qkv);
        let (tokens, matrix) = (self.tokens.len(), &parameters.layers[layer].qkv.packed);
        let (x, y) = (
            RowView::dense(&self.normed, tokens, shape.width),
            RowViewMut::new(&mut self.qkv, stride),
        );
        self.products.apply(Processor { cpu, pool }, matrix, x, y, shape.qkv_bias);
        if let Some(norms) = HeadNorms::new(parameters, layer) {
            norms.apply(&mut self.qkv, &mut self.head_scales);
        }
        for work in &self.work {
            let rows = &mut self.qkv[work.first * stride..(work.first + work.count) * stride];
            parameters.turn(Turn::Forward, rows, work.start);
        }
        let all = by_rows(cpu, RowView::dense(&self.qkv, tokens, stride), &mut self.converted);
        let width = parameters.attended_width();
        let mut attended = &mut self.attended[..];
        let feeds = self.work.iter_mut().map(|work| {
            let (out, rest) = std::mem::take(&mut attended).split_at_mut(work.count * width);
            attended = rest;
            (work, out)
        });
        let mut feeds: Vec<_> = feeds.collect();
        self.products.distribute(pool, &mut feeds, &|(work, out), scores| {
            let rows = &all.data[work.first * all.row..];
            for (index, row) in rows.chunks(all.row).take(work.count).enumerate() {
                work.slot.write(shape, layer, work.start + index, row);
            }
            // In the last layer, the results of the first tokens are not read.
            let skipped = if layer + 1 == shape.layers { work.skipped } else { 0 };
            if skipped == work.count {
                return;
            }
            let rows = LeftMatrix {
                data: &rows[skipped * all.row..],
                ..all
            };
            let positions = work.start + skipped..work.start + work.count;
            work.slot
                .attend(parameters, layer, positions, rows, scores, &mut out[skipped * width..]);
        });
    }

    /// Moves the kept rows to the front: after the last attention, nothing reads the others.
    fn keep(&mut self, parameters: &Parameters<T>) {
        let (width, attended) = (parameters.shape.width, parameters.attended_width());
        for (to, from) in self.kept.iter().enumerate() {
            self.stream.copy_within(from * width..(from + 1) * width, to * width);
            self.attended.copy_within(from * attended..(from + 1) * attended, to * attended);
        }
        self.stream.truncate(self.kept.len() * width);
    }

    /// The output projection of the attention and the feed-forward layer.
    fn feed_forward(&mut self, parameters: &Parameters<T>, pool: &ThreadPool, layer: usize) {
        let (cpu, shape, matrices) = (parameters.cpu, &parameters.shape, &parameters.layers[layer]);
        let (processor, width, hidden) = (Processor { cpu, pool }, shape.width, shape.feed_forward);
        let rows = self.stream.len() / width;
        let x = RowView::dense(&self.attended, rows, parameters.attended_width());
        let y = RowViewMut::new(&mut self.stream, width);
        self.products.apply(processor, &matrices.output.packed, x, y, true);
        self.norm(parameters, parameters.layout.layers[layer].feed_forward_norm.clone());
        let x = RowView::dense(&self.normed, rows, width);
        let y = RowViewMut::new(&mut self.gates, 2 * hidden);
        self.products.apply(processor, &matrices.gates.packed, x, y, false);
        activation::forward(cpu, &self.gates[..rows * 2 * hidden], hidden, &mut self.hidden);
        let x = RowView::dense(&self.hidden, rows, hidden);
        let y = RowViewMut::new(&mut self.stream, width);
        self.products.apply(processor, &matrices.down.packed, x, y, true);
    }

    /// The logits of some kept rows.
    fn read_out(&mut self, parameters: &Parameters<T>, pool: &ThreadPool, kept: Range<usize>) {
        let (cpu, width, vocabulary) = (parameters.cpu, parameters.shape.width, parameters.shape.vocabulary);
        if kept.is_empty() {
            return;
        }
        fit(&mut self.logits, kept.len() * vocabulary);
        let x = RowView::dense(&self.normed[kept.start * width..], kept.len(), width);
        let y = RowViewMut::new(&mut self.logits, vocabulary);
        self.products.apply(Processor { cpu, pool }, &parameters.head, x, y, false);
    }

    /// The scores of some targets, whose logits are there from row `first` on.
    fn score(&mut self, parameters: &Parameters<T>, pool: &ThreadPool, first: usize, targets: Range<usize>) {
        let (cpu, vocabulary, start) = (parameters.cpu, parameters.shape.vocabulary, targets.start);
        self.scores.resize(targets.end, TokenScore::default());
        let mut scores = &mut self.scores[start..];
        let rows = self.targets[targets].chunk_by(|a, b| a.row == b.row).map(|targets| {
            let (out, rest) = std::mem::take(&mut scores).split_at_mut(targets.len());
            scores = rest;
            (targets, out)
        });
        let (mut rows, logits): (Vec<_>, _) = (rows.collect(), &self.logits);
        self.products.distribute(pool, &mut rows, &|(targets, out), _| {
            let row = &logits[(targets[0].row - first) * vocabulary..][..vocabulary];
            let (largest, log_sum) = cross_entropy::log_sum(cpu, row);
            for (target, score) in targets.iter().zip(&mut **out) {
                *score = TokenScore::new(row, target.token, largest, log_sum);
            }
        });
    }

    /// Norms the residual stream.
    fn norm(&mut self, parameters: &Parameters<T>, weight: Range<usize>) {
        let epsilon = parameters.shape.norm_epsilon as f32;
        norm::forward(
            parameters.cpu,
            &self.stream,
            parameters.floats.part(weight),
            epsilon,
            &mut self.normed,
            &mut self.scales,
        );
    }
}
