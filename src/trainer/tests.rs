use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::engine::Engine;
use crate::model::Architecture;

const ENGINES: [Engine; 2] = [Engine::Cpu, Engine::Candle];

/// Sums of two digits, worded like the addition task's.
fn rows() -> Vec<Row> {
    let pairs = (0..10).flat_map(|a| (0..10).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| Row {
            id: format!("1_1/{a}{b}"),
            prompt: format!("Question: {a} + {b}"),
            completion: format!("1. {a} + {b} = {}.\nThus, the answer is {}.", a + b, a + b),
            step_num: 1,
            answer: (a + b).into(),
        })
        .collect()
}

fn recipe() -> Recipe {
    Recipe {
        model: Architecture {
            width: 32,
            heads: 2,
            layers: 1,
            context: 64,
            ..Architecture::default()
        },
        steps: 12,
        batch: 8,
        accumulate: 2,
        ..Recipe::default()
    }
}

struct Place {
    scratch: tempfile::TempDir,
    threads: usize,
    /// The step after which to stop.
    until: u64,
}

impl Place {
    fn new(threads: usize, until: u64) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Self { scratch, threads, until }
    }

    fn train(&self, recipe: &Recipe, rows: &[Row]) -> Result<Trained, TrainError> {
        let done = Cell::new(0);
        let run = Run {
            scratch: self.scratch.path(),
            threads: self.threads,
            device: "cpu",
            progress: &|reading| done.set(reading.step),
            stop: &|| done.get() >= self.until,
        };
        train(recipe, rows, 3, &run)
    }
}

fn bytes(trained: &Trained) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    trained.save(folder.path()).unwrap();
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
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
        assert!(curve[0].loss > 3.0 && curve[59].loss < 1.0, "{curve:?}");
    }
    let early = |curve: &[Point]| curve[..10].iter().map(|point| point.loss).sum::<f64>();
    assert!((early(&curves[0]) - early(&curves[1])).abs() < 1e-3, "{curves:?}");
}

#[test]
fn a_stopped_training_ends_with_the_same_bytes() {
    for engine in ENGINES {
        let recipe = Recipe { engine, ..recipe() };
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

#[test]
fn epochs_take_the_place_of_steps() {
    let recipe = Recipe { epochs: 1, ..recipe() };
    // 100 rows are 13 batches of 8, two to a step.
    assert_eq!(Place::new(1, u64::MAX).train(&recipe, &rows()).unwrap().curve.len(), 7);
}

#[test]
fn failures_say_what_to_do() {
    let fails = |recipe: Recipe, rows: &[Row]| Place::new(1, u64::MAX).train(&recipe, rows).unwrap_err().to_string();
    insta::assert_snapshot!(fails(recipe(), &[]), @"there are no rows to train on; see what the stage that makes `data` put out");
    let hot = Recipe {
        learning_rate: 1e30,
        clip: 0.0,
        ..recipe()
    };
    let message = fails(hot, &rows());
    assert!(message.starts_with("training diverged at step "), "{message}");
    assert!(
        message.ends_with("; lower `learning_rate`, raise `warmup` or lower `clip`"),
        "{message}"
    );
}

/// Reads a recipe as the table of kinds does.
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
    assert_eq!(read("model = 'small'").unwrap().model, Architecture::preset("small").unwrap());
    let spelt = read("model = { width = 96, heads = 6 }\nprompt = 'numbered'\nclip = 1").unwrap();
    assert_eq!((spelt.model.width, spelt.model.layers), (96, 2));
    assert_eq!(spelt.prompt.template, crate::dataset::Prompt::NUMBERED);
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
    model.widht: unknown field: found `widht`, expected `one of `width`, `layers`, `heads`, `kv_heads`, `feed_forward`, `rope_theta`, `norm_epsilon`, `tied`, `lines`, `columns`, `context``
    model: invalid type: found signed int `3`, expected a preset (tiny, small, medium), the name of a table under `[models]`, or a table
    prompt: unknown variant: found `plian`, expected ``numbered` or `plain``
    batch: 0 is too small, it must be at least 1
    warmup: 1.5 is out of range, it must be a share, from 0 to 1
    learning_rate: -1 is out of range, it must be a number from 0 on
    beta2: 1 is out of range, it must be a number from 0 to 1, without 1
    schedule: unknown variant: found `cosin`, expected `one of `cosine`, `linear`, `constant``
    lr: unknown field: found `lr`, expected `one of `model`, `tokenizer`, `prompt`, `steps`, `epochs`, `batch`, `accumulate`, `learning_rate`, `warmup`, `schedule`, `beta1`, `beta2`, `epsilon`, `weight_decay`, `clip`, `engine`, `dtype``
    ");
}
