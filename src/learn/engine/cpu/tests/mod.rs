//! The engine against the reference in f64, and the guarantees about bits.

mod amx;
mod candle;
mod cases;
mod held_out;
mod kernels;
mod lora;
mod memory;
mod reference;
mod scoring;

use super::decoder::CpuDecoder;
use super::kernel::element::{Bf16Pair, Element};
use super::pool;
use super::trainer::CpuTrainer;
use super::trainer_state::TrainerState;
use crate::engine::{Batch, DecodingEngine, Dtype, EngineError, Feed, TrainingEngine, reader};
use crate::model::{ModelShape, Weights};
use crate::seed::Stream;

/// The gradient by name, and the loss.
fn gradient<T: Element>(shape: &ModelShape, weights: &Weights, batches: &[Batch], threads: usize) -> (Weights, f64) {
    let training = cases::OPTIMIZER.into();
    let mut learner = TrainerState::<T>::new(super::parameters::Parameters::new(shape, weights, true).unwrap(), &training);
    let loss = pool(threads).unwrap().install(|| learner.differentiate(batches));
    (learner.gradient_by_name(), loss)
}

/// Compares the gradient of every weight with central differences of the reference, at up to `samples` elements of each.
fn check_gradient(shape: &ModelShape, weights: &Weights, batches: &[Batch], samples: usize) {
    let (gradient, loss) = gradient::<f32>(shape, weights, batches, 1);
    let mut exact = reference::exact(weights);
    let expected = reference::loss(shape, &exact, batches);
    assert!((loss - expected).abs() < 1e-5 * expected, "loss {loss}, not {expected}");
    for (name, found) in &gradient {
        let (mut error, mut norm) = (0.0, 0.0);
        for index in (0..found.data.len()).step_by(found.data.len().div_ceil(samples)) {
            let value = exact[name][index];
            let mut at = |value| {
                exact.get_mut(name).unwrap()[index] = value;
                reference::loss(shape, &exact, batches)
            };
            let slope = (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
            at(value);
            error += (slope - f64::from(found.data[index])).powi(2);
            norm += slope.powi(2);
        }
        assert!(
            error.sqrt() <= 1e-4 * norm.sqrt() + 1e-9,
            "{shape:?}: {name} is off by {} of {}",
            error.sqrt(),
            norm.sqrt()
        );
    }
}

#[test]
fn gradients_equal_central_differences() {
    for seed in 0..12 {
        let mut stream = Stream::new(seed, "gradients");
        let shape = cases::shape(&mut stream);
        let weights = cases::weights(&mut stream, &shape);
        // Up to about 100 tokens: one micro-batch or two.
        let batches: Vec<Batch> = (0..1 + seed % 2).map(|_| cases::batch(&mut stream, &shape, 4, 30)).collect();
        check_gradient(&shape, &weights, &batches, 12);
    }
}

#[test]
fn gradients_over_several_blocks_of_scores_equal_central_differences() {
    let mut stream = Stream::new(5, "long");
    let shape = ModelShape {
        layers: 2,
        context: 200,
        ..cases::shape(&mut stream)
    };
    let weights = cases::weights(&mut stream, &shape);
    let mut batch = Batch::default();
    while batch.tokens.len() < 150 {
        batch = cases::batch(&mut stream, &shape, 1, 200);
    }
    check_gradient(&shape, &weights, &[batch], 4);
}

#[test]
fn steps_are_the_same_bits_on_any_number_of_threads() {
    let mut stream = Stream::new(7, "threads");
    let shape = ModelShape {
        layers: 2,
        vocabulary: 120,
        feed_forward: 130,
        ..cases::shape(&mut stream)
    };
    let weights = cases::weights(&mut stream, &shape);
    let batches: Vec<Vec<Batch>> = (0..3)
        .map(|_| (0..2).map(|_| cases::batch(&mut stream, &shape, 25, 40)).collect())
        .collect();
    fn check<T: Element>(shape: &ModelShape, weights: &Weights, batches: &[Vec<Batch>]) {
        let run = |threads| {
            let mut trainer = CpuTrainer::<T>::new(shape, weights, cases::OPTIMIZER, threads).unwrap();
            let steps: Vec<_> = batches.iter().map(|batches| trainer.step(batches, 1e-2).unwrap()).collect();
            (steps, trainer.weights().unwrap(), trainer.moments().unwrap())
        };
        let one = run(1);
        assert_eq!(one, run(1));
        assert_eq!(one, run(2));
        assert_eq!(one, run(4));
    }
    check::<f32>(&shape, &weights, &batches);
    check::<Bf16Pair>(&shape, &weights, &batches);
    // Micro-batches of 99 tokens. The number of blocks depends on the threads. A tied embedding gets its gradient from both ends.
    let shape = ModelShape {
        tied: true,
        lines: 0,
        columns: 0,
        places: None,
        ..shape
    };
    let weights = cases::weights(&mut stream, &shape);
    let mut draw = || (0..20 * 33).map(|_| stream.below(120) as u32).collect();
    let batch = Batch {
        tokens: draw(),
        targets: draw(),
        lengths: vec![33; 20],
        ..Batch::default()
    };
    check::<f32>(&shape, &weights, &[vec![batch.clone()]]);
    check::<Bf16Pair>(&shape, &weights, &[vec![batch]]);
}

/// bf16 has 8 bits: a product's relative error is some tenths of a percent, and so is the gradient's.
#[test]
fn bf16_stays_near_f32() {
    for seed in 0..8 {
        let mut stream = Stream::new(seed, "bf16");
        let shape = cases::shape(&mut stream);
        let mut weights = cases::weights(&mut stream, &shape);
        // Small weights, as at the start of a training.
        for (_, array) in weights.iter_mut().filter(|(name, _)| !name.contains("norm")) {
            array.data.iter_mut().for_each(|value| *value *= 0.25);
        }
        let batches = [cases::batch(&mut stream, &shape, 8, 40)];
        let (exact, loss) = gradient::<f32>(&shape, &weights, &batches, 1);
        let (found, near) = gradient::<Bf16Pair>(&shape, &weights, &batches, 1);
        assert_ne!(loss, near);
        assert!((near - loss).abs() < 3e-3, "seed {seed}: loss {near}, not {loss}");
        for (name, exact) in &exact {
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            let size = norm(&mut exact.data.iter().copied());
            let error = norm(&mut exact.data.iter().zip(&found[name].data).map(|(exact, found)| exact - found));
            // If a gradient almost cancels, the rest is rounding.
            assert!(error <= 0.03 * size + 1e-4, "seed {seed}: `{name}` is off by {error} of {size}");
        }
    }
}

#[test]
fn a_restored_trainer_goes_on_with_the_same_bits() {
    let mut stream = Stream::new(9, "restore");
    let shape = cases::shape(&mut stream);
    let weights = cases::weights(&mut stream, &shape);
    let batches = [cases::batch(&mut stream, &shape, 5, 40)];
    let mut whole = CpuTrainer::<f32>::new(&shape, &weights, cases::OPTIMIZER, 1).unwrap();
    whole.step(&batches, 1e-2).unwrap();
    let mut resumed = CpuTrainer::<f32>::new(&shape, &weights, cases::OPTIMIZER, 1).unwrap();
    let (weights, moments) = (whole.weights().unwrap(), whole.moments().unwrap());
    resumed.restore(moments.steps, &mut reader(&weights, &moments)).unwrap();
    assert_eq!(whole.step(&batches, 1e-2).unwrap(), resumed.step(&batches, 1e-2).unwrap());
    assert_eq!(whole.weights().unwrap(), resumed.weights().unwrap());
}

/// The first step of AdamW moves each weight by the learning rate against its gradient's sign, after decay (Kingma & Ba 2015, 2.1).
#[test]
fn the_first_step_is_as_long_as_the_learning_rate() {
    let mut stream = Stream::new(3, "step");
    let shape = cases::shape(&mut stream);
    let weights = cases::weights(&mut stream, &shape);
    let batches = [cases::batch(&mut stream, &shape, 5, 40)];
    let (gradient, loss) = gradient::<f32>(&shape, &weights, &batches, 1);
    let mut trainer = CpuTrainer::<f32>::new(&shape, &weights, cases::OPTIMIZER, 1).unwrap();
    let step = trainer.step(&batches, 1e-2).unwrap();
    let squares = gradient
        .values()
        .flat_map(|array| &array.data)
        .map(|value| f64::from(*value).powi(2));
    assert!((step.gradient_norm - squares.sum::<f64>().sqrt()).abs() < 1e-6 * step.gradient_norm);
    assert_eq!(step.loss, loss);
    for (name, after) in trainer.weights().unwrap() {
        let decay = if name.contains("norm") || name.ends_with("bias") {
            0.0
        } else {
            0.1
        };
        for ((after, before), slope) in after.data.iter().zip(&weights[&name].data).zip(&gradient[&name].data) {
            if slope.abs() > 1e-4 {
                let expected = before * (1.0 - 1e-2 * decay) - 1e-2 * slope.signum();
                assert!((after - expected).abs() < 1e-5, "{name}: {after}, not {expected}");
            }
        }
    }
}

/// Feeds the batch's sequences to a decoder in pieces of at most `piece` tokens, `together` sequences per call; returns the last logits of
/// each.
fn decode<T: Element>(
    shape: &ModelShape,
    weights: &Weights,
    batch: &Batch,
    piece: usize,
    together: usize,
    threads: usize,
) -> Vec<Vec<f32>> {
    let decoder = CpuDecoder::<T>::new(shape, weights, together, threads);
    decode_with(decoder.unwrap(), shape, batch, piece, together)
}

fn decode_with<T: Element>(mut decoder: CpuDecoder<T>, shape: &ModelShape, batch: &Batch, piece: usize, together: usize) -> Vec<Vec<f32>> {
    let starts: Vec<usize> = batch
        .lengths
        .iter()
        .scan(0, |sum, length| Some(std::mem::replace(sum, *sum + length)))
        .collect();
    let sequences: Vec<(usize, usize)> = starts.into_iter().zip(batch.lengths.iter().copied()).collect();
    let mut last = Vec::new();
    for group in sequences.chunks(together) {
        let mut rows = vec![Vec::new(); group.len()];
        let longest = group.iter().map(|(_, length)| *length).max().unwrap();
        for start in (0..longest).step_by(piece) {
            let fed: Vec<_> = (0..group.len()).filter(|slot| group[*slot].1 > start).collect();
            let feeds: Vec<Feed> = fed
                .iter()
                .map(|slot| {
                    let (first, length) = group[*slot];
                    batch.feed(*slot, first, start..length.min(start + piece))
                })
                .collect();
            let logits = decoder.feed(&feeds).unwrap();
            for (slot, logits) in fed.iter().zip(logits.chunks(shape.vocabulary)) {
                rows[*slot] = logits.to_vec();
            }
        }
        last.extend(rows);
    }
    last
}

#[test]
fn decoding_equals_the_full_forward_pass() {
    for seed in 0..6 {
        let mut stream = Stream::new(seed, "decode");
        let shape = cases::shape(&mut stream);
        let weights = cases::weights(&mut stream, &shape);
        let batch = cases::batch(&mut stream, &shape, 7, 40);
        let full = reference::logits(&shape, &reference::exact(&weights), &batch);
        let mut end = 0;
        for (row, length) in decode::<f32>(&shape, &weights, &batch, 5, 3, 2).iter().zip(&batch.lengths) {
            end += length;
            for (found, expected) in row.iter().zip(&full[end - 1]) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4 * expected.abs().max(1.0),
                    "seed {seed}: {found}, not {expected}"
                );
            }
        }
    }
}

/// Random decoders amplify: the logits' distance is measured against their size.
#[test]
fn decoding_in_bf16_stays_near_f32() {
    for seed in 0..6 {
        let mut stream = Stream::new(seed, "decode");
        let shape = cases::shape(&mut stream);
        let weights = cases::weights(&mut stream, &shape);
        let batch = cases::batch(&mut stream, &shape, 7, 40);
        let exact = decode::<f32>(&shape, &weights, &batch, 5, 3, 2);
        let near = decode::<Bf16Pair>(&shape, &weights, &batch, 5, 3, 2);
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
        for (near, exact) in near.iter().zip(&exact) {
            let distance = norm(&mut near.iter().zip(exact).map(|(near, exact)| near - exact)) / norm(&mut exact.iter().copied());
            assert!(distance > 0.0 && distance < 0.08, "seed {seed}: {distance}");
        }
    }
}

#[test]
fn a_row_of_logits_does_not_depend_on_the_call_it_was_decoded_in() {
    let mut stream = Stream::new(4, "rows");
    let shape = ModelShape {
        layers: 2,
        ..cases::shape(&mut stream)
    };
    let weights = cases::weights(&mut stream, &shape);
    let batch = cases::batch(&mut stream, &shape, 14, 60);
    fn check<T: Element>(shape: &ModelShape, weights: &Weights, batch: &Batch) {
        let alone = decode::<T>(shape, weights, batch, 1, 1, 1);
        for (piece, together, threads) in [(1, 7, 1), (1, 14, 2), (7, 14, 4), (60, 3, 2), (60, 1, 1)] {
            for apart in [true, false] {
                let decoder = CpuDecoder::<T>::with_sharing(shape, weights, together, threads, apart).unwrap();
                let found = decode_with(decoder, shape, batch, piece, together);
                assert_eq!(alone, found, "{piece} {together} {threads} {apart}");
            }
        }
    }
    check::<f32>(&shape, &weights, &batch);
    check::<Bf16Pair>(&shape, &weights, &batch);
}

#[test]
fn a_copied_beginning_is_as_good_as_one_that_was_fed() {
    copied_beginnings::<f32>();
    copied_beginnings::<Bf16Pair>();
}

fn copied_beginnings<T: Element>() {
    for seed in 0..4 {
        let mut stream = Stream::new(seed, "copies");
        let shape = cases::shape(&mut stream);
        let weights = cases::weights(&mut stream, &shape);
        let mut batch = cases::batch(&mut stream, &shape, 1, 60);
        while batch.tokens.len() < 40 {
            batch = cases::batch(&mut stream, &shape, 1, 60);
        }
        let feed =
            |decoder: &mut CpuDecoder<T>, slot, from: usize, to: usize| decoder.feed(&[batch.feed(slot, 0, from..to)]).unwrap().to_vec();
        let mut decoder = CpuDecoder::<T>::new(&shape, &weights, 3, 2).unwrap();
        let fed = feed(&mut decoder, 0, 0, 40);
        for count in [1, 15, 16, 17, 39] {
            // First a longer sequence, whose cached values must not be visible later.
            feed(&mut decoder, 2, 0, 40);
            decoder.copy(0, 2, count).unwrap();
            assert_eq!(feed(&mut decoder, 2, count, 40), fed, "{count}");
            // A copy of a copy, and a slot truncated to its own prefix.
            decoder.copy(2, 1, count).unwrap();
            decoder.copy(1, 1, count).unwrap();
            assert_eq!(feed(&mut decoder, 1, count, 40), fed, "{count}");
        }
        insta::allow_duplicates! {
            insta::assert_snapshot!(decoder.copy(0, 1, 41).unwrap_err(), @"number of copied tokens 41 is out of range (known: 0 to 40)");
            insta::assert_snapshot!(decoder.copy(3, 1, 0).unwrap_err(), @"slot 3 is out of range (known: 0 to 2)");
            insta::assert_snapshot!(decoder.copy(0, 3, 0).unwrap_err(), @"slot 3 is out of range (known: 0 to 2)");
        }
        // Tokens that were not copied are not in the slot.
        decoder.copy(0, 1, 7).unwrap();
        let beyond = Feed {
            slot: 1,
            start: 8,
            tokens: &[0],
            lines: &[0],
            columns: &[0],
            places: &[0, 0, 0],
        };
        insta::allow_duplicates! {
            insta::assert_snapshot!(decoder.feed(&[beyond]).unwrap_err(), @"start 8 is out of range (known: 0 to 7)");
        }
        let twice = Feed { start: 0, ..beyond };
        insta::allow_duplicates! {
            insta::assert_snapshot!(decoder.feed(&[twice, twice]).unwrap_err(), @"2 feeds of one slot in a call, expected 1");
        }
    }
}

#[test]
fn long_contexts_get_fewer_slots_and_large_models_many() {
    let shape = |context, layers, width| ModelShape {
        vocabulary: 128,
        width,
        layers,
        heads: 4,
        kv_heads: 4,
        head_dim: width / 4,
        feed_forward: 3 * width,
        qkv_bias: false,
        qk_norm: false,
        rope_theta: 1e4,
        rope_scaling: None,
        norm_epsilon: 1e-5,
        tied: true,
        lines: 0,
        columns: 0,
        places: None,
        context,
    };
    let slots = |shape| super::recommended_slots(&shape, Dtype::F32);
    // 4 KiB a position, and weights of 3.5 MB.
    assert_eq!(slots(shape(20, 4, 128)), 64);
    assert_eq!(slots(shape(100, 4, 128)), 22);
    assert_eq!(slots(shape(2_000, 4, 128)), 16);
    assert_eq!(slots(shape(100_000, 4, 128)), 5);
    assert_eq!(slots(shape(usize::MAX >> 20, 4, 128)), 1);
    // bf16 takes half.
    assert_eq!(super::recommended_slots(&shape(100, 4, 128), Dtype::Bf16), 45);
    // Weights beyond the cache.
    assert_eq!(slots(shape(2_000, 12, 768)), 14);
    assert_eq!(slots(shape(100, 12, 768)), 64);
}

#[test]
fn what_does_not_fit_is_named() {
    let mut stream = Stream::new(4, "errors");
    let shape = ModelShape {
        vocabulary: 9,
        lines: 5,
        columns: 0,
        places: None,
        context: 20,
        qk_norm: false,
        ..cases::shape(&mut stream)
    };
    let mut weights = cases::weights(&mut stream, &shape);
    let mut trainer = CpuTrainer::<f32>::new(&shape, &weights, cases::OPTIMIZER, 1).unwrap();
    let good = cases::batch(&mut stream, &shape, 2, 10);
    let mut message = |change: &dyn Fn(&mut Batch)| {
        let mut batch = good.clone();
        change(&mut batch);
        trainer.step(&[batch], 0.1).unwrap_err().to_string()
    };
    insta::assert_snapshot!(message(&|batch| batch.tokens[0] = 9), @"token 9 is out of range (known: 0 to 8)");
    insta::assert_snapshot!(message(&|batch| batch.targets[0] = 10), @"target 10 is out of range (known: 0 to 8)");
    insta::assert_snapshot!(message(&|batch| batch.lines[0] = 5), @"line number 5 is out of range (known: 0 to 4)");
    insta::assert_snapshot!(message(&|batch| batch.lines.clear()), @"0 line numbers, expected 6");
    insta::assert_snapshot!(message(&|batch| batch.lengths[0] += 1), @"7 tokens in all its sequences, expected 6");
    insta::assert_snapshot!(message(&|batch| *batch = Batch { tokens: vec![0; 21], targets: vec![0; 21], lengths: vec![21], lines: vec![0; 21], ..Batch::default() }), @"a sequence of 21 tokens is longer than the model's context of 20");
    let mut decoder = CpuDecoder::<f32>::new(&shape, &weights, 3, 2).unwrap();
    let mut message = |slot, start, tokens: &[u32]| {
        let lines = vec![0; tokens.len()];
        decoder
            .feed(&[Feed {
                slot,
                start,
                tokens,
                lines: &lines,
                columns: &[],
                places: &[],
            }])
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(message(3, 0, &[1]), @"slot 3 is out of range (known: 0 to 2)");
    insta::assert_snapshot!(message(0, 1, &[1]), @"start 1 is out of range (known: 0 to 0)");
    insta::assert_snapshot!(message(0, 0, &[]), @"0 tokens, expected 1");
    insta::assert_snapshot!(message(0, 0, &[1; 21]), @"a sequence of 21 tokens is longer than the model's context of 20");
    if let Some(norm) = weights.get_mut("model.norm.weight") {
        norm.shape = vec![1];
    }
    let message = |result: Result<CpuTrainer<f32>, EngineError>| result.err().map(|error| error.to_string()).unwrap_or_default();
    insta::assert_snapshot!(message(CpuTrainer::<f32>::new(&ModelShape { width: 8, heads: 1, kv_heads: 1, ..shape.clone() }, &weights, cases::OPTIMIZER, 1)), @"tensor `model.layers.0.self_attn.q_proj.weight` has shape [12, 12], but the model needs [4, 8]");
    weights.remove("model.norm.weight");
    insta::assert_snapshot!(message(CpuTrainer::<f32>::new(&shape, &weights, cases::OPTIMIZER, 1)), @"tensor `model.norm.weight` is missing");
}
