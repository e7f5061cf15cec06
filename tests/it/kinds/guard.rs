//! Holds the kinds to their versions: equal params, seed and inputs must give the bytes that are in the stores already.
//!
//! The last bits of floats differ between instruction sets, so what a computing kind is held to does not contain them: `sample` and
//! `eval` put out text, which follows the likeliest tokens of a random model by wide margins; of `train`, the files without
//! floats are compared by digest, and the losses within a tolerance.

use std::fs;
use std::path::Path;

use lab::hash;
use learn::dataset::{Answer, Prompt, Row};
use serde_json::{Value, json};

use super::bench::{Bench, gibberish, kind, row, two_rows};

/// By kind: its version, and the start of the digest of what it puts out for the input below.
const OUTPUTS: [(&str, u32, &str); 11] = [
    ("command", 1, "7e3464d5892d"),
    ("eval", 5, "bbbade86af4a"),
    ("filter", 3, "a610c7f4a056"),
    ("generate", 1, "ff8249015230"),
    ("import", 3, "a2178cc7ddc5"),
    ("measure", 3, "3e9bdd5249b9"),
    ("mix", 4, "dd5d5f159322"),
    ("sample", 5, "27444c6e508f"),
    ("select", 1, "e0efbf67d894"),
    ("split", 3, "423b57def72e"),
    ("train", 3, "e657526055ae"),
];

/// By task: the start of the digest of the problems that `generate` draws for the params below.
const PROBLEMS: [(&str, &str); 4] = [
    ("addition", "ff8249015230"),
    ("algebra", "63f07e00840f"),
    ("basics", "f3e29d30afb3"),
    ("direction", "64a0fad8a1b6"),
];

/// The losses of the training below, step by step.
const LOSSES: [f64; 4] = [3.72813, 3.64970, 3.57714, 3.52799];

fn stage(kind: &str) -> Bench {
    let rows = two_rows();
    match kind {
        "command" => Bench::new(kind, "run = ['sh', '-c', 'cp $RUNNER_INPUT_DATA $RUNNER_OUTPUT_DATA; echo $RUNNER_SEED > $RUNNER_OUTPUT_NOTE']\noutputs = { data = 'dataset', note = 'file' }").rows("data", &rows),
        "eval" => Bench::new(kind, "max_tokens = 12")
            .model("model", &gibberish(Prompt::PLAIN))
            .rows("data", &rows),
        "filter" => Bench::new(kind, "").text("answers", &answers()),
        "generate" => problems("addition", "swapped = true"),
        "import" => Bench::new(kind, "source = { path = 'x' }\ntask = 'gsm8k'").text("source", PUBLISHED),
        "measure" => Bench::new(kind, "").text("answers", &answers()),
        "mix" => Bench::new(kind, "mode = 'cont'")
            .rows("full", &rows)
            .rows("skips", &[row("2_1/0_skip", (12, 3), "1. a", 1)]),
        "sample" => Bench::new(kind, "max_tokens = 12\ntemperature = 2\nsamples = 2")
            .model("model", &gibberish(Prompt::NUMBERED))
            .rows("data", &rows),
        "select" => Bench::new(kind, "duplicates = 'near'\nselect_num = 3\norder = 'shuffle'").rows("data", &[rows.clone(), four_rows(), rows.clone()].concat()),
        "split" => Bench::new(kind, "steps = 1\ntrain = 1\ndevelopment = 1")
            .rows("training", &[rows.clone(), four_rows()].concat())
            .rows("testing", &rows),
        "train" => Bench::new(kind, TRAINING).rows("data", &rows),
        other => panic!("kind `{other}` has no input here; give it one, and a line in `OUTPUTS`"),
    }
}

/// A problem in the published form of GSM8K, made up.
const PUBLISHED: &str = r#"{"question": "Tom has 3 bags of 4 nuts. How many?", "answer": "He has 3*4 = <<3*4=12>>12 nuts.\n#### 12"}"#;

fn four_rows() -> Vec<Row> {
    (0..4).map(|i| row(&format!("1_1/{i}"), (i, 1), "1. a", 1)).collect()
}

fn problems(task: &str, more: &str) -> Bench {
    let sizes = "train = 9\ndevelopment = 3\nin_domain = 3\nood_easy = 4\nood_hard = 5";
    let start = if task == "basics" { "" } else { "start = 'warm'" };
    Bench::new("generate", &format!("task = '{task}'\n{start}\n{sizes}\n{more}"))
}

const TRAINING: &str = "steps = 4\nbatch = 2\nmodel = { width = 16, layers = 1, heads = 2 }";

fn answers() -> String {
    let answer = |requested, response: &str| Answer {
        problem: row("2_1/0", (12, 3), "1. a\n2. b", 2),
        requested: Some(requested),
        sample: 0,
        response: response.to_owned(),
        tokens: 9,
        failed: None,
        cut: false,
        choices: None,
    };
    let answers = [
        answer(1, "1. ab\nThus, the answer is 15."),
        answer(1, "1. ba\nThus, the answer is 15."),
        answer(1, "1. ab\nThus, the answer is 16."),
    ];
    let lines: Vec<String> = answers.iter().map(|answer| serde_json::to_string(answer).unwrap()).collect();
    lines.join("\n")
}

/// The digests of all files under `folder` that hold no floats of a training.
fn contents(folder: &Path) -> Value {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let files = entries.iter().map(|path| match path.file_name().unwrap().to_str().unwrap() {
        name @ ("model.safetensors" | "training.jsonl") => json!(name),
        name if path.is_dir() => json!([name, contents(path)]),
        name => json!([name, hash::file(path).unwrap()]),
    });
    files.collect()
}

fn digest(bench: &Bench) -> String {
    hash::value(&contents(&bench.run().unwrap())).short()
}

#[test]
fn equal_stages_put_out_what_they_always_did() {
    let mut changed = Vec::new();
    for kind in kinds::kinds() {
        let known = OUTPUTS.iter().find(|(name, ..)| *name == kind.name);
        let found = digest(&stage(kind.name));
        if known.is_none_or(|(_, version, digest)| (*version, *digest) != (kind.version, &found)) {
            changed.push(format!("    (\"{}\", {}, \"{found}\"),", kind.name, kind.version));
        }
    }
    assert!(
        changed.is_empty(),
        "the outputs of these kinds have changed. If that is meant, raise `version` in each one's file in src/kinds/, so that nobody \
         gets artifacts of the old kind from a store, and put these lines (with the new versions) into `OUTPUTS`; if it is not, \
         it is a bug:\n{}",
        changed.join("\n")
    );
}

#[test]
fn every_task_draws_the_problems_it_always_did() {
    let found = kinds::task::drawn_names().iter().map(|task| {
        let more = if *task == "addition" { "swapped = true" } else { "" };
        (*task, digest(&problems(task, more)))
    });
    let found: Vec<(&str, String)> = found.collect();
    let known: Vec<(&str, String)> = PROBLEMS.iter().map(|(task, digest)| (*task, (*digest).to_owned())).collect();
    assert_eq!(
        found, known,
        "these are not the problems that were drawn before. If that is meant, raise `version` in src/kinds/generate.rs, and put the new \
         digests into `PROBLEMS`"
    );
}

#[test]
fn a_training_takes_the_course_it_always_did() {
    let bench = stage("train");
    let outputs = bench.run().unwrap();
    let curve = fs::read_to_string(outputs.join("model/training.jsonl")).unwrap();
    let points: Vec<Value> = curve.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses: Vec<f64> = points.iter().map(|point| point["loss"].as_f64().unwrap()).collect();
    let is_near = losses.len() == LOSSES.len() && losses.iter().zip(LOSSES).all(|(found, known)| (found - known).abs() < 1e-4);
    assert!(
        is_near,
        "the losses are {losses:?}, and were {LOSSES:?}. If that is meant, raise `version` in src/kinds/train.rs, and put the new \
         losses into `LOSSES`"
    );
}

#[test]
fn threads_and_repetition_change_no_byte() {
    for kind in ["train", "sample", "eval"] {
        let digests = [1, 1, 2].map(|threads| {
            let bench = stage(kind).threads(threads);
            let outputs = bench.run().unwrap();
            let mut files: Vec<_> = walkdir::WalkDir::new(&outputs)
                .into_iter()
                .map(|entry| entry.unwrap().into_path())
                .filter(|path| path.is_file())
                .map(|path| (path.strip_prefix(&outputs).unwrap().to_owned(), hash::file(&path).unwrap()))
                .collect();
            files.sort();
            assert!(!files.is_empty());
            files
        });
        assert!(digests.iter().all(|other| *other == digests[0]), "{kind}: {digests:?}");
    }
}

#[test]
fn every_kind_is_held_to_its_version() {
    for (name, ..) in OUTPUTS {
        assert_eq!(kind(name).name, name);
    }
    assert_eq!(OUTPUTS.len(), kinds::kinds().len());
}
