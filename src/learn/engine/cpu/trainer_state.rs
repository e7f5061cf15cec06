//! The gradient of a step: the passes over its batches, block by block of micro-batches.

use rayon::prelude::*;

use super::buffer::fit;
use super::dropout::mix;
use super::gradient::GradientJobs;
use super::kernel::element::Element;
use super::kernel::lookup::scatter_rows;
use super::micro_batch::{MicroBatch, MicroBatchRange, block_size, cut_batch};
use super::optimizer::FlatAdamW;
use super::output_layer::{OutputLayer, chunk};
use super::parameters::Parameters;
#[cfg(test)]
use crate::engine::state::arrays;
use crate::engine::{Batch, NamedTensor, StepResult, Training};
use crate::model::Places;
#[cfg(test)]
use crate::model::Weights;

/// Everything of a trainer except its threads. A step allocates nothing once it has seen the largest batch.
pub struct TrainerState<T> {
    pub parameters: Parameters<T>,
    pub optimizer: FlatAdamW,
    jobs: GradientJobs,
    /// The gradient of the trained weights.
    gradient: Vec<f32>,
    /// The seed of the adapters' dropout.
    seed: u64,
    /// Buffers that are reused for every batch.
    ranges: Vec<MicroBatchRange>,
    /// Gradients of a batch's rows at the embeddings, if these are trained. [tokens, width]
    embedded: Vec<f32>,
    micro_batches: Vec<MicroBatch<T>>,
    /// Output layers of the micro-batches whose rows are processed all at once.
    heads: Vec<OutputLayer<T>>,
    /// Output layers of the chunks of a longer one.
    chunks: Vec<OutputLayer<T>>,
}

impl<T: Element> TrainerState<T> {
    pub fn new(parameters: Parameters<T>, training: &Training) -> Self {
        let length = parameters.trainable.length;
        Self {
            optimizer: FlatAdamW::new(training.optimizer, length),
            seed: training.seed,
            jobs: GradientJobs::new(&parameters.layout, &parameters.trainable),
            gradient: vec![0.0; length],
            ranges: Vec::new(),
            embedded: Vec::new(),
            micro_batches: Vec::new(),
            heads: Vec::new(),
            chunks: Vec::new(),
            parameters: Parameters {
                recompute: training.recompute,
                ..parameters
            },
        }
    }

    /// Takes one optimizer step.
    pub fn step(&mut self, batches: &[Batch], learning_rate: f64) -> StepResult {
        let loss = self.differentiate(batches);
        let gradient_norm = self.optimizer.step(&mut self.parameters, &self.gradient, learning_rate);
        StepResult { loss, gradient_norm }
    }

    /// Computes the gradient of the mean loss over the batches' trained tokens, and returns that loss.
    pub fn differentiate(&mut self, batches: &[Batch]) -> f64 {
        let trained: usize = batches.iter().map(Batch::trained).sum();
        let weight = 1.0 / trained.max(1) as f64;
        self.gradient.fill(0.0);
        let losses = batches.iter().enumerate().map(|(number, batch)| {
            let dropout_key = mix(mix(self.seed ^ mix(self.optimizer.steps)) ^ number as u64);
            self.add_gradient(batch, weight as f32, dropout_key)
        });
        losses.sum::<f64>() * weight
    }

    /// The summed loss of a batch's trained tokens, without dropout. Nothing else is computed: its buffers are those of a step, which writes
    /// them anew.
    pub fn summed_loss(&mut self, batch: &Batch) -> f64 {
        let mut ranges = std::mem::take(&mut self.ranges);
        cut_batch(&batch.lengths, &mut ranges);
        let block = block_size(batch.tokens.len(), ranges.len(), rayon::current_num_threads());
        let mut loss = 0.0;
        for ranges in ranges.chunks(block) {
            let count = ranges.len();
            self.forward_block(batch, ranges, None, |parameters, head, micro_batch| {
                let (rows, targets) = micro_batch.output_rows(parameters.shape.width);
                head.measure(parameters, rows, targets, 1.0);
                micro_batch.loss = head.loss;
            });
            let Self {
                parameters,
                micro_batches,
                chunks,
                ..
            } = self;
            for micro_batch in &mut micro_batches[..count] {
                if !is_short(micro_batch) {
                    let measure =
                        |head: &mut OutputLayer<T>, rows: &mut [f32], targets: &[u32]| head.measure(parameters, rows, targets, 1.0);
                    in_chunks(parameters, micro_batch, chunks, measure, |_| ());
                }
                // One by one, as in a step.
                loss += micro_batch.loss;
            }
        }
        self.ranges = ranges;
        loss
    }

    /// The gradient by the weights' names.
    #[cfg(test)]
    pub fn gradient_by_name(&self) -> Weights {
        arrays(self.named(&self.gradient))
    }

    /// Adds the gradient of one batch; returns its summed loss.
    fn add_gradient(&mut self, batch: &Batch, weight: f32, dropout_key: u64) -> f64 {
        let mut ranges = std::mem::take(&mut self.ranges);
        cut_batch(&batch.lengths, &mut ranges);
        let block = block_size(batch.tokens.len(), ranges.len(), rayon::current_num_threads());
        if self.parameters.trainable.embeddings {
            fit(&mut self.embedded, batch.tokens.len() * self.parameters.shape.width);
        }
        let mut loss = 0.0;
        for ranges in ranges.chunks(block) {
            self.add_block(batch, ranges, weight, dropout_key);
            // One by one, not block by block, so that the order of the sum does not depend on the block size.
            loss = self.micro_batches[..ranges.len()].iter().fold(loss, |loss, part| loss + part.loss);
        }
        self.ranges = ranges;
        // Not block by block: a tied embedding gets a gradient here and in the output layer.
        add_tables(&self.parameters, batch, &self.embedded, &mut self.gradient);
        loss
    }

    /// Runs the decoder over a block of micro-batches, and then `short` on each whose rows the output layer processes all at once.
    fn forward_block(
        &mut self,
        batch: &Batch,
        ranges: &[MicroBatchRange],
        dropout_key: Option<u64>,
        short: impl Fn(&Parameters<T>, &mut OutputLayer<T>, &mut MicroBatch<T>) + Sync,
    ) {
        let count = ranges.len();
        if self.micro_batches.len() < count {
            self.micro_batches.resize_with(count, MicroBatch::default);
            self.heads.resize_with(count, OutputLayer::default);
        }
        let parameters = &self.parameters;
        let (micro_batches, heads) = (&mut self.micro_batches[..count], &mut self.heads[..count]);
        let work = micro_batches.par_iter_mut().zip(heads.par_iter_mut()).zip(ranges).with_max_len(1);
        work.for_each(|((micro_batch, head), range)| {
            micro_batch.load(parameters, batch, range);
            micro_batch.dropout_key = dropout_key;
            micro_batch.forward(parameters, batch);
            if is_short(micro_batch) {
                short(parameters, head, micro_batch);
            }
        });
    }

    /// Adds the gradient of a block of micro-batches.
    fn add_block(&mut self, batch: &Batch, ranges: &[MicroBatchRange], weight: f32, dropout_key: u64) {
        let count = ranges.len();
        self.forward_block(batch, ranges, Some(dropout_key), |parameters, head, micro_batch| {
            let (rows, targets) = micro_batch.output_rows(parameters.shape.width);
            head.score(parameters, rows, targets, weight);
            micro_batch.loss = head.loss;
            micro_batch.backward_last(parameters);
        });
        self.add_output_layer(count, weight);
        let Self {
            parameters,
            jobs,
            gradient,
            micro_batches,
            embedded,
            ..
        } = self;
        let (parameters, micro_batches) = (&*parameters, &mut micro_batches[..count]);
        for layer in (parameters.trainable.lowest..parameters.shape.layers).rev() {
            if layer + 1 < parameters.shape.layers {
                micro_batches.par_iter_mut().with_max_len(1).for_each(|micro_batch| {
                    micro_batch.descend();
                    micro_batch.backward(parameters, layer);
                });
            }
            jobs.layer(parameters, layer, micro_batches, gradient);
        }
        for micro_batch in &*micro_batches {
            add_vectors(parameters, micro_batch, gradient);
            if parameters.trainable.embeddings {
                let width = parameters.shape.width;
                let rows = micro_batch.tokens.start * width..micro_batch.tokens.end * width;
                embedded[rows].copy_from_slice(&micro_batch.gradients.input);
            }
        }
    }

    /// Adds the gradient of the output layer, in the order of the micro-batches. Long ones are scored here, one chunk per thread.
    fn add_output_layer(&mut self, count: usize, weight: f32) {
        let Self {
            parameters,
            jobs,
            gradient,
            micro_batches,
            heads,
            chunks,
            ..
        } = self;
        let (parameters, micro_batches) = (&*parameters, &mut micro_batches[..count]);
        let mut scored = 0;
        for index in 0..count {
            if !is_short(&micro_batches[index]) {
                jobs.head(parameters, &heads[scored..index], gradient);
                scored = index + 1;
                let score = |head: &mut OutputLayer<T>, rows: &mut [f32], targets: &[u32]| head.score(parameters, rows, targets, weight);
                let add = |heads: &[OutputLayer<T>]| jobs.head(parameters, heads, gradient);
                in_chunks(parameters, &mut micro_batches[index], chunks, score, add);
            }
        }
        jobs.head(parameters, &heads[scored..count], gradient);
        let long = micro_batches.par_iter_mut().with_max_len(1).filter(|part| !is_short(part));
        long.for_each(|micro_batch| micro_batch.backward_last(parameters));
    }

    /// Splits a buffer of the trained weights' numbers by their names.
    pub fn named<'a>(&'a self, numbers: &'a [f32]) -> Vec<NamedTensor<'a>> {
        let Parameters { layout, trainable, .. } = &self.parameters;
        let tensors = layout.tensors();
        let named = tensors.filter_map(|(name, shape, range)| {
            let length = range.len();
            let (_, start) = trainable.within(range).next()?;
            Some(NamedTensor::borrowed(name, shape, &numbers[start..start + length]))
        });
        named.collect()
    }
}

/// Whether the output layer processes all rows of a micro-batch at once.
fn is_short<T: Element>(micro_batch: &MicroBatch<T>) -> bool {
    micro_batch.targets.len() <= chunk::<T>()
}

/// Has `score` process the rows of a micro-batch and their targets chunk by chunk, as many at a time as there are threads; `scored` gets each
/// such group, in order. Sets the micro-batch's loss.
fn in_chunks<T: Element>(
    parameters: &Parameters<T>,
    micro_batch: &mut MicroBatch<T>,
    chunks: &mut Vec<OutputLayer<T>>,
    score: impl Fn(&mut OutputLayer<T>, &mut [f32], &[u32]) + Sync,
    mut scored: impl FnMut(&[OutputLayer<T>]),
) {
    let (width, rows, threads) = (parameters.shape.width, chunk::<T>(), rayon::current_num_threads());
    if chunks.len() < threads {
        chunks.resize_with(threads, OutputLayer::default);
    }
    let mut loss = 0.0;
    let (normed, targets) = micro_batch.output_rows(width);
    for (normed, targets) in normed.chunks_mut(threads * rows * width).zip(targets.chunks(threads * rows)) {
        let parts = normed.par_chunks_mut(rows * width).zip(targets.par_chunks(rows));
        let heads = &mut chunks[..targets.len().div_ceil(rows)];
        let work = heads.par_iter_mut().zip(parts).with_max_len(1);
        work.for_each(|(head, (rows, targets))| score(head, rows, targets));
        scored(heads);
        loss = heads.iter().fold(loss, |loss, head| loss + head.loss);
    }
    micro_batch.loss = loss;
}

/// Adds a batch's gradients of the embeddings, token by token.
fn add_tables<T: Element>(parameters: &Parameters<T>, batch: &Batch, embedded: &[f32], gradient: &mut [f32]) {
    let (layout, width) = (&parameters.layout, parameters.shape.width);
    let tables = [
        (layout.embedding, 1, &batch.tokens),
        (layout.lines, 1, &batch.lines),
        (layout.columns, 1, &batch.columns),
        (layout.places, Places::TABLES, &batch.places),
    ];
    for (table, each, indices) in tables {
        if let Some((range, start)) = parameters.trainable.within(table.range()).next() {
            scatter_rows(embedded, width, each, indices, &mut gradient[start..start + range.len()]);
        }
    }
}

/// Adds a micro-batch's gradients of the norms and the biases.
fn add_vectors<T: Element>(parameters: &Parameters<T>, micro_batch: &MicroBatch<T>, gradient: &mut [f32]) {
    let layout = &parameters.layout;
    for (range, start) in parameters.trainable.within(layout.decayed..layout.length) {
        let part = &micro_batch.gradients.vectors[layout.vectors(&range)];
        gradient[start..].iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
}
