//! The backward pass of a span through one layer: gradients of the rows, and the operands of the weights' gradients.

use super::adapter::{AdapterBuffers, DropoutMask};
use super::attention;
use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::panels::pack;
use super::kernel::rope::{Turn, turn};
use super::kernel::{activation, norm};
use super::layout::{DOWN, GATES, OUTPUT, QKV};
use super::micro_batch::MicroBatch;
use super::operand::keep_columns;
use super::parameters::{PackedMatrix, Parameters};

impl<T: Element> MicroBatch<T> {
    /// From the gradient of the final norm's rows, where the output layer left it, to that of the last layer's output, in `back.output`.
    fn enter(&mut self, parameters: &Parameters<T>) {
        let (width, rows) = (parameters.shape.width, self.trained.len());
        let back = &mut self.back;
        let pass = norm::NormBackward {
            x: &self.output,
            weight: parameters.floats.part(parameters.layout.final_norm.clone()),
            scales: &self.output_scales,
            dy: &self.normed[..rows * width],
        };
        back.output.fill(0.0);
        let place = parameters.layout.vectors(&parameters.layout.final_norm);
        norm::backward(parameters.cpu, pass, &mut back.output[..rows * width], &mut back.vectors[place]);
    }

    /// From the output layer through the last layer, as far as anything before is trained.
    pub fn enter_last(&mut self, parameters: &Parameters<T>) {
        if parameters.trained.before_head() {
            self.enter(parameters);
        }
        let last = parameters.shape.layers - 1;
        if parameters.trained.lowest <= last {
            self.backward(parameters, last);
        }
    }

    /// From the gradient of the layer's output, in `back.output`, to that of its input, in `back.input`; less where nothing before is
    /// trained.
    pub fn backward(&mut self, parameters: &Parameters<T>, layer: usize) {
        if parameters.again && layer + 1 < parameters.shape.layers {
            self.expand(parameters, layer);
        }
        self.feed_forward_back(parameters, layer);
        if parameters.trained.attention_back(layer) {
            self.attend_back(parameters, layer);
        }
    }

    /// The gradient of this layer's input is that of the output of the layer below.
    pub fn descend(&mut self) {
        std::mem::swap(&mut self.back.input, &mut self.back.output);
    }

    fn feed_forward_back(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (rows, width, hidden, packed) = (
            self.rows(parameters, layer),
            shape.width,
            shape.feed_forward,
            &parameters.layers[layer],
        );
        let trained = parameters.trained.layers[layer];
        let draws = self.draws(layer);
        let (kept, back) = (&mut self.layers[parameters.kept_layer(layer)], &mut self.back);
        let (output, middle) = (&back.output[..rows * width], &mut back.middle[..rows * width]);
        let (normed, activation) = (&mut self.normed[..rows * width], &mut self.hidden[..rows * hidden]);
        packed.down.apply_back(cpu, output, width, rows, activation, &mut self.room);
        if let Some(adapter) = &packed.down.adapter {
            let low = &mut back.low[DOWN];
            adapter.shrink_back(cpu, (output, width), rows, low, &mut self.room);
            adapter.apply_back(cpu, rows, draws[DOWN], activation, low, &mut self.room);
        }
        activation::backward(cpu, &mut kept.gates, hidden, activation);
        if trained.down {
            keep_columns(cpu, output, width, (width, rows), &mut back.output_columns);
            let (panels, low) = (&mut back.hidden_panels, &mut back.low[DOWN]);
            keep(cpu, &packed.down, activation, rows, draws[DOWN], panels, low, &mut self.room);
        }
        let weight = parameters.floats.part(place.feed_forward_norm.clone());
        norm::again(cpu, &kept.middle, weight, &kept.middle_scales, normed);
        if trained.gates {
            let (panels, low) = (&mut back.middle_panels, &mut back.low[GATES]);
            keep(cpu, &packed.gates, normed, rows, draws[GATES], panels, low, &mut self.room);
            keep_columns(cpu, &kept.gates, 2 * hidden, (2 * hidden, rows), &mut back.gates_columns);
        }
        packed.gates.apply_back(cpu, &kept.gates, 2 * hidden, rows, normed, &mut self.room);
        if let Some(adapter) = &packed.gates.adapter {
            let low = &mut back.low[GATES];
            adapter.shrink_back(cpu, (&kept.gates, 2 * hidden), rows, low, &mut self.room);
            adapter.apply_back(cpu, rows, draws[GATES], normed, low, &mut self.room);
        }
        let pass = norm::NormBackward {
            x: &kept.middle,
            weight,
            scales: &kept.middle_scales,
            dy: normed,
        };
        middle.copy_from_slice(output);
        let place = parameters.layout.vectors(&place.feed_forward_norm);
        norm::backward(cpu, pass, middle, &mut back.vectors[place]);
    }

    fn attend_back(&mut self, parameters: &Parameters<T>, layer: usize) {
        let (cpu, shape, place) = (parameters.cpu, &parameters.shape, &parameters.layout.layers[layer]);
        let (rows, tokens, width, packed) = (
            self.rows(parameters, layer),
            self.tokens.len(),
            shape.width,
            &parameters.layers[layer],
        );
        let trained = parameters.trained.layers[layer];
        let draws = self.draws(layer);
        let (stride, attended) = (parameters.qkv_width(), parameters.attended_width());
        let last = layer + 1 == shape.layers;
        let (input, kept) = (
            &self.inputs[parameters.kept_input(layer)],
            &self.layers[parameters.kept_layer(layer)],
        );
        let back = &mut self.back;
        if trained.output {
            let (panels, low) = (&mut back.attended_panels, &mut back.low[OUTPUT]);
            keep(
                cpu,
                &packed.output,
                &kept.attended,
                rows,
                draws[OUTPUT],
                panels,
                low,
                &mut self.room,
            );
            keep_columns(cpu, &back.middle, width, (width, rows), &mut back.middle_columns);
        }
        packed
            .output
            .apply_back(cpu, &back.middle, width, rows, &mut back.attended, &mut self.room);
        if let Some(adapter) = &packed.output.adapter {
            let low = &mut back.low[OUTPUT];
            adapter.shrink_back(cpu, (&back.middle, width), rows, low, &mut self.room);
            let dx = &mut back.attended[..rows * attended];
            adapter.apply_back(cpu, rows, draws[OUTPUT], dx, low, &mut self.room);
        }
        if last {
            scatter(&mut back.attended, attended, &self.trained);
        }
        let mut start = 0;
        for length in &self.lengths {
            let end = start + length;
            let (qkv, dqkv) = (&kept.qkv[start * stride..end * stride], &mut back.qkv[start * stride..end * stride]);
            let sums = &kept.sums[start * shape.heads..end * shape.heads];
            let dy = &back.attended[start * attended..end * attended];
            attention::backward(parameters, qkv, sums, dy, dqkv, &mut self.attention);
            turn(cpu, &parameters.rope, Turn::Back, dqkv, stride, shape.heads + shape.kv_heads, 0);
            start = end;
        }
        let biases = &mut back.vectors[parameters.layout.vectors(&place.qkv_bias)];
        if !biases.is_empty() {
            back.qkv.chunks_exact(stride).for_each(|row| add(biases, row));
        }
        let weight = parameters.floats.part(place.attention_norm.clone());
        if trained.qkv {
            norm::again(cpu, input, weight, &kept.input_scales, &mut self.normed);
            let (panels, low) = (&mut back.input_panels, &mut back.low[QKV]);
            keep(cpu, &packed.qkv, &self.normed, tokens, draws[QKV], panels, low, &mut self.room);
            keep_columns(cpu, &back.qkv, stride, (stride, tokens), &mut back.qkv_columns);
        }
        packed
            .qkv
            .apply_back(cpu, &back.qkv, stride, tokens, &mut self.normed, &mut self.room);
        if let Some(adapter) = &packed.qkv.adapter {
            let low = &mut back.low[QKV];
            adapter.shrink_back(cpu, (&back.qkv, stride), tokens, low, &mut self.room);
            adapter.apply_back(cpu, tokens, draws[QKV], &mut self.normed, low, &mut self.room);
        }
        back.input[..rows * width].copy_from_slice(&back.middle[..rows * width]);
        if last {
            scatter(&mut back.input, width, &self.trained);
        }
        let pass = norm::NormBackward {
            x: input,
            weight,
            scales: &kept.input_scales,
            dy: &self.normed,
        };
        let place = parameters.layout.vectors(&place.attention_norm);
        norm::backward(cpu, pass, &mut back.input, &mut back.vectors[place]);
    }
}

/// The panels of a product's input, for the gradient of its matrix or of its adapters.
#[expect(clippy::too_many_arguments, reason = "a product has as many")]
fn keep<T: Element>(
    cpu: Instructions,
    matrix: &PackedMatrix<T>,
    x: &[f32],
    rows: usize,
    draw: DropoutMask,
    panels: &mut [T],
    low: &mut AdapterBuffers<T>,
    room: &mut Vec<T>,
) {
    match &matrix.adapter {
        Some(adapter) => adapter.keep(cpu, x, rows, draw, panels, low, room),
        None => pack(cpu, x, matrix.matrix.columns, rows, matrix.matrix.columns, panels),
    }
}

fn add(sums: &mut [f32], row: &[f32]) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
}

/// Moves the rows at the front to the places they were kept from, and makes the others 0.
fn scatter(rows: &mut [f32], width: usize, kept: &[usize]) {
    let mut end = rows.len() / width;
    for (from, to) in kept.iter().enumerate().rev() {
        rows.copy_within(from * width..(from + 1) * width, to * width);
        rows[(to + 1) * width..end * width].fill(0.0);
        end = *to;
    }
    rows[..end * width].fill(0.0);
}
