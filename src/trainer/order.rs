//! Which rows are in which batch: a pure function of the seed and the batch's number.

use crate::seed::Stream;

/// Rows are sorted by length within this many batches: enough for little padding, few enough for mixed batches.
const WINDOW: usize = 16;

/// The endless sequence of batches.
///
/// In each pass over the data the rows are shuffled, cut into windows of 16 batches, sorted by length within each, cut into
/// batches, and the batches are shuffled.
pub(super) struct Order {
    seed: u64,
    batch: usize,
    lengths: Vec<usize>,
    /// The pass that `batches` belong to.
    epoch: Option<u64>,
    batches: Vec<Vec<usize>>,
}

impl Order {
    /// For rows of these lengths (at least one), `batch` of them in a batch.
    pub(super) fn new(seed: u64, batch: usize, lengths: Vec<usize>) -> Self {
        Self {
            seed,
            batch: batch.max(1),
            lengths,
            epoch: None,
            batches: Vec::new(),
        }
    }

    /// Batches in one pass over the data.
    pub(super) fn per_epoch(&self) -> u64 {
        self.lengths.len().div_ceil(self.batch) as u64
    }

    /// The row numbers of batch `number`, counted from 0 over all passes.
    pub(super) fn batch(&mut self, number: u64) -> &[usize] {
        let per_epoch = self.per_epoch().max(1);
        let (epoch, within) = (number / per_epoch, number % per_epoch);
        if self.epoch != Some(epoch) {
            self.batches = self.pass(epoch);
            self.epoch = Some(epoch);
        }
        self.batches.get(within as usize).map_or(&[], Vec::as_slice)
    }

    fn pass(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut stream = Stream::new(self.seed, &format!("order/{epoch}"));
        let mut rows: Vec<usize> = (0..self.lengths.len()).collect();
        stream.shuffle(&mut rows);
        let mut batches = Vec::new();
        for window in rows.chunks_mut(WINDOW * self.batch) {
            window.sort_by_key(|&row| self.lengths.get(row));
            batches.extend(window.chunks(self.batch).map(<[usize]>::to_vec));
        }
        stream.shuffle(&mut batches);
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths() -> Vec<usize> {
        let mut stream = Stream::new(1, "lengths");
        (0..1003).map(|_| 20 + stream.below(80) as usize).collect()
    }

    #[test]
    fn each_pass_has_each_row_once_in_another_order() {
        let mut order = Order::new(7, 10, lengths());
        assert_eq!(order.per_epoch(), 101);
        let mut pass = |epoch: u64| -> Vec<usize> { (0..101).flat_map(|i| order.batch(epoch * 101 + i).to_vec()).collect() };
        let (first, second) = (pass(0), pass(1));
        assert_ne!(first, second);
        for mut rows in [first, second] {
            rows.sort_unstable();
            assert_eq!(rows, (0..1003).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_does_not_depend_on_those_asked_for_before() {
        let mut straight = Order::new(7, 10, lengths());
        let all: Vec<Vec<usize>> = (0..250).map(|number| straight.batch(number).to_vec()).collect();
        for number in [249, 3, 120] {
            assert_eq!(Order::new(7, 10, lengths()).batch(number), all[number as usize]);
        }
        assert_ne!(Order::new(8, 10, lengths()).batch(0), all[0]);
    }

    #[test]
    fn rows_of_a_batch_are_of_like_length() {
        let lengths = lengths();
        let mut order = Order::new(7, 10, lengths.clone());
        let padding: usize = (0..101)
            .map(|number| {
                let lengths: Vec<usize> = order.batch(number).iter().map(|&row| lengths[row]).collect();
                lengths.iter().max().unwrap() * lengths.len() - lengths.iter().sum::<usize>()
            })
            .sum();
        let tokens: usize = lengths.iter().sum();
        assert!(padding * 20 < tokens, "{padding} of {tokens}");
    }
}
