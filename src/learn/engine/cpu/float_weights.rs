//! The weights that are kept as floats.

use std::ops::Range;

use super::layout::Layout;
use crate::engine::EngineError;
use crate::model::WeightSource;

/// The weights of a layout, end to end, except those that are kept only in packed form.
#[derive(Clone, Debug)]
pub struct FloatWeights {
    values: Vec<f32>,
    /// The ranges of the layout that are kept only in packed form, ascending.
    packed: [Range<usize>; 2],
}

impl FloatWeights {
    /// Reads the weights of `layout` except the `packed` ranges, which are whole tensors, ascending.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape.
    pub fn new(layout: &Layout, packed: [Range<usize>; 2], weights: &mut impl WeightSource) -> Result<Self, EngineError> {
        let [first, second] = &packed;
        let parts = [0..first.start, first.end..second.start, second.end..layout.length];
        let mut values = Vec::with_capacity(parts.iter().map(ExactSizeIterator::len).sum());
        for part in parts {
            layout.flatten(weights, part, &mut values)?;
        }
        Ok(Self { values, packed })
    }

    /// Whether a part of the layout has floats.
    pub fn has(&self, part: &Range<usize>) -> bool {
        self.packed
            .iter()
            .all(|packed| part.end <= packed.start || packed.end <= part.start)
    }

    /// The floats of a part of the layout.
    pub fn part(&self, part: Range<usize>) -> &[f32] {
        &self.values[self.place(part)]
    }

    /// [`Self::part`], mutable.
    pub fn part_mut(&mut self, part: Range<usize>) -> &mut [f32] {
        let place = self.place(part);
        &mut self.values[place]
    }

    fn place(&self, part: Range<usize>) -> Range<usize> {
        debug_assert!(self.has(&part), "{part:?} is kept only in packed form");
        let before = |packed: &&Range<usize>| packed.end <= part.start;
        let left_out: usize = self.packed.iter().filter(before).map(ExactSizeIterator::len).sum();
        part.start - left_out..part.end - left_out
    }
}
