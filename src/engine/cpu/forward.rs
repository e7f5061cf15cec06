//! The forward pass of a span, with the loss and the output layer's gradient at its end.

use super::attention;
use super::kernel::number::Number;
use super::kernel::panels::pack;
use super::kernel::rope::{Turn, turn};
use super::kernel::{activation, cross_entropy, lookup, norm};
use super::operand::keep_columns;
use super::parameters::Parameters;
use super::span::{Span, logits_stride};
use crate::engine::Batch;

impl<T: Number> Span<T> {
    /// Runs the decoder over the span's tokens. `weight` is what one token's loss counts in the step's loss. What is left: all
    /// that [`Span::backward`] needs, the summed loss, and the gradient of the last layer's output in `back.output`.
    pub fn forward(&mut self, parameters: &Parameters<T>, batch: &Batch, weight: f32) {
        self.embed(parameters, batch);
        for layer in 0..parameters.shape.layers {
            self.attend(parameters, layer);
            self.feed_forward(parameters, layer);
        }
        self.score(parameters, weight);
    }

    /// Token, line and column embeddings: the first layer's input.
    fn embed(&mut self, parameters: &Parameters<T>, batch: &Batch) {
        let (layout, width) = (&parameters.layout, parameters.shape.width);
        let input = &mut self.layers[0].input;
        input.fill(0.0);
        lookup::add_rows(
            parameters.slice(layout.embedding.range()),
            width,
            &batch.tokens[self.tokens.clone()],
            input,
        );
        if layout.lines.rows > 0 {
            lookup::add_rows(
                parameters.slice(layout.lines.range()),
                width,
                &batch.lines[self.tokens.clone()],
                input,
            );
        }
        if layout.columns.rows > 0 {
            lookup::add_rows(
                parameters.slice(layout.columns.range()),
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
        let kept = &mut self.layers[layer];
        let norm_weight = parameters.slice(place.attention_norm.clone());
        norm::forward(
            cpu,
            &kept.input,
            norm_weight,
            shape.norm_epsilon as f32,
            &mut self.normed,
            &mut kept.input_scales,
        );
        parameters.layers[layer]
            .qkv
            .apply(cpu, &self.normed, tokens, false, &mut kept.qkv, stride, &mut self.room);
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

    /// The output projection and the feed-forward layer; leaves the next layer's input, or the head's.
    fn feed_forward(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (rows, width, packed) = (self.rows(layer), shape.width, &parameters.layers[layer]);
        let (these, next) = self.layers.split_at_mut(layer + 1);
        let Some(kept) = these.last_mut() else { return };
        let output = if let Some(next) = next.first_mut() {
            kept.middle.copy_from_slice(&kept.input);
            &mut next.input
        } else {
            gather(&mut kept.attended, parameters.attended_width(), &self.trained);
            for (row, token) in kept.middle.chunks_exact_mut(width).zip(&self.trained) {
                row.copy_from_slice(&kept.input[token * width..][..width]);
            }
            &mut self.head.input
        };
        packed
            .output
            .apply(cpu, &kept.attended, rows, true, &mut kept.middle, width, &mut self.room);
        let norm_weight = parameters.slice(place.feed_forward_norm.clone());
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
        activation::forward(cpu, &kept.gates, shape.feed_forward, &mut self.hidden);
        output.copy_from_slice(&kept.middle);
        packed.down.apply(cpu, &self.hidden, rows, true, output, width, &mut self.room);
    }

    /// The final norm, the logits, the loss and the way back to the last layer's output.
    fn score(&mut self, parameters: &Parameters<T>, weight: f32) {
        let (cpu, shape, layout) = (parameters.cpu, &parameters.shape, &parameters.layout);
        let (rows, width, stride) = (self.trained.len(), shape.width, logits_stride(shape.vocabulary));
        let head = &mut self.head;
        let normed = &mut self.normed[..rows * width];
        let norm_weight = parameters.slice(layout.final_norm.clone());
        norm::forward(cpu, &head.input, norm_weight, shape.norm_epsilon as f32, normed, &mut head.scales);
        parameters
            .head
            .apply(cpu, normed, rows, false, &mut head.logits, stride, &mut self.room);
        head.loss = cross_entropy::backward(cpu, &mut head.logits, stride, shape.vocabulary, &self.targets, weight);
        pack(cpu, normed, width, rows, width, &mut head.panels);
        keep_columns(cpu, &head.logits, stride, (shape.vocabulary, rows), &mut head.columns);
        parameters.head.apply_back(cpu, &head.logits, stride, rows, normed, &mut self.room);
        let back = &mut self.back;
        let dweight = &mut back.norms[2 * shape.layers * width..];
        let pass = norm::Backward {
            x: &head.input,
            weight: norm_weight,
            scales: &head.scales,
            dy: normed,
        };
        back.output.fill(0.0);
        norm::backward(cpu, pass, &mut back.output[..rows * width], dweight);
    }
}

/// Moves the rows that are kept to the front, in their order.
fn gather(rows: &mut [f32], width: usize, kept: &[usize]) {
    for (to, from) in kept.iter().enumerate() {
        rows.copy_within(from * width..(from + 1) * width, to * width);
    }
}
