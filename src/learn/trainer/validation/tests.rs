//! Held-out losses within whole trainings.

use std::cell::Cell;

use super::super::tests::{Place, base, bytes, data, recipe, rows};
use super::super::{TrainedModel, TrainingRun, train};
use super::*;
use crate::engine::{Dtype, Engine, ScoredFeed, Target};
use crate::model::{Architecture, Lora, Model};
use crate::positions::TokenRows;

const ENGINES: [Engine; 2] = [Engine::Cpu, Engine::Candle];

/// Rows to train on, and others that are held out. Both have all characters.
fn split() -> (Vec<Row>, Vec<Row>) {
    let (mut trained, mut held_out) = (Vec::new(), Vec::new());
    for (number, row) in rows().into_iter().enumerate() {
        if number % 7 == 3 { &mut held_out } else { &mut trained }.push(row);
    }
    (trained, held_out)
}

fn with<'a>(rows: &'a [Row], held_out: &'a [Row]) -> TrainingData<'a> {
    TrainingData {
        validation: Some(held_out),
        ..data(rows)
    }
}

fn trained(recipe: &Recipe, data: &TrainingData<'_>) -> TrainedModel {
    Place::new(1, u64::MAX).train_from(recipe, data).unwrap()
}

fn held_out(model: &TrainedModel) -> Vec<(u64, f64)> {
    let points = model.curve.iter();
    points.filter_map(|point| Some((point.step, point.validation_loss?))).collect()
}

/// The mean over completions and their ends of the negative log-probabilities of their tokens, as the decoder that scores texts has them.
fn scored(model: &TrainedModel, rows: &[Row], engine: Engine, dtype: Dtype) -> f64 {
    let Model {
        tokenizer, shape, weights, ..
    } = &model.model;
    let mut decoder = crate::engine::decoder(engine, dtype, "cpu", shape, weights, 1, 1).unwrap();
    let (mut sum, mut count) = (0.0, 0);
    for row in rows {
        let mut tokens = tokenizer
            .prompt(&model.model.prompt.render(&row.prompt, row.step_num), &[])
            .unwrap();
        let start = tokens.len();
        tokens.extend(tokenizer.encode(&row.completion).unwrap());
        let rows = TokenRows::of_use(shape, tokenizer, &tokens, start);
        let feed = rows.feed(0, 0);
        let next = tokens[start..].iter().chain([&tokenizer.end()]).copied().collect::<Vec<u32>>();
        let targets: Vec<Target> = (start - 1..).zip(next).map(|(after, token)| Target { after, token }).collect();
        let scores = decoder.score(&[ScoredFeed { feed, targets: &targets }]).unwrap();
        sum -= scores.iter().map(|score| score.log_probability).sum::<f64>();
        count += scores.len();
    }
    sum / count as f64
}

#[test]
fn the_loss_is_that_of_the_decoder_that_scores_texts() {
    let (rows, others) = split();
    for (engine, dtype) in [(Engine::Cpu, Dtype::F32), (Engine::Cpu, Dtype::Bf16), (Engine::Candle, Dtype::F32)] {
        let recipe = Recipe {
            engine,
            dtype,
            learning_rate: 1e-2,
            ..recipe()
        };
        let model = trained(&recipe, &with(&rows, &others));
        let (step, found) = *held_out(&model).last().unwrap();
        assert_eq!(step, 12);
        let expected = scored(&model, &others, engine, dtype);
        let allowed = if dtype == Dtype::Bf16 { 2e-2 } else { 2e-5 };
        assert!(
            (found - expected).abs() < allowed * expected,
            "{engine:?} {dtype:?}: {found}, not {expected}"
        );
        // It is not that of the rows that were trained on.
        let trained_on = scored(&model, &rows, engine, dtype);
        assert!((found - trained_on).abs() > 1e-3, "{found}, {trained_on}");
    }
}

#[test]
fn it_changes_no_weight_and_no_training_loss() {
    let (rows, others) = split();
    for engine in ENGINES {
        let recipe = Recipe {
            engine,
            curriculum: 0.25,
            ..recipe()
        };
        let without = trained(&recipe, &data(&rows));
        let often = Recipe {
            validate_every: Some(1),
            ..recipe.clone()
        };
        let model = trained(&often, &with(&rows, &others));
        let (mut found, expected) = (bytes(&model), bytes(&without));
        assert_eq!(held_out(&model).len(), 12);
        assert!(found.remove("validation.json").is_some() && !expected.contains_key("validation.json"));
        for name in ["model.safetensors", "tokenizer.json", "config.json", "prompt.json"] {
            assert!(found[name] == expected[name], "{engine:?} {name}");
        }
        let mut curve = model.curve;
        curve.iter_mut().for_each(|point| point.validation_loss = None);
        assert_eq!(curve, without.curve);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (rows, others) = split();
    let recipe = Recipe {
        validate_every: Some(5),
        keep: Keep::Best,
        ..recipe()
    };
    let one = bytes(&trained(&recipe, &with(&rows, &others)));
    assert!(one == bytes(&Place::new(3, u64::MAX).train_from(&recipe, &with(&rows, &others)).unwrap()));
}

#[test]
fn it_is_computed_every_so_many_steps_or_with_each_pass_and_always_at_the_end() {
    // 86 rows are 11 batches of 8.
    let (rows, others) = split();
    assert_eq!(rows.len(), 86);
    let steps = |recipe: Recipe| {
        let model = trained(&recipe, &with(&rows, &others));
        held_out(&model).into_iter().map(|(step, _)| step).collect::<Vec<_>>()
    };
    let every = |every| Recipe {
        validate_every: Some(every),
        ..recipe()
    };
    assert_eq!(steps(every(5)), [5, 10, 12]);
    assert_eq!(steps(every(6)), [6, 12]);
    assert_eq!(steps(every(100)), [12]);
    // Two batches in a step: the first pass ends within step 6, the second at step 11.
    assert_eq!(steps(recipe()), [6, 11, 12]);
    let later = Recipe {
        curriculum: 0.25,
        ..recipe()
    };
    // Three steps come before the first pass.
    assert_eq!(steps(later), [9, 12]);
    let epochs = Recipe { epochs: 3, ..recipe() };
    assert_eq!(steps(epochs), [6, 11, 17]);
    let none = Recipe { steps: 0, ..recipe() };
    let model = trained(&none, &with(&rows, &others));
    assert!(model.curve.is_empty() && model.validation.is_none());
}

fn validation<'a>(recipe: &'a Recipe, rows: &'a [Row], others: &'a [Row]) -> Validation<'a> {
    let data = with(rows, others);
    let start = TrainingStart::new(recipe, &data, 3, None).unwrap();
    Validation::new(recipe, &data, &start, recipe.length(rows.len())).unwrap().unwrap()
}

/// The steps at which the weights were kept, and the step after which it was over, for these losses.
fn followed(recipe: &Recipe, losses: &[f64]) -> (Vec<u64>, Option<u64>) {
    let (rows, others) = split();
    let mut validation = validation(recipe, &rows, &others);
    let mut kept = Vec::new();
    for (step, loss) in (1..).zip(losses) {
        if validation.add(HeldOutLoss { step, loss: *loss }) {
            kept.push(step);
        }
        if validation.is_over() {
            return (kept, Some(step));
        }
    }
    (kept, None)
}

#[test]
fn patience_counts_evaluations_since_the_best_and_equal_is_no_improvement() {
    let recipe = |patience| Recipe {
        patience,
        keep: Keep::Best,
        ..recipe()
    };
    let losses = [3.0, 2.0, 2.5, 2.0, 1.0, 1.5, 1.25, 1.125];
    assert_eq!(followed(&recipe(None), &losses), (vec![1, 2, 5], None));
    assert_eq!(followed(&recipe(Some(1)), &losses), (vec![1, 2], Some(3)));
    assert_eq!(followed(&recipe(Some(2)), &losses), (vec![1, 2], Some(4)));
    assert_eq!(followed(&recipe(Some(3)), &losses), (vec![1, 2, 5], Some(8)));
    assert_eq!(followed(&recipe(Some(4)), &losses), (vec![1, 2, 5], None));
    let last = Recipe {
        keep: Keep::Last,
        ..recipe(Some(2))
    };
    assert_eq!(followed(&last, &losses), (vec![], Some(4)));
}

/// Rows that nearly all have the same completion, and others with the right ones: their loss falls until the words are learned, and rises as
/// the numbers are.
fn contrary() -> (Vec<Row>, Vec<Row>) {
    let right = rows();
    let mut wrong = right.clone();
    for row in &mut wrong[..90] {
        row.completion.clone_from(&right[0].completion);
    }
    (wrong, right[20..32].to_vec())
}

fn overfitting() -> Recipe {
    Recipe {
        steps: 60,
        learning_rate: 1e-2,
        validate_every: Some(4),
        ..recipe()
    }
}

#[test]
fn the_best_step_s_weights_are_those_of_a_training_that_is_there() {
    let (rows, others) = contrary();
    for engine in ENGINES {
        let recipe = Recipe {
            engine,
            schedule: crate::trainer::Schedule::Constant,
            warmup: 0.0,
            keep: Keep::Best,
            ..overfitting()
        };
        let model = trained(&recipe, &with(&rows, &others));
        let losses = held_out(&model);
        let (best, least) = losses
            .iter()
            .copied()
            .min_by(|(_, left), (_, right)| left.total_cmp(right))
            .unwrap();
        assert!((4..56).contains(&best), "{losses:?}");
        let expected = ValidationSummary {
            best_step: best,
            best_loss: least,
            evaluations: 15,
            kept_step: best,
            stopped_early: false,
        };
        assert_eq!(model.validation, Some(expected));
        // With a constant learning rate, a shorter training has the same steps.
        let shorter = Recipe {
            steps: best,
            keep: Keep::Last,
            ..recipe.clone()
        };
        assert_eq!(model.model.weights, trained(&shorter, &data(&rows)).model.weights, "{engine:?}");
        let last = Recipe {
            keep: Keep::Last,
            ..recipe
        };
        let last = trained(&last, &with(&rows, &others));
        assert_ne!(model.model.weights, last.model.weights);
        assert_eq!(
            last.validation.map(|summary| (summary.best_step, summary.kept_step)),
            Some((best, 60))
        );
    }
}

#[test]
fn a_training_without_improvement_ends_with_the_weights_of_its_last_step() {
    let (rows, others) = contrary();
    let whole = trained(&overfitting(), &with(&rows, &others));
    let losses = held_out(&whole);
    let recipe = Recipe {
        patience: Some(2),
        ..overfitting()
    };
    let model = trained(&recipe, &with(&rows, &others));
    let stop = (2..losses.len())
        .find(|&now| (now - 1..=now).all(|later| losses[..now - 1].iter().any(|(_, loss)| *loss <= losses[later].1)))
        .unwrap();
    assert_eq!(held_out(&model), losses[..=stop]);
    let summary = model.validation.unwrap();
    assert_eq!((summary.kept_step, summary.stopped_early), (losses[stop].0, true));
    assert!(summary.kept_step < 60 && summary.best_step == losses[stop - 2].0, "{summary:?}");
    assert_eq!(model.curve.last().unwrap().step, summary.kept_step);
    // The schedule is that of the whole training.
    assert!(whole.curve.starts_with(&model.curve));
    let kept = Recipe {
        keep: Keep::Best,
        ..recipe
    };
    let kept = trained(&kept, &with(&rows, &others));
    assert_eq!(kept.validation.unwrap().kept_step, summary.best_step);
    assert_ne!(kept.model.weights, model.model.weights);
}

/// Trains with a process that ends at the `calls`th question whether to stop, and one that goes on.
fn resumed(recipe: &Recipe, data: &TrainingData<'_>, calls: u64) -> TrainedModel {
    let place = Place::new(2, u64::MAX);
    let asked = Cell::new(0);
    let run = |stop: &dyn Fn() -> bool| {
        let run = TrainingRun {
            scratch: place.scratch.path(),
            threads: 2,
            device: "cpu",
            memory: None,
            progress: &|_| {},
            stop,
        };
        train(recipe, data, 3, &run)
    };
    let stopped = run(&|| {
        asked.set(asked.get() + 1);
        asked.get() >= calls
    });
    assert!(matches!(stopped, Err(TrainError::Stopped)), "{calls}");
    run(&|| false).unwrap()
}

#[test]
fn a_stopped_training_ends_with_the_same_bytes_wherever_it_was_stopped() {
    let (rows, others) = contrary();
    let data = with(&rows, &others);
    for engine in ENGINES {
        let recipe = Recipe {
            engine,
            patience: Some(2),
            keep: Keep::Best,
            ..overfitting()
        };
        let straight = trained(&recipe, &data);
        let summary = straight.validation.unwrap();
        assert!(summary.stopped_early && summary.best_step > 4, "{summary:?}");
        let straight = bytes(&straight);
        // In each four steps it is asked before each step and before each of two batches of the set: before a step, within a held-out loss,
        // and after the best step.
        let last = summary.evaluations * 6;
        for calls in (1..=last).step_by(if engine == Engine::Cpu { 1 } else { 7 }) {
            assert!(bytes(&resumed(&recipe, &data, calls)) == straight, "{engine:?} {calls}");
        }
    }
}

#[test]
fn the_best_adapters_are_kept_and_merged() {
    let base = base();
    let (rows, others) = contrary();
    let recipe = Recipe {
        model: None,
        lora: Some(Lora {
            rank: 4,
            dropout: 0.1,
            ..Lora::default()
        }),
        keep: Keep::Best,
        schedule: crate::trainer::Schedule::Constant,
        warmup: 0.0,
        ..overfitting()
    };
    let read = || Ok(base.model.clone());
    let from = TrainingData {
        base: Some(&read),
        ..with(&rows, &others)
    };
    let model = trained(&recipe, &from);
    let summary = model.validation.unwrap();
    assert!(summary.kept_step < 60, "{summary:?}");
    let shorter = Recipe {
        steps: summary.kept_step,
        keep: Keep::Last,
        ..recipe.clone()
    };
    let shorter = trained(&shorter, &TrainingData { validation: None, ..from });
    assert_eq!(model.model.weights, shorter.model.weights);
    assert_eq!(model.adapters.as_ref().unwrap().weights, shorter.adapters.unwrap().weights);
    assert!(bytes(&resumed(&recipe, &from, 60)) == bytes(&model));
}

#[test]
fn a_copy_of_the_best_weights_counts_as_memory() {
    let shape = Architecture::default().shape(50).unwrap();
    let best = Recipe {
        keep: Keep::Best,
        ..recipe()
    };
    assert_eq!(kept_bytes(&best, &shape, true), 4 * shape.size());
    assert_eq!((kept_bytes(&best, &shape, false), kept_bytes(&recipe(), &shape, true)), (0, 0));
    let lora = Lora::default();
    let numbers: usize = lora.initialise(&shape, 1).values().map(|array| array.data.len()).sum();
    let adapted = Recipe { lora: Some(lora), ..best };
    assert_eq!(kept_bytes(&adapted, &shape, true), 4 * numbers);
}

#[test]
fn what_cannot_be_measured_is_said() {
    let (rows, others) = split();
    let fails = |recipe: Recipe, others: &[Row]| {
        let error = Place::new(1, u64::MAX).train_from(&recipe, &with(&rows, others)).unwrap_err();
        error.to_string()
    };
    insta::assert_snapshot!(fails(recipe(), &[]), @"there is nothing to measure in `validation`: it has no rows, or none of their tokens is trained on; check the output of the stage that makes it");
    let mut long = others.clone();
    for row in &mut long {
        row.completion = row.completion.repeat(9);
    }
    insta::assert_snapshot!(fails(recipe(), &long), @r#"14 rows of `validation` are longer than the model's context of 64 tokens, the longest has 114 (rows "1_1/03", "1_1/10", "1_1/17", "1_1/24", "1_1/31" and 9 more); raise `context` of the model or leave them out"#);
    let mut strange = others.clone();
    strange[1].completion = "1. 0 × 3 = 0.\nThus, the answer is 0.".to_owned();
    insta::assert_snapshot!(fails(recipe(), &strange), @r#"the tokenizer has no token for "×" (row "1_1/10" of `validation`: "1. 0 × 3 = 0."), since it is made of the training's rows; pass the validation set as `vocabulary` too"#);
    let base = base();
    let read = || Ok(base.model.clone());
    let from = TrainingData {
        base: Some(&read),
        ..with(&rows, &strange)
    };
    let error = Place::new(1, u64::MAX).train_from(&recipe(), &from).unwrap_err().to_string();
    assert!(error.starts_with("the base's tokenizer has no token for \"×\""), "{error}");
}

#[test]
fn a_validation_set_may_be_longer_than_all_rows_that_are_trained_on() {
    let (rows, mut others) = split();
    for row in &mut others {
        row.completion = format!("1. {}", row.completion);
    }
    let longest = |rows: &[Row]| rows.iter().map(|row| row.completion.len()).max().unwrap();
    assert!(longest(&others) > longest(&rows));
    let model = trained(&recipe(), &with(&rows, &others));
    assert_eq!(model.model.weights, trained(&recipe(), &data(&rows)).model.weights);
}
