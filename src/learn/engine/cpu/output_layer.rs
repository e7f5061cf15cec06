//! The output layer over some rows: logits, loss, and the way back to the rows. Of a long span only a chunk of rows is in work at a time,
//! so that a large vocabulary's logits do not grow with the sequence.

use super::kernel::cross_entropy;
use super::kernel::element::Element;
use super::kernel::level::LANES;
use super::kernel::panels::{pack, size};
use super::kernel::product::INNER_BLOCK;
use super::micro_batch::fit;
use super::operand::keep_columns;
use super::parameters::Parameters;

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
    room: Vec<T>,
}

impl<T: Element> OutputLayer<T> {
    /// Scores rows of the final norm against their targets, and replaces them by the gradient of `weight` times the summed loss.
    pub fn score(&mut self, parameters: &Parameters<T>, (rows, targets): (&mut [f32], &[u32]), weight: f32) {
        let (cpu, width, vocabulary) = (parameters.cpu, parameters.shape.width, parameters.shape.vocabulary);
        let (count, stride, head) = (targets.len(), logits_stride(vocabulary), &parameters.head);
        self.rows = count;
        fit(&mut self.logits, count * stride);
        head.apply(cpu, rows, count, false, &mut self.logits, stride, &mut self.room);
        self.loss = cross_entropy::backward(cpu, &mut self.logits, stride, vocabulary, targets, weight);
        if parameters.trained.head {
            fit(&mut self.panels, size::<T>(count, width));
            pack(cpu, rows, width, count, width, &mut self.panels);
            keep_columns(cpu, &self.logits, stride, (vocabulary, count), &mut self.columns);
        }
        if parameters.trained.before_head() {
            head.apply_back(cpu, &self.logits, stride, count, rows, &mut self.room);
        }
    }
}

/// From one row of logits to the next.
pub fn logits_stride(vocabulary: usize) -> usize {
    vocabulary.next_multiple_of(LANES)
}
