//! Options that change memory and time but no bit: recomputed activations, the output layer in chunks; and frozen weights.

use super::{cases, check_gradient, gradient};
use crate::engine::cpu::kernel::element::{Bf16Pair, Element};
use crate::engine::cpu::output_layer::chunk;
use crate::engine::cpu::trainer::CpuTrainer;
use crate::engine::{Batch, Frozen, IGNORED, Moments, Optimizer, StepResult, Training, TrainingEngine};
use crate::model::{ModelShape, Weights};
use crate::seed::Stream;

/// Takes two steps; returns their results, the weights and the moments.
pub(super) fn run<T: Element>(
    shape: &ModelShape,
    weights: &Weights,
    batches: &[Batch],
    training: &Training,
    threads: usize,
) -> ([StepResult; 2], Weights, Moments) {
    let mut trainer = CpuTrainer::<T>::new(shape, weights, training.clone(), threads).unwrap();
    let steps = [1e-2, 3e-3].map(|rate| trainer.step(batches, rate).unwrap());
    (steps, trainer.weights().unwrap(), trainer.moments().unwrap())
}

fn freezing(patterns: &[&str]) -> Training {
    Training {
        optimizer: Optimizer {
            clip: f64::INFINITY,
            ..cases::OPTIMIZER
        },
        frozen: Frozen::new(patterns.iter().map(ToString::to_string)),
        recompute: false,
        lora: None,
        seed: 0,
    }
}

#[test]
fn activations_computed_again_are_the_same_bits() {
    for seed in 0..6 {
        let mut stream = Stream::new(seed, "again");
        let shape = ModelShape {
            layers: 1 + seed as usize % 4,
            ..cases::shape(&mut stream)
        };
        let weights = cases::weights(&mut stream, &shape);
        let batches: Vec<Batch> = (0..2).map(|_| cases::batch(&mut stream, &shape, 9, 40)).collect();
        let kept = Training::from(cases::OPTIMIZER);
        let again = Training {
            recompute: true,
            ..kept.clone()
        };
        assert_eq!(
            run::<f32>(&shape, &weights, &batches, &kept, 1),
            run::<f32>(&shape, &weights, &batches, &again, 2)
        );
        assert_eq!(
            run::<Bf16Pair>(&shape, &weights, &batches, &kept, 2),
            run::<Bf16Pair>(&shape, &weights, &batches, &again, 1)
        );
    }
}

/// Long sequences among short ones, with a vocabulary that is no multiple of anything.
pub(super) fn long(stream: &mut Stream) -> (ModelShape, Weights, Batch) {
    let shape = ModelShape {
        layers: 2,
        vocabulary: 37,
        context: 1300,
        ..cases::shape(stream)
    };
    let weights = cases::weights(stream, &shape);
    let mut batch = Batch::default();
    for length in [30, 1300, 100, 20, 900, 500, 90] {
        let (trained, first) = (length - length / 9, batch.tokens.len());
        while batch.tokens.len() < first + length {
            let part = cases::batch(stream, &shape, 1, 60);
            batch.tokens.extend(part.tokens);
            batch.lines.extend(part.lines);
            batch.columns.extend(part.columns);
            batch.places.extend(part.places);
        }
        for part in [&mut batch.tokens, &mut batch.lines, &mut batch.columns] {
            part.truncate(first + length);
        }
        batch.places.truncate(3 * (first + length));
        let draw = |index| {
            if index < length - trained {
                IGNORED
            } else {
                stream.below(37) as u32
            }
        };
        batch.targets.extend((0..length).map(draw));
        batch.lengths.push(length);
    }
    (shape, weights, batch)
}

#[test]
fn chunks_of_the_output_layer_are_the_same_bits_on_any_number_of_threads() {
    fn check<T: Element>(case: &(ModelShape, Weights, Batch)) {
        let (shape, weights, batch) = case;
        assert!(batch.lengths.iter().filter(|length| **length > chunk::<T>() + 100).count() >= 2);
        let once = run::<T>(shape, weights, std::slice::from_ref(batch), &cases::OPTIMIZER.into(), 1);
        for (threads, recompute) in [(2, false), (4, true)] {
            let training = Training {
                recompute,
                ..cases::OPTIMIZER.into()
            };
            assert_eq!(once, run::<T>(shape, weights, std::slice::from_ref(batch), &training, threads));
        }
    }
    let case = long(&mut Stream::new(1, "chunks"));
    check::<f32>(&case);
    check::<Bf16Pair>(&case);
}

/// One long sequence gives other results than the same tokens in short ones, so each long one is compared with the reference.
#[test]
fn gradients_of_a_sequence_in_chunks_equal_central_differences() {
    let (shape, weights, batch) = long(&mut Stream::new(2, "chunks"));
    let take = |values: &[u32]| values.get(..450).unwrap_or_default().to_vec();
    let one = Batch {
        tokens: take(&batch.tokens[30..]),
        targets: batch.targets[200..650].to_vec(),
        lines: take(batch.lines.get(30..).unwrap_or_default()),
        columns: take(batch.columns.get(30..).unwrap_or_default()),
        places: batch.places.get(3 * 30..3 * 480).unwrap_or_default().to_vec(),
        lengths: vec![450],
    };
    assert!(one.targets.iter().filter(|target| **target != IGNORED).count() > chunk::<f32>());
    check_gradient(&shape, &weights, &[one], 2);
}

#[test]
fn frozen_weights_keep_their_bits_and_the_others_move_as_if_all_did() {
    let all = freezing(&[]);
    let cases: &[&[&str]] = &[
        &["model.embed*"],
        &["model.layers.0.*", "model.embed*"],
        &["model.layers.*", "model.embed*"],
        &["model.layers.*.self_attn.*", "model.layers.1.input*", "model.embed*"],
        &["*.k_proj.*", "*.up_proj.*", "*norm*"],
        &["*.q_proj.*", "*.v_proj.*", "*.gate_proj.*", "*.down_proj.*"],
        &["model.layers.0.*", "model.layers.1.*", "model.embed*", "lm_head*"],
        &["*_proj*", "model.embed*", "lm_head*", "model.layers.*"],
        &["lm_head*", "model.norm.*"],
    ];
    for seed in 0..3 {
        let mut stream = Stream::new(seed, "frozen");
        let shape = ModelShape {
            layers: 3,
            tied: false,
            vocabulary: 120,
            ..cases::shape(&mut stream)
        };
        let weights = cases::weights(&mut stream, &shape);
        let batches = [cases::batch(&mut stream, &shape, 9, 40)];
        check_frozen::<f32>(&shape, &weights, &batches, &all, cases);
        check_frozen::<Bf16Pair>(&shape, &weights, &batches, &all, cases);
    }
}

fn check_frozen<T: Element>(shape: &ModelShape, weights: &Weights, batches: &[Batch], all: &Training, cases: &[&[&str]]) {
    let step = |training: &Training| {
        let mut trainer = CpuTrainer::<T>::new(shape, weights, training.clone(), 2).unwrap();
        let step = trainer.step(batches, 1e-2).unwrap();
        (step, trainer.weights().unwrap(), trainer.moments().unwrap())
    };
    let (gradient, _) = gradient::<T>(shape, weights, batches, 1);
    let (_, moved, moments) = step(all);
    for patterns in cases {
        for recompute in [false, true] {
            let training = Training {
                recompute,
                ..freezing(patterns)
            };
            let (step, found, found_moments) = step(&training);
            let mut squares = 0.0;
            for (name, array) in &found {
                let frozen = training.frozen.holds(name);
                assert!(
                    *array == if frozen { &weights[name] } else { &moved[name] }.clone(),
                    "{patterns:?}: {name}"
                );
                assert_eq!(
                    found_moments.first.get(name),
                    (!frozen).then(|| &moments.first[name]),
                    "{patterns:?}: {name}"
                );
                assert_eq!(
                    found_moments.second.get(name),
                    (!frozen).then(|| &moments.second[name]),
                    "{patterns:?}: {name}"
                );
                if !frozen {
                    squares += gradient[name].data.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
                }
            }
            let norm = squares.sqrt();
            assert!(
                (step.gradient_norm - norm).abs() < 1e-6 * norm,
                "{patterns:?}: {step:?}, not {norm}"
            );
        }
    }
}

#[test]
fn a_restored_trainer_with_frozen_weights_goes_on_with_the_same_bits() {
    let mut stream = Stream::new(5, "frozen");
    let shape = ModelShape {
        layers: 2,
        ..cases::shape(&mut stream)
    };
    let weights = cases::weights(&mut stream, &shape);
    let batches = [cases::batch(&mut stream, &shape, 5, 40)];
    let training = freezing(&["model.layers.0.*", "*.k_proj.*"]);
    let mut whole = CpuTrainer::<f32>::new(&shape, &weights, training.clone(), 1).unwrap();
    whole.step(&batches, 1e-2).unwrap();
    let (after, moments) = (whole.weights().unwrap(), whole.moments().unwrap());
    let mut resumed = CpuTrainer::<f32>::new(&shape, cases::weights(&mut stream, &shape), training, 1).unwrap();
    resumed
        .restore(moments.steps, &mut crate::engine::reader(&after, &moments))
        .unwrap();
    assert_eq!(whole.step(&batches, 1e-2).unwrap(), resumed.step(&batches, 1e-2).unwrap());
    assert_eq!(whole.weights().unwrap(), resumed.weights().unwrap());
}
