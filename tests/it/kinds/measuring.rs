//! `measure`.

use std::fs;

use insta::assert_json_snapshot;
use kinds::metrics::Metrics;
use learn::dataset::{Answer, Row};

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
    }
}

fn measured(answers: &[(Option<u32>, &str)]) -> Metrics {
    let answers = answers.iter().map(|(requested, response)| Answer {
        problem: walk(),
        requested: *requested,
        sample: 0,
        response: (*response).to_owned(),
        tokens: 9,
    });
    let lines: Vec<String> = answers.map(|answer| serde_json::to_string(&answer).unwrap()).collect();
    let bench = Bench::new("measure", "").text("answers", &lines.join("\n"));
    let folder = bench.run().unwrap().join("metrics");
    assert_eq!(
        fs::read_to_string(folder.join("answers-0.jsonl")).unwrap().lines().count(),
        lines.len()
    );
    serde_json::from_str(&fs::read_to_string(folder.join("metrics.json")).unwrap()).unwrap()
}

/// Four answers are possible, so wrong reasoning is often right: it is seen, and counted.
#[test]
fn luck_is_told_from_reasoning() {
    let metrics = measured(&[
        (Some(2), "North. Left, Right\nNorth.\nThus, the answer is North."),
        (Some(2), "North. Left, Right\nEast.\nThus, the answer is North."),
        (Some(2), "North. Left, Right\nEast.\nThus, the answer is East."),
        (Some(2), "North.\nThus, the answer is North."),
        (Some(1), "East. Right\nThus, the answer is North."),
        (Some(1), "North.\nThus, the answer is North."),
        (Some(3), "Thus, the answer is North."),
    ]);
    let set = &metrics.sets[0];
    assert_eq!((set.answers, set.accuracy), (7, Some(6.0 / 7.0)));
    assert_eq!((set.valid, set.valid_right), (Some(3.0 / 7.0), Some(0.5)));
    assert_eq!(set.by_full_steps[0].valid_right, Some(0.5));
    assert_json_snapshot!(set.following.as_ref().unwrap().by_skip, @r#"
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
    let text = fs::read_to_string(bench.run().unwrap().join("metrics/metrics.json")).unwrap();
    let metrics: Metrics = serde_json::from_str(&text).unwrap();
    assert_eq!(metrics.sets.len(), 2);
    assert!(metrics.sets.iter().all(|set| set.following.is_none() && set.valid.is_none()));
}

#[test]
fn answers_of_plain_prompts_are_measured_too() {
    let metrics = measured(&[(None, &walk().completion)]);
    assert_eq!((metrics.sets[0].valid_right, &metrics.sets[0].following), (Some(1.0), &None));
}
