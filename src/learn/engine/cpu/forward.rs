//! The forward pass of a span, up to the rows that the output layer reads.

use super::attention;
use super::kernel::element::Element;
use super::kernel::rope::{Turn, turn};
use super::kernel::{activation, lookup, norm};
use super::layout::{DOWN, GATES, OUTPUT, QKV};
use super::micro_batch::MicroBatch;
use super::parameters::Parameters;
use crate::engine::Batch;

impl<T: Element> MicroBatch<T> {
    /// Runs the decoder over the span's tokens. What is left: all that [`MicroBatch::backward`] needs, and the rows of [`MicroBatch::scored`].
    pub fn forward(&mut self, parameters: &Parameters<T>, batch: &Batch) {
        let shape = &parameters.shape;
        self.embed(parameters, batch);
        for layer in 0..shape.layers {
            self.expand(parameters, layer);
            self.contract(parameters, layer);
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

    /// From a layer's input to all that is kept of it.
    pub fn expand(&mut self, parameters: &Parameters<T>, layer: usize) {
        self.resize_layer(parameters, layer);
        self.attend(parameters, layer);
        self.open_gates(parameters, layer);
    }

    /// Token, line and column embeddings: the first layer's input.
    fn embed(&mut self, parameters: &Parameters<T>, batch: &Batch) {
        let (layout, width) = (&parameters.layout, parameters.shape.width);
        let input = &mut self.inputs[0];
        lookup::copy_rows(
            parameters.floats.part(layout.embedding.range()),
            width,
            &batch.tokens[self.tokens.clone()],
            input,
        );
        if layout.lines.rows > 0 {
            lookup::add_rows(
                parameters.floats.part(layout.lines.range()),
                width,
                &batch.lines[self.tokens.clone()],
                input,
            );
        }
        if layout.columns.rows > 0 {
            lookup::add_rows(
                parameters.floats.part(layout.columns.range()),
                width,
                &batch.columns[self.tokens.clone()],
                input,
            );
        }
    }

    /// Norm, queries, keys and values, rotary positions and attention, up to the heads' results.
    fn attend(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (tokens, stride, width) = (self.tokens.len(), parameters.qkv_width(), parameters.attended_width());
        let draws = self.draws(layer);
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
        let add = shape.qkv_bias;
        parameters.set_biases(layer, &mut kept.qkv);
        parameters.layers[layer]
            .qkv
            .apply(cpu, &self.normed, tokens, add, &mut kept.qkv, stride, &mut self.room);
        if let Some(adapter) = &parameters.layers[layer].qkv.adapter {
            let (low, y) = (&mut self.back.low[QKV], (kept.qkv.as_mut_slice(), stride));
            adapter.apply(cpu, &self.normed, tokens, draws[QKV], y, low, &mut self.room);
        }
        let mut start = 0;
        for length in &self.lengths {
            let end = start + length;
            let qkv = &mut kept.qkv[start * stride..end * stride];
            turn(cpu, &parameters.rope, Turn::Forward, qkv, stride, shape.heads + shape.kv_heads, 0);
            let sums = &mut kept.sums[start * shape.heads..end * shape.heads];
            let attended = &mut kept.attended[start * width..end * width];
            attention::forward(parameters, qkv, sums, attended, &mut self.attention);
            start = end;
        }
    }

    /// The output projection, the residual stream, its norm, gate and up.
    fn open_gates(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (rows, width, packed) = (self.rows(parameters, layer), shape.width, &parameters.layers[layer]);
        let draws = self.draws(layer);
        let (input, kept) = (
            &self.inputs[parameters.kept_input(layer)],
            &mut self.layers[parameters.kept_layer(layer)],
        );
        if layer + 1 == shape.layers {
            gather(&mut kept.attended, parameters.attended_width(), &self.trained);
            for (row, token) in kept.middle.chunks_exact_mut(width).zip(&self.trained) {
                row.copy_from_slice(&input[token * width..][..width]);
            }
        } else {
            kept.middle.copy_from_slice(input);
        }
        packed
            .output
            .apply(cpu, &kept.attended, rows, true, &mut kept.middle, width, &mut self.room);
        if let Some(adapter) = &packed.output.adapter {
            let (low, y) = (&mut self.back.low[OUTPUT], (kept.middle.as_mut_slice(), width));
            adapter.apply(cpu, &kept.attended, rows, draws[OUTPUT], y, low, &mut self.room);
        }
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
        packed
            .gates
            .apply(cpu, normed, rows, false, &mut kept.gates, 2 * shape.feed_forward, &mut self.room);
        if let Some(adapter) = &packed.gates.adapter {
            let (low, y) = (&mut self.back.low[GATES], (kept.gates.as_mut_slice(), 2 * shape.feed_forward));
            adapter.apply(cpu, normed, rows, draws[GATES], y, low, &mut self.room);
        }
    }

    /// The rest of the feed-forward layer: leaves the next layer's input, or the final norm's.
    fn contract(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, rows) = (parameters.cpu, &parameters.shape, self.rows(parameters, layer));
        let draws = self.draws(layer);
        let kept = &self.layers[parameters.kept_layer(layer)];
        let output = if layer + 1 == shape.layers {
            &mut self.output
        } else {
            &mut self.inputs[parameters.kept_input(layer + 1)]
        };
        activation::forward(cpu, &kept.gates, shape.feed_forward, &mut self.hidden);
        output.copy_from_slice(&kept.middle);
        parameters.layers[layer]
            .down
            .apply(cpu, &self.hidden, rows, true, output, shape.width, &mut self.room);
        if let Some(adapter) = &parameters.layers[layer].down.adapter {
            let (low, y) = (&mut self.back.low[DOWN], (output.as_mut_slice(), shape.width));
            adapter.apply(cpu, &self.hidden, rows, draws[DOWN], y, low, &mut self.room);
        }
    }
}

/// Moves the rows that are kept to the front, in their order.
fn gather(rows: &mut [f32], width: usize, kept: &[usize]) {
    for (to, from) in kept.iter().enumerate() {
        rows.copy_within(from * width..(from + 1) * width, to * width);
    }
}
