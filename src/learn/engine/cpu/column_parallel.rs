//! Threads that work on the same feeds together.
//!
//! Weights that do not fit the processor's cache come from memory at each step. Threads with feeds of their own would each read all of them; a team
//! reads them once, each thread its columns of every matrix. Every number is computed as one thread would compute it, to the same bits.

use rayon::ThreadPool;

use super::kernel::Instructions;
use super::kernel::element::Element;
use super::kernel::level::LANES;
use super::kernel::product::{Product, Reach, multiply};
use super::operand::{by_rows, grow};
use super::parameters::PackedMatrix;

/// The working memory of a team.
#[derive(Clone, Debug)]
pub struct ColumnParallel<T> {
    /// A product's left operand, where it is converted.
    room: Vec<T>,
    /// Of each thread: its columns of a product's result, because a row of the result has columns of all.
    parts: Vec<Vec<f32>>,
    /// Of each thread: a few queries' scores.
    scores: Vec<Vec<f32>>,
}

impl<T: Element> ColumnParallel<T> {
    /// A team of so many threads, each with so many floats for scores.
    pub fn new(threads: usize, scores: usize) -> Self {
        Self {
            room: Vec::new(),
            parts: vec![Vec::new(); threads],
            scores: vec![vec![0.0; scores]; threads],
        }
    }

    /// [`PackedMatrix::apply`] by all threads: `y = x · Wᵀ`, added to `y` where `add`; `x` [rows, in], `y` [rows, out] with rows `stride` apart.
    pub fn apply(
        &mut self,
        (cpu, pool): (Instructions, &ThreadPool),
        packed: &PackedMatrix<T>,
        x: &[f32],
        rows: usize,
        add: bool,
        (y, stride): (&mut [f32], usize),
    ) {
        if self.parts.len() == 1 {
            return packed.apply(cpu, x, rows, add, y, stride, &mut self.room);
        }
        let (out, inner) = (packed.matrix.rows, packed.matrix.columns);
        let left = by_rows(cpu, x, inner, (rows, inner), &mut self.room);
        // Two panels make the widest tile.
        let share = out.div_ceil(self.parts.len()).next_multiple_of(2 * LANES);
        let columns = |thread: usize| (thread * share).min(out)..((thread + 1) * share).min(out);
        let before = &*y;
        each(pool, &mut self.parts, &|thread, part: &mut Vec<f32>| {
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

    /// Does `work` with each of `items`, dealt to the threads in runs of about the same length, and the thread's memory for scores.
    pub fn deal<I: Send>(&mut self, pool: &ThreadPool, items: &mut [I], work: &(impl Fn(&mut I, &mut [f32]) + Sync)) {
        let share = items.len().div_ceil(self.scores.len()).max(1);
        let mut runs: Vec<_> = items.chunks_mut(share).zip(&mut self.scores).collect();
        each(pool, &mut runs, &|_, (items, scores)| {
            items.iter_mut().for_each(|item| work(item, scores));
        });
    }
}

/// Does `work` with each of `items` and its number: the first here, the others on the pool.
pub fn each<I: Send>(pool: &ThreadPool, items: &mut [I], work: &(impl Fn(usize, &mut I) + Sync)) {
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
