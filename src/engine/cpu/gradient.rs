//! The gradients of the weights, `dW = dYᵀ · X`: each job a range of rows of one matrix, over all spans in their order.
//!
//! Every element is added up by one job, token by token in the order of the batch, so the bits do not depend on the threads.

use std::ops::Range;

use super::kernel::Instructions;
use super::kernel::number::Number;
use super::kernel::product::{Left, Product, Reach, multiply};
use super::layout::{Layout, Matrix};
use super::operand::by_columns;
use super::parameters::Parameters;
use super::span::{Span, logits_stride};

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
    /// Rows of the whole matrix.
    matrix_rows: usize,
    /// Where the rows start in the flat gradient.
    start: usize,
}

impl Job {
    fn cut(which: Which, matrix: Matrix) -> impl Iterator<Item = Self> {
        let stride = if which == Which::Head {
            logits_stride(matrix.rows)
        } else {
            matrix.rows
        };
        (0..matrix.rows).step_by(ROWS).map(move |first| Self {
            which,
            rows: first..(first + ROWS).min(matrix.rows),
            columns: matrix.columns,
            stride,
            matrix_rows: matrix.rows,
            start: matrix.start + first * matrix.columns,
        })
    }

    fn end(&self) -> usize {
        self.start + self.rows.len() * self.columns
    }

    /// Adds the spans' gradients to `gradient`, the job's part of the flat buffer.
    fn run<T: Number>(&self, cpu: Instructions, spans: &[Span<T>], gradient: &mut [f32]) {
        for span in spans {
            let (left, panels, tokens) = self.operands(span);
            if tokens == 0 {
                continue;
            }
            let product = Product {
                rows: self.rows.len(),
                columns: self.columns,
                inner: tokens,
                left,
                right: panels,
                reach: Reach::Full,
                add: true,
                stride: self.columns,
            };
            multiply(cpu, product, gradient);
        }
    }

    /// The transposed gradient of the matrix's product, the panels of the product's input, and the number of rows of both.
    fn operands<'a, T: Number>(&self, span: &'a Span<T>) -> (Left<'a, T>, &'a [T], usize) {
        let (back, head) = (&span.back, &span.head);
        let (dy, columns, panels, tokens) = match self.which {
            Which::Qkv(_) => (&back.qkv, &back.qkv_columns, &back.input_panels, span.tokens.len()),
            Which::Output(layer) => (&back.middle, &back.middle_columns, &back.attended_panels, span.rows(layer)),
            Which::Gates(layer) => {
                let gates = &span.layers[layer].gates;
                (gates, &back.gates_columns, &back.middle_panels, span.rows(layer))
            }
            Which::Down(layer) => (&back.output, &back.output_columns, &back.hidden_panels, span.rows(layer)),
            Which::Head => (&head.logits, &head.columns, &head.panels, span.trained.len()),
        };
        (
            by_columns(dy, self.stride, self.matrix_rows, self.rows.start, columns),
            panels,
            tokens,
        )
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
    pub fn layer<T: Number>(&self, parameters: &Parameters<T>, layer: usize, spans: &[Span<T>], gradient: &mut [f32]) {
        run(&self.layers[layer], parameters.cpu, spans, gradient);
    }

    /// Adds the gradient of the output layer, after the spans' forward pass.
    pub fn head<T: Number>(&self, parameters: &Parameters<T>, spans: &[Span<T>], gradient: &mut [f32]) {
        run(&self.head, parameters.cpu, spans, gradient);
    }
}

/// Runs jobs that lie end to end, on the threads of the pool.
fn run<T: Number>(jobs: &[Job], cpu: Instructions, spans: &[Span<T>], gradient: &mut [f32]) {
    if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
        split(jobs, cpu, spans, &mut gradient[first.start..last.end()]);
    }
}

/// Halves the jobs, and the gradient between them, until one is left.
fn split<T: Number>(jobs: &[Job], cpu: Instructions, spans: &[Span<T>], gradient: &mut [f32]) {
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
