//! Which weights are trained, where their gradients and moments are, and how far down the backward pass has to go for them.
//!
//! Frozen weights have no gradient and no moments. Those buffers hold only the trained weights, in the order of the layout.

use std::ops::Range;

use super::layout::{Layout, Matrix};

/// Which weights of one layer are trained, at least in part, or adapted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainableLayer {
    pub qkv: bool,
    pub output: bool,
    pub gates: bool,
    pub down: bool,
    attention_norm: bool,
    qkv_bias: bool,
    qk_norm: bool,
    feed_forward_norm: bool,
}

impl TrainableLayer {
    fn attention(self) -> bool {
        self.qkv || self.output || self.attention_norm || self.qkv_bias || self.qk_norm
    }

    fn any(self) -> bool {
        self.attention() || self.gates || self.down || self.feed_forward_norm
    }
}

/// The trained weights of a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Trainable {
    /// Ranges of the flat weights, ascending and disjoint, each with its start among the trained weights.
    ranges: Vec<(Range<usize>, usize)>,
    /// Number of trained parameters.
    pub length: usize,
    /// [layers]
    pub layers: Vec<TrainableLayer>,
    pub head: bool,
    /// Whether any embedding is trained.
    pub embeddings: bool,
    final_norm: bool,
    /// The lowest layer that the backward pass reaches; the number of layers if it reaches none.
    pub lowest: usize,
}

impl Trainable {
    /// Trains the tensors of `layout` for whose names `is_trained` holds.
    pub fn new(layout: &Layout, is_trained: &dyn Fn(&str) -> bool) -> Self {
        let mut ranges: Vec<(Range<usize>, usize)> = Vec::new();
        let mut length = 0;
        for (name, _, range) in layout.tensors().filter(|(name, ..)| is_trained(name)) {
            debug_assert!(layout.length >= range.end, "{name}");
            let size = range.len();
            match ranges.last_mut() {
                Some((last, _)) if last.end == range.start => last.end = range.end,
                _ => ranges.push((range, length)),
            }
            length += size;
        }
        let mut trained = Self {
            ranges,
            length,
            layers: Vec::new(),
            head: false,
            embeddings: false,
            final_norm: false,
            lowest: 0,
        };
        let has = |range: Range<usize>| trained.has(range);
        let layers: Vec<TrainableLayer> = layout
            .layers
            .iter()
            .map(|layer| {
                let mut adapters = layer.adapters.iter().map(Option::is_some);
                let [qkv, output, gates, down] = layer
                    .matrices()
                    .map(|matrix| has(matrix.range()) | adapters.next().unwrap_or_default());
                TrainableLayer {
                    qkv,
                    output,
                    gates,
                    down,
                    attention_norm: has(layer.attention_norm.clone()),
                    qkv_bias: has(layer.qkv_bias.clone()),
                    qk_norm: has(layer.qk_norm.clone()),
                    feed_forward_norm: has(layer.feed_forward_norm.clone()),
                }
            })
            .collect();
        let tables = [layout.embedding, layout.lines, layout.columns, layout.places];
        let (head, embeddings) = (has(layout.head.range()), tables.iter().map(Matrix::range).any(has));
        let final_norm = has(layout.final_norm.clone());
        let lowest = layers.iter().position(|layer| layer.any()).unwrap_or(layers.len());
        trained.lowest = if embeddings { 0 } else { lowest };
        Self {
            layers,
            head,
            embeddings,
            final_norm,
            ..trained
        }
    }

    /// The trained parts of a range of the flat weights, each with its start among the trained weights.
    pub fn within(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> {
        self.ranges.iter().filter_map(move |(trained, start)| {
            let part = trained.start.max(range.start)..trained.end.min(range.end);
            (part.start < part.end).then(|| (part.clone(), start + part.start - trained.start))
        })
    }

    /// Whether a range of the flat weights is trained, at least in part.
    pub fn has(&self, range: Range<usize>) -> bool {
        self.within(range).next().is_some()
    }

    /// Whether any weight below the output layer is trained.
    pub fn below_output_layer(&self) -> bool {
        self.final_norm || self.lowest < self.layers.len()
    }

    /// The parts of the layout that are kept only in packed form, ascending. These are the layers' matrices if none of them is trained
    /// (because adapters are, or nothing is), and then also the output layer if it is neither trained nor the embedding.
    pub fn packed_only(&self, layout: &Layout) -> [Range<usize>; 2] {
        let mut adapters = layout.layers.iter().flat_map(|layer| &layer.adapters);
        if self.length > 0 && !adapters.any(Option::is_some) {
            return [0..0, 0..0];
        }
        let matrices = 0..layout.embedding.start;
        let end = layout.embedding.range().end;
        let head = if layout.head == layout.embedding || self.head {
            end..end
        } else {
            layout.head.range()
        };
        [matrices, head]
    }

    /// Name, shape and range of the weights that a trainer returns: all of them, or with adapters only these.
    pub fn reported<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = (&'a str, &'a [usize], Range<usize>)> {
        let whole = self.packed_only(layout).iter().all(Range::is_empty);
        layout.tensors().filter(move |(.., range)| whole || self.has(range.clone()))
    }

    /// Number of layers that the backward pass reaches.
    pub fn reached(&self) -> usize {
        self.layers.len() - self.lowest
    }

    /// Which matrices of `layer` the backward pass uses, in the order of [`super::layout::LayerLayout::matrices`].
    pub fn backward_matrices(&self, layer: usize) -> [bool; 4] {
        let back = layer >= self.lowest;
        let attention = back && self.through_attention(layer);
        [attention, attention, back, back]
    }

    /// Whether the backward pass goes through the attention of `layer`, a layer that it reaches.
    pub fn through_attention(&self, layer: usize) -> bool {
        layer > self.lowest || self.embeddings || self.layers[layer].attention()
    }
}
