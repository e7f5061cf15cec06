//! Training: the passes over a step's batches, the gradient and the optimizer.

use rayon::prelude::*;

use super::gradient::Jobs;
use super::kernel::adamw::{self, State, Update};
use super::kernel::lookup::scatter_rows;
use super::kernel::number::Number;
use super::parameters::Parameters;
use super::pool;
use super::span::{Piece, Span, cut};
use crate::engine::{Batch, EngineError, IGNORED, Moments, Optimizer, Step, Train, check};
use crate::model::{Shape, Weights};

/// Floats to one piece of the optimizer's passes. Fixed, so that the gradient's norm does not depend on the threads.
const PIECE: usize = 1 << 14;

/// Tokens in work at a time, with one thread.
const BLOCK: usize = 400;

/// Trains one decoder on the processor, in the numbers `T`. Results are the same bits for any number of threads.
pub struct Trainer<T> {
    pool: rayon::ThreadPool,
    learner: Learner<T>,
}

/// All of a trainer but its threads.
pub(super) struct Learner<T> {
    parameters: Parameters<T>,
    optimizer: Optimizer,
    jobs: Jobs,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
    /// Kept from batch to batch for their memory.
    spans: Vec<Span<T>>,
    /// Sums of squares of the gradient's pieces.
    squares: Vec<f64>,
}

impl<T: Number> Trainer<T> {
    /// A trainer that starts from `weights` with an empty memory.
    ///
    /// # Errors
    /// When a weight is missing or has another shape, or the threads cannot be started.
    pub fn new(shape: &Shape, weights: &Weights, optimizer: Optimizer, threads: usize) -> Result<Self, EngineError> {
        let parameters = Parameters::new(shape, weights, true)?;
        Ok(Self {
            pool: pool(threads)?,
            learner: Learner::new(parameters, optimizer),
        })
    }
}

impl<T: Number> Learner<T> {
    pub(super) fn new(parameters: Parameters<T>, optimizer: Optimizer) -> Self {
        let zeros = vec![0.0; parameters.flat.len()];
        Self {
            optimizer,
            jobs: Jobs::new(&parameters.layout),
            gradient: zeros.clone(),
            first: zeros.clone(),
            squares: vec![0.0; zeros.len().div_ceil(PIECE)],
            second: zeros,
            steps: 0,
            spans: Vec::new(),
            parameters,
        }
    }

    /// Leaves the gradient of the mean loss over the batches' trained tokens in `gradient`, and gives that loss.
    pub(super) fn differentiate(&mut self, batches: &[Batch]) -> f64 {
        let trained = batches
            .iter()
            .flat_map(|batch| &batch.targets)
            .filter(|target| **target != IGNORED)
            .count();
        let weight = 1.0 / trained.max(1) as f64;
        self.gradient.fill(0.0);
        let losses = batches.iter().map(|batch| self.add_gradient(batch, weight as f32));
        losses.sum::<f64>() * weight
    }

    /// The gradient by the weights' names.
    #[cfg(test)]
    pub(super) fn gradient_by_name(&self) -> Weights {
        self.parameters.layout.name(&self.gradient)
    }

    /// Adds the gradient of one batch; gives its summed loss.
    fn add_gradient(&mut self, batch: &Batch, weight: f32) -> f64 {
        let pieces = cut(batch);
        let block = block(batch.tokens.len(), pieces.len());
        let mut loss = 0.0;
        for pieces in pieces.chunks(block) {
            self.add_block(batch, pieces, weight);
            // One by one, not block by block: the sum is in one order whatever the block.
            loss = self.spans[..pieces.len()].iter().fold(loss, |loss, span| loss + span.head.loss);
        }
        loss
    }

    /// Adds the gradient of a block of spans.
    fn add_block(&mut self, batch: &Batch, pieces: &[Piece], weight: f32) {
        let Self {
            parameters,
            jobs,
            gradient,
            spans,
            ..
        } = self;
        let parameters = &*parameters;
        if spans.len() < pieces.len() {
            spans.resize_with(pieces.len(), Span::default);
        }
        let spans = &mut spans[..pieces.len()];
        let last = parameters.shape.layers - 1;
        spans.par_iter_mut().zip(pieces).with_max_len(1).for_each(|(span, piece)| {
            span.take(parameters, batch, piece);
            span.forward(parameters, batch, weight);
            span.backward(parameters, last);
        });
        jobs.head(parameters, spans, gradient);
        jobs.layer(parameters, last, spans, gradient);
        for layer in (0..last).rev() {
            spans.par_iter_mut().with_max_len(1).for_each(|span| {
                span.descend();
                span.backward(parameters, layer);
            });
            jobs.layer(parameters, layer, spans, gradient);
        }
        for span in &*spans {
            add_tables(parameters, batch, span, gradient);
        }
    }

    /// One AdamW update from the gradient; gives the gradient's norm before clipping.
    fn update(&mut self, learning_rate: f64) -> f64 {
        let cpu = self.parameters.cpu;
        let pieces = self.gradient.par_chunks(PIECE).zip(&mut self.squares);
        pieces.for_each(|(piece, sum)| *sum = adamw::squares(cpu, piece));
        let norm = self.squares.iter().sum::<f64>().sqrt();
        self.steps += 1;
        let Optimizer {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            clip,
        } = self.optimizer;
        let steps = self.steps as f64;
        let update = Update {
            gradient_scale: if norm > clip { (clip / norm) as f32 } else { 1.0 },
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: epsilon as f32,
            keep: 1.0,
            rate: (learning_rate / (1.0 - libm::pow(beta1, steps))) as f32,
            root_correction: (1.0 / (1.0 - libm::pow(beta2, steps)).sqrt()) as f32,
        };
        let decayed = Update {
            keep: (1.0 - learning_rate * weight_decay) as f32,
            ..update
        };
        let border = self.parameters.layout.decayed;
        let (matrices, norms) = self.parameters.flat.split_at_mut(border);
        let (gradient, norms_gradient) = self.gradient.split_at(border);
        let (first, norms_first) = self.first.split_at_mut(border);
        let (second, norms_second) = self.second.split_at_mut(border);
        let pieces = (
            matrices.par_chunks_mut(PIECE),
            gradient.par_chunks(PIECE),
            first.par_chunks_mut(PIECE),
            second.par_chunks_mut(PIECE),
        );
        pieces.into_par_iter().for_each(|(weights, gradient, first, second)| {
            adamw::update(
                cpu,
                State {
                    weights,
                    gradient,
                    first,
                    second,
                },
                decayed,
            );
        });
        let state = State {
            weights: norms,
            gradient: norms_gradient,
            first: norms_first,
            second: norms_second,
        };
        adamw::update(cpu, state, update);
        self.parameters.pack();
        norm
    }
}

/// Spans in work at a time: enough for all threads, few enough that what one pass leaves for the next is still in the cache.
/// Spans follow one another in the same order whatever the block, so it changes no bit.
fn block(tokens: usize, pieces: usize) -> usize {
    let threads = rayon::current_num_threads();
    let per_span = tokens.div_ceil(pieces.max(1)).max(1);
    BLOCK.div_ceil(per_span).next_multiple_of(threads)
}

/// Adds what a span gives to the gradients of the embeddings and the norms.
fn add_tables<T: Number>(parameters: &Parameters<T>, batch: &Batch, span: &Span<T>, gradient: &mut [f32]) {
    let (layout, width) = (&parameters.layout, parameters.shape.width);
    let rows = &span.back.input;
    let tables = [
        (layout.embedding, &batch.tokens),
        (layout.lines, &batch.lines),
        (layout.columns, &batch.columns),
    ];
    for (table, indices) in tables.into_iter().filter(|(table, _)| table.rows > 0) {
        scatter_rows(rows, width, &indices[span.tokens.clone()], &mut gradient[table.range()]);
    }
    for (sum, part) in gradient[layout.decayed..].iter_mut().zip(&span.back.norms) {
        *sum += part;
    }
}

impl<T: Number> Train for Trainer<T> {
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<Step, EngineError> {
        let Self { pool, learner } = self;
        for batch in batches {
            check::batch(&learner.parameters.shape, batch)?;
        }
        Ok(pool.install(|| {
            let loss = learner.differentiate(batches);
            let gradient_norm = learner.update(learning_rate);
            Step { loss, gradient_norm }
        }))
    }

    fn weights(&self) -> Result<Weights, EngineError> {
        let parameters = &self.learner.parameters;
        Ok(parameters.layout.name(&parameters.flat))
    }

    fn moments(&self) -> Result<Moments, EngineError> {
        let Learner {
            parameters,
            first,
            second,
            steps,
            ..
        } = &self.learner;
        let name = |flat| parameters.layout.name(flat);
        Ok(Moments {
            steps: *steps,
            first: name(first),
            second: name(second),
        })
    }

    fn restore(&mut self, weights: &Weights, moments: &Moments) -> Result<(), EngineError> {
        let learner = &mut self.learner;
        let layout = &learner.parameters.layout;
        let (flat, first, second) = (
            layout.flatten(weights)?,
            layout.flatten(&moments.first)?,
            layout.flatten(&moments.second)?,
        );
        (learner.parameters.flat, learner.first, learner.second, learner.steps) = (flat, first, second, moments.steps);
        learner.parameters.pack();
        Ok(())
    }
}
