//! The gradients of the weights, `dW = dYᵀ · X`. Each job computes a range of rows of one matrix, over all micro-batches in order.
//!
//! Every element is summed by one job, token by token in the order of the batch, so the bits do not depend on the threads.

use std::ops::Range;

use super::kernel::element::Element;
use super::kernel::product::{LeftMatrix, Product, Reach, multiply};
use super::layout::{DOWN, GATES, LayerLayout, Layout, Matrix, OUTPUT, QKV};
use super::micro_batch::MicroBatch;
use super::operand::by_columns;
use super::output_layer::{OutputLayer, logits_stride};
use super::parameters::Parameters;
use super::trainable::Trainable;

/// Rows of a matrix in one job: a multiple of the tile of every instruction set.
const ROWS_PER_JOB: usize = 96;

/// A matrix of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LayerMatrix {
    Qkv(usize),
    Output(usize),
    Gates(usize),
    Down(usize),
    /// The `A` of all adapters of a matrix.
    A {
        layer: usize,
        place: usize,
    },
    /// The `B` of one part of a matrix.
    B {
        layer: usize,
        place: usize,
        part: usize,
    },
}

/// The output layer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OutputMatrix;

/// A range of rows of one matrix, `which`.
#[derive(Clone, Debug)]
struct GradientJob<W> {
    which: W,
    rows: Range<usize>,
    columns: usize,
    /// Floats from one token's row of the product's gradient to the next.
    stride: usize,
    /// Rows of the whole matrix.
    matrix_rows: usize,
    /// Rows of the whole matrix before the part that `rows` count in.
    before: usize,
    /// Start of the rows in the gradient.
    start: usize,
}

/// The operands of a matrix's gradient.
struct GradientOperands<'a, T> {
    /// The transposed gradient of the matrix's product.
    left: LeftMatrix<'a, T>,
    /// The panels of the product's input.
    panels: &'a [T],
    /// The rows of both.
    tokens: usize,
}

impl<W: Copy> GradientJob<W> {
    /// The jobs of the trained rows of `matrix`.
    fn cut(which: W, matrix: Matrix, stride: usize, trained: &Trainable) -> impl Iterator<Item = Self> {
        trained.within(matrix.range()).flat_map(move |(range, start)| {
            let rows = (range.start - matrix.start) / matrix.columns..(range.end - matrix.start) / matrix.columns;
            rows.clone().step_by(ROWS_PER_JOB).map(move |first| Self {
                which,
                rows: first..(first + ROWS_PER_JOB).min(rows.end),
                columns: matrix.columns,
                stride,
                matrix_rows: matrix.rows,
                before: 0,
                start: start + (first - rows.start) * matrix.columns,
            })
        })
    }

    fn end(&self) -> usize {
        self.start + self.rows.len() * self.columns
    }

    /// Adds the gradients of all `sources` to `gradient`, which is the job's part of the buffer.
    fn run<T: Element, S: GradientSource<T, W>>(&self, parameters: &Parameters<T>, sources: &[S], gradient: &mut [f32]) {
        for source in sources {
            let GradientOperands { left, panels, tokens } = source.operands(parameters, self);
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
            multiply(parameters.cpu, product, gradient);
        }
    }

    /// The transpose of `dy` from the job's first row on.
    fn left<'a, T: Element>(&self, dy: &'a [f32], columns: &'a [T]) -> LeftMatrix<'a, T> {
        by_columns(dy, self.stride, self.matrix_rows, self.before + self.rows.start, columns)
    }
}

/// Rows that contribute to a gradient.
trait GradientSource<T, W>: Sync {
    fn operands(&self, parameters: &Parameters<T>, job: &GradientJob<W>) -> GradientOperands<'_, T>;
}

impl<T: Element> GradientSource<T, LayerMatrix> for MicroBatch<T> {
    fn operands(&self, parameters: &Parameters<T>, job: &GradientJob<LayerMatrix>) -> GradientOperands<'_, T> {
        let (layer, place) = match job.which {
            LayerMatrix::Qkv(layer) => (layer, QKV),
            LayerMatrix::Output(layer) => (layer, OUTPUT),
            LayerMatrix::Gates(layer) => (layer, GATES),
            LayerMatrix::Down(layer) => (layer, DOWN),
            LayerMatrix::A { layer, place } | LayerMatrix::B { layer, place, .. } => (layer, place),
        };
        // Keys and values have a row for each token, even in the last layer.
        let rows = if place == QKV {
            self.tokens.len()
        } else {
            self.rows(parameters, layer)
        };
        if rows == 0 {
            let nothing = LeftMatrix {
                data: &[],
                row: 1,
                step: 1,
            };
            return GradientOperands {
                left: nothing,
                panels: &[],
                tokens: 0,
            };
        }
        let gradients = &self.gradients;
        let (dy, columns, panels) = match place {
            QKV => (&gradients.qkv, &gradients.qkv_columns, &gradients.input_panels),
            OUTPUT => (&gradients.middle, &gradients.middle_columns, &gradients.attended_panels),
            GATES => {
                let gates = &self.layers[parameters.kept_layer(layer)].gates;
                (gates, &gradients.gates_columns, &gradients.middle_panels)
            }
            _ => (&gradients.output, &gradients.output_columns, &gradients.hidden_panels),
        };
        let adapter = &gradients.adapters[place];
        let (left, panels) = match job.which {
            LayerMatrix::A { .. } => (job.left(&adapter.gradient, &adapter.columns), panels),
            LayerMatrix::B { part, .. } => (job.left(dy, columns), &adapter.panels[part]),
            _ => (job.left(dy, columns), panels),
        };
        GradientOperands {
            left,
            panels,
            tokens: rows,
        }
    }
}

impl<T: Element> GradientSource<T, OutputMatrix> for OutputLayer<T> {
    fn operands(&self, _: &Parameters<T>, job: &GradientJob<OutputMatrix>) -> GradientOperands<'_, T> {
        GradientOperands {
            left: job.left(&self.logits, &self.columns),
            panels: &self.panels,
            tokens: self.rows,
        }
    }
}

/// The jobs of all trained matrices.
#[derive(Clone, Debug)]
pub struct GradientJobs {
    /// [layers]
    layers: Vec<Vec<GradientJob<LayerMatrix>>>,
    head: Vec<GradientJob<OutputMatrix>>,
}

impl GradientJobs {
    /// The jobs of a layout.
    pub fn new(layout: &Layout, trained: &Trainable) -> Self {
        let layer = |(index, layer): (usize, &LayerLayout)| {
            let which = [
                LayerMatrix::Qkv(index),
                LayerMatrix::Output(index),
                LayerMatrix::Gates(index),
                LayerMatrix::Down(index),
            ];
            let matrices = which.into_iter().zip(layer.matrices());
            let matrices = matrices.flat_map(|(which, matrix)| GradientJob::cut(which, matrix, matrix.rows, trained));
            matrices.chain(adapters(index, layer, trained)).collect()
        };
        Self {
            layers: layout.layers.iter().enumerate().map(layer).collect(),
            head: GradientJob::cut(OutputMatrix, layout.head, logits_stride(layout.head.rows), trained).collect(),
        }
    }

    /// Adds the gradients of one layer's matrices, after the backward pass of the `micro_batches` through it.
    pub fn layer<T: Element>(&self, parameters: &Parameters<T>, layer: usize, micro_batches: &[MicroBatch<T>], gradient: &mut [f32]) {
        run(&self.layers[layer], parameters, micro_batches, gradient);
    }

    /// Adds the gradient of the output layer, after it has computed its rows' loss.
    pub fn head<T: Element>(&self, parameters: &Parameters<T>, heads: &[OutputLayer<T>], gradient: &mut [f32]) {
        run(&self.head, parameters, heads, gradient);
    }
}

/// The jobs of a layer's adapters, in the order of the layout.
fn adapters<'a>(index: usize, layer: &'a LayerLayout, trained: &'a Trainable) -> impl Iterator<Item = GradientJob<LayerMatrix>> + 'a {
    let places = layer.adapters.iter().zip(layer.matrices()).enumerate();
    let adapted = places.filter_map(|(place, (adapter, matrix))| Some((place, adapter.as_ref()?, matrix.rows)));
    adapted.flat_map(move |(place, adapter, rows)| {
        let a = LayerMatrix::A { layer: index, place };
        let parts = adapter.parts.iter().enumerate().flat_map(move |(number, part)| {
            let b = LayerMatrix::B {
                layer: index,
                place,
                part: number,
            };
            GradientJob::cut(b, part.b, rows, trained).map(move |job| GradientJob {
                matrix_rows: rows,
                before: part.row,
                ..job
            })
        });
        GradientJob::cut(a, adapter.a, adapter.a.rows, trained).chain(parts)
    })
}

/// Runs jobs that lie end to end, on the threads of the pool.
fn run<T: Element, W: Copy + Sync, S: GradientSource<T, W>>(
    jobs: &[GradientJob<W>],
    parameters: &Parameters<T>,
    sources: &[S],
    gradient: &mut [f32],
) {
    if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
        split(jobs, parameters, sources, &mut gradient[first.start..last.end()]);
    }
}

/// Halves the jobs and their gradient until one job is left.
fn split<T: Element, W: Copy + Sync, S: GradientSource<T, W>>(
    jobs: &[GradientJob<W>],
    parameters: &Parameters<T>,
    sources: &[S],
    gradient: &mut [f32],
) {
    match jobs {
        [] => {}
        [job] => job.run(parameters, sources, gradient),
        _ => {
            let (low, high) = jobs.split_at(jobs.len() / 2);
            let (low_gradient, high_gradient) = gradient.split_at_mut(high[0].start - low[0].start);
            rayon::join(
                || split(low, parameters, sources, low_gradient),
                || split(high, parameters, sources, high_gradient),
            );
        }
    }
}
