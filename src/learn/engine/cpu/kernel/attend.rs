//! Attention of new tokens over the cached keys and values of their sequence.
//!
//! A tile of a few rows (one query of one token each) stays in registers while keys and values are read: the query heads that share a key
//! head, and the tokens of a prompt. The sums of a row, and their order, depend on its own position alone: a wider tile only adds products
//! with 0.
//!
//! In bf16 all four operands are pairs: queries and keys of neighbours along the head, weights and values of neighbouring positions.

use super::element::Element;
use super::kernel;
use super::level::{LANES, Level};
use super::math::{exponentiate, largest};

/// Panels of keys processed at a time.
const KEY_PANELS: usize = 4;

/// Independent sums of each element, to hide the latency of additions.
const PARTIAL_SUMS: usize = 4;

/// The largest number of rows of a tile.
const MAX_ROWS: usize = 4;

/// The queries of one key head, for consecutive tokens of a sequence.
#[derive(Clone, Copy)]
pub struct Queries<'a, T> {
    /// The queries of one token lie end to end, [group, head / STEPS]; tokens are `stride` elements apart.
    pub data: &'a [T],
    pub stride: usize,
    pub tokens: usize,
    pub group: usize,
    /// A multiple of STEPS.
    pub head: usize,
    /// Positions before the first token.
    pub start: usize,
    pub scale: f32,
}

/// The keys and values of one head.
#[derive(Clone, Copy)]
pub struct CachedHead<'a, T> {
    /// Panels of [`LANES`] positions: [capacity / LANES, head / STEPS, LANES].
    pub keys: &'a [T],
    /// [capacity / STEPS, head], and [`LANES`] elements beyond.
    pub values: &'a [T],
}

/// The floats of working memory that [`attend`] needs for n positions.
pub fn working_memory(positions: usize) -> usize {
    MAX_ROWS * scores_stride(positions)
}

/// Floats from one row of scores to the next: whole vectors of pairs.
fn scores_stride(positions: usize) -> usize {
    positions.next_multiple_of(2 * LANES)
}

kernel! {
    /// The means of the values, weighted by the softmax of each query's scaled scores, into `out`: [group, head] for each token, `stride`
    /// apart. `scores` is [`working_memory`].
    ///
    /// # Panics
    /// When a slice is too short for the sizes given.
    pub fn attend<L, T>(queries: Queries<'_, T>, cached: CachedHead<'_, T>, scores: &mut [f32], out: &mut [f32], stride: usize) {
        let Queries { data, tokens, group, head, start, .. } = queries;
        let capacity = (start + tokens).next_multiple_of(LANES);
        assert!(head.is_multiple_of(T::STEPS), "the head is not made of whole elements");
        assert!((tokens - 1) * queries.stride + group * head / T::STEPS <= data.len(), "the queries are too short");
        assert!((tokens - 1) * stride + group * head <= out.len(), "the result is too short");
        assert!(capacity * head / T::STEPS <= cached.keys.len(), "the keys are too short");
        assert!(capacity * head / T::STEPS + LANES <= cached.values.len(), "the values are too short");
        assert!(working_memory(capacity) <= scores.len(), "the scores are too short");
        let (rows, most) = (tokens * group, if L::ROWS >= 12 { MAX_ROWS } else { 1 });
        let mut first = 0;
        while first < rows {
            let tile = QueryTile { queries, cached, scores_stride: scores_stride(capacity), first, stride };
            let count = most.min(rows - first);
            // SAFETY: first + count <= tokens * group, so by the assertions above the rows of the tile, the keys and values of the
            // positions they see (rounded up to whole panels) and their results lie within the slices, and `count` rows of
            // scores do; `L` is the level this variant is compiled for.
            unsafe {
                match count {
                    4 => tile.run::<L, 4>(scores, out),
                    3 => tile.run::<L, 3>(scores, out),
                    2 => tile.run::<L, 2>(scores, out),
                    _ => tile.run::<L, 1>(scores, out),
                }
            }
            first += count;
        }
    }
}

/// Some rows of the queries.
#[derive(Clone, Copy)]
struct QueryTile<'a, T> {
    queries: Queries<'a, T>,
    cached: CachedHead<'a, T>,
    /// Floats from one row of scores to the next.
    scores_stride: usize,
    /// The first row.
    first: usize,
    /// Floats from one token's results to the next's.
    stride: usize,
}

impl<T: Element> QueryTile<'_, T> {
    /// Number of positions that a row of the tile sees.
    #[inline(always)]
    fn seen(&self, row: usize) -> usize {
        self.queries.start + (self.first + row) / self.queries.group + 1
    }

    /// Offset of a row of `head` elements in rows of tokens that are `stride` apart.
    #[inline(always)]
    fn place(&self, row: usize, stride: usize, head: usize) -> usize {
        let (row, group) = (self.first + row, self.queries.group);
        row / group * stride + row % group * head
    }

    /// # Safety
    /// The processor has the level's instructions; rows `first..first + R` exist, and the slices are as long as [`attend`] asserts.
    #[inline(always)]
    unsafe fn run<L: Level, const R: usize>(&self, scores: &mut [f32], out: &mut [f32]) {
        let whole = self.seen(R - 1).next_multiple_of(LANES);
        let (panels, head) = (whole / LANES, self.queries.head);
        // SAFETY: the caller's promise; a row of scores has room for `panels` panels and is a whole number of vectors of pairs, and a
        // row of values that starts within the head reaches at most LANES elements beyond the last one.
        unsafe {
            let mut panel = 0;
            while panel + KEY_PANELS <= panels {
                self.score::<L, R, KEY_PANELS>(panel, scores.as_mut_ptr());
                panel += KEY_PANELS;
            }
            while panel < panels {
                self.score::<L, R, 1>(panel, scores.as_mut_ptr());
                panel += 1;
            }
            let mut inverse = [0.0; R];
            for (row, inverse) in inverse.iter_mut().enumerate() {
                let row_scores = &mut scores[row * self.scores_stride..][..whole];
                *inverse = 1.0 / soften::<L>(row_scores, self.seen(row), self.queries.scale);
                T::put_in_place::<L>(scores.as_mut_ptr().add(row * self.scores_stride), whole);
            }
            let weights = scores.as_ptr().cast();
            let mut column = 0;
            while R == 1 && L::ROWS >= 12 && column + 2 * LANES <= head {
                self.weigh::<L, R, 2>(column, weights, inverse, out);
                column += 2 * LANES;
            }
            while column < head {
                self.weigh::<L, R, 1>(column, weights, inverse, out);
                column += LANES;
            }
        }
    }

    /// The scores of `R` rows over `P` panels.
    ///
    /// # Safety
    /// As for [`QueryTile::run`]; the panels exist, and behind `scores` there is room for `R` rows.
    #[inline(always)]
    unsafe fn score<L: Level, const R: usize, const P: usize>(&self, panel: usize, scores: *mut f32) {
        let head = self.queries.head / T::STEPS;
        let mut rows = [self.queries.data.as_ptr(); R];
        // SAFETY: the caller's promise: every row has `head` elements, every panel `head` vectors.
        unsafe {
            for (row, start) in rows.iter_mut().enumerate() {
                *start = start.add(self.place(row, self.queries.stride, head));
            }
            let keys = self.cached.keys.as_ptr().add(panel * head * LANES);
            let mut sums = [[L::zero(); P]; R];
            for k in 0..head {
                for p in 0..P {
                    let key = L::load(keys.add((p * head + k) * LANES).cast());
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        sums[p] = T::fma::<L>(*row.add(k), key, sums[p]);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    L::store(*sum, scores.add(row * self.scores_stride + (panel + p) * LANES));
                }
            }
        }
    }

    /// The results of `R` rows in `C` vectors of columns, from `column` on.
    ///
    /// # Safety
    /// As for [`QueryTile::run`]; `column` lies within the head, and so do all vectors but the last; the rows of scores begin with the
    /// weights of the positions that the tile sees, and zeros up to a whole number of panels.
    #[inline(always)]
    unsafe fn weigh<L: Level, const R: usize, const C: usize>(&self, column: usize, weights: *const T, inverse: [f32; R], out: &mut [f32]) {
        let head = self.queries.head;
        let end = self.seen(R - 1).next_multiple_of(PARTIAL_SUMS * T::STEPS) / T::STEPS;
        // SAFETY: the caller's promise: there are weights and values of `end` elements, for they are not beyond the last panel.
        unsafe {
            let values = self.cached.values.as_ptr().add(column);
            let mut sums = [[[L::zero(); C]; PARTIAL_SUMS]; R];
            for element in (0..end).step_by(PARTIAL_SUMS) {
                for sum in 0..PARTIAL_SUMS {
                    let value = values.add((element + sum) * head);
                    let value: [L::Vector; C] = std::array::from_fn(|c| L::load(value.add(c * LANES).cast()));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let weight = *weights.add(row * self.scores_stride + element + sum);
                        for (sum, value) in sums[sum].iter_mut().zip(value) {
                            *sum = T::fma::<L>(weight, value, *sum);
                        }
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                let total = |c: usize| L::add(L::add(sums[0][c], sums[1][c]), L::add(sums[2][c], sums[3][c]));
                for (c, total) in std::array::from_fn::<_, C, _>(total).into_iter().enumerate() {
                    let mut result = [0.0; LANES];
                    L::store(L::broadcast_fma(inverse[row], total, L::zero()), result.as_mut_ptr());
                    let first = column + c * LANES;
                    let width = LANES.min(head - first);
                    out[self.place(row, self.stride, head) + first..][..width].copy_from_slice(&result[..width]);
                }
            }
        }
    }
}

/// Replaces the scores of the `seen` positions by the exponentials of their scaled distances from the largest, and the others by 0.
/// Returns the sum of the exponentials. The order of the additions depends on `seen` alone.
#[inline(always)]
fn soften<L: Level>(scores: &mut [f32], seen: usize, scale: f32) -> f32 {
    let (whole, beyond) = scores.split_at_mut(seen.next_multiple_of(LANES));
    whole[seen..].fill(f32::NEG_INFINITY);
    let shift = scale * largest(whole);
    let sum = exponentiate::<L>(whole, scale, shift);
    whole[seen..].fill(0.0);
    beyond.fill(0.0);
    sum
}
