//! The gradients of the weights, `dW = dYᵀ · X`: each job a range of rows of one matrix, over all spans in their order.
//!
//! Every element is added up by one job, token by token in the order of the batch, so the bits do not depend on the threads.

use std::ops::Range;

use super::kernel::Instructions;
use super::kernel::product::{Left, Product, Reach, multiply};
use super::layout::{Layout, Matrix};
use super::parameters::Parameters;
use super::span::Span;

/// Rows of a matrix to one job: a multiple of every level's tile.
const ROWS: usize = 96;

/// Which matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Qkv(usize),
    Output(usize),
    Gates(usize),
    Down(usize),
    Head,
}

/// A range of rows of one matrix.
#[derive(Clone, Debug)]
pub struct Job {
    which: Which,
    rows: Range<usize>,
    columns: usize,
    /// From one token's row of the product's gradient to the next.
    stride: usize,
    /// Where the rows start in the flat gradient.
    start: usize,
}

impl Job {
    fn cut(which: Which, matrix: Matrix) -> impl Iterator<Item = Self> {
        let stride = if which == Which::Head {
            Span::logits_stride(matrix.rows)
        } else {
            matrix.rows
        };
        (0..matrix.rows).step_by(ROWS).map(move |first| Self {
            which,
            rows: first..(first + ROWS).min(matrix.rows),
            columns: matrix.columns,
            stride,
            start: matrix.start + first * matrix.columns,
        })
    }

    fn end(&self) -> usize {
        self.start + self.rows.len() * self.columns
    }

    /// Adds the spans' gradients to `gradient`, the job's part of the flat buffer.
    fn run(&self, cpu: Instructions, spans: &[Span], gradient: &mut [f32]) {
        for span in spans {
            let (dy, panels, tokens) = self.operands(span);
            if tokens == 0 {
                continue;
            }
            let product = Product {
                rows: self.rows.len(),
                columns: self.columns,
                inner: tokens,
                left: Left {
                    data: &dy[self.rows.start..],
                    row: 1,
                    step: self.stride,
                },
                right: panels,
                reach: Reach::Full,
                add: true,
                stride: self.columns,
            };
            multiply(cpu, product, gradient);
        }
    }

    /// The gradient of the matrix's product, the panels of the product's input, and the number of rows of both.
    fn operands<'a>(&self, span: &'a Span) -> (&'a [f32], &'a [f32], usize) {
        let back = &span.back;
        match self.which {
            Which::Qkv(_) => (&back.qkv, &back.input_panels, span.tokens.len()),
            Which::Output(layer) => (&back.middle, &back.attended_panels, span.rows(layer)),
            Which::Gates(layer) => (&span.layers[layer].gates, &back.middle_panels, span.rows(layer)),
            Which::Down(layer) => (&back.output, &back.hidden_panels, span.rows(layer)),
            Which::Head => (&span.head.logits, &span.head.panels, span.trained.len()),
        }
    }
}

/// The jobs of all matrices.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// [layers]
    layers: Vec<Vec<Job>>,
    head: Vec<Job>,
}

impl Jobs {
    /// The jobs of a layout.
    pub fn new(layout: &Layout) -> Self {
        let layer = |(index, layer): (usize, &super::layout::Layer)| {
            let which = [Which::Qkv(index), Which::Output(index), Which::Gates(index), Which::Down(index)];
            which
                .into_iter()
                .zip(layer.matrices())
                .flat_map(|(which, matrix)| Job::cut(which, matrix))
                .collect()
        };
        Self {
            layers: layout.layers.iter().enumerate().map(layer).collect(),
            head: Job::cut(Which::Head, layout.head).collect(),
        }
    }

    /// Adds the gradients of one layer's matrices, after the spans' backward pass through it.
    pub fn layer(&self, parameters: &Parameters, layer: usize, spans: &[Span], gradient: &mut [f32]) {
        run(&self.layers[layer], parameters.cpu, spans, gradient);
    }

    /// Adds the gradient of the output layer, after the spans' forward pass.
    pub fn head(&self, parameters: &Parameters, spans: &[Span], gradient: &mut [f32]) {
        run(&self.head, parameters.cpu, spans, gradient);
    }
}

/// Runs jobs that lie end to end, on the threads of the pool.
fn run(jobs: &[Job], cpu: Instructions, spans: &[Span], gradient: &mut [f32]) {
    if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
        split(jobs, cpu, spans, &mut gradient[first.start..last.end()]);
    }
}

/// Halves the jobs, and the gradient between them, until one is left.
fn split(jobs: &[Job], cpu: Instructions, spans: &[Span], gradient: &mut [f32]) {
    match jobs {
        [] => {}
        [job] => job.run(cpu, spans, gradient),
        _ => {
            let (low, high) = jobs.split_at(jobs.len() / 2);
            let (low_gradient, high_gradient) = gradient.split_at_mut(high[0].start - low[0].start);
            rayon::join(|| split(low, cpu, spans, low_gradient), || split(high, cpu, spans, high_gradient));
        }
    }
}
