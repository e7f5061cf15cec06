//! The forward pass of a decoder over some feeds of a call, with their slots and working memory.

use rayon::ThreadPool;

use super::cache::CacheSlot;
use super::column_parallel::{ColumnParallel, Processor};
use super::head_norm::{HeadNorms, normed_width};
use super::kernel::element::Element;
use super::kernel::product::LeftMatrix;
use super::kernel::rope::{Turn, turn};
use super::kernel::{activation, lookup, norm};
use super::operand::by_rows;
use super::parameters::Parameters;
use super::rows::{RowView, RowViewMut};
use crate::engine::Feed;

/// One feed of a call, with its slot.
#[derive(Clone, Debug)]
struct ActiveFeed<T> {
    slot: CacheSlot<T>,
    start: usize,
    /// Index of its first token among those of the pass.
    first: usize,
    count: usize,
}

/// Some feeds and their working memory.
#[derive(Clone, Debug)]
pub struct DecodePass<T> {
    work: Vec<ActiveFeed<T>>,
    tokens: Vec<u32>,
    lines: Vec<u32>,
    columns: Vec<u32>,
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
    /// [feeds, vocabulary]
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

    /// Adds a feed and its slot.
    pub fn add(&mut self, mut slot: CacheSlot<T>, feed: &Feed<'_>) {
        slot.held = feed.start + feed.tokens.len();
        self.work.push(ActiveFeed {
            slot,
            start: feed.start,
            first: self.tokens.len(),
            count: feed.tokens.len(),
        });
        self.tokens.extend_from_slice(feed.tokens);
        self.lines.extend_from_slice(feed.lines);
        self.columns.extend_from_slice(feed.columns);
    }

    /// Number of tokens added.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Removes all feeds and returns their slots, in the order in which they were added. The logits stay.
    pub fn take_back(&mut self) -> impl Iterator<Item = CacheSlot<T>> {
        self.tokens.clear();
        self.lines.clear();
        self.columns.clear();
        self.work.drain(..).map(|work| work.slot)
    }

    /// The logits of the last run, in the order of its feeds. [feeds, vocabulary]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Runs the decoder over the feeds; `pool` has the threads besides this one.
    pub fn run(&mut self, parameters: &Parameters<T>, pool: &ThreadPool) {
        self.logits.clear();
        if self.work.is_empty() {
            return;
        }
        self.embed(parameters);
        for layer in 0..parameters.shape.layers {
            self.attend(parameters, pool, layer);
            if layer + 1 == parameters.shape.layers {
                self.keep_last(parameters);
            }
            self.feed_forward(parameters, pool, layer);
        }
        self.score(parameters, pool);
    }

    fn embed(&mut self, parameters: &Parameters<T>) {
        let (layout, width, tokens) = (&parameters.layout, parameters.shape.width, self.tokens.len());
        self.stream.clear();
        self.stream.resize(tokens * width, 0.0);
        lookup::add_rows(
            parameters.floats.part(layout.embedding.range()),
            width,
            &self.tokens,
            &mut self.stream,
        );
        if layout.lines.rows > 0 {
            lookup::add_rows(parameters.floats.part(layout.lines.range()), width, &self.lines, &mut self.stream);
        }
        if layout.columns.rows > 0 {
            lookup::add_rows(
                parameters.floats.part(layout.columns.range()),
                width,
                &self.columns,
                &mut self.stream,
            );
        }
        self.normed.resize(tokens * width, 0.0);
        self.scales.resize(tokens, 0.0);
        self.qkv.resize(tokens * parameters.qkv_width(), 0.0);
        self.head_scales
            .resize(tokens * (normed_width(parameters) / parameters.shape.head_dim), 0.0);
        self.attended.resize(tokens * parameters.attended_width(), 0.0);
        self.gates.resize(tokens * 2 * parameters.shape.feed_forward, 0.0);
        self.hidden.resize(tokens * parameters.shape.feed_forward, 0.0);
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
            let heads = shape.heads + shape.kv_heads;
            turn(cpu, &parameters.rope, Turn::Forward, rows, stride, heads, work.start);
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
            // In the last layer, only the last token's results are read.
            let skipped = if layer + 1 == shape.layers { work.count - 1 } else { 0 };
            let rows = LeftMatrix {
                data: &rows[skipped * all.row..],
                ..all
            };
            let positions = work.start + skipped..work.start + work.count;
            work.slot
                .attend(parameters, layer, positions, rows, scores, &mut out[skipped * width..]);
        });
    }

    /// Moves the row of each feed's last token to the front: after the last attention, nothing reads the others.
    fn keep_last(&mut self, parameters: &Parameters<T>) {
        let (width, attended) = (parameters.shape.width, parameters.attended_width());
        for (to, work) in self.work.iter().enumerate() {
            let from = work.first + work.count - 1;
            self.stream.copy_within(from * width..(from + 1) * width, to * width);
            self.attended.copy_within(from * attended..(from + 1) * attended, to * attended);
        }
        self.stream.truncate(self.work.len() * width);
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

    fn score(&mut self, parameters: &Parameters<T>, pool: &ThreadPool) {
        let (cpu, rows, vocabulary) = (parameters.cpu, self.work.len(), parameters.shape.vocabulary);
        self.norm(parameters, parameters.layout.final_norm.clone());
        self.logits.resize(rows * vocabulary, 0.0);
        let x = RowView::dense(&self.normed, rows, parameters.shape.width);
        let y = RowViewMut::new(&mut self.logits, vocabulary);
        self.products.apply(Processor { cpu, pool }, &parameters.head, x, y, false);
    }

    /// Norms the residual stream.
    fn norm(&mut self, parameters: &Parameters<T>, weight: std::ops::Range<usize>) {
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
