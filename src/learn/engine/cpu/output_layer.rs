//! The output layer over some rows: logits, loss, and the gradient of the rows. A long micro-batch is processed in chunks of rows, so that
//! the memory of a large vocabulary's logits does not grow with the sequence.

use super::buffer::fit;
use super::kernel::cross_entropy;
use super::kernel::element::Element;
use super::kernel::level::LANES;
use super::kernel::panels::{pack, size};
use super::kernel::product::INNER_BLOCK;
use super::operand::keep_columns;
use super::parameters::Parameters;
use super::rows::{RowView, RowViewMut};

/// The largest number of rows processed at a time. It is a multiple of the rows that a product sums before it adds to its result, so that
/// chunks change no bit.
pub const fn chunk<T: Element>() -> usize {
    INNER_BLOCK * T::STEPS
}

/// The logits of some rows, with the operands of the gradient of the output layer's weights.
#[derive(Clone, Debug, Default)]
pub struct OutputLayer<T> {
    pub rows: usize,
    /// Logits, then their gradient. [rows, vocabulary rounded up]
    pub logits: Vec<f32>,
    /// Panels of the rows.
    pub panels: Vec<T>,
    /// The transpose of the logits' gradient if it needs conversion.
    pub columns: Vec<T>,
    /// The rows' summed loss.
    pub loss: f64,
    /// Working memory: a product's left operand if it needs conversion.
    converted: Vec<T>,
}

impl<T: Element> OutputLayer<T> {
    /// Computes the loss of rows of the final norm and their targets, and leaves the gradient of `weight` times that loss in the logits.
    pub fn measure(&mut self, parameters: &Parameters<T>, rows: &[f32], targets: &[u32], weight: f32) {
        let (cpu, width, vocabulary) = (parameters.cpu, parameters.shape.width, parameters.shape.vocabulary);
        let (count, stride) = (targets.len(), logits_stride(vocabulary));
        self.rows = count;
        fit(&mut self.logits, count * stride);
        let (x, y) = (RowView::dense(rows, count, width), RowViewMut::new(&mut self.logits, stride));
        parameters.head.apply(cpu, x, y, false, &mut self.converted);
        self.loss = cross_entropy::backward(cpu, &mut self.logits, stride, vocabulary, targets, weight);
    }

    /// Computes the loss of rows of the final norm and their targets, and replaces the rows by the gradient of `weight` times that loss.
    pub fn score(&mut self, parameters: &Parameters<T>, rows: &mut [f32], targets: &[u32], weight: f32) {
        self.measure(parameters, rows, targets, weight);
        let (cpu, width, vocabulary) = (parameters.cpu, parameters.shape.width, parameters.shape.vocabulary);
        let (count, stride, head) = (targets.len(), logits_stride(vocabulary), &parameters.head);
        let logits = RowView {
            data: &self.logits,
            count,
            width: vocabulary,
            stride,
        };
        if parameters.trainable.head {
            fit(&mut self.panels, size::<T>(count, width));
            pack(cpu, rows, width, count, width, &mut self.panels);
            keep_columns(cpu, logits, &mut self.columns);
        }
        if parameters.trainable.below_output_layer() {
            head.apply_back(cpu, logits, RowViewMut::new(rows, width), false, &mut self.converted);
        }
    }
}

/// Floats from one row of logits to the next.
pub fn logits_stride(vocabulary: usize) -> usize {
    vocabulary.next_multiple_of(LANES)
}
