//! The rows of each batch: a pure function of the seed and the batch's number.

use crate::seed::Stream;

/// Rows are sorted by length within this many batches: enough to need little padding, few enough to keep batches mixed.
const SORTING_WINDOW: usize = 16;

/// The endless sequence of batches: those of the curriculum, if there is one, then pass after pass.
///
/// In each pass over the data, rows are shuffled, cut into windows of 16 batches, sorted by length within each window, and cut into
/// batches. Then the batches are shuffled.
pub(super) struct BatchOrder {
    seed: u64,
    batch: usize,
    lengths: Vec<usize>,
    curriculum: Curriculum,
    /// The pass of `batches`.
    epoch: Option<u64>,
    batches: Vec<Vec<usize>>,
}

impl BatchOrder {
    /// The order of rows of these lengths (at least one row), with `batch` rows per batch and a curriculum of n batches.
    pub(super) fn new(seed: u64, batch: usize, lengths: Vec<usize>, curriculum: u64) -> Self {
        Self {
            seed,
            batch: batch.max(1),
            curriculum: Curriculum::new(curriculum, &lengths),
            lengths,
            epoch: None,
            batches: Vec::new(),
        }
    }

    /// The row numbers of batch `number`, counted from 0 over the curriculum and all passes.
    pub(super) fn batch(&mut self, number: u64) -> Vec<usize> {
        let Some(number) = number.checked_sub(self.curriculum.batches) else {
            return self.curriculum.batch(number, self.seed, self.batch);
        };
        let per_epoch = per_epoch(self.lengths.len(), self.batch).max(1);
        let (epoch, within) = (number / per_epoch, number % per_epoch);
        if self.epoch != Some(epoch) {
            self.batches = self.pass(epoch);
            self.epoch = Some(epoch);
        }
        self.batches.get(within as usize).cloned().unwrap_or_default()
    }

    fn pass(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut stream = Stream::new(self.seed, &format!("order/{epoch}"));
        let mut rows: Vec<usize> = (0..self.lengths.len()).collect();
        stream.shuffle(&mut rows);
        let mut batches = Vec::new();
        for window in rows.chunks_mut(SORTING_WINDOW * self.batch) {
            window.sort_by_key(|&row| self.lengths.get(row));
            batches.extend(window.chunks(self.batch).map(<[usize]>::to_vec));
        }
        stream.shuffle(&mut batches);
        batches
    }
}

/// Batches of `batch` rows in one pass over `rows` rows.
pub(super) fn per_epoch(rows: usize, batch: usize) -> u64 {
    rows.div_ceil(batch.max(1)) as u64
}

/// The batches before the first pass. Each is drawn from the rows up to a length, which grows evenly from the shortest to the longest row.
struct Curriculum {
    batches: u64,
    /// Lengths with the numbers of their rows, ascending.
    rows: Vec<(usize, usize)>,
}

impl Curriculum {
    fn new(batches: u64, lengths: &[usize]) -> Self {
        let mut rows: Vec<(usize, usize)> = lengths.iter().copied().zip(0..).collect();
        rows.sort_unstable();
        Self { batches, rows }
    }

    /// The row numbers of batch `number`: `batch` uniform draws from the rows that are short enough.
    fn batch(&self, number: u64, seed: u64, batch: usize) -> Vec<usize> {
        let (Some((shortest, _)), Some((longest, _))) = (self.rows.first(), self.rows.last()) else {
            return Vec::new();
        };
        let share = (number + 1) as f64 / self.batches as f64;
        let bound = *shortest as f64 + share * (longest - shortest) as f64;
        let admitted = self.rows.partition_point(|(length, _)| *length as f64 <= bound);
        let mut stream = Stream::new(seed, &format!("curriculum/{number}"));
        let draws = (0..batch).filter_map(|_| self.rows.get(stream.below(admitted.max(1) as u64) as usize));
        draws.map(|(_, row)| *row).collect()
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
        let mut order = BatchOrder::new(7, 10, lengths(), 0);
        assert_eq!(per_epoch(1003, 10), 101);
        let mut pass = |epoch: u64| -> Vec<usize> { (0..101).flat_map(|i| order.batch(epoch * 101 + i)).collect() };
        let (first, second) = (pass(0), pass(1));
        assert_ne!(first, second);
        for mut rows in [first, second] {
            rows.sort_unstable();
            assert_eq!(rows, (0..1003).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_does_not_depend_on_those_asked_for_before() {
        for curriculum in [0, 60] {
            let order = |seed| BatchOrder::new(seed, 10, lengths(), curriculum);
            let mut straight = order(7);
            let all: Vec<Vec<usize>> = (0..250).map(|number| straight.batch(number)).collect();
            for number in [249, 3, 120] {
                assert_eq!(order(7).batch(number), all[number as usize]);
            }
            assert_ne!(order(8).batch(0), all[0]);
        }
    }

    #[test]
    fn a_curriculum_admits_longer_rows_batch_by_batch_and_leaves_the_passes_as_they_are() {
        let lengths = lengths();
        let mut order = BatchOrder::new(7, 10, lengths.clone(), 80);
        let longest = |rows: &[usize]| rows.iter().map(|&row| lengths[row]).max().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..80 {
            let rows = order.batch(number);
            assert_eq!(rows.len(), 10);
            // From 20 to 99 in 80 batches: about one more with each.
            assert!(longest(&rows) <= 21 + number as usize, "{number}: {}", longest(&rows));
            seen.extend(rows);
        }
        assert!(seen.len() > 400 && seen.iter().any(|&row| lengths[row] > 90), "{}", seen.len());
        let mut plain = BatchOrder::new(7, 10, lengths.clone(), 0);
        for number in 0..150 {
            assert_eq!(order.batch(80 + number), plain.batch(number));
        }
    }

    #[test]
    fn rows_of_one_length_need_no_curriculum() {
        let mut order = BatchOrder::new(7, 3, vec![5; 4], 1);
        let first = order.batch(0);
        assert!(first.len() == 3 && first.iter().all(|&row| row < 4));
    }

    #[test]
    fn rows_of_a_batch_are_of_like_length() {
        let lengths = lengths();
        let mut order = BatchOrder::new(7, 10, lengths.clone(), 0);
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
