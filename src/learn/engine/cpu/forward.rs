//! The forward pass of a micro-batch, up to the rows that the output layer reads.

use std::ops::Range;

use super::adapter::AdapterPass;
use super::attention;
use super::head_norm::HeadNorms;
use super::kernel::element::Element;
use super::kernel::rope::Turn;
use super::kernel::{activation, lookup, norm};
use super::layout::{DOWN, GATES, OUTPUT, QKV};
use super::micro_batch::MicroBatch;
use super::parameters::Parameters;
use super::rows::{RowView, RowViewMut};
use crate::engine::Batch;
use crate::model::Places;

impl<T: Element> MicroBatch<T> {
    /// Runs the decoder over the tokens. Leaves the inputs of [`MicroBatch::backward`] and the rows of [`MicroBatch::output_rows`].
    pub fn forward(&mut self, parameters: &Parameters<T>, batch: &Batch) {
        let shape = &parameters.shape;
        self.embed(parameters, batch);
        for layer in 0..shape.layers {
            self.forward_kept(parameters, layer);
            self.project_down(parameters, layer);
        }
        norm::forward(
            parameters.cpu,
            &self.output,
            parameters.floats.part(parameters.layout.final_norm.clone()),
            shape.norm_epsilon as f32,
            &mut self.normed[..self.trained.len() * shape.width],
            &mut self.output_scales,
        );
    }

    /// Computes all kept activations of a layer from its input.
    pub fn forward_kept(&mut self, parameters: &Parameters<T>, layer: usize) {
        self.resize_layer(parameters, layer);
        self.attend(parameters, layer);
        self.project_up(parameters, layer);
    }

    /// The embeddings of tokens and positions: the first layer's input.
    fn embed(&mut self, parameters: &Parameters<T>, batch: &Batch) {
        let (layout, width) = (&parameters.layout, parameters.shape.width);
        let input = &mut self.inputs[0];
        lookup::copy_rows(
            parameters.floats.part(layout.embedding.range()),
            width,
            &batch.tokens[self.tokens.clone()],
            input,
        );
        parameters.add_positions(
            part(&batch.lines, &self.tokens, 1),
            part(&batch.columns, &self.tokens, 1),
            part(&batch.places, &self.tokens, Places::TABLES),
            input,
        );
    }

    /// Norm, queries, keys and values, their norms, rotary positions and attention, up to the heads' results.
    fn attend(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (tokens, stride, width) = (self.tokens.len(), parameters.qkv_width(), parameters.attended_width());
        let mask = self.dropout_masks(layer)[QKV];
        let (input, kept) = (
            &self.inputs[parameters.kept_input(layer)],
            &mut self.layers[parameters.kept_layer(layer)],
        );
        let norm_weight = parameters.floats.part(place.attention_norm.clone());
        norm::forward(
            cpu,
            input,
            norm_weight,
            shape.norm_epsilon as f32,
            &mut self.normed,
            &mut kept.input_scales,
        );
        parameters.set_biases(layer, &mut kept.qkv);
        let pass = AdapterPass {
            mask,
            buffers: &mut self.gradients.adapters[QKV],
        };
        let (x, y) = (
            RowView::dense(&self.normed, tokens, shape.width),
            RowViewMut::new(&mut kept.qkv, stride),
        );
        parameters.layers[layer]
            .qkv
            .apply(cpu, x, y, shape.qkv_bias, pass, &mut self.converted);
        if let Some(norms) = HeadNorms::new(parameters, layer) {
            norms.forward(&mut kept.qkv, &mut kept.head_inputs, &mut kept.head_scales);
        }
        let mut start = 0;
        for length in &self.lengths {
            let end = start + length;
            let qkv = &mut kept.qkv[start * stride..end * stride];
            parameters.turn(Turn::Forward, qkv, 0);
            let sums = &mut kept.sums[start * shape.heads..end * shape.heads];
            let attended = &mut kept.attended[start * width..end * width];
            attention::forward(parameters, qkv, sums, attended, &mut self.attention);
            start = end;
        }
    }

    /// The output projection of the attention, the residual stream, its norm, gate and up.
    fn project_up(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (rows, width, matrices) = (self.rows(parameters, layer), shape.width, &parameters.layers[layer]);
        let masks = self.dropout_masks(layer);
        let (input, kept) = (
            &self.inputs[parameters.kept_input(layer)],
            &mut self.layers[parameters.kept_layer(layer)],
        );
        let attended = parameters.attended_width();
        if layer + 1 == shape.layers {
            gather(&mut kept.attended, attended, &self.trained);
            for (row, token) in kept.middle.chunks_exact_mut(width).zip(&self.trained) {
                row.copy_from_slice(&input[token * width..][..width]);
            }
        } else {
            kept.middle.copy_from_slice(input);
        }
        let pass = AdapterPass {
            mask: masks[OUTPUT],
            buffers: &mut self.gradients.adapters[OUTPUT],
        };
        let (x, y) = (
            RowView::dense(&kept.attended, rows, attended),
            RowViewMut::new(&mut kept.middle, width),
        );
        matrices.output.apply(cpu, x, y, true, pass, &mut self.converted);
        let norm_weight = parameters.floats.part(place.feed_forward_norm.clone());
        let normed = &mut self.normed[..rows * width];
        norm::forward(
            cpu,
            &kept.middle,
            norm_weight,
            shape.norm_epsilon as f32,
            normed,
            &mut kept.middle_scales,
        );
        let pass = AdapterPass {
            mask: masks[GATES],
            buffers: &mut self.gradients.adapters[GATES],
        };
        let (x, y) = (
            RowView::dense(normed, rows, width),
            RowViewMut::new(&mut kept.gates, 2 * shape.feed_forward),
        );
        matrices.gates.apply(cpu, x, y, false, pass, &mut self.converted);
    }

    /// The rest of the feed-forward layer. Leaves the input of the next layer, or of the final norm.
    fn project_down(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, rows) = (parameters.cpu, &parameters.shape, self.rows(parameters, layer));
        let mask = self.dropout_masks(layer)[DOWN];
        let pass = AdapterPass {
            mask,
            buffers: &mut self.gradients.adapters[DOWN],
        };
        let kept = &self.layers[parameters.kept_layer(layer)];
        let output = if layer + 1 == shape.layers {
            &mut self.output
        } else {
            &mut self.inputs[parameters.kept_input(layer + 1)]
        };
        activation::forward(cpu, &kept.gates, shape.feed_forward, &mut self.hidden);
        output.copy_from_slice(&kept.middle);
        let (x, y) = (
            RowView::dense(&self.hidden, rows, shape.feed_forward),
            RowViewMut::new(output, shape.width),
        );
        parameters.layers[layer].down.apply(cpu, x, y, true, pass, &mut self.converted);
    }
}

/// The part of a list for some of the tokens, with `each` numbers for a token. A list that is not used is empty.
fn part<'a>(list: &'a [u32], tokens: &Range<usize>, each: usize) -> &'a [u32] {
    list.get(tokens.start * each..tokens.end * each).unwrap_or_default()
}

/// Moves the kept rows to the front, in their order.
fn gather(rows: &mut [f32], width: usize, kept: &[usize]) {
    for (to, from) in kept.iter().enumerate() {
        rows.copy_within(from * width..(from + 1) * width, to * width);
    }
}
