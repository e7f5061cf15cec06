//! `docs/extending.md`, followed: its task is compiled into the tests as if its file were in `src/kinds/task/`, with a line in the table, and goes
//! through the stages.

use crate::task::reversal::Reversal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::artifact;
use crate::metrics::names;
use lab::stage::{Caller, Sandbox, StageContext};
use learn::dataset::{self, Answer};

const PAGE: &str = include_str!("../../../../docs/extending.md");

/// The blocks of Rust on the page.
fn blocks() -> Vec<&'static str> {
    let blocks = PAGE.split("```rust\n").skip(1);
    blocks.filter_map(|text| Some(text.split_once("```")?.0)).collect()
}

#[test]
fn the_page_says_what_is_compiled() {
    let [lines, file] = blocks()[..] else {
        panic!("the page has two blocks of Rust: the table's lines, and the file")
    };
    assert!(
        file == include_str!("../../../../docs/reversal.rs"),
        "the page's file is not docs/reversal.rs: put it there again"
    );
    // The table's lines stand there for the tests as the page says, each under its attribute.
    let table = include_str!("../mod.rs");
    for line in lines.lines().filter(|line| !line.is_empty()) {
        assert!(
            table.contains(&format!("    {line}\n")) || table.contains(&format!("\n{line}\n")),
            "src/kinds/task/mod.rs has no `{line}`"
        );
    }
}

/// Runs a stage of the kind `kind`, and returns where its outputs are.
fn run(kind: &str, params: serde_json::Value, inputs: &BTreeMap<String, Vec<PathBuf>>, folder: &Path) -> PathBuf {
    let kind = crate::kinds().iter().find(|known| known.name == kind).unwrap();
    let outputs = folder.join(kind.name);
    std::fs::create_dir(&outputs).unwrap();
    let stage = (kind.parse)(&params.into(), &[]).unwrap();
    stage
        .run(&StageContext {
            earlier: &[],
            inputs,
            outputs: &outputs,
            scratch: folder,
            files: &BTreeMap::new(),
            environment_files: &BTreeMap::new(),
            content: None,
            caller: Caller::NOBODY,
            seed: 1,
            threads: 1,
            device: "cpu",
            memory: None,
            digests: &BTreeMap::new(),
            sandbox: &Sandbox::default(),
            held_by: &|_| {},
            found: &|_| {},
            alone: false,
            progress: &|_| {},
            warn: &|_| {},
            note: &|_| {},
            patience: std::time::Duration::ZERO,
            grace: std::time::Duration::ZERO,
            stop: &|| false,
        })
        .unwrap();
    outputs
}

#[test]
fn the_page_s_task_is_generated_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let params = json!({"task": "reversal", "start": "warm", "train": 200, "in_domain": 20});
    let problems = run("generate", params, &BTreeMap::new(), folder.path());
    let mut answers = Vec::new();
    for port in ["train", "skipped", "in_domain", "ood_hard"] {
        for problem in dataset::read::<Row>(&problems.join(port)).unwrap() {
            assert!(Reversal.is_problem(&problem));
            let (response, tokens) = (problem.completion.clone(), 1);
            answers.push(Answer {
                problem,
                requested: None,
                sample: 0,
                response,
                tokens,
                failed: None,
                cut: false,
                choices: None,
            });
        }
    }
    assert_eq!(answers.len(), 200 + 200 + 20 + 500);
    let path = folder.path().join("answers.jsonl");
    // Every other one is right by luck: its steps are another word's.
    for answer in answers.iter_mut().step_by(2) {
        let (_, last) = answer.response.rsplit_once('\n').unwrap();
        answer.response = format!("h h h h h h h h h h h h h\n{last}");
    }
    dataset::write(&path, &answers).unwrap();
    let inputs = BTreeMap::from([("answers".to_owned(), vec![path])]);
    let metrics = run("measure", json!({"task": "reversal"}), &inputs, folder.path()).join("metrics");
    let set = &artifact::metrics::read(&metrics).unwrap()[0];
    assert_eq!(
        (set.number(names::ACCURACY), set.number(names::VALID_RIGHT)),
        (Some(1.0), Some(0.5))
    );
}

#[test]
fn the_page_s_steps_follow_as_it_says() {
    let question = row("Write backwards: c a b");
    let follows = |steps: &[&str]| Reversal.follows(&question, steps);
    assert_eq!(follows(&["c", "a c", "b a c"]), [true; 3]);
    assert_eq!(follows(&["c", "b a c"]), [true; 2], "two letters at once");
    assert_eq!(follows(&["c", "c", "x c", "", "a c"]), [true, false, false, false, true]);
    assert_eq!(
        follows(&["d", "a d"]),
        [false, true],
        "held against the step before, right or wrong"
    );
    assert_eq!(follows(&["b a c", "b b a c"]), [true, false]);
}
