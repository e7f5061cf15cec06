//! Adapters: their gradients, and settings that must not change a bit.

use candle_core::Device;

use super::{cases, reference};
use crate::engine::cpu::kernel::element::{Bf16Pair, Element};
use crate::engine::cpu::parameters::Parameters;
use crate::engine::cpu::pool;
use crate::engine::cpu::trainer::CpuTrainer;
use crate::engine::cpu::trainer_state::TrainerState;
use crate::engine::{Batch, Optimizer, Training, TrainingEngine, candle, reader};
use crate::model::lora::{TARGETS, is_adapter};
use crate::model::{Lora, ModelShape, Weights};
use crate::seed::Stream;

/// A decoder with adapters of some of its matrices, none of them 0.
fn case(seed: u64, dropout: f64) -> (ModelShape, Weights, Lora, Vec<Batch>) {
    let mut stream = Stream::new(seed, "lora");
    let shape = cases::shape(&mut stream);
    let mut targets: Vec<String> = TARGETS.iter().filter(|_| stream.below(2) == 0).map(ToString::to_string).collect();
    if targets.is_empty() {
        targets.push("v_proj".to_owned());
    }
    let lora = Lora {
        rank: 1 + stream.below(20) as usize,
        alpha: 3.0,
        targets,
        dropout,
    };
    let mut weights = cases::weights(&mut stream, &shape);
    let mut adapters = lora.initialise(&shape, seed);
    for array in adapters.values_mut() {
        array.data.iter_mut().for_each(|value| *value = 0.3 * stream.normal() as f32);
    }
    weights.append(&mut adapters);
    let batches = (0..2).map(|_| cases::batch(&mut stream, &shape, 6, 40)).collect();
    (shape, weights, lora, batches)
}

fn training(lora: &Lora) -> Training {
    Training {
        lora: Some(lora.clone()),
        seed: 5,
        ..Training::from(Optimizer {
            clip: f64::INFINITY,
            ..cases::OPTIMIZER
        })
    }
}

/// Gradients of the adapters, and the loss.
fn gradient<T: Element>(shape: &ModelShape, weights: &Weights, lora: &Lora, batches: &[Batch]) -> (Weights, f64) {
    let parameters = Parameters::with_trainable(shape, weights, Some(lora), &is_adapter).unwrap();
    let mut learner = TrainerState::<T>::new(parameters, &training(lora));
    let loss = pool(1).unwrap().install(|| learner.differentiate(batches));
    (learner.gradient_by_name(), loss)
}

/// The reference's loss for the decoder with its adapters merged.
fn exact_loss(shape: &ModelShape, weights: &reference::Exact, lora: &Lora, batches: &[Batch]) -> f64 {
    let mut merged = weights.clone();
    for (name, (_, inner)) in lora.adapted(shape) {
        let (a, b) = crate::model::lora::adapter_names(&name);
        for (index, value) in merged.get_mut(&name).unwrap().iter_mut().enumerate() {
            let (row, column) = (index / inner, index % inner);
            let product = (0..lora.rank).map(|rank| weights[&b][row * lora.rank + rank] * weights[&a][rank * inner + column]);
            *value += lora.scale() * product.sum::<f64>();
        }
    }
    reference::loss(shape, &merged, batches)
}

#[test]
fn gradients_equal_central_differences() {
    for seed in 0..8 {
        let (shape, weights, lora, batches) = case(seed, 0.0);
        let (gradient, loss) = gradient::<f32>(&shape, &weights, &lora, &batches);
        assert!(gradient.keys().all(|name| is_adapter(name)) && gradient.len() == 2 * lora.targets.len() * shape.layers);
        let mut exact = reference::exact(&weights);
        let expected = exact_loss(&shape, &exact, &lora, &batches);
        assert!((loss - expected).abs() < 1e-5 * expected, "loss {loss}, not {expected}");
        for (name, found) in &gradient {
            let (mut error, mut norm) = (0.0, 0.0);
            for index in (0..found.data.len()).step_by(found.data.len().div_ceil(4)) {
                let value = exact[name][index];
                let mut at = |value| {
                    exact.get_mut(name).unwrap()[index] = value;
                    exact_loss(&shape, &exact, &lora, &batches)
                };
                let slope = (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
                at(value);
                error += (slope - f64::from(found.data[index])).powi(2);
                norm += slope.powi(2);
            }
            assert!(
                error.sqrt() <= 2e-4 * norm.sqrt() + 1e-8,
                "{shape:?} {lora:?}: {name}: {error} of {norm}"
            );
        }
    }
}

/// The reference has no dropout, so with dropout the gradient is compared with the slope of the engine's own loss.
#[test]
fn gradients_with_dropout_equal_the_slopes_of_the_loss() {
    for seed in 0..6 {
        let (shape, weights, lora, batches) = case(seed, 0.3);
        let (found, loss) = gradient::<f32>(&shape, &weights, &lora, &batches);
        let plain = Lora {
            dropout: 0.0,
            ..lora.clone()
        };
        assert_ne!(loss, gradient::<f32>(&shape, &weights, &plain, &batches).1);
        let mut stream = Stream::new(seed, "direction");
        let (mut slope, mut ahead, mut back) = (0.0, weights.clone(), weights.clone());
        for (name, array) in &found {
            for (index, gradient) in array.data.iter().enumerate() {
                let along = stream.normal();
                slope += along * f64::from(*gradient);
                ahead.get_mut(name).unwrap().data[index] += (1e-3 * along) as f32;
                back.get_mut(name).unwrap().data[index] -= (1e-3 * along) as f32;
            }
        }
        let loss = |weights: &Weights| gradient::<f32>(&shape, weights, &lora, &batches).1;
        let expected = (loss(&ahead) - loss(&back)) / 2e-3;
        assert!(
            (slope - expected).abs() < 0.01 * expected.abs() + 2e-3,
            "seed {seed}: {slope}, not {expected}"
        );
    }
}

#[test]
fn the_first_steps_moments_equal_candles() {
    for seed in 0..4 {
        let (shape, weights, lora, batches) = case(seed, 0.0);
        let mut ours = CpuTrainer::<f32>::new(&shape, &weights, training(&lora), 2).unwrap();
        let optimizer = training(&lora).optimizer;
        let mut theirs = candle::CandleTrainer::adapting(&shape, &weights, (&lora, optimizer), &Device::Cpu, 1).unwrap();
        for rate in [1e-3, 1e-3] {
            let (step, expected) = (ours.step(&batches, rate).unwrap(), theirs.step(&batches, rate).unwrap());
            assert!((step.loss - expected.loss).abs() < 1e-4, "seed {seed}: {step:?}, not {expected:?}");
        }
        let (found, expected) = (ours.moments().unwrap(), theirs.moments().unwrap());
        assert_eq!(found.first.keys().collect::<Vec<_>>(), expected.first.keys().collect::<Vec<_>>());
        for (name, found) in found.first {
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            let size = norm(&mut expected.first[&name].data.iter().copied());
            let pairs = found.data.iter().zip(&expected.first[&name].data);
            let error = norm(&mut pairs.map(|(found, expected)| found - expected));
            assert!(error < 1e-3 * size + 1e-9, "seed {seed}: `{name}` is off by {error} of {size}");
        }
    }
}

#[test]
fn threads_and_activations_computed_again_change_no_bit() {
    fn steps<T: Element>(seed: u64, threads: usize, recompute: bool) -> (Vec<f64>, Weights) {
        let (shape, weights, lora, batches) = case(seed, 0.2);
        let training = Training {
            recompute,
            ..training(&lora)
        };
        let mut trainer = CpuTrainer::<T>::new(&shape, &weights, training, threads).unwrap();
        let losses = (0..3).map(|_| trainer.step(&batches, 1e-2).unwrap().loss).collect();
        (losses, trainer.weights().unwrap())
    }
    for seed in 0..4 {
        assert_eq!(steps::<f32>(seed, 1, false), steps::<f32>(seed, 2, true));
        assert_eq!(steps::<Bf16Pair>(seed, 2, false), steps::<Bf16Pair>(seed, 1, true));
    }
}

#[test]
fn bf16_is_near_f32_and_a_checkpoint_goes_on_as_if_nothing_was() {
    for seed in 0..4 {
        let (shape, weights, lora, batches) = case(seed, 0.1);
        let ((exact, loss), (found, rounded)) = (
            gradient::<f32>(&shape, &weights, &lora, &batches),
            gradient::<Bf16Pair>(&shape, &weights, &lora, &batches),
        );
        assert!((loss - rounded).abs() < 0.02 * loss, "{rounded}, not {loss}");
        let norm = |weights: &Weights| {
            weights
                .values()
                .flat_map(|array| &array.data)
                .map(|x| f64::from(*x).powi(2))
                .sum::<f64>()
        };
        assert!((norm(&found) / norm(&exact) - 1.0).abs() < 0.1);
        let mut whole = CpuTrainer::<Bf16Pair>::new(&shape, &weights, training(&lora), 1).unwrap();
        whole.step(&batches, 1e-2).unwrap();
        let mut resumed = CpuTrainer::<Bf16Pair>::new(&shape, &weights, training(&lora), 2).unwrap();
        let (adapters, moments) = (whole.weights().unwrap(), whole.moments().unwrap());
        assert!(adapters.keys().all(|name| is_adapter(name)));
        resumed.restore(1, &mut reader(&adapters, &moments)).unwrap();
        assert_eq!(whole.step(&batches, 1e-2).unwrap(), resumed.step(&batches, 1e-2).unwrap());
        assert_eq!(whole.weights().unwrap(), resumed.weights().unwrap());
    }
}
