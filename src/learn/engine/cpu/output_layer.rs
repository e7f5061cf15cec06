//! The output layer over some rows: logits, loss, and the way back to the rows. Of a long span only a chunk of rows is in work at a time,
//! so that a large vocabulary's logits do not grow with the sequence.

use super::buffer::fit;
use super::kernel::cross_entropy;
use super::kernel::element::Element;
use super::kernel::level::LANES;
use super::kernel::panels::{pack, size};
use super::kernel::product::INNER_BLOCK;
use super::operand::keep_columns;
use super::parameters::Parameters;
use super::rows::{RowView, RowViewMut};

/// The most rows in work at a time. A multiple of the rows that a product adds up before it adds to its result: no bit depends on whether
/// there are chunks.
pub const fn chunk<T: Element>() -> usize {
    INNER_BLOCK * T::STEPS
}

/// Some rows' logits, with all that the gradient of the output layer's weights needs.
#[derive(Clone, Debug, Default)]
pub struct OutputLayer<T> {
    pub rows: usize,
    /// Logits, then their gradient. [rows, vocabulary rounded up]
    pub logits: Vec<f32>,
    /// Panels of the rows.
    pub panels: Vec<T>,
    /// The transpose of the logits' gradient, where it is converted.
    pub columns: Vec<T>,
    /// The rows' summed loss.
    pub loss: f64,
    /// Working memory: a product's left operand, where it is converted.
    converted: Vec<T>,
}

impl<T: Element> OutputLayer<T> {
    /// Scores rows of the final norm against their targets, and replaces them by the gradient of `weight` times the summed loss.
    pub fn score(&mut self, parameters: &Parameters<T>, rows: &mut [f32], targets: &[u32], weight: f32) {
        let (cpu, width, vocabulary) = (parameters.cpu, parameters.shape.width, parameters.shape.vocabulary);
        let (count, stride, head) = (targets.len(), logits_stride(vocabulary), &parameters.head);
        self.rows = count;
        fit(&mut self.logits, count * stride);
        let (x, y) = (RowView::dense(rows, count, width), RowViewMut::new(&mut self.logits, stride));
        head.apply(cpu, x, y, false, &mut self.converted);
        self.loss = cross_entropy::backward(cpu, &mut self.logits, stride, vocabulary, targets, weight);
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

/// From one row of logits to the next.
pub fn logits_stride(vocabulary: usize) -> usize {
    vocabulary.next_multiple_of(LANES)
}
