//! Training: the passes over a step's batches, the gradient and the optimizer.

use rayon::prelude::*;

use super::adapter::mix;
use super::gradient::GradientJobs;
use super::kernel::adamw::{self, AdamWState, AdamWUpdate};
use super::kernel::element::Element;
use super::kernel::lookup::scatter_rows;
use super::micro_batch::{MicroBatch, MicroBatchRange, cut, fit};
use super::output_layer::{OutputLayer, chunk};
use super::parameters::Parameters;
use super::pool;
use crate::engine::{
    Batch, EngineError, IGNORED, NamedTensor, Optimizer, ReadTensor, StepResult, TensorGroup, Training, TrainingEngine, check,
};
use crate::model::{Array, ModelShape, WeightSource, Weights};

/// Floats to one piece of the optimizer's passes. Fixed, so that the gradient's norm does not depend on the threads.
const OPTIMIZER_CHUNK: usize = 1 << 14;

/// Tokens in work at a time, with one thread.
const BLOCK_TOKENS: usize = 400;

/// Trains one decoder on the processor, in the numbers `T`. Results are the same bits for any number of threads.
pub struct CpuTrainer<T> {
    pool: rayon::ThreadPool,
    learner: TrainerState<T>,
}

/// All of a trainer but its threads. A step allocates nothing once it has seen the largest batch.
pub(super) struct TrainerState<T> {
    parameters: Parameters<T>,
    optimizer: Optimizer,
    jobs: GradientJobs,
    /// Of the trained weights, as are the moments.
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
    /// What the adapters' dropout is drawn from.
    seed: u64,
    /// Kept from batch to batch for their memory.
    pieces: Vec<MicroBatchRange>,
    /// Gradients of the rows of a batch as they come from the embeddings, where these are trained. [tokens, width]
    embedded: Vec<f32>,
    spans: Vec<MicroBatch<T>>,
    /// Of the spans whose rows are in work all at once.
    heads: Vec<OutputLayer<T>>,
    /// Of the chunks of a longer one.
    chunks: Vec<OutputLayer<T>>,
    /// Sums of squares of the gradient's pieces.
    squares: Vec<f64>,
}

impl<T: Element> CpuTrainer<T> {
    /// A trainer that starts from `weights` with an empty memory.
    ///
    /// # Errors
    /// When a weight is missing or has another shape, what is frozen is not there, or the threads cannot be started.
    pub fn new(shape: &ModelShape, weights: impl WeightSource, training: impl Into<Training>, threads: usize) -> Result<Self, EngineError> {
        let training = training.into();
        training.frozen.check(shape)?;
        let pool = pool(threads)?;
        let (lora, is_trained) = (training.lora.as_ref(), |name: &str| training.trains(name));
        let parameters = pool.install(|| Parameters::of(shape, weights, lora, &is_trained))?;
        Ok(Self {
            pool,
            learner: TrainerState::new(parameters, &training),
        })
    }
}

impl<T: Element> TrainerState<T> {
    pub(super) fn new(parameters: Parameters<T>, training: &Training) -> Self {
        let length = parameters.trained.length;
        Self {
            optimizer: training.optimizer,
            seed: training.seed,
            jobs: GradientJobs::new(&parameters.layout, &parameters.trained),
            gradient: vec![0.0; length],
            first: vec![0.0; length],
            second: vec![0.0; length],
            squares: vec![0.0; length.div_ceil(OPTIMIZER_CHUNK)],
            steps: 0,
            pieces: Vec::new(),
            embedded: Vec::new(),
            spans: Vec::new(),
            heads: Vec::new(),
            chunks: Vec::new(),
            parameters: Parameters {
                again: training.recompute,
                ..parameters
            },
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
        let losses = batches.iter().enumerate().map(|(number, batch)| {
            let draw = mix(mix(self.seed ^ mix(self.steps)) ^ number as u64);
            self.add_gradient(batch, weight as f32, draw)
        });
        losses.sum::<f64>() * weight
    }

    /// The gradient by the weights' names.
    #[cfg(test)]
    pub(super) fn gradient_by_name(&self) -> Weights {
        crate::engine::state::arrays(self.named(&self.gradient))
    }

    /// Adds the gradient of one batch; gives its summed loss.
    fn add_gradient(&mut self, batch: &Batch, weight: f32, draw: u64) -> f64 {
        let mut pieces = std::mem::take(&mut self.pieces);
        cut(&batch.lengths, &mut pieces);
        let block = block(batch.tokens.len(), pieces.len(), rayon::current_num_threads());
        if self.parameters.trained.embeddings {
            fit(&mut self.embedded, batch.tokens.len() * self.parameters.shape.width);
        }
        let mut loss = 0.0;
        for pieces in pieces.chunks(block) {
            self.add_block(batch, pieces, weight, draw);
            // One by one, not block by block: the sum is in one order whatever the block.
            loss = self.spans[..pieces.len()].iter().fold(loss, |loss, span| loss + span.loss);
        }
        self.pieces = pieces;
        // Not block by block: a tied embedding's gradient is added up here and in the output layer.
        add_tables(&self.parameters, batch, &self.embedded, &mut self.gradient);
        loss
    }

    /// Adds the gradient of a block of spans.
    fn add_block(&mut self, batch: &Batch, pieces: &[MicroBatchRange], weight: f32, draw: u64) {
        let count = pieces.len();
        if self.spans.len() < count {
            self.spans.resize_with(count, MicroBatch::default);
            self.heads.resize_with(count, OutputLayer::default);
        }
        let parameters = &self.parameters;
        let (spans, heads) = (&mut self.spans[..count], &mut self.heads[..count]);
        let work = spans.par_iter_mut().zip(heads.par_iter_mut()).zip(pieces).with_max_len(1);
        work.for_each(|((span, head), piece)| {
            span.take(parameters, batch, piece);
            span.draw = draw;
            span.forward(parameters, batch);
            if is_short(span) {
                head.score(parameters, span.scored(parameters.shape.width), weight);
                span.loss = head.loss;
                span.enter_last(parameters);
            }
        });
        self.add_head(count, weight);
        let Self {
            parameters,
            jobs,
            gradient,
            spans,
            embedded,
            ..
        } = self;
        let (parameters, spans) = (&*parameters, &mut spans[..count]);
        for layer in (parameters.trained.lowest..parameters.shape.layers).rev() {
            if layer + 1 < parameters.shape.layers {
                spans.par_iter_mut().with_max_len(1).for_each(|span| {
                    span.descend();
                    span.backward(parameters, layer);
                });
            }
            jobs.layer(parameters, layer, spans, gradient);
        }
        for span in &*spans {
            add_vectors(parameters, span, gradient);
            if parameters.trained.embeddings {
                let width = parameters.shape.width;
                embedded[span.tokens.start * width..span.tokens.end * width].copy_from_slice(&span.back.input);
            }
        }
    }

    /// Adds the gradient of the output layer, span by span in their order; scores long spans on the way, a chunk to a thread.
    fn add_head(&mut self, count: usize, weight: f32) {
        let Self {
            parameters,
            jobs,
            gradient,
            spans,
            heads,
            chunks,
            ..
        } = self;
        let (parameters, spans) = (&*parameters, &mut spans[..count]);
        let mut scored = 0;
        for index in 0..count {
            if !is_short(&spans[index]) {
                jobs.head(parameters, &heads[scored..index], gradient);
                scored = index + 1;
                add_long(parameters, jobs, &mut spans[index], chunks, weight, gradient);
            }
        }
        jobs.head(parameters, &heads[scored..count], gradient);
        let long = spans.par_iter_mut().with_max_len(1).filter(|span| !is_short(span));
        long.for_each(|span| span.enter_last(parameters));
    }

    /// One AdamW update from the gradient; gives the gradient's norm before clipping.
    fn update(&mut self, learning_rate: f64) -> f64 {
        let cpu = self.parameters.cpu;
        let pieces = self.gradient.par_chunks(OPTIMIZER_CHUNK).zip(&mut self.squares);
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
        let update = AdamWUpdate {
            gradient_scale: if norm > clip { (clip / norm) as f32 } else { 1.0 },
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: epsilon as f32,
            keep: 1.0,
            rate: (learning_rate / (1.0 - libm::pow(beta1, steps))) as f32,
            root_correction: (1.0 / (1.0 - libm::pow(beta2, steps)).sqrt()) as f32,
        };
        let decayed = AdamWUpdate {
            keep: (1.0 - learning_rate * weight_decay) as f32,
            ..update
        };
        let Self {
            parameters,
            gradient,
            first,
            second,
            ..
        } = self;
        let Parameters {
            floats,
            trained,
            layout,
            cpu,
            ..
        } = parameters;
        for (range, settings) in [(0..layout.decayed, decayed), (layout.decayed..layout.length, update)] {
            for (weights, start) in trained.within(range) {
                let part = start..start + weights.len();
                let pieces = (
                    floats.part_mut(weights).par_chunks_mut(OPTIMIZER_CHUNK),
                    gradient[part.clone()].par_chunks(OPTIMIZER_CHUNK),
                    first[part.clone()].par_chunks_mut(OPTIMIZER_CHUNK),
                    second[part].par_chunks_mut(OPTIMIZER_CHUNK),
                );
                pieces.into_par_iter().for_each(|(weights, gradient, first, second)| {
                    let state = AdamWState {
                        weights,
                        gradient,
                        first,
                        second,
                    };
                    adamw::update(*cpu, state, settings);
                });
            }
        }
        parameters.renew();
        norm
    }

    /// A buffer of the trained weights' numbers by their names.
    fn named<'a>(&'a self, numbers: &'a [f32]) -> Vec<NamedTensor<'a>> {
        let Parameters { layout, trained, .. } = &self.parameters;
        let tensors = layout.tensors();
        let named = tensors.filter_map(|(name, shape, range)| {
            let length = range.len();
            let (_, start) = trained.within(range).next()?;
            Some(NamedTensor::borrowed(name, shape, &numbers[start..start + length]))
        });
        named.collect()
    }
}

/// Spans in work at a time: enough for all threads, few enough that what one pass leaves for the next is still in the cache.
/// Spans follow one another in the same order whatever the block, so it changes no bit.
pub(super) fn block(tokens: usize, pieces: usize, threads: usize) -> usize {
    let per_span = tokens.div_ceil(pieces.max(1)).max(1);
    BLOCK_TOKENS.div_ceil(per_span).next_multiple_of(threads)
}

/// Whether the output layer takes all rows of a span at once.
fn is_short<T: Element>(span: &MicroBatch<T>) -> bool {
    span.targets.len() <= chunk::<T>()
}

/// Scores a span chunk by chunk, as many at a time as there are threads, and adds their gradients in their order.
fn add_long<T: Element>(
    parameters: &Parameters<T>,
    jobs: &GradientJobs,
    span: &mut MicroBatch<T>,
    chunks: &mut Vec<OutputLayer<T>>,
    weight: f32,
    gradient: &mut [f32],
) {
    let (width, rows, threads) = (parameters.shape.width, chunk::<T>(), rayon::current_num_threads());
    if chunks.len() < threads {
        chunks.resize_with(threads, OutputLayer::default);
    }
    let mut loss = 0.0;
    let (normed, targets) = span.scored(width);
    for (normed, targets) in normed.chunks_mut(threads * rows * width).zip(targets.chunks(threads * rows)) {
        let parts = normed.par_chunks_mut(rows * width).zip(targets.par_chunks(rows));
        let heads = &mut chunks[..targets.len().div_ceil(rows)];
        let work = heads.par_iter_mut().zip(parts).with_max_len(1);
        work.for_each(|(head, rows)| head.score(parameters, rows, weight));
        jobs.head(parameters, heads, gradient);
        loss = heads.iter().fold(loss, |loss, head| loss + head.loss);
    }
    span.loss = loss;
}

/// Adds what a batch gives to the gradients of the embeddings, token by token.
fn add_tables<T: Element>(parameters: &Parameters<T>, batch: &Batch, embedded: &[f32], gradient: &mut [f32]) {
    let (layout, width) = (&parameters.layout, parameters.shape.width);
    let tables = [
        (layout.embedding, &batch.tokens),
        (layout.lines, &batch.lines),
        (layout.columns, &batch.columns),
    ];
    for (table, indices) in tables {
        if let Some((range, start)) = parameters.trained.within(table.range()).next() {
            scatter_rows(embedded, width, indices, &mut gradient[start..start + range.len()]);
        }
    }
}

/// Adds what a span gives to the gradients of the norms and the biases.
fn add_vectors<T: Element>(parameters: &Parameters<T>, span: &MicroBatch<T>, gradient: &mut [f32]) {
    let layout = &parameters.layout;
    for (range, start) in parameters.trained.within(layout.decayed..layout.length) {
        let part = &span.back.vectors[layout.vectors(&range)];
        gradient[start..].iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
}

impl<T: Element> TrainingEngine for CpuTrainer<T> {
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepResult, EngineError> {
        let Self { pool, learner } = self;
        for batch in batches {
            check::batch(&learner.parameters.shape, batch)?;
        }
        Ok(pool.install(|| {
            let loss = learner.differentiate(batches);
            let gradient_norm = learner.update(learning_rate);
            StepResult { loss, gradient_norm }
        }))
    }

    fn steps(&self) -> u64 {
        self.learner.steps
    }

    fn trained(&self) -> usize {
        self.learner.parameters.trained.length
    }

    fn tensors(&self, part: TensorGroup) -> Result<Vec<NamedTensor<'_>>, EngineError> {
        let learner = &self.learner;
        let parameters = &learner.parameters;
        Ok(match part {
            TensorGroup::Weights => parameters
                .trained
                .changing(&parameters.layout)
                .map(|(name, shape, range)| NamedTensor::borrowed(name, shape, parameters.floats.part(range)))
                .collect(),
            TensorGroup::First => learner.named(&learner.first),
            TensorGroup::Second => learner.named(&learner.second),
        })
    }

    fn finish(self: Box<Self>) -> Result<Weights, EngineError> {
        // All but the weights goes first: they are not there twice beside the optimizer's memory.
        let Parameters {
            layout, floats, trained, ..
        } = { *self }.learner.parameters;
        let arrays = trained.changing(&layout).map(|(name, shape, range)| {
            let data = floats.part(range).to_vec();
            let shape = shape.to_vec();
            (name.to_owned(), Array { shape, data })
        });
        Ok(arrays.collect())
    }

    fn restore(&mut self, steps: u64, read: &mut ReadTensor<'_>) -> Result<(), EngineError> {
        let TrainerState {
            parameters, first, second, ..
        } = &mut self.learner;
        let Parameters {
            layout, floats, trained, ..
        } = parameters;
        for (name, shape, range) in trained.changing(layout) {
            let mut fill = |part, to: &mut [f32]| {
                let array = read(part, name)?;
                check::tensor(name, shape, &array)?;
                to.copy_from_slice(&array.data);
                Ok::<_, EngineError>(())
            };
            fill(TensorGroup::Weights, floats.part_mut(range.clone()))?;
            for (range, start) in trained.within(range) {
                let part = start..start + range.len();
                fill(TensorGroup::First, &mut first[part.clone()])?;
                fill(TensorGroup::Second, &mut second[part])?;
            }
        }
        self.learner.steps = steps;
        self.learner.parameters.pack(|_| true);
        Ok(())
    }
}
