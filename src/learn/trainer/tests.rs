use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::dataset::Doc;
use crate::engine::Engine;
use crate::model::{Architecture, Lora, Places, TokenPositions};

const ENGINES: [Engine; 2] = [Engine::Cpu, Engine::Candle];

/// Sums of two digits, worded like the addition task's.
pub(super) fn rows() -> Vec<Row> {
    let pairs = (0..10).flat_map(|a| (0..10).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| Row {
            id: format!("1_1/{a}{b}"),
            prompt: format!("Question: {a} + {b}"),
            completion: format!("1. {a} + {b} = {}.\nThus, the answer is {}.", a + b, a + b),
            step_num: 1,
            answer: (a + b).into(),
            doc: Doc::default(),
        })
        .collect()
}

pub(super) fn recipe() -> Recipe {
    Recipe {
        model: Some(Architecture {
            width: 32,
            heads: 2,
            layers: 1,
            context: 64,
            ..Architecture::default()
        }),
        steps: 12,
        batch: 8,
        accumulate: 2,
        ..Recipe::default()
    }
}

/// A recipe for a model that knows places.
fn with_places() -> Recipe {
    let places = Places { rows: 8, top: 3, wide: 0 };
    let model = recipe().model.map(|model| Architecture {
        positions: TokenPositions::Places(places),
        ..model
    });
    Recipe { model, ..recipe() }
}

pub(super) fn data(rows: &[Row]) -> TrainingData<'_> {
    TrainingData {
        rows,
        vocabulary: &[],
        validation: None,
        base: None,
    }
}

pub(super) struct Place {
    pub(super) scratch: tempfile::TempDir,
    threads: usize,
    /// The step after which to stop.
    until: u64,
    memory: Option<u64>,
}

impl Place {
    pub(super) fn new(threads: usize, until: u64) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Self {
            scratch,
            threads,
            until,
            memory: None,
        }
    }

    fn train(&self, recipe: &Recipe, rows: &[Row]) -> Result<TrainedModel, TrainError> {
        self.train_from(recipe, &data(rows))
    }

    pub(super) fn train_from(&self, recipe: &Recipe, data: &TrainingData<'_>) -> Result<TrainedModel, TrainError> {
        let done = Cell::new(0);
        let run = TrainingRun {
            scratch: self.scratch.path(),
            threads: self.threads,
            device: "cpu",
            memory: self.memory,
            progress: &|reading| done.set(reading.step),
            stop: &|| done.get() >= self.until,
        };
        train(recipe, data, 3, &run)
    }
}

pub(super) fn bytes(trained: &TrainedModel) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    trained.save(folder.path()).unwrap();
    let entries = walkdir::WalkDir::new(folder.path()).into_iter().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .map(|file| {
            let name = file.path().strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_loss_falls_alike_on_every_engine() {
    let curves = ENGINES.map(|engine| {
        let recipe = Recipe {
            engine,
            steps: 60,
            learning_rate: 1e-2,
            ..recipe()
        };
        Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap().curve
    });
    for curve in &curves {
        assert_eq!(curve.len(), 60);
        assert!(curve[0].loss.unwrap() > 3.0 && curve[59].loss.unwrap() < 1.0, "{curve:?}");
    }
    let early = |curve: &[TrainingPoint]| curve[..10].iter().map(|point| point.loss.unwrap()).sum::<f64>();
    assert!((early(&curves[0]) - early(&curves[1])).abs() < 1e-3, "{curves:?}");
}

#[test]
fn a_model_that_knows_places_learns_alike_on_every_engine_and_on_any_number_of_threads() {
    let curves = ENGINES.map(|engine| {
        let recipe = Recipe {
            engine,
            steps: 60,
            learning_rate: 1e-2,
            ..with_places()
        };
        let trained = Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap();
        let same = bytes(&trained) == bytes(&Place::new(3, u64::MAX).train(&recipe, &rows()).unwrap());
        assert!(same, "{engine:?}");
        trained.curve.iter().map(|point| point.loss.unwrap()).collect::<Vec<f64>>()
    });
    for curve in &curves {
        assert!(curve[0] > 3.0 && curve[59] < 2.0, "{curve:?}");
    }
    let early = |curve: &[f64]| curve[..10].iter().sum::<f64>();
    assert!((early(&curves[0]) - early(&curves[1])).abs() < 1e-3, "{curves:?}");
}

#[test]
fn a_stopped_training_of_places_ends_with_the_same_bytes() {
    for engine in ENGINES {
        let recipe = Recipe { engine, ..with_places() };
        let straight = bytes(&Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap());
        let mut place = Place::new(1, 5);
        assert!(matches!(place.train(&recipe, &rows()), Err(TrainError::Stopped)));
        place.until = u64::MAX;
        assert!(bytes(&place.train(&recipe, &rows()).unwrap()) == straight, "{engine:?}");
    }
}

/// Before anything is computed, and never a row that several indices share.
#[test]
fn lines_beyond_the_highest_index_are_named() {
    let mut rows = rows();
    rows[7].completion = "1.\n2.\n3.\n4.\nThus, the answer is 7.".to_owned();
    let error = Place::new(1, u64::MAX).train(&with_places(), &rows).unwrap_err();
    insta::assert_snapshot!(error, @r#"1 rows have a line or a digit beyond the highest index that the model has places for: 5, where `top` of its `positions` is 3 (rows "1_1/07"); raise `top`, and `rows` with it, or leave them out"#);
    let held_out = TrainingData {
        validation: Some(&rows[5..9]),
        ..data(&rows[..5])
    };
    let error = Place::new(1, u64::MAX).train_from(&with_places(), &held_out).unwrap_err();
    insta::assert_snapshot!(error, @r#"1 rows of `validation` have a line or a digit beyond the highest index that the model has places for: 5, where `top` of its `positions` is 3 (rows "1_1/07"); raise `top`, and `rows` with it, or leave them out"#);
}

#[test]
fn a_stopped_training_ends_with_the_same_bytes() {
    for (engine, curriculum) in [(Engine::Cpu, 0.0), (Engine::Candle, 0.0), (Engine::Cpu, 0.75)] {
        let recipe = Recipe {
            engine,
            curriculum,
            ..recipe()
        };
        let straight = bytes(&Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap());
        let names: Vec<_> = straight.keys().map(String::as_str).collect();
        let files = [
            "config.json",
            "model.safetensors",
            "prompt.json",
            "tokenizer.json",
            "training.jsonl",
        ];
        assert_eq!(names, files);
        let mut place = Place::new(2, 7);
        assert!(matches!(place.train(&recipe, &rows()), Err(TrainError::Stopped)));
        assert!(place.scratch.path().join("checkpoint.safetensors").exists());
        place.until = u64::MAX;
        assert!(bytes(&place.train(&recipe, &rows()).unwrap()) == straight, "{engine:?}");
    }
}

#[test]
fn a_checkpoint_of_another_training_is_ignored() {
    let mut place = Place::new(1, 7);
    let other = Recipe {
        learning_rate: 1e-2,
        ..recipe()
    };
    assert!(matches!(place.train(&other, &rows()), Err(TrainError::Stopped)));
    place.until = u64::MAX;
    let resumed = bytes(&place.train(&recipe(), &rows()).unwrap());
    assert!(resumed == bytes(&Place::new(1, u64::MAX).train(&recipe(), &rows()).unwrap()));
}

/// A model that has learned something of the sums whose first number is below 5.
pub(super) fn base() -> TrainedModel {
    let recipe = Recipe {
        steps: 40,
        learning_rate: 1e-2,
        ..recipe()
    };
    Place::new(1, u64::MAX).train(&recipe, &rows()[..50]).unwrap()
}

#[test]
fn no_further_step_leaves_the_base_as_it_is() {
    let base = base().model;
    for engine in ENGINES {
        let recipe = Recipe {
            engine,
            steps: 0,
            model: None,
            ..recipe()
        };
        let same = Place::new(1, u64::MAX).train_from(
            &recipe,
            &TrainingData {
                base: Some(&|| Ok(base.clone())),
                ..data(&rows())
            },
        );
        let same = same.unwrap().model;
        assert_eq!((&same.weights, &same.shape), (&base.weights, &base.shape), "{engine:?}");
        assert_eq!(same.tokenizer.json().unwrap(), base.tokenizer.json().unwrap());
    }
}

#[test]
fn a_training_from_a_base_begins_where_that_ended_and_can_be_stopped() {
    let base = base();
    let (all, recipe) = (rows(), Recipe { model: None, ..recipe() });
    let from = TrainingData {
        base: Some(&|| Ok(base.model.clone())),
        ..data(&all)
    };
    let mut place = Place::new(1, u64::MAX);
    let straight = place.train_from(&recipe, &from).unwrap();
    assert!(
        straight.curve[0].loss.unwrap() < base.curve[0].loss.unwrap() / 2.0,
        "{:?}",
        straight.curve[0]
    );
    // Naming the base's shape gives the same training.
    let said = Recipe {
        model: self::recipe().model,
        ..recipe.clone()
    };
    assert!(bytes(&Place::new(2, u64::MAX).train_from(&said, &from).unwrap()) == bytes(&straight));
    place = Place::new(1, 5);
    assert!(matches!(place.train_from(&recipe, &from), Err(TrainError::Stopped)));
    place.until = u64::MAX;
    assert!(bytes(&place.train_from(&recipe, &from).unwrap()) == bytes(&straight));
}

#[test]
fn adapters_are_merged_and_kept_and_a_stopped_training_ends_with_the_same_bytes() {
    let base = base();
    let all = rows();
    let lora = Lora {
        rank: 4,
        ..Lora::default()
    };
    let recipe = Recipe {
        model: None,
        lora: Some(lora.clone()),
        learning_rate: 1e-2,
        ..recipe()
    };
    let from = TrainingData {
        base: Some(&|| Ok(base.model.clone())),
        ..data(&all)
    };
    for engine in ENGINES {
        let recipe = Recipe { engine, ..recipe.clone() };
        let trained = Place::new(1, u64::MAX).train_from(&recipe, &from).unwrap();
        let adapters = trained.adapters.as_ref().unwrap();
        assert!(adapters.weights.len() == 2 * lora.adapted(&base.model.shape).len());
        let mut merged = base.model.weights.clone();
        lora.merge(&mut merged, &adapters.weights);
        assert_eq!(merged, trained.model.weights, "{engine:?}");
        assert_ne!(merged, base.model.weights, "{engine:?}");
        // Weights without adapters do not change.
        assert_eq!(merged["model.norm.weight"], base.model.weights["model.norm.weight"]);
    }
    let dropped = Recipe {
        lora: Some(Lora { dropout: 0.1, ..lora }),
        ..recipe
    };
    let straight = bytes(&Place::new(1, u64::MAX).train_from(&dropped, &from).unwrap());
    let mut place = Place::new(2, 2);
    assert!(matches!(place.train_from(&dropped, &from), Err(TrainError::Stopped)));
    place.until = u64::MAX;
    assert_eq!(straight, bytes(&place.train_from(&dropped, &from).unwrap()));
}

#[test]
fn a_base_that_does_not_fit_is_refused() {
    let base = base().model;
    let fails = |recipe: Recipe, rows: &[Row]| {
        let data = TrainingData {
            base: Some(&|| Ok(base.clone())),
            ..data(rows)
        };
        Place::new(1, u64::MAX).train_from(&recipe, &data).unwrap_err().to_string()
    };
    let wide = Recipe {
        model: Some(Architecture::default()),
        ..recipe()
    };
    insta::assert_snapshot!(fails(wide, &rows()), @"`model` has width 64, but the base has 32; leave `model` out to use the base's, or train a base of that shape");
    let mut strange = rows();
    strange[3].completion = "1. 0 × 3 = 0.\nThus, the answer is 0.".to_owned();
    insta::assert_snapshot!(fails(recipe(), &strange), @r#"the base's tokenizer has no token for "×" (row "1_1/03": "1. 0 × 3 = 0."); train the base on rows that contain it, or pass such rows to the base's training as `vocabulary`"#);
    strange[2].prompt = "0 plus\n2\t".to_owned();
    insta::assert_snapshot!(fails(recipe(), &strange), @r#"the base's tokenizer has no token for "p" (row "1_1/02": "0 plus"); train the base on rows that contain it, or pass such rows to the base's training as `vocabulary`"#);
}

#[test]
fn a_vocabulary_makes_a_base_know_what_it_is_not_trained_on() {
    let (known, mut all) = (rows(), rows());
    all.truncate(4);
    let recipe = Recipe { steps: 1, ..recipe() };
    let with = |vocabulary: &[Row]| {
        let data = TrainingData {
            vocabulary,
            ..data(&known)
        };
        Place::new(1, u64::MAX).train_from(&recipe, &data).unwrap().model
    };
    all[0].completion = "North, then ♋.\nNorth again.".to_owned();
    let base = with(&all);
    assert!(base.shape.vocabulary > with(&[]).shape.vocabulary);
    let numbered = Recipe {
        prompt: crate::dataset::Prompt::text(crate::dataset::Prompt::NUMBERED),
        ..recipe.clone()
    };
    let data = TrainingData {
        base: Some(&|| Ok(base.clone())),
        ..data(&all)
    };
    Place::new(1, u64::MAX).train_from(&numbered, &data).unwrap();
}

#[test]
fn epochs_take_the_place_of_steps() {
    let recipe = Recipe { epochs: 1, ..recipe() };
    // 100 rows are 13 batches of 8, two per step.
    assert_eq!(Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap().curve.len(), 7);
}

#[test]
fn an_epoch_reads_each_row_once_whatever_the_accumulation() {
    let rows = rows();
    let tokens = |batch, accumulate, epochs| {
        let recipe = Recipe {
            epochs,
            batch,
            accumulate,
            ..recipe()
        };
        let curve = Place::new(1, u64::MAX).train(&recipe, &rows).unwrap().curve;
        (curve.len(), curve.last().unwrap().tokens.unwrap())
    };
    let (steps, once) = tokens(1, 1, 1);
    assert_eq!(steps, 100);
    for (batch, accumulate, steps) in [(8, 1, 13), (8, 2, 7), (8, 5, 3), (3, 7, 5), (8, 64, 1), (64, 1, 2), (100, 3, 1)] {
        assert_eq!(tokens(batch, accumulate, 1), (steps, once), "{batch} {accumulate}");
    }
    // Three passes of 13 batches are 39, four per step.
    assert_eq!(tokens(8, 4, 3), (10, 3 * once));
    let learning_rates = |accumulate| {
        let recipe = Recipe {
            epochs: 1,
            accumulate,
            ..recipe()
        };
        let curve = Place::new(1, u64::MAX).train(&recipe, &rows).unwrap().curve;
        curve.iter().map(|point| point.learning_rate.unwrap()).collect::<Vec<_>>()
    };
    let seven: Vec<f64> = (0..7).map(|step| schedule::learning_rate(&recipe(), step, 7)).collect();
    assert_eq!(learning_rates(2), seven, "the schedule ends with the last step");
}

#[test]
fn the_last_step_of_an_epoch_weighs_its_batches_as_a_smaller_accumulation_does() {
    for engine in ENGINES {
        let trained = |accumulate, epochs, steps| {
            let recipe = Recipe {
                engine,
                epochs,
                steps,
                accumulate,
                ..recipe()
            };
            bytes(&Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap())
        };
        // 13 batches in one step, which could take 64 of them.
        assert!(trained(64, 1, 0) == trained(13, 0, 1), "{engine:?}");
    }
}

#[test]
fn a_stopped_epoch_ends_with_the_same_bytes_on_any_number_of_threads() {
    for (engine, curriculum) in [(Engine::Cpu, 0.0), (Engine::Candle, 0.0), (Engine::Cpu, 0.5)] {
        let recipe = Recipe {
            engine,
            curriculum,
            epochs: 1,
            ..recipe()
        };
        let straight = bytes(&Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap());
        // Before the last step, which takes one batch in place of two.
        let mut place = Place::new(2, 6);
        assert!(matches!(place.train(&recipe, &rows()), Err(TrainError::Stopped)));
        place.until = u64::MAX;
        assert!(
            bytes(&place.train(&recipe, &rows()).unwrap()) == straight,
            "{engine:?} {curriculum}"
        );
    }
}

#[test]
fn a_curriculum_is_a_share_of_the_steps() {
    let recipe = Recipe {
        curriculum: 0.25,
        ..recipe()
    };
    // 3 of 12 steps, two batches each.
    assert_eq!((recipe.length(100).steps, recipe.length(100).curriculum), (12, 6));
    let tokens = |recipe: &Recipe| Place::new(1, u64::MAX).train(recipe, &rows()).unwrap().curve[0].tokens.unwrap();
    // The sums below ten have the shortest rows, all of one length.
    let shortest = tokens(&recipe);
    assert!(shortest.is_multiple_of(16) && shortest < tokens(&self::recipe()), "{shortest}");
}

#[test]
fn failures_say_what_to_do() {
    let fails = |recipe: Recipe, rows: &[Row]| Place::new(1, u64::MAX).train(&recipe, rows).unwrap_err().to_string();
    insta::assert_snapshot!(fails(recipe(), &[]), @"there are no rows to train on; check the output of the stage that makes `data`");
    let hot = Recipe {
        learning_rate: 1e30,
        clip: 0.0,
        ..recipe()
    };
    let message = fails(hot, &rows());
    assert!(message.starts_with("training diverged at step "), "{message}");
    assert!(message.contains(" (rows \"1_1/"), "{message}");
    assert!(message.contains(" more); lower"), "{message}");
    assert!(
        message.ends_with("; lower `learning_rate`, raise `warmup` or lower `clip`"),
        "{message}"
    );
}

#[test]
fn little_memory_changes_no_bit_and_too_little_is_refused() {
    let recipe = Recipe {
        model: Some(Architecture {
            width: 128,
            heads: 2,
            layers: 12,
            context: 64,
            ..Architecture::default()
        }),
        steps: 2,
        batch: 16,
        ..recipe()
    };
    let rows = rows();
    let TrainingStart { tokenizer, shape, .. } = TrainingStart::new(&recipe, &data(&rows), 3, None).unwrap();
    let examples = Examples::new(
        &rows,
        &crate::model::Prompter::new(&recipe.prompt, None).unwrap(),
        &tokenizer,
        &shape,
    )
    .unwrap();
    let mut order = BatchOrder::new(3, recipe.batch, examples.lengths(), 0);
    let batches = memory::batches(&recipe, &examples, &mut order, 2);
    assert_eq!(batches.len(), 8);
    let fit = |mega: u64| {
        let run = TrainingRun {
            scratch: Path::new(""),
            threads: 1,
            device: "cpu",
            memory: Some(mega * 1_000_000),
            progress: &|_| {},
            stop: &|| false,
        };
        memory::choose_options(&recipe, &shape, &batches, 0, 0, &run).map(|training| training.recompute)
    };
    let least = (1..1000).find(|mega| fit(*mega).is_ok()).unwrap();
    assert_eq!(fit(least).ok(), Some(true));
    assert_eq!(fit(1000).ok(), Some(false));
    insta::assert_snapshot!(fit(1).unwrap_err(), @r#"training needs 131 MB of memory (125 MB for the program, weights, gradient and moments, 6 MB for activations), but only 1 MB are available (with `dtype = "bf16"` 122 MB); train a smaller `model` or on shorter rows, freeze weights (`frozen`), use fewer `threads` or `dtype = "bf16"`, or free memory"#);
    let mut place = Place::new(1, u64::MAX);
    let plenty = bytes(&place.train(&recipe, &rows).unwrap());
    place.memory = Some(least * 1_000_000);
    assert!(bytes(&place.train(&recipe, &rows).unwrap()) == plenty);
    place.memory = Some((least - 1) * 1_000_000);
    assert!(matches!(place.train(&recipe, &rows), Err(TrainError::Memory { .. })));
    // Hundreds of terabytes of weights are refused before they are created.
    let mut vast = recipe;
    vast.model.as_mut().unwrap().width = 1 << 20;
    let refused = place.train(&vast, &rows).unwrap_err();
    assert!(matches!(refused, TrainError::Memory { .. }), "{refused}");
}

#[test]
fn frozen_weights_are_those_of_the_random_start() {
    let recipe = Recipe {
        frozen: engine::Frozen::new(["model.layers.0.mlp.*".to_owned()]),
        ..recipe()
    };
    let model = Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap().model;
    let start = crate::model::initialise(&model.shape, 3);
    for (name, array) in &model.weights {
        assert_eq!(*array == start[name], name.contains(".mlp."), "{name}");
    }
    let candle = Recipe {
        engine: Engine::Candle,
        ..recipe
    };
    insta::assert_snapshot!(Place::new(1, u64::MAX).train(&candle, &rows()).unwrap_err(), @r#"the engine `candle` cannot freeze weights; set `engine = "cpu"` to use `frozen`"#);
}

#[test]
fn a_checkpoint_of_other_shapes_names_the_tensor_and_both() {
    let place = Place::new(1, 7);
    assert!(matches!(place.train(&recipe(), &rows()), Err(TrainError::Stopped)));
    // Only damage causes this: the identity of this training with the numbers of another model.
    let mut wide = recipe();
    wide.model.as_mut().unwrap().feed_forward = 40;
    let rows = rows();
    let TrainingStart { shape, weights, .. } = TrainingStart::new(&wide, &data(&rows), 3, None).unwrap();
    let other = engine::trainer(Engine::Cpu, wide.dtype, "cpu", &shape, weights, wide.optimizer(), 1).unwrap();
    let start = TrainingStart::new(&recipe(), &data(&rows), 3, None).unwrap();
    let identity = checkpoint::identity(&recipe(), &data(&rows), &start, 3).unwrap();
    let done = checkpoint::Progress {
        history: &[],
        held_out: &[],
        best: None,
    };
    checkpoint::write(&*other, done, place.scratch.path(), &identity).unwrap();
    let message = place.train(&recipe(), &rows).unwrap_err().to_string();
    let message = message.replace(&place.scratch.path().display().to_string(), "");
    insta::assert_snapshot!(message, @"cannot resume from the checkpoint /checkpoint.safetensors: tensor `model.layers.0.mlp.gate_proj.weight` has shape [40, 32], but the model needs [96, 32]; remove it to train from the start");
}

/// Reads a recipe in the same way as the kind `train`.
fn read(toml: &str) -> Result<Recipe, String> {
    let table: toml::Table = toml.parse().unwrap();
    let value = figment::value::Value::serialize(table).unwrap();
    value
        .deserialize()
        .map_err(|error: figment::Error| format!("{}: {}", error.path.join("."), error.kind))
}

#[test]
fn a_recipe_names_its_model_or_spells_it_out() {
    assert_eq!(read("").unwrap(), Recipe::default());
    assert_eq!(read("model = 'small'").unwrap().model, Architecture::preset("small"));
    let spelt = read("model = { width = 96, heads = 6 }\nprompt = 'numbered'\nclip = 1").unwrap();
    assert_eq!(spelt.model.map(|model| (model.width, model.layers)), Some((96, 2)));
    assert_eq!(spelt.prompt.template, crate::dataset::Prompt::NUMBERED);
}

#[test]
fn more_rows_than_anybody_wants_are_refused() {
    assert_eq!(read("batch = 65536\naccumulate = 1").unwrap().batch, 1 << 16);
    insta::assert_snapshot!(read("batch = 1152921504606846976").unwrap_err(), @"batch: 1152921504606846976 is too large, it must be at most 65536");
    insta::assert_snapshot!(read("accumulate = 65537").unwrap_err(), @"accumulate: 65537 is too large, it must be at most 65536");
}

#[test]
fn a_bad_recipe_is_refused_with_the_path() {
    let messages: Vec<String> = [
        "model = 'tinny'",
        "model = { width = 60, heads = 7 }",
        "model = { widht = 60 }",
        "model = 3",
        "prompt = 'plian'",
        "batch = 0",
        "warmup = 1.5",
        "learning_rate = -1",
        "beta2 = 1.0",
        "schedule = 'cosin'",
        "lr = 1e-3",
    ]
    .into_iter()
    .map(|toml| read(toml).unwrap_err())
    .collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    model: unknown variant: found `tinny`, expected `one of `tiny`, `small`, `medium``
    model: `heads` = 7 must divide `width` = 60
    model.widht: unknown field: found `widht`, expected `one of `width`, `layers`, `heads`, `kv_heads`, `head_dim`, `feed_forward`, `qkv_bias`, `rope_theta`, `rope_scaling`, `norm_epsilon`, `tied`, `positions`, `lines`, `columns`, `context``
    model: invalid type: found signed int `3`, expected a preset (tiny, small, medium), the name of a table under `[models]`, or a table
    prompt: unknown variant: found `plian`, expected `one of `numbered`, `plain`, `chat``
    batch: 0 is too small, it must be at least 1
    warmup: 1.5 is out of range, it must be a share, from 0 to 1
    learning_rate: -1 is out of range, it must be a number of at least 0
    beta2: 1 is out of range, it must be a number of at least 0 and less than 1
    schedule: unknown variant: found `cosin`, expected `one of `cosine`, `linear`, `constant``
    lr: unknown field: found `lr`, expected `one of `model`, `tokenizer`, `prompt`, `steps`, `epochs`, `batch`, `accumulate`, `curriculum`, `learning_rate`, `warmup`, `schedule`, `beta1`, `beta2`, `epsilon`, `weight_decay`, `clip`, `frozen`, `lora`, `engine`, `dtype`, `validate_every`, `patience`, `keep``
    ");
}
