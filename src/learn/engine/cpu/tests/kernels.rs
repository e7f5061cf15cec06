//! Every instruction set of this machine against the plain one, on random sizes, tails and alignments; the plain one against the
//! definition.

use proptest::prelude::*;

use crate::engine::cpu::kernel::adamw::{self, AdamWState, AdamWUpdate};
use crate::engine::cpu::kernel::attend::{CachedHead, Queries, attend, working_memory};
use crate::engine::cpu::kernel::bf16::narrow;
use crate::engine::cpu::kernel::element::{Bf16Pair, Element};
use crate::engine::cpu::kernel::level::LANES;
use crate::engine::cpu::kernel::panels::{left_columns, left_rows, pack, pack_transposed, size};
use crate::engine::cpu::kernel::product::{LeftMatrix, Product, Reach, multiply};
use crate::engine::cpu::kernel::rope::{RotaryTable, Turn, turn};
use crate::engine::cpu::kernel::{Instructions, activation, cross_entropy, norm, softmax};
use crate::seed::Stream;

/// Cases of each property: fewer under an interpreter.
const CASES: u32 = if cfg!(miri) { 2 } else { 64 };

/// `length` numbers of the normal distribution, at an address that is off by `shift` floats.
pub struct Numbers(Vec<f32>, usize);

impl Numbers {
    pub fn new(stream: &mut Stream, length: usize) -> Self {
        let shift = stream.below(16) as usize;
        Self((0..length + shift).map(|_| stream.normal() as f32).collect(), shift)
    }

    pub fn get(&self) -> &[f32] {
        &self.0[self.1..]
    }
}

/// The set that every processor has.
pub fn plain() -> Instructions {
    Instructions::available().pop().unwrap()
}

/// `x` as bf16.
pub fn rounded(x: f32) -> f64 {
    f64::from(f32::from_bits(u32::from(narrow(x)) << 16))
}

/// Runs `kernel` with each instruction set and compares its result with the plain set's.
fn agree(kernel: impl Fn(Instructions) -> Vec<f32>) -> Result<(), TestCaseError> {
    let mut sets = Instructions::available();
    let plain = kernel(sets.pop().unwrap());
    for set in sets {
        for (index, (found, expected)) in kernel(set).iter().zip(&plain).enumerate() {
            prop_assert!(
                (found - expected).abs() <= 2e-5 * expected.abs().max(1.0),
                "{set} [{index}]: {found}, not {expected}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn products_are_sums_of_products(
        rows in 1..30usize, columns in 1..150usize, inner in prop_oneof![1..40usize, 250..530usize],
        transposed: bool, add: bool, seed: u64,
    ) {
        let mut stream = Stream::new(seed, "product");
        let (left, right) = (Numbers::new(&mut stream, rows * inner), Numbers::new(&mut stream, inner * columns));
        let before = Numbers::new(&mut stream, rows * (columns + 3));
        let mut panels = vec![f32::NAN; size::<f32>(inner, columns)];
        pack(plain(), right.get(), columns, inner, columns, &mut panels);
        let (row, step) = if transposed { (1, rows) } else { (inner, 1) };
        let product = Product {
            rows, columns, inner, left: LeftMatrix { data: left.get(), row, step }, right: &panels, reach: Reach::Full, add, stride: columns + 3,
        };
        let run = |set| {
            let mut out = before.get().to_vec();
            multiply(set, product, &mut out);
            out
        };
        let plain = run(*Instructions::available().last().unwrap());
        for i in 0..rows {
            for j in 0..columns + 3 {
                let sum = |k: usize| f64::from(left.get()[i * row + k * step]) * f64::from(right.get()[k * columns + j]);
                let start = before.get()[i * (columns + 3) + j];
                // Beyond the columns nothing is written.
                let expected = if j >= columns { f64::from(start) } else { (0..inner).map(sum).sum::<f64>() + if add { f64::from(start) } else { 0.0 } };
                prop_assert!((f64::from(plain[i * (columns + 3) + j]) - expected).abs() < 1e-3);
            }
        }
        agree(run)?;
    }

    /// Products of pairs are those of the rounded numbers, whichever way the operands were packed.
    #[test]
    fn products_of_pairs_are_sums_of_products_of_bf16(
        rows in 1..30usize, columns in 1..150usize, inner in prop_oneof![1..70usize, 500..530usize], transposed: bool, seed: u64,
    ) {
        let mut stream = Stream::new(seed, "pairs");
        let (left, right) = (Numbers::new(&mut stream, rows * inner), Numbers::new(&mut stream, inner * columns));
        let (row, step) = if transposed { (1, rows) } else { (inner, 1) };
        let run = |set| {
            let mut panels = vec![Bf16Pair::default(); size::<Bf16Pair>(inner, columns)];
            let mut operand = vec![Bf16Pair::default(); rows * inner.div_ceil(2)];
            let left = if transposed {
                pack(set, right.get(), columns, inner, columns, &mut panels);
                left_columns(set, left.get(), rows, inner, rows, &mut operand);
                LeftMatrix { data: &operand, row: 1, step: rows }
            } else {
                let transpose: Vec<f32> = (0..columns * inner).map(|at| right.get()[at % inner * columns + at / inner]).collect();
                pack_transposed(set, &transpose, inner, inner, columns, &mut panels);
                left_rows(set, left.get(), inner, inner, &mut operand);
                LeftMatrix { data: &operand, row: inner.div_ceil(2), step: 1 }
            };
            let product = Product { rows, columns, inner, left, right: &panels, reach: Reach::Full, add: false, stride: columns };
            let mut out = vec![f32::NAN; rows * columns];
            multiply(set, product, &mut out);
            out
        };
        for (at, found) in run(plain()).iter().enumerate() {
            let (i, j) = (at / columns, at % columns);
            let sum: f64 = (0..inner).map(|k| rounded(left.get()[i * row + k * step]) * rounded(right.get()[k * columns + j])).sum();
            prop_assert!((f64::from(*found) - sum).abs() < 1e-3);
        }
        let mut sets = Instructions::available();
        let expected = run(sets.pop().unwrap());
        for set in sets {
            for (found, expected) in run(set).iter().zip(&expected) {
                prop_assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{set}: {found}, not {expected}");
            }
        }
    }

    /// The masks skip only elements that are zero or unread, and a row does not depend on the other rows.
    #[test]
    fn reach_changes_nothing_that_counts(rows in 1..20usize, start in 0..20usize, head in 1..20usize, seed: u64) {
        let mut stream = Stream::new(seed, "reach");
        let length = start + rows;
        let triangle: Vec<f32> = (0..rows * length).map(|at| if at % length > start + at / length { 0.0 } else { stream.normal() as f32 }).collect();
        let (values, queries) = (Numbers::new(&mut stream, length * head), Numbers::new(&mut stream, rows * head));
        let mut panels = vec![0.0; size::<f32>(length, head)];
        pack(plain(), values.get(), head, length, head, &mut panels);
        let mut transposed = vec![0.0; size::<f32>(head, length)];
        pack_transposed(plain(), values.get(), head, head, length, &mut transposed);
        let mut blocks = vec![0.0; size::<f32>(rows, head)];
        pack(plain(), queries.get(), head, rows, head, &mut blocks);
        for set in Instructions::available() {
            let run = |product: Product<'_, f32>, reach| {
                let mut out = vec![0.0; product.rows * product.stride];
                multiply(set, Product { reach, ..product }, &mut out);
                out
            };
            let add = false;
            let left = LeftMatrix { data: &triangle, row: length, step: 1 };
            let combine = Product { rows, columns: head, inner: length, left, right: &panels, reach: Reach::Full, add, stride: head };
            prop_assert_eq!(run(combine, Reach::Full), run(combine, Reach::Before { start }));
            let left = LeftMatrix { data: &triangle[start..], row: 1, step: length };
            let spread = Product { rows, columns: head, inner: rows, left, right: &blocks, reach: Reach::Full, add, stride: head };
            prop_assert_eq!(run(spread, Reach::Full), run(spread, Reach::Below));
            let left = LeftMatrix { data: queries.get(), row: head, step: 1 };
            let score = Product { rows, columns: length, inner: head, left, right: &transposed, reach: Reach::Full, add, stride: length };
            let (full, part) = (run(score, Reach::Full), run(score, Reach::Columns { start }));
            for row in 0..rows {
                prop_assert_eq!(&full[row * length..][..=start + row], &part[row * length..][..=start + row]);
                let one = Product { rows: 1, left: LeftMatrix { data: &queries.get()[row * head..], ..left }, ..score };
                prop_assert_eq!(&run(one, Reach::Full), &full[row * length..(row + 1) * length]);
            }
        }
    }

    #[test]
    fn row_kernels_agree(rows in 1..8usize, width in 1..70usize, seed: u64) {
        let mut stream = Stream::new(seed, "rows");
        let (x, dy, gates) = (Numbers::new(&mut stream, rows * width), Numbers::new(&mut stream, rows * width), Numbers::new(&mut stream, rows * width * 2));
        let weight = Numbers::new(&mut stream, width);
        agree(|set| {
            let (mut y, mut again, mut scales) = (vec![0.0; rows * width], vec![0.0; rows * width], vec![0.0; rows]);
            norm::forward(set, x.get(), weight.get(), 1e-5, &mut y, &mut scales);
            norm::again(set, x.get(), weight.get(), &scales, &mut again);
            assert_eq!(y, again);
            let (mut dx, mut dweight) = (dy.get().to_vec(), vec![0.5; width]);
            norm::backward(set, norm::NormBackward { x: x.get(), weight: weight.get(), scales: &scales, dy: dy.get() }, &mut dx, &mut dweight);
            [y, dx, dweight].concat()
        })?;
        agree(|set| {
            let (mut gates, mut out, mut hidden) = (gates.get().to_vec(), dy.get().to_vec(), vec![0.0; rows * width]);
            activation::forward(set, &gates, width, &mut hidden);
            activation::backward(set, &mut gates, width, &mut out);
            assert_eq!(out, hidden);
            [gates, out].concat()
        })?;
        let targets: Vec<u32> = (0..rows).map(|_| stream.below(width as u64) as u32).collect();
        agree(|set| {
            let stride = width.next_multiple_of(LANES);
            let mut logits = vec![7.0; rows * stride];
            logits.chunks_mut(stride).zip(x.get().chunks(width)).for_each(|(row, x)| row[..width].copy_from_slice(x));
            let loss = cross_entropy::backward(set, &mut logits, stride, width, &targets, 0.3);
            assert!(logits.chunks(stride).all(|row| row.iter().sum::<f32>().abs() < 1e-6));
            logits.push(loss as f32);
            logits
        })?;
    }

    #[test]
    fn the_logarithm_of_a_sum_of_exponentials_is_that_in_f64(width in prop_oneof![1..40usize, 1000..3000usize], spread in 0.1..30.0f32, seed: u64) {
        let mut stream = Stream::new(seed, "sums");
        let mut x = Numbers::new(&mut stream, width).get().to_vec();
        x.iter_mut().for_each(|x| *x *= spread);
        let exact = |x: &[f32]| libm::log(x.iter().map(|x| libm::exp(f64::from(*x))).sum());
        for set in Instructions::available() {
            let (largest, sum) = cross_entropy::log_sum(set, &x);
            prop_assert!(x.contains(&largest) && x.iter().all(|x| *x <= largest));
            prop_assert!((f64::from(largest) + sum - exact(&x)).abs() < 2e-6, "{set}: {largest} + {sum}, not {}", exact(&x));
        }
    }

    #[test]
    fn attention_kernels_agree(rows in 1..20usize, start in 0..40usize, half in 1..20usize, seed: u64) {
        let mut stream = Stream::new(seed, "attention");
        let stride = (start + rows).next_multiple_of(LANES);
        let (scores, gradient) = (Numbers::new(&mut stream, rows * stride), Numbers::new(&mut stream, rows * stride));
        agree(|set| {
            let (mut once, mut again, mut back) = (scores.get().to_vec(), scores.get().to_vec(), gradient.get().to_vec());
            let mut sums = vec![0.0; rows];
            softmax::forward(set, &mut once, stride, start, 0.7, &mut sums);
            softmax::again(set, &mut again, stride, start, 0.7, &sums);
            softmax::backward(set, &once, &mut back, stride, start, 0.7);
            // The scores up to the mask, and the zeros beyond it to the end of the vector after the last one.
            let read = |rows: Vec<f32>| -> Vec<f32> {
                let end = |row: usize| stride.min((start + row + 1).next_multiple_of(LANES) + LANES);
                rows.chunks(stride).enumerate().flat_map(|(row, values)| values[..end(row)].to_vec()).collect()
            };
            let [once, again, back] = [once, again, back].map(read);
            assert!((once.iter().sum::<f32>() - rows as f32).abs() < 1e-4);
            assert!(once.iter().zip(&again).all(|(once, again)| (once - again).abs() < 1e-5));
            assert!(once.iter().zip(&back).all(|(once, back)| *once > 0.0 || *back == 0.0));
            [once, again, back, sums].concat()
        })?;
        let head = 2 * half;
        let frequencies: Vec<f64> = (0..half).map(|pair| libm::pow(10_000.0, -(pair as f64) / half as f64)).collect();
        let angles = || (0..70).flat_map(|position| frequencies.iter().map(move |frequency| f64::from(position) * frequency));
        let rope = RotaryTable::new(head, (angles().map(|angle| libm::cos(angle) as f32).collect(), angles().map(|angle| libm::sin(angle) as f32).collect()));
        let x = Numbers::new(&mut stream, rows * 3 * head);
        agree(|set| {
            let mut turned = x.get().to_vec();
            turn(set, &rope, Turn::Forward, &mut turned, 3 * head, 2, start);
            let mut back = turned.clone();
            turn(set, &rope, Turn::Back, &mut back, 3 * head, 2, start);
            assert!(back.iter().zip(x.get()).all(|(back, x)| (back - x).abs() < 1e-5));
            turned
        })?;
    }

    /// Cached attention against a plain softmax, and each token and head alone against all together: the same bits.
    #[test]
    fn cached_attention_is_a_mean_weighted_by_the_softmax(
        tokens in 1..12usize, start in prop_oneof![0..40usize, 100..140usize], group in 1..5usize, half in 1..20usize, seed: u64,
    ) {
        let case = Attention { tokens, start, group, head: 2 * half, stride: group * 2 * half + 4 };
        case.check(&mut Stream::new(seed, "cached"), 2e-5, <[f32]>::to_vec)?;
        // Each rounded weight is off by at most 2^-9, so their mean of normal numbers is off by at most a few times that.
        case.check(&mut Stream::new(seed, "pairs"), 2e-2, |data| {
            let mut pairs = vec![Bf16Pair::default(); data.len() / 2];
            left_rows(plain(), data, data.len(), data.len(), &mut pairs);
            pairs
        })?;
    }

    #[test]
    fn optimizers_agree(length in 1..100usize, seed: u64) {
        let mut stream = Stream::new(seed, "adamw");
        let (weights, gradient, first, second) = (
            Numbers::new(&mut stream, length), Numbers::new(&mut stream, length), Numbers::new(&mut stream, length), Numbers::new(&mut stream, length),
        );
        let update = AdamWUpdate { gradient_scale: 0.5, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, keep: 0.99, rate: 0.01, root_correction: 1.2 };
        agree(|set| {
            let (mut weights, mut first) = (weights.get().to_vec(), first.get().to_vec());
            let mut second: Vec<f32> = second.get().iter().map(|value| value.abs() + 0.1).collect();
            adamw::update(set, AdamWState { weights: &mut weights, gradient: gradient.get(), first: &mut first, second: &mut second }, update);
            let squares = adamw::squares(set, gradient.get());
            [weights, first, second, vec![squares as f32]].concat()
        })?;
    }
}

/// A right matrix that is too large for the cache is processed in parts of its columns: the bits are those of the parts alone.
#[test]
#[cfg_attr(miri, ignore = "minutes under an interpreter")]
fn large_products_are_products_of_parts() {
    let (rows, inner, columns, stride) = (14, 700, 1399, 1402);
    let mut stream = Stream::new(1, "large");
    let (left, right) = (Numbers::new(&mut stream, rows * inner), Numbers::new(&mut stream, inner * columns));
    let before = Numbers::new(&mut stream, rows * stride);
    let mut panels = vec![0.0; size::<f32>(inner, columns)];
    pack(plain(), right.get(), columns, inner, columns, &mut panels);
    for (set, add) in Instructions::available().into_iter().flat_map(|set| [(set, false), (set, true)]) {
        let left = LeftMatrix {
            data: left.get(),
            row: inner,
            step: 1,
        };
        let whole = Product {
            rows,
            columns,
            inner,
            left,
            right: &panels,
            reach: Reach::Full,
            add,
            stride,
        };
        let (mut found, mut expected) = (before.get().to_vec(), before.get().to_vec());
        multiply(set, whole, &mut found);
        for first in (0..columns).step_by(LANES) {
            let (columns, right) = (LANES.min(columns - first), &panels[first * inner..]);
            multiply(set, Product { columns, right, ..whole }, &mut expected[first..]);
        }
        assert!(found == expected, "{set}, add: {add}");
    }
}

/// Sizes of a cached attention.
struct Attention {
    tokens: usize,
    start: usize,
    group: usize,
    head: usize,
    stride: usize,
}

impl Attention {
    /// Compares [`attend`] of each instruction set with a softmax in f64; `convert` converts rows to elements.
    fn check<T: Element>(&self, stream: &mut Stream, tolerance: f64, convert: impl Fn(&[f32]) -> Vec<T>) -> Result<(), TestCaseError> {
        let Self {
            tokens,
            start,
            group,
            head,
            stride,
        } = *self;
        let capacity = (start + tokens).next_multiple_of(LANES);
        let data = Numbers::new(stream, tokens * stride);
        // Beyond the last position there are the values of an earlier sequence.
        let (keys, values) = (Numbers::new(stream, capacity * head), Numbers::new(stream, capacity * head));
        let exact = |x: f32| if T::STEPS == 1 { f64::from(x) } else { rounded(x) };
        let queries = convert(data.get());
        // In the layout of a slot.
        let (mut panels, mut rows) = (
            vec![T::default(); capacity * head / T::STEPS],
            vec![T::default(); capacity * head / T::STEPS + LANES],
        );
        let lines = keys.get().chunks(head).zip(values.get().chunks(head));
        for (position, (key, value)) in lines.enumerate() {
            let panel = position / LANES * head / T::STEPS * LANES + position % LANES;
            for (k, key) in convert(key).into_iter().enumerate() {
                panels[panel + k * LANES] = key;
            }
            let out = &mut rows[position / T::STEPS * head..][..head];
            T::put_neighbours(&convert(value), position % T::STEPS, out);
        }
        let cached = CachedHead {
            keys: &panels,
            values: &rows,
        };
        let all = Queries {
            data: &queries,
            stride: stride / T::STEPS,
            tokens,
            group,
            head,
            start,
            scale: 1.0 / (head as f32).sqrt(),
        };
        let run = |set, queries: Queries<'_, T>| {
            let (mut scores, mut out) = (vec![0.0; working_memory(capacity)], vec![0.0; queries.tokens * stride]);
            attend(set, queries, cached, &mut scores, &mut out, stride);
            out
        };
        for set in Instructions::available() {
            let together = run(set, all);
            for (token, query) in (0..tokens).flat_map(|token| (0..group).map(move |query| (token, query))) {
                let place = token * stride + query * head;
                let alone = Queries {
                    data: &queries[place / T::STEPS..],
                    tokens: 1,
                    group: 1,
                    start: start + token,
                    ..all
                };
                let alone = run(set, alone);
                prop_assert_eq!(&alone[..head], &together[place..place + head]);
                let score = |position: usize| -> f64 {
                    let products = (0..head).map(|k| exact(data.get()[place + k]) * exact(keys.get()[position * head + k]));
                    products.sum()
                };
                let weights: Vec<f64> = (0..=start + token)
                    .map(|position| (score(position) * f64::from(all.scale)).exp())
                    .collect();
                for (column, found) in alone[..head].iter().enumerate() {
                    let value = |position: usize| exact(values.get()[position * head + column]);
                    let sum: f64 = weights.iter().enumerate().map(|(position, weight)| weight * value(position)).sum();
                    let expected = sum / weights.iter().sum::<f64>();
                    prop_assert!(
                        (f64::from(*found) - expected).abs() < tolerance,
                        "{}: {} not {}",
                        set,
                        found,
                        expected
                    );
                }
            }
        }
        Ok(())
    }
}

#[test]
fn bf16_is_the_nearest_and_keeps_nan() {
    for (x, expected) in [
        (1.0, 0x3f80),
        (1.003_906_3, 0x3f80),
        (1.003_907, 0x3f81),
        (1.011_718_8, 0x3f82),
        (-0.0, 0x8000),
        (f32::INFINITY, 0x7f80),
        (f32::MAX, 0x7f80),
    ] {
        assert_eq!(narrow(x), expected, "{x}");
        assert_eq!(rounded(x).to_bits(), f64::from(half::bf16::from_f32(x).to_f32()).to_bits(), "{x}");
    }
    let nan = f32::from_bits(0x7fff_ffff);
    assert!(rounded(nan).is_nan() && rounded(-nan).is_nan());
    for set in Instructions::available() {
        let (mut left, mut panels) = (vec![Bf16Pair::default(); 16], vec![Bf16Pair::default(); 16 * 16]);
        left_rows(set, &[nan; 32], 32, 32, &mut left);
        pack(set, &[1.0; 32 * 16], 16, 32, 16, &mut panels);
        let product = Product {
            rows: 1,
            columns: 16,
            inner: 32,
            left: LeftMatrix {
                data: &left,
                row: 16,
                step: 1,
            },
            right: &panels,
            reach: Reach::Full,
            add: false,
            stride: 16,
        };
        let mut out = [0.0; 16];
        multiply(set, product, &mut out);
        assert!(out.iter().all(|value| value.is_nan()), "{set}");
    }
}

#[test]
fn nan_is_not_hidden() {
    for set in Instructions::available() {
        let mut logits = vec![0.0; 32];
        logits[3] = f32::NAN;
        assert!(cross_entropy::backward(set, &mut logits, 32, 20, &[1], 1.0).is_nan(), "{set}");
        for (place, strange) in [(3, f32::NAN), (18, f32::INFINITY), (16, f32::NEG_INFINITY)] {
            let mut logits = vec![0.0; 19];
            logits[place] = strange;
            assert!(cross_entropy::log_sum(set, &logits).1.is_nan(), "{set} {strange}");
        }
    }
}
