//! `measure`.

use std::fs;

use insta::assert_json_snapshot;
use kinds::artifact::metrics;
use kinds::metrics::{MetricMap, names};
use learn::dataset::{Answer, Doc, Row};

use super::bench::Bench;

/// A walk of three actions that ends facing North.
fn walk() -> Row {
    Row {
        id: "seq3_0".to_owned(),
        prompt: "Assuming an initial orientation facing South, determine the final direction after executing the following actions: \
                 Around, Left, Right"
            .to_owned(),
        completion: "North. Left, Right\nWest. Right\nNorth.\nThus, the answer is North.".to_owned(),
        step_num: 3,
        answer: "North".into(),
        doc: Doc::default(),
    }
}

fn measured(answers: &[(Option<u32>, &str)]) -> Vec<MetricMap> {
    let answers = answers.iter().map(|(requested, response)| Answer {
        problem: walk(),
        requested: *requested,
        sample: 0,
        response: (*response).to_owned(),
        tokens: 9,
        failed: None,
        cut: false,
        choices: None,
    });
    let lines: Vec<String> = answers.map(|answer| serde_json::to_string(&answer).unwrap()).collect();
    let bench = Bench::new("measure", "").task("direction").text("answers", &lines.join("\n"));
    let folder = bench.run().unwrap().join("metrics");
    assert_eq!(
        fs::read_to_string(folder.join("answers-0.jsonl")).unwrap().lines().count(),
        lines.len()
    );
    metrics::read(&folder).unwrap()
}

/// Four answers are possible, so wrong reasoning is often right: it is seen, and counted.
#[test]
fn luck_is_told_from_reasoning() {
    let sets = measured(&[
        (Some(2), "North. Left, Right\nNorth.\nThus, the answer is North."),
        (Some(2), "North. Left, Right\nEast.\nThus, the answer is North."),
        (Some(2), "North. Left, Right\nEast.\nThus, the answer is East."),
        (Some(2), "North.\nThus, the answer is North."),
        (Some(1), "East. Right\nThus, the answer is North."),
        (Some(1), "North.\nThus, the answer is North."),
        (Some(3), "Thus, the answer is North."),
    ]);
    let set = &sets[0];
    assert_eq!(
        (set.integer(names::ANSWERS), set.number(names::ACCURACY)),
        (Some(7), Some(6.0 / 7.0))
    );
    assert_eq!(
        (set.number(names::VALID), set.number(names::VALID_RIGHT)),
        (Some(3.0 / 7.0), Some(0.5))
    );
    assert_eq!(set.list(names::BY_FULL_STEPS)[0].number(names::VALID_RIGHT), Some(0.5));
    assert_json_snapshot!(set.map(names::FOLLOWING).unwrap().list(names::BY_SKIP), @r#"
    [
      {
        "skip": 0,
        "requests": 1,
        "consistent": 0,
        "right": 1,
        "kept": 0,
        "kept_valid": 0
      },
      {
        "skip": 1,
        "requests": 4,
        "consistent": 3,
        "right": 3,
        "kept": 2,
        "kept_valid": 1
      },
      {
        "skip": 2,
        "requests": 2,
        "consistent": 2,
        "right": 2,
        "kept": 2,
        "kept_valid": 1
      }
    ]
    "#);
}

#[test]
fn each_input_is_a_set() {
    let bench = Bench::new("measure", "").text("answers", "").text("answers", "");
    let sets = metrics::read(&bench.run().unwrap().join("metrics")).unwrap();
    assert_eq!(sets.len(), 2);
    let is_empty = |set: &MetricMap| set.map(names::FOLLOWING).is_none() && set.number(names::VALID).is_none();
    assert!(sets.iter().all(is_empty));
}

#[test]
fn answers_of_plain_prompts_are_measured_too() {
    let sets = measured(&[(None, &walk().completion)]);
    assert_eq!(
        (sets[0].number(names::VALID_RIGHT), sets[0].map(names::FOLLOWING)),
        (Some(1.0), None)
    );
}
