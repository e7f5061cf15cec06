//! The engine against candle's automatic differentiation.

use candle_core::Device;

use super::cases;
use crate::engine::cpu::decoder::CpuDecoder;
use crate::engine::cpu::trainer::CpuTrainer;
use crate::engine::{Batch, DecodingEngine, TrainingEngine, candle};
use crate::model::ModelShape;
use crate::seed::Stream;

/// The gradient by the weights' names. Moments after one step are multiples of the gradient and of its square.
#[test]
fn the_first_steps_moments_equal_candles() {
    for seed in 0..8 {
        let mut stream = Stream::new(seed, "candle");
        let shape = cases::shape(&mut stream);
        let weights = cases::weights(&mut stream, &shape);
        let batches: Vec<Batch> = (0..2).map(|_| cases::batch(&mut stream, &shape, 6, 30)).collect();
        let mut ours = CpuTrainer::<f32>::new(&shape, &weights, cases::OPTIMIZER, 2).unwrap();
        let mut theirs = candle::CandleTrainer::new(&shape, &weights, cases::OPTIMIZER, &Device::Cpu, 1).unwrap();
        let (step, expected) = (ours.step(&batches, 1e-3).unwrap(), theirs.step(&batches, 1e-3).unwrap());
        assert!((step.loss - expected.loss).abs() < 1e-5, "seed {seed}: {step:?}, not {expected:?}");
        assert!(
            (step.gradient_norm / expected.gradient_norm - 1.0).abs() < 1e-4,
            "seed {seed}: {step:?}, not {expected:?}"
        );
        let (found, expected) = (ours.moments().unwrap(), theirs.moments().unwrap());
        assert_eq!(found.steps, expected.steps);
        for (found, expected) in [(found.first, expected.first), (found.second, expected.second)] {
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            for (name, found) in found {
                let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
                let size = norm(&mut expected[&name].data.iter().copied());
                let error = norm(
                    &mut found
                        .data
                        .iter()
                        .zip(&expected[&name].data)
                        .map(|(found, expected)| found - expected),
                );
                // Without rotary positions, biases of keys change no weight of attention: their gradient is 0 but for rounding.
                assert!(error < 1e-4 * size + 1e-8, "seed {seed}: `{name}` is off by {error} of {size}");
            }
        }
    }
}

#[test]
fn the_losses_of_fifty_steps_equal_candles() {
    let mut stream = Stream::new(1, "fifty");
    let shape = ModelShape {
        layers: 2,
        ..cases::shape(&mut stream)
    };
    let mut weights = cases::weights(&mut stream, &shape);
    // Small weights, as at the start of a training: with large ones, rounding alone changes a step too much.
    for (_, array) in weights.iter_mut().filter(|(name, _)| !name.contains("norm")) {
        array.data.iter_mut().for_each(|value| *value *= 0.25);
    }
    let batches: Vec<Batch> = (0..5).map(|_| cases::batch(&mut stream, &shape, 10, 30)).collect();
    let mut ours = CpuTrainer::<f32>::new(&shape, &weights, cases::OPTIMIZER, 2).unwrap();
    let mut theirs = candle::CandleTrainer::new(&shape, &weights, cases::OPTIMIZER, &Device::Cpu, 1).unwrap();
    let (mut first, mut last) = (0.0, 0.0);
    for step in 0..50 {
        let batch = std::slice::from_ref(&batches[step % batches.len()]);
        let (found, expected) = (ours.step(batch, 3e-3).unwrap(), theirs.step(batch, 3e-3).unwrap());
        assert!(
            (found.loss - expected.loss).abs() < 1e-4,
            "step {step}: {found:?}, not {expected:?}"
        );
        (first, last) = (if step == 0 { found.loss } else { first }, found.loss);
    }
    assert!(last < first - 0.1, "nothing was learned: {first} to {last}");
}

#[test]
fn logits_equal_candles() {
    for seed in 0..6 {
        logits_equal(seed);
    }
}

fn logits_equal(seed: u64) {
    let mut stream = Stream::new(seed, "logits");
    let shape = cases::shape(&mut stream);
    let weights = cases::weights(&mut stream, &shape);
    let batch = cases::batch(&mut stream, &shape, 1, 30);
    let mut ours = CpuDecoder::<f32>::new(&shape, &weights, 1, 1).unwrap();
    let mut theirs = candle::CandleDecoder::new(&shape, &weights, 1, &Device::Cpu, 1).unwrap();
    let feed = batch.feed(0, 0, 0..batch.tokens.len());
    for (found, expected) in ours.feed(&[feed]).unwrap().iter().zip(theirs.feed(&[feed]).unwrap()) {
        assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found}, not {expected}");
    }
}
