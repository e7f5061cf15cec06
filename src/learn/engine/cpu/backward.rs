//! The backward pass of a micro-batch through one layer: the gradients of the rows, and the operands of the weights' gradients.

use super::adapter::AdapterPass;
use super::attention;
use super::head_norm::HeadNorms;
use super::kernel::element::Element;
use super::kernel::rope::Turn;
use super::kernel::{activation, norm};
use super::layout::{DOWN, GATES, OUTPUT, QKV};
use super::micro_batch::MicroBatch;
use super::operand::keep_columns;
use super::parameters::Parameters;
use super::rows::RowView;

impl<T: Element> MicroBatch<T> {
    /// From the gradient of the final norm's rows, which the output layer left in `normed`, to that of the last layer's output.
    fn final_norm_back(&mut self, parameters: &Parameters<T>) {
        let (width, rows) = (parameters.shape.width, self.trained.len());
        let gradients = &mut self.gradients;
        let pass = norm::NormBackward {
            x: &self.output,
            weight: parameters.floats.part(parameters.layout.final_norm.clone()),
            scales: &self.output_scales,
            dy: &self.normed[..rows * width],
        };
        gradients.output.fill(0.0);
        let place = parameters.layout.vectors(&parameters.layout.final_norm);
        norm::backward(
            parameters.cpu,
            pass,
            &mut gradients.output[..rows * width],
            &mut gradients.vectors[place],
        );
    }

    /// From the output layer through the last layer, as far as trained weights need it.
    pub fn backward_last(&mut self, parameters: &Parameters<T>) {
        if parameters.trainable.below_output_layer() {
            self.final_norm_back(parameters);
        }
        let last = parameters.shape.layers - 1;
        if parameters.trainable.lowest <= last {
            self.backward(parameters, last);
        }
    }

    /// From the gradient of the layer's output, `gradients.output`, to that of its input, `gradients.input`, as far as trained weights
    /// need it.
    pub fn backward(&mut self, parameters: &Parameters<T>, layer: usize) {
        if parameters.recompute && layer + 1 < parameters.shape.layers {
            self.forward_kept(parameters, layer);
        }
        self.feed_forward_back(parameters, layer);
        if parameters.trainable.through_attention(layer) {
            self.projection_back(parameters, layer);
            self.attention_back(parameters, layer);
            self.qkv_back(parameters, layer);
        }
    }

    /// Makes the gradient of this layer's input that of the output of the layer below.
    pub fn descend(&mut self) {
        std::mem::swap(&mut self.gradients.input, &mut self.gradients.output);
    }

    fn feed_forward_back(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (rows, width, hidden, matrices) = (
            self.rows(parameters, layer),
            shape.width,
            shape.feed_forward,
            &parameters.layers[layer],
        );
        let trained = parameters.trainable.layers[layer];
        let masks = self.dropout_masks(layer);
        let (kept, gradients) = (&mut self.layers[parameters.kept_layer(layer)], &mut self.gradients);
        let (output, middle) = (&gradients.output[..rows * width], &mut gradients.middle[..rows * width]);
        let (normed, activation) = (&mut self.normed[..rows * width], &mut self.hidden[..rows * hidden]);
        let mut pass = AdapterPass {
            mask: masks[DOWN],
            buffers: &mut gradients.adapters[DOWN],
        };
        let dy = RowView::dense(output, rows, width);
        matrices.down.apply_back(cpu, dy, activation, pass.reborrow(), &mut self.converted);
        activation::backward(cpu, &mut kept.gates, hidden, activation);
        if trained.down {
            keep_columns(cpu, dy, &mut gradients.output_columns);
            let x = RowView::dense(activation, rows, hidden);
            matrices
                .down
                .keep_input(cpu, x, &mut gradients.hidden_panels, pass, &mut self.converted);
        }
        let weight = parameters.floats.part(place.feed_forward_norm.clone());
        norm::again(cpu, &kept.middle, weight, &kept.middle_scales, normed);
        let mut pass = AdapterPass {
            mask: masks[GATES],
            buffers: &mut gradients.adapters[GATES],
        };
        let dy = RowView::dense(&kept.gates, rows, 2 * hidden);
        if trained.gates {
            let (x, panels) = (RowView::dense(normed, rows, width), &mut gradients.middle_panels);
            matrices.gates.keep_input(cpu, x, panels, pass.reborrow(), &mut self.converted);
            keep_columns(cpu, dy, &mut gradients.gates_columns);
        }
        matrices.gates.apply_back(cpu, dy, normed, pass, &mut self.converted);
        let pass = norm::NormBackward {
            x: &kept.middle,
            weight,
            scales: &kept.middle_scales,
            dy: normed,
        };
        middle.copy_from_slice(output);
        let place = parameters.layout.vectors(&place.feed_forward_norm);
        norm::backward(cpu, pass, middle, &mut gradients.vectors[place]);
    }

    /// Through the output projection of the attention, to the gradient of the heads' results.
    fn projection_back(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, rows, width) = (parameters.cpu, self.rows(parameters, layer), parameters.shape.width);
        let (attended, matrix) = (parameters.attended_width(), &parameters.layers[layer].output);
        let mask = self.dropout_masks(layer)[OUTPUT];
        let (kept, gradients) = (&self.layers[parameters.kept_layer(layer)], &mut self.gradients);
        let mut pass = AdapterPass {
            mask,
            buffers: &mut gradients.adapters[OUTPUT],
        };
        let dy = RowView::dense(&gradients.middle, rows, width);
        if parameters.trainable.layers[layer].output {
            let (x, panels) = (RowView::dense(&kept.attended, rows, attended), &mut gradients.attended_panels);
            matrix.keep_input(cpu, x, panels, pass.reborrow(), &mut self.converted);
            keep_columns(cpu, dy, &mut gradients.middle_columns);
        }
        matrix.apply_back(cpu, dy, &mut gradients.attended, pass, &mut self.converted);
        if layer + 1 == parameters.shape.layers {
            scatter(&mut gradients.attended, attended, &self.trained);
        }
    }

    /// Through the attention, the rotary positions and the norms of queries and keys, to the gradient of queries, keys and values.
    fn attention_back(&mut self, parameters: &Parameters<T>, layer: usize) {
        let shape = &parameters.shape;
        let (stride, attended) = (parameters.qkv_width(), parameters.attended_width());
        let (kept, gradients) = (&self.layers[parameters.kept_layer(layer)], &mut self.gradients);
        let mut start = 0;
        for length in &self.lengths {
            let end = start + length;
            let (qkv, dqkv) = (
                &kept.qkv[start * stride..end * stride],
                &mut gradients.qkv[start * stride..end * stride],
            );
            let sums = &kept.sums[start * shape.heads..end * shape.heads];
            let dy = &gradients.attended[start * attended..end * attended];
            attention::backward(parameters, qkv, sums, dy, dqkv, &mut self.attention);
            parameters.turn(Turn::Back, dqkv, 0);
            start = end;
        }
        let place = &parameters.layout.layers[layer];
        if let Some(norms) = HeadNorms::new(parameters, layer) {
            let weights = &mut gradients.vectors[parameters.layout.vectors(&place.qk_norm)];
            norms.backward(
                &kept.head_inputs,
                &kept.head_scales,
                &mut gradients.qkv,
                weights,
                &mut gradients.head_row,
            );
        }
        let biases = &mut gradients.vectors[parameters.layout.vectors(&place.qkv_bias)];
        if !biases.is_empty() {
            gradients.qkv.chunks_exact(stride).for_each(|row| add(biases, row));
        }
    }

    /// Through the matrix of queries, keys and values and the norm before it, to the gradient of the layer's input.
    fn qkv_back(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, width, place) = (parameters.cpu, parameters.shape.width, &parameters.layout.layers[layer]);
        let (rows, tokens, matrix) = (self.rows(parameters, layer), self.tokens.len(), &parameters.layers[layer].qkv);
        let mask = self.dropout_masks(layer)[QKV];
        let (input, kept) = (
            &self.inputs[parameters.kept_input(layer)],
            &self.layers[parameters.kept_layer(layer)],
        );
        let gradients = &mut self.gradients;
        let mut pass = AdapterPass {
            mask,
            buffers: &mut gradients.adapters[QKV],
        };
        let dy = RowView::dense(&gradients.qkv, tokens, parameters.qkv_width());
        let weight = parameters.floats.part(place.attention_norm.clone());
        if parameters.trainable.layers[layer].qkv {
            norm::again(cpu, input, weight, &kept.input_scales, &mut self.normed);
            let (x, panels) = (RowView::dense(&self.normed, tokens, width), &mut gradients.input_panels);
            matrix.keep_input(cpu, x, panels, pass.reborrow(), &mut self.converted);
            keep_columns(cpu, dy, &mut gradients.qkv_columns);
        }
        matrix.apply_back(cpu, dy, &mut self.normed, pass, &mut self.converted);
        gradients.input[..rows * width].copy_from_slice(&gradients.middle[..rows * width]);
        if layer + 1 == parameters.shape.layers {
            scatter(&mut gradients.input, width, &self.trained);
        }
        let pass = norm::NormBackward {
            x: input,
            weight,
            scales: &kept.input_scales,
            dy: &self.normed,
        };
        let place = parameters.layout.vectors(&place.attention_norm);
        norm::backward(cpu, pass, &mut gradients.input, &mut gradients.vectors[place]);
    }
}

fn add(sums: &mut [f32], row: &[f32]) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
}

/// Moves the rows at the front back to their tokens, and sets the others to 0.
fn scatter(rows: &mut [f32], width: usize, kept: &[usize]) {
    let mut end = rows.len() / width;
    for (from, to) in kept.iter().enumerate().rev() {
        rows.copy_within(from * width..(from + 1) * width, to * width);
        rows[(to + 1) * width..end * width].fill(0.0);
        end = *to;
    }
    rows[..end * width].fill(0.0);
}
