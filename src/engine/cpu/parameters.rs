//! The weights as the forward and the backward pass read them: flat, and packed for the products.

use rayon::prelude::*;

use super::kernel::Instructions;
use super::kernel::number::Number;
use super::kernel::panels::{pack, pack_transposed, size};
use super::kernel::product::{Product, Reach, multiply};
use super::kernel::rope::Rope;
use super::layout::{Layout, Matrix};
use super::operand::by_rows;
use crate::engine::EngineError;
use crate::model::{Shape, Weights};

/// A matrix [out, in], packed for products.
#[derive(Clone, Debug)]
pub struct Packed<T> {
    matrix: Matrix,
    /// Of the transpose, [in, out]: for `y = x · Wᵀ`.
    forward: Vec<T>,
    /// Of the matrix itself, [out, in]: for `dx = dy · W`. Empty where nothing is trained.
    backward: Vec<T>,
}

impl<T: Number> Packed<T> {
    fn new(matrix: Matrix, trained: bool) -> Self {
        let Matrix { rows, columns, .. } = matrix;
        Self {
            matrix,
            forward: vec![T::default(); size::<T>(columns, rows)],
            backward: vec![T::default(); if trained { size::<T>(rows, columns) } else { 0 }],
        }
    }

    fn fill(&mut self, cpu: Instructions, flat: &[f32]) {
        let Matrix { rows, columns, .. } = self.matrix;
        let weights = &flat[self.matrix.range()];
        pack_transposed(cpu, weights, columns, columns, rows, &mut self.forward);
        if !self.backward.is_empty() {
            pack(cpu, weights, columns, rows, columns, &mut self.backward);
        }
    }

    /// `y = x · Wᵀ`, added to `y` where `add`: `x` [rows, in], `y` [rows, out] with rows `stride` apart; `room` is working memory.
    #[expect(clippy::too_many_arguments, reason = "a product has as many")]
    pub fn apply(&self, cpu: Instructions, x: &[f32], rows: usize, add: bool, y: &mut [f32], stride: usize, room: &mut Vec<T>) {
        let Matrix {
            rows: out, columns: inner, ..
        } = self.matrix;
        let left = by_rows(cpu, x, inner, (rows, inner), room);
        let product = Product {
            rows,
            columns: out,
            inner,
            left,
            right: &self.forward,
            reach: Reach::Full,
            add,
            stride,
        };
        multiply(cpu, product, y);
    }

    /// `dx = dy · W`: `dy` [rows, out] with rows `stride` apart, `dx` [rows, in]; `room` is working memory.
    pub fn apply_back(&self, cpu: Instructions, dy: &[f32], stride: usize, rows: usize, dx: &mut [f32], room: &mut Vec<T>) {
        let Matrix {
            rows: inner, columns: out, ..
        } = self.matrix;
        let left = by_rows(cpu, dy, stride, (rows, inner), room);
        let product = Product {
            rows,
            columns: out,
            inner,
            left,
            right: &self.backward,
            reach: Reach::Full,
            add: false,
            stride: out,
        };
        multiply(cpu, product, dx);
    }
}

/// The packed matrices of one layer.
#[derive(Clone, Debug)]
pub struct PackedLayer<T> {
    pub qkv: Packed<T>,
    pub output: Packed<T>,
    pub gates: Packed<T>,
    pub down: Packed<T>,
}

/// All that a pass over the decoder reads and does not change.
#[derive(Clone, Debug)]
pub struct Parameters<T> {
    pub cpu: Instructions,
    pub shape: Shape,
    pub layout: Layout,
    pub rope: Rope,
    /// All weights, as the layout says.
    pub flat: Vec<f32>,
    pub layers: Vec<PackedLayer<T>>,
    pub head: Packed<T>,
}

impl<T: Number> Parameters<T> {
    /// The parameters of `weights`, packed; for the backward pass too where they are `trained`.
    ///
    /// # Errors
    /// When a weight is missing or has another shape.
    pub fn new(shape: &Shape, weights: &Weights, trained: bool) -> Result<Self, EngineError> {
        let layout = Layout::new(shape);
        let flat = layout.flatten(weights)?;
        let layers = layout.layers.iter().map(|layer| PackedLayer {
            qkv: Packed::new(layer.qkv, trained),
            output: Packed::new(layer.output, trained),
            gates: Packed::new(layer.gates, trained),
            down: Packed::new(layer.down, trained),
        });
        let mut parameters = Self {
            cpu: Instructions::best(),
            shape: shape.clone(),
            rope: Rope::new(shape.head(), shape.context, shape.rope_theta),
            flat,
            layers: layers.collect(),
            head: Packed::new(layout.head, trained),
            layout,
        };
        parameters.pack();
        Ok(parameters)
    }

    /// Packs the flat weights anew, after they have changed.
    pub fn pack(&mut self) {
        let Self {
            cpu, flat, layers, head, ..
        } = self;
        let fill = |packed: &mut Packed<T>| packed.fill(*cpu, flat);
        let layer = |layer: &mut PackedLayer<T>| {
            [&mut layer.qkv, &mut layer.output, &mut layer.gates, &mut layer.down]
                .into_iter()
                .for_each(fill);
        };
        rayon::join(|| layers.par_iter_mut().for_each(layer), || fill(head));
    }

    /// The width of a row of queries, keys and values.
    pub fn qkv_width(&self) -> usize {
        (self.shape.heads + 2 * self.shape.kv_heads) * self.shape.head()
    }

    /// The width of a row of the heads' results.
    pub fn attended_width(&self) -> usize {
        self.shape.heads * self.shape.head()
    }

    /// One weight or a part of it.
    pub fn slice(&self, range: std::ops::Range<usize>) -> &[f32] {
        &self.flat[range]
    }
}
