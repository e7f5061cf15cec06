//! The weights as the passes read them: flat, and packed for products.

use rayon::prelude::*;

use super::adapter::{AdaptedMatrix, PackedAdapter};
use super::float_weights::FloatWeights;
use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::lookup;
use super::kernel::rope::{RotaryTable, Turn, turn};
use super::layout::{DOWN, GATES, Layout, Matrix, OUTPUT, QKV};
use super::packed_matrix::PackedMatrix;
use super::trainable::Trainable;
use crate::engine::EngineError;
use crate::model::{Lora, ModelShape, Places, WeightSource};

/// The packed matrices of one layer.
#[derive(Clone, Debug)]
pub struct PackedLayer<T> {
    pub qkv: AdaptedMatrix<T>,
    pub output: AdaptedMatrix<T>,
    pub gates: AdaptedMatrix<T>,
    pub down: AdaptedMatrix<T>,
}

impl<T> PackedLayer<T> {
    fn matrices(&mut self) -> [&mut AdaptedMatrix<T>; 4] {
        [&mut self.qkv, &mut self.output, &mut self.gates, &mut self.down]
    }
}

/// Everything that the passes read and do not change.
#[derive(Clone, Debug)]
pub struct Parameters<T> {
    pub cpu: Instructions,
    pub shape: ModelShape,
    pub layout: Layout,
    /// `None` without rotary positions.
    pub rope: Option<RotaryTable>,
    pub floats: FloatWeights,
    pub layers: Vec<PackedLayer<T>>,
    pub head: PackedMatrix<T>,
    pub trainable: Trainable,
    /// Whether a micro-batch keeps only the layers' inputs, and the backward pass recomputes the rest.
    pub recompute: bool,
}

impl<T: Element> Parameters<T> {
    /// The packed parameters of `weights`. If `trained`, all of them are trained and packed for the backward pass too.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape.
    pub fn new(shape: &ModelShape, weights: impl WeightSource, trained: bool) -> Result<Self, EngineError> {
        Self::with_trainable(shape, weights, None, &|_| trained)
    }

    /// The packed parameters of `weights`. Those that the backward pass needs for the weights that `is_trained` are packed for it too.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn with_trainable(
        shape: &ModelShape,
        mut weights: impl WeightSource,
        lora: Option<&Lora>,
        is_trained: &dyn Fn(&str) -> bool,
    ) -> Result<Self, EngineError> {
        let cpu = Instructions::best();
        let layout = Layout::new(shape, lora);
        let trainable = Trainable::new(&layout, is_trained);
        let floats = FloatWeights::new(&layout, trainable.packed_only(&layout), &mut weights)?;
        let dropout = lora.map_or(0.0, |lora| lora.dropout);
        // Matrices without floats are packed as they are read, and the floats are freed at once: the output layer, often the largest,
        // comes first, when little else is in memory.
        let mut pack_only = |packed: &mut PackedMatrix<T>| {
            let part = packed.matrix.range();
            if !floats.has(&part) {
                let mut weight = Vec::new();
                layout.flatten(&mut weights, part, &mut weight)?;
                packed.fill(cpu, &weight);
            }
            Ok::<_, EngineError>(())
        };
        let mut head = PackedMatrix::new(layout.head, trainable.head, trainable.below_output_layer());
        pack_only(&mut head)?;
        let layers = layout.layers.iter().enumerate().map(|(index, layer)| {
            let (matrices, backward) = (layer.matrices(), trainable.backward_matrices(index));
            let mut matrix = |place: usize| {
                let matrix: Matrix = matrices[place];
                let mut packed = PackedMatrix::new(matrix, trainable.has(matrix.range()), backward[place]);
                pack_only(&mut packed)?;
                let adapter = layer.adapters[place].as_ref();
                let adapter = adapter.map(|adapter| Box::new(PackedAdapter::new(adapter, dropout)));
                Ok::<_, EngineError>(AdaptedMatrix { packed, adapter })
            };
            Ok(PackedLayer {
                qkv: matrix(QKV)?,
                output: matrix(OUTPUT)?,
                gates: matrix(GATES)?,
                down: matrix(DOWN)?,
            })
        });
        let layers = layers.collect::<Result<_, EngineError>>()?;
        let mut parameters = Self {
            cpu,
            shape: shape.clone(),
            rope: shape.is_rotary().then(|| RotaryTable::new(shape.head_dim, shape.turns())),
            floats,
            layers,
            head,
            layout,
            trainable,
            recompute: false,
        };
        parameters.pack(|_| true);
        Ok(parameters)
    }

    /// Packs the trained weights again, after a step.
    pub fn pack_trained(&mut self) {
        self.pack(|packed| packed.trained);
    }

    /// Packs all weights that have floats again.
    pub fn pack_all(&mut self) {
        self.pack(|_| true);
    }

    /// Packs the adapters, and the matrices that have floats and that `is_due`.
    fn pack(&mut self, is_due: impl Fn(&PackedMatrix<T>) -> bool + Sync) {
        let Self {
            cpu, floats, layers, head, ..
        } = self;
        let weights = |matrix: Matrix| floats.part(matrix.range());
        let fill = |packed: &mut PackedMatrix<T>| {
            if floats.has(&packed.matrix.range()) && is_due(packed) {
                packed.fill(*cpu, weights(packed.matrix));
            }
        };
        let layer = |layer: &mut PackedLayer<T>| {
            for AdaptedMatrix { packed, adapter } in layer.matrices() {
                fill(packed);
                if let Some(adapter) = adapter {
                    adapter.fill(*cpu, &weights);
                }
            }
        };
        rayon::join(|| layers.par_iter_mut().for_each(layer), || fill(head));
    }

    /// Rotates the queries and keys of consecutive rows from position `start` on; nothing without rotary positions.
    pub fn turn(&self, way: Turn, qkv: &mut [f32], start: usize) {
        if let Some(rope) = &self.rope {
            turn(
                self.cpu,
                rope,
                way,
                qkv,
                self.qkv_width(),
                self.shape.heads + self.shape.kv_heads,
                start,
            );
        }
    }

    /// Adds the rows of the tables of positions to `stream` [tokens, width], for tokens with these `lines`, `columns` and `places`.
    pub fn add_positions(&self, lines: &[u32], columns: &[u32], places: &[u32], stream: &mut [f32]) {
        let (layout, width) = (&self.layout, self.shape.width);
        for (table, each, rows) in [
            (layout.lines, 1, lines),
            (layout.columns, 1, columns),
            (layout.places, Places::TABLES, places),
        ] {
            if table.rows > 0 {
                lookup::add_rows(self.floats.part(table.range()), width, each, rows, stream);
            }
        }
    }

    /// The width of a row of queries, keys and values.
    pub fn qkv_width(&self) -> usize {
        (self.shape.heads + 2 * self.shape.kv_heads) * self.shape.head_dim
    }

    /// The width of a row of the heads' results.
    pub fn attended_width(&self) -> usize {
        self.shape.heads * self.shape.head_dim
    }

    /// How many layers' inputs a micro-batch keeps: those of the layers that the backward pass reaches, and at least one for the forward
    /// pass.
    pub fn kept_inputs(&self) -> usize {
        self.trainable.reached().max(1)
    }

    /// Index of a layer's input among them. Layers that the backward pass does not reach share the lowest one.
    pub fn kept_input(&self, layer: usize) -> usize {
        (layer + self.kept_inputs()).saturating_sub(self.shape.layers)
    }

    /// How many layers a micro-batch keeps all activations of.
    pub fn kept_layers(&self) -> usize {
        if self.recompute { 1 } else { self.kept_inputs() }
    }

    /// Index of a layer among them.
    pub fn kept_layer(&self, layer: usize) -> usize {
        if self.recompute { 0 } else { self.kept_input(layer) }
    }

    /// Sets each row of queries, keys and values to the layer's biases, if it has any. The product is then added to them.
    pub fn set_biases(&self, layer: usize, rows: &mut [f32]) {
        let biases = self.floats.part(self.layout.layers[layer].qkv_bias.clone());
        if !biases.is_empty() {
            rows.chunks_exact_mut(biases.len()).for_each(|row| row.copy_from_slice(biases));
        }
    }
}
