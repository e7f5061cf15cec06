//! The weights as the forward and the backward pass read them: flat, and packed for the products.

use rayon::prelude::*;

use super::adapter::PackedAdapter;
use super::float_weights::FloatWeights;
use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::panels::{pack, pack_transposed, size};
use super::kernel::product::{Product, Reach, multiply};
use super::kernel::rope::RotaryTable;
use super::layout::{DOWN, GATES, Layout, Matrix, OUTPUT, QKV};
use super::operand::by_rows;
use super::trainable::Trainable;
use crate::engine::EngineError;
use crate::model::{Lora, ModelShape, WeightSource};

/// A matrix [out, in], packed for products.
#[derive(Clone, Debug)]
pub struct PackedMatrix<T> {
    pub matrix: Matrix,
    /// Of the transpose, [in, out]: for `y = x · Wᵀ`.
    forward: Vec<T>,
    /// Of the matrix itself, [out, in]: for `dx = dy · W`. Empty where the backward pass does not come.
    backward: Vec<T>,
    /// Whether the matrix changes, at least in part.
    trained: bool,
    /// What is added to the product, where the matrix is adapted.
    pub adapter: Option<Box<PackedAdapter<T>>>,
}

impl<T: Element> PackedMatrix<T> {
    pub fn new(matrix: Matrix, trained: bool, backward: bool, adapter: Option<Box<PackedAdapter<T>>>) -> Self {
        let Matrix { rows, columns, .. } = matrix;
        Self {
            matrix,
            forward: vec![T::default(); size::<T>(columns, rows)],
            backward: vec![T::default(); if backward { size::<T>(rows, columns) } else { 0 }],
            trained,
            adapter,
        }
    }

    pub fn fill(&mut self, cpu: Instructions, weights: &[f32]) {
        let Matrix { rows, columns, .. } = self.matrix;
        pack_transposed(cpu, weights, columns, columns, rows, &mut self.forward);
        if !self.backward.is_empty() {
            pack(cpu, weights, columns, rows, columns, &mut self.backward);
        }
    }

    /// The panels of `y = x · Wᵀ` from column `first` of `y` on, which begins a panel.
    pub fn panels(&self, first: usize) -> &[T] {
        &self.forward[first * self.matrix.columns.div_ceil(T::STEPS)..]
    }

    /// `y = x · Wᵀ`, added to `y` where `add`: `x` [rows, in], `y` [rows, out] with rows `stride` apart; `room` is working memory.
    #[expect(clippy::too_many_arguments, reason = "a product has as many")]
    pub fn apply(&self, cpu: Instructions, x: &[f32], rows: usize, add: bool, y: &mut [f32], stride: usize, room: &mut Vec<T>) {
        self.multiply(cpu, (x, self.matrix.columns), rows, add, (y, stride), room);
    }

    /// `dx = dy · W`: `dy` [rows, out] with rows `stride` apart, `dx` [rows, in]; `room` is working memory.
    pub fn apply_back(&self, cpu: Instructions, dy: &[f32], stride: usize, rows: usize, dx: &mut [f32], room: &mut Vec<T>) {
        self.multiply_back(cpu, (dy, stride), rows, false, (dx, self.matrix.columns), room);
    }

    /// [`Self::apply`] with `x` and `y` each with how far its rows are apart.
    pub fn multiply(
        &self,
        cpu: Instructions,
        (x, row): (&[f32], usize),
        rows: usize,
        add: bool,
        (y, stride): (&mut [f32], usize),
        room: &mut Vec<T>,
    ) {
        let Matrix {
            rows: out, columns: inner, ..
        } = self.matrix;
        let product = Product {
            rows,
            columns: out,
            inner,
            left: by_rows(cpu, x, row, (rows, inner), room),
            right: &self.forward,
            reach: Reach::Full,
            add,
            stride,
        };
        multiply(cpu, product, y);
    }

    /// [`Self::apply_back`], added to `dx` where `add`, with `dy` and `dx` each with how far its rows are apart.
    pub fn multiply_back(
        &self,
        cpu: Instructions,
        (dy, row): (&[f32], usize),
        rows: usize,
        add: bool,
        (dx, stride): (&mut [f32], usize),
        room: &mut Vec<T>,
    ) {
        let Matrix {
            rows: inner, columns: out, ..
        } = self.matrix;
        let product = Product {
            rows,
            columns: out,
            inner,
            left: by_rows(cpu, dy, row, (rows, inner), room),
            right: &self.backward,
            reach: Reach::Full,
            add,
            stride,
        };
        multiply(cpu, product, dx);
    }
}

/// The packed matrices of one layer.
#[derive(Clone, Debug)]
pub struct PackedLayer<T> {
    pub qkv: PackedMatrix<T>,
    pub output: PackedMatrix<T>,
    pub gates: PackedMatrix<T>,
    pub down: PackedMatrix<T>,
}

impl<T> PackedLayer<T> {
    fn matrices(&mut self) -> [&mut PackedMatrix<T>; 4] {
        [&mut self.qkv, &mut self.output, &mut self.gates, &mut self.down]
    }
}

/// All that a pass over the decoder reads and does not change.
#[derive(Clone, Debug)]
pub struct Parameters<T> {
    pub cpu: Instructions,
    pub shape: ModelShape,
    pub layout: Layout,
    pub rope: RotaryTable,
    pub floats: FloatWeights,
    pub layers: Vec<PackedLayer<T>>,
    pub head: PackedMatrix<T>,
    pub trained: Trainable,
    /// Whether a span keeps only the layers' inputs, and the backward pass computes the rest again.
    pub again: bool,
}

impl<T: Element> Parameters<T> {
    /// The parameters of `weights`, packed; for the backward pass too where they are `trained`.
    ///
    /// # Errors
    /// When a weight is missing or has another shape.
    pub fn new(shape: &ModelShape, weights: impl WeightSource, trained: bool) -> Result<Self, EngineError> {
        Self::of(shape, weights, None, &|_| trained)
    }

    /// The parameters of `weights`, packed; for the backward pass too as far as it comes for the weights that `is_trained`.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn of(
        shape: &ModelShape,
        mut weights: impl WeightSource,
        lora: Option<&Lora>,
        is_trained: &dyn Fn(&str) -> bool,
    ) -> Result<Self, EngineError> {
        let cpu = Instructions::best();
        let layout = Layout::new(shape, lora);
        let trained = Trainable::new(&layout, is_trained);
        let floats = FloatWeights::new(&layout, trained.packed_alone(&layout), &mut weights)?;
        let dropout = lora.map_or(0.0, |lora| lora.dropout);
        // What is packed alone is packed as it is read, from floats that are gone then: the output layer, often the largest, while little else is there.
        let mut pack_alone = |packed: &mut PackedMatrix<T>| {
            let part = packed.matrix.range();
            if !floats.has(&part) {
                let mut weight = Vec::new();
                layout.flatten(&mut weights, part, &mut weight)?;
                packed.fill(cpu, &weight);
            }
            Ok::<_, EngineError>(())
        };
        let mut head = PackedMatrix::new(layout.head, trained.head, trained.before_head(), None);
        pack_alone(&mut head)?;
        let layers = layout.layers.iter().enumerate().map(|(index, layer)| {
            let (matrices, back) = (layer.matrices(), trained.way_back(index));
            let mut packed = |place: usize| {
                let adapter = layer.adapters[place].as_ref();
                let adapter = adapter.map(|adapter| Box::new(PackedAdapter::new(adapter, dropout)));
                let matrix: Matrix = matrices[place];
                let mut packed = PackedMatrix::new(matrix, trained.has(matrix.range()), back[place], adapter);
                pack_alone(&mut packed)?;
                Ok::<_, EngineError>(packed)
            };
            Ok(PackedLayer {
                qkv: packed(QKV)?,
                output: packed(OUTPUT)?,
                gates: packed(GATES)?,
                down: packed(DOWN)?,
            })
        });
        let layers = layers.collect::<Result<_, EngineError>>()?;
        let mut parameters = Self {
            cpu,
            shape: shape.clone(),
            rope: RotaryTable::new(shape.head_dim, shape.turns()),
            floats,
            layers,
            head,
            layout,
            trained,
            again: false,
        };
        parameters.pack(|_| true);
        Ok(parameters)
    }

    /// Packs the trained weights anew, after a step.
    pub fn renew(&mut self) {
        self.pack(|packed| packed.trained);
    }

    /// Packs the matrices that are there as floats and that `is_due`.
    pub fn pack(&mut self, is_due: impl Fn(&PackedMatrix<T>) -> bool + Sync) {
        let Self {
            cpu, floats, layers, head, ..
        } = self;
        let weights = |matrix: Matrix| floats.part(matrix.range());
        let fill = |packed: &mut PackedMatrix<T>| {
            if floats.has(&packed.matrix.range()) && is_due(packed) {
                packed.fill(*cpu, weights(packed.matrix));
            }
            if let Some(adapter) = &mut packed.adapter {
                adapter.fill(*cpu, &weights);
            }
        };
        let layer = |layer: &mut PackedLayer<T>| {
            layer.matrices().into_iter().for_each(fill);
        };
        rayon::join(|| layers.par_iter_mut().for_each(layer), || fill(head));
    }

    /// The width of a row of queries, keys and values.
    pub fn qkv_width(&self) -> usize {
        (self.shape.heads + 2 * self.shape.kv_heads) * self.shape.head_dim
    }

    /// The width of a row of the heads' results.
    pub fn attended_width(&self) -> usize {
        self.shape.heads * self.shape.head_dim
    }

    /// How many layers' inputs a span keeps: those of the layers that the backward pass reaches, and one for the forward pass at least.
    pub fn kept_inputs(&self) -> usize {
        self.trained.reached().max(1)
    }

    /// The place of a layer's input among them. Layers that the backward pass does not reach share the lowest one.
    pub fn kept_input(&self, layer: usize) -> usize {
        (layer + self.kept_inputs()).saturating_sub(self.shape.layers)
    }

    /// How many layers a span keeps all of.
    pub fn kept_layers(&self) -> usize {
        if self.again { 1 } else { self.kept_inputs() }
    }

    /// The place of a layer among them.
    pub fn kept_layer(&self, layer: usize) -> usize {
        if self.again { 0 } else { self.kept_input(layer) }
    }

    /// Gives each row of queries, keys and values the layer's biases, where it has some: the product is added to them.
    pub fn set_biases(&self, layer: usize, rows: &mut [f32]) {
        let biases = self.floats.part(self.layout.layers[layer].qkv_bias.clone());
        if !biases.is_empty() {
            rows.chunks_exact_mut(biases.len()).for_each(|row| row.copy_from_slice(biases));
        }
    }
}
