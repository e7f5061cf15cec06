//! The loss alone: that of a step, without a step.

use candle_core::Device;

use super::cases;
use super::memory::{long, run};
use crate::engine::cpu::kernel::element::{Bf16Pair, Element};
use crate::engine::cpu::trainer::CpuTrainer;
use crate::engine::{Batch, IGNORED, Training, TrainingEngine, candle};
use crate::model::{Lora, ModelShape, Weights};
use crate::seed::Stream;

type Case = (ModelShape, Weights, Vec<Batch>);

fn cases() -> Vec<Case> {
    let short = (0..4).map(|seed| {
        let mut stream = Stream::new(seed, "held out");
        let shape = cases::shape(&mut stream);
        let weights = cases::weights(&mut stream, &shape);
        let batches = (0..3).map(|_| cases::batch(&mut stream, &shape, 9, 40)).collect();
        (shape, weights, batches)
    });
    let (shape, weights, batch) = long(&mut Stream::new(3, "chunks"));
    short.chain([(shape, weights, vec![batch])]).collect()
}

/// The loss alone of these batches.
fn loss(trainer: &mut dyn TrainingEngine, batches: &[Batch]) -> f64 {
    trainer.loss(&mut batches.iter().cloned()).unwrap()
}

#[test]
fn it_is_that_of_a_step_bit_for_bit_on_any_number_of_threads() {
    fn check<T: Element>((shape, weights, batches): &Case) {
        for (threads, recompute) in [(1, false), (2, true), (3, false)] {
            let training = Training {
                recompute,
                ..cases::OPTIMIZER.into()
            };
            let mut trainer = CpuTrainer::<T>::new(shape, weights, training, threads).unwrap();
            for rate in [1e-2, 3e-3] {
                let found = loss(&mut trainer, batches);
                assert_eq!(found, trainer.step(batches, rate).unwrap().loss, "{threads}");
            }
        }
    }
    for case in &cases() {
        check::<f32>(case);
        check::<Bf16Pair>(case);
    }
}

#[test]
fn it_changes_no_later_step() {
    fn check<T: Element>((shape, weights, batches): &Case, others: &[Batch]) {
        let training = Training::from(cases::OPTIMIZER);
        let mut trainer = CpuTrainer::<T>::new(shape, weights, training.clone(), 2).unwrap();
        let steps = [1e-2, 3e-3].map(|rate| {
            loss(&mut trainer, others);
            trainer.step(batches, rate).unwrap()
        });
        let found = (steps, trainer.weights().unwrap(), trainer.moments().unwrap());
        assert_eq!(found, run::<T>(shape, weights, batches, &training, 1));
    }
    for case in &cases() {
        // More and longer sequences than those of the steps, and fewer.
        let mut stream = Stream::new(9, "others");
        for count in [30, 1] {
            let others = [cases::batch(&mut stream, &case.0, count, case.0.context)];
            check::<f32>(case, &others);
            check::<Bf16Pair>(case, &others);
        }
    }
}

#[test]
fn batches_weigh_by_their_tokens_and_those_without_any_do_not_count() {
    let (shape, weights, batches) = &cases()[0];
    let mut trainer = CpuTrainer::<f32>::new(shape, weights, cases::OPTIMIZER, 1).unwrap();
    let each: Vec<(f64, f64)> = batches
        .iter()
        .map(|batch| (loss(&mut trainer, std::slice::from_ref(batch)), batch.trained() as f64))
        .collect();
    assert!(each.iter().any(|(_, tokens)| *tokens != each[0].1));
    let expected = each.iter().map(|(loss, tokens)| loss * tokens).sum::<f64>() / each.iter().map(|(_, tokens)| tokens).sum::<f64>();
    let mut untrained = batches[0].clone();
    untrained.targets.fill(IGNORED);
    for batches in [&batches[..], &[batches, &[untrained.clone()][..]].concat()] {
        let found = loss(&mut trainer, batches);
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }
    assert_eq!(loss(&mut trainer, &[untrained]), 0.0);
}

#[test]
fn nothing_is_dropped_out() {
    let (shape, weights, batches) = &cases()[1];
    let lora = |dropout| Lora {
        dropout,
        ..Lora::default()
    };
    let training = |dropout| Training {
        lora: Some(lora(dropout)),
        seed: 5,
        ..cases::OPTIMIZER.into()
    };
    let mut weights = weights.clone();
    weights.append(&mut lora(0.0).initialise(shape, 1));
    let mut stream = Stream::new(1, "adapters");
    for (_, array) in weights.iter_mut().filter(|(name, _)| crate::model::lora::is_adapter(name)) {
        array.data.iter_mut().for_each(|value| *value = 0.3 * stream.normal() as f32);
    }
    let mut dropping = CpuTrainer::<f32>::new(shape, &weights, training(0.3), 2).unwrap();
    let mut plain = CpuTrainer::<f32>::new(shape, &weights, training(0.0), 1).unwrap();
    let expected = loss(&mut plain, batches);
    assert_eq!(loss(&mut dropping, batches), expected);
    // A step drops some, and the loss alone does not change which.
    let step = dropping.step(batches, 1e-2).unwrap();
    assert_ne!(step.loss, expected);
    let mut straight = CpuTrainer::<f32>::new(shape, &weights, training(0.3), 1).unwrap();
    assert_eq!(step, straight.step(batches, 1e-2).unwrap());
    // Candle's adapters are merged, which is the same decoder.
    let adapters = (&lora(0.0), cases::OPTIMIZER);
    let mut theirs = candle::CandleTrainer::adapting(shape, &weights, adapters, &Device::Cpu, 1).unwrap();
    let found = loss(&mut theirs, batches);
    assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
}

#[test]
fn candles_is_that_of_its_step_and_changes_no_later_one() {
    for (shape, weights, batches) in &cases()[..4] {
        let trainer = || candle::CandleTrainer::new(shape, weights, cases::OPTIMIZER, &Device::Cpu, 1).unwrap();
        let (mut with, mut without) = (trainer(), trainer());
        for rate in [1e-2, 3e-3] {
            let found = loss(&mut with, batches);
            let step = with.step(batches, rate).unwrap();
            assert!((found - step.loss).abs() < 1e-6 * step.loss, "{found}, not {}", step.loss);
            assert_eq!(step, without.step(batches, rate).unwrap());
        }
        assert_eq!(with.weights().unwrap(), without.weights().unwrap());
        let mut ours = CpuTrainer::<f32>::new(shape, with.weights().unwrap(), cases::OPTIMIZER, 1).unwrap();
        let (found, expected) = (loss(&mut ours, batches), loss(&mut with, batches));
        assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
    }
}
