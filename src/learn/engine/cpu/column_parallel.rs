//! Products whose columns are shared by all threads.
//!
//! Weights that do not fit into the processor's cache are read from memory at each step. Threads with separate feeds would each read
//! all weights. Here they are read once: each thread computes its columns of every product, for all feeds. The bits are the same as
//! with one thread.

use rayon::ThreadPool;

use super::buffer::grow;
use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::level::LANES;
use super::kernel::product::{Product, Reach, multiply};
use super::operand::by_rows;
use super::packed_matrix::PackedMatrix;
use super::rows::{RowView, RowViewMut};

/// The instructions and the threads of a computation.
#[derive(Clone, Copy, Debug)]
pub struct Processor<'a> {
    pub cpu: Instructions,
    pub pool: &'a ThreadPool,
}

/// Working memory of threads that share the columns of each product.
#[derive(Clone, Debug)]
pub struct ColumnParallel<T> {
    /// A product's left operand if it needs conversion.
    converted: Vec<T>,
    /// For each thread: its columns of a product's result.
    parts: Vec<Vec<f32>>,
    /// For each thread: the scores of a few queries.
    scores: Vec<Vec<f32>>,
}

impl<T: Element> ColumnParallel<T> {
    /// Memory for n `threads`, each with n `scores`.
    pub fn new(threads: usize, scores: usize) -> Self {
        Self {
            converted: Vec::new(),
            parts: vec![Vec::new(); threads],
            scores: vec![vec![0.0; scores]; threads],
        }
    }

    /// [`PackedMatrix::apply`] by all threads: `y = x · Wᵀ`, or `y += x · Wᵀ` if `add`.
    pub fn apply(&mut self, processor: Processor<'_>, packed: &PackedMatrix<T>, x: RowView<'_>, y: RowViewMut<'_>, add: bool) {
        let Processor { cpu, pool } = processor;
        if self.parts.len() == 1 {
            return packed.apply(cpu, x, y, add, &mut self.converted);
        }
        let (rows, out, inner) = (x.count, packed.matrix.rows, packed.matrix.columns);
        let RowViewMut { data: y, stride } = y;
        let left = by_rows(cpu, x, &mut self.converted);
        // Two panels make the widest tile.
        let share = out.div_ceil(self.parts.len()).next_multiple_of(2 * LANES);
        let columns = |thread: usize| (thread * share).min(out)..((thread + 1) * share).min(out);
        let before = &*y;
        for_each_parallel(pool, &mut self.parts, &|thread, part: &mut Vec<f32>| {
            let columns = columns(thread);
            let width = columns.len();
            if width == 0 {
                return;
            }
            grow(part, rows * width);
            if add {
                let rows = part.chunks_exact_mut(width).zip(before.chunks(stride)).take(rows);
                rows.for_each(|(part, row)| part.copy_from_slice(&row[columns.clone()]));
            }
            let product = Product {
                rows,
                columns: width,
                inner,
                left,
                right: packed.panels(columns.start),
                reach: Reach::Full,
                add,
                stride: width,
            };
            multiply(cpu, product, part);
        });
        for (thread, part) in self.parts.iter().enumerate() {
            let columns = columns(thread);
            if !columns.is_empty() {
                let rows = y.chunks_mut(stride).zip(part.chunks_exact(columns.len())).take(rows);
                rows.for_each(|(row, part)| row[columns.clone()].copy_from_slice(part));
            }
        }
    }

    /// Calls `work` with each of `items`, distributed to the threads in runs of about the same length, and the thread's memory for scores.
    pub fn distribute<I: Send>(&mut self, pool: &ThreadPool, items: &mut [I], work: &(impl Fn(&mut I, &mut [f32]) + Sync)) {
        let share = items.len().div_ceil(self.scores.len()).max(1);
        let mut runs: Vec<_> = items.chunks_mut(share).zip(&mut self.scores).collect();
        for_each_parallel(pool, &mut runs, &|_, (items, scores)| {
            items.iter_mut().for_each(|item| work(item, scores));
        });
    }
}

/// Calls `work` with the index of each of `items` and the item: the first on this thread, the others on the pool.
pub fn for_each_parallel<I: Send>(pool: &ThreadPool, items: &mut [I], work: &(impl Fn(usize, &mut I) + Sync)) {
    let Some((first, others)) = items.split_first_mut() else {
        return;
    };
    if others.is_empty() {
        return work(0, first);
    }
    pool.in_place_scope(|scope| {
        for (index, item) in others.iter_mut().enumerate() {
            scope.spawn(move |_| work(index + 1, item));
        }
        work(0, first);
    });
}
