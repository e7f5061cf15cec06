//! The gradients of the weights, `dW = dYᵀ · X`: each job a range of rows of one matrix, over all spans in their order.
//!
//! Every element is added up by one job, token by token in the order of the batch, so the bits do not depend on the threads.

use std::ops::Range;

use super::head::{Head, logits_stride};
use super::kernel::number::Number;
use super::kernel::product::{Left, Product, Reach, multiply};
use super::layout::{DOWN, GATES, Layer, Layout, Matrix, OUTPUT, QKV};
use super::operand::by_columns;
use super::parameters::Parameters;
use super::span::Span;
use super::trained::Trained;

/// Rows of a matrix to one job: a multiple of every level's tile.
const ROWS: usize = 96;

/// Which matrix of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Qkv(usize),
    Output(usize),
    Gates(usize),
    Down(usize),
    /// The adapters of the matrix at this place: all `A`.
    A {
        layer: usize,
        place: usize,
    },
    /// The `B` of one of its parts.
    B {
        layer: usize,
        place: usize,
        part: usize,
    },
}

/// The output layer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Output;

/// A range of rows of one matrix, `which`.
#[derive(Clone, Debug)]
struct Job<W> {
    which: W,
    rows: Range<usize>,
    columns: usize,
    /// From one token's row of the product's gradient to the next.
    stride: usize,
    /// Rows of the whole matrix.
    matrix_rows: usize,
    /// Of them, those before the first of the matrix that `rows` count in.
    before: usize,
    /// Where the rows start in the gradient.
    start: usize,
}

/// The transposed gradient of a matrix's product, the panels of the product's input, and the number of rows of both.
type Operands<'a, T> = (Left<'a, T>, &'a [T], usize);

impl<W: Copy> Job<W> {
    /// The jobs of the rows of `matrix` that are trained.
    fn cut(which: W, matrix: Matrix, stride: usize, trained: &Trained) -> impl Iterator<Item = Self> {
        trained.within(matrix.range()).flat_map(move |(range, start)| {
            let rows = (range.start - matrix.start) / matrix.columns..(range.end - matrix.start) / matrix.columns;
            rows.clone().step_by(ROWS).map(move |first| Self {
                which,
                rows: first..(first + ROWS).min(rows.end),
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

    /// Adds the gradients of all `sources` to `gradient`, the job's part of the buffer.
    fn run<T: Number, S: Source<T, W>>(&self, parameters: &Parameters<T>, sources: &[S], gradient: &mut [f32]) {
        for source in sources {
            let (left, panels, tokens) = source.operands(parameters, self);
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
    fn left<'a, T: Number>(&self, dy: &'a [f32], columns: &'a [T]) -> Left<'a, T> {
        by_columns(dy, self.stride, self.matrix_rows, self.before + self.rows.start, columns)
    }
}

/// Rows that give a part of a gradient.
trait Source<T, W>: Sync {
    fn operands(&self, parameters: &Parameters<T>, job: &Job<W>) -> Operands<'_, T>;
}

impl<T: Number> Source<T, Which> for Span<T> {
    fn operands(&self, parameters: &Parameters<T>, job: &Job<Which>) -> Operands<'_, T> {
        let (layer, place) = match job.which {
            Which::Qkv(layer) => (layer, QKV),
            Which::Output(layer) => (layer, OUTPUT),
            Which::Gates(layer) => (layer, GATES),
            Which::Down(layer) => (layer, DOWN),
            Which::A { layer, place } | Which::B { layer, place, .. } => (layer, place),
        };
        // Keys and values have a row for each token, also in the last layer.
        let rows = if place == QKV {
            self.tokens.len()
        } else {
            self.rows(parameters, layer)
        };
        if rows == 0 {
            let nothing = Left {
                data: &[],
                row: 1,
                step: 1,
            };
            return (nothing, &[], 0);
        }
        let back = &self.back;
        let (dy, columns, panels) = match place {
            QKV => (&back.qkv, &back.qkv_columns, &back.input_panels),
            OUTPUT => (&back.middle, &back.middle_columns, &back.attended_panels),
            GATES => {
                let gates = &self.layers[parameters.kept_layer(layer)].gates;
                (gates, &back.gates_columns, &back.middle_panels)
            }
            _ => (&back.output, &back.output_columns, &back.hidden_panels),
        };
        let low = &back.low[place];
        match job.which {
            Which::A { .. } => (job.left(&low.gradient, &low.columns), panels, rows),
            Which::B { part, .. } => (job.left(dy, columns), &low.panels[part], rows),
            _ => (job.left(dy, columns), panels, rows),
        }
    }
}

impl<T: Number> Source<T, Output> for Head<T> {
    fn operands(&self, _: &Parameters<T>, job: &Job<Output>) -> Operands<'_, T> {
        (job.left(&self.logits, &self.columns), &self.panels, self.rows)
    }
}

/// The jobs of all trained matrices.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// [layers]
    layers: Vec<Vec<Job<Which>>>,
    head: Vec<Job<Output>>,
}

impl Jobs {
    /// The jobs of a layout.
    pub fn new(layout: &Layout, trained: &Trained) -> Self {
        let layer = |(index, layer): (usize, &Layer)| {
            let which = [Which::Qkv(index), Which::Output(index), Which::Gates(index), Which::Down(index)];
            let matrices = which.into_iter().zip(layer.matrices());
            let matrices = matrices.flat_map(|(which, matrix)| Job::cut(which, matrix, matrix.rows, trained));
            matrices.chain(adapters(index, layer, trained)).collect()
        };
        Self {
            layers: layout.layers.iter().enumerate().map(layer).collect(),
            head: Job::cut(Output, layout.head, logits_stride(layout.head.rows), trained).collect(),
        }
    }

    /// Adds the gradients of one layer's matrices, after the spans' backward pass through it.
    pub fn layer<T: Number>(&self, parameters: &Parameters<T>, layer: usize, spans: &[Span<T>], gradient: &mut [f32]) {
        run(&self.layers[layer], parameters, spans, gradient);
    }

    /// Adds the gradient of the output layer, after it has scored its rows.
    pub fn head<T: Number>(&self, parameters: &Parameters<T>, heads: &[Head<T>], gradient: &mut [f32]) {
        run(&self.head, parameters, heads, gradient);
    }
}

/// The jobs of a layer's adapters, in the order of the layout.
fn adapters<'a>(index: usize, layer: &'a Layer, trained: &'a Trained) -> impl Iterator<Item = Job<Which>> + 'a {
    let places = layer.adapters.iter().zip(layer.matrices()).enumerate();
    let adapted = places.filter_map(|(place, (adapter, matrix))| Some((place, adapter.as_ref()?, matrix.rows)));
    adapted.flat_map(move |(place, adapter, rows)| {
        let a = Which::A { layer: index, place };
        let parts = adapter.parts.iter().enumerate().flat_map(move |(number, part)| {
            let b = Which::B {
                layer: index,
                place,
                part: number,
            };
            Job::cut(b, part.b, rows, trained).map(move |job| Job {
                matrix_rows: rows,
                before: part.row,
                ..job
            })
        });
        Job::cut(a, adapter.a, adapter.a.rows, trained).chain(parts)
    })
}

/// Runs jobs that lie end to end, on the threads of the pool.
fn run<T: Number, W: Copy + Sync, S: Source<T, W>>(jobs: &[Job<W>], parameters: &Parameters<T>, sources: &[S], gradient: &mut [f32]) {
    if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
        split(jobs, parameters, sources, &mut gradient[first.start..last.end()]);
    }
}

/// Halves the jobs, and the gradient between them, until one is left.
fn split<T: Number, W: Copy + Sync, S: Source<T, W>>(jobs: &[Job<W>], parameters: &Parameters<T>, sources: &[S], gradient: &mut [f32]) {
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
