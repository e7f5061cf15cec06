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

/// A judge's grades beside what people say in a field of the records.
#[test]
fn a_judge_is_compared_with_labels() {
    let answer = |id: &str, label: &str| {
        let row = Row {
            id: id.to_owned(),
            doc: [("human".to_owned(), serde_json::from_str(label).unwrap())].into_iter().collect(),
            ..walk()
        };
        serde_json::to_string(&Answer {
            problem: row,
            requested: None,
            sample: 0,
            response: "It is.".to_owned(),
            tokens: 2,
            failed: None,
            cut: false,
            choices: None,
        })
        .unwrap()
    };
    // What the judge says, and the label.
    let cases = [
        ("right", "true"),
        ("right", "\"C\""),
        ("right", "1"),
        ("right", "false"),
        ("wrong", "\"no\""),
        ("wrong", "\"incorrect\""),
        ("no_answer", "0.5"),
        ("wrong", "true"),
        ("unscored", "true"),
        ("right", "null"),
    ];
    let named = |place: usize| format!("a{place}");
    let answers: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(place, (_, label))| answer(&named(place), label))
        .collect();
    let verdict = |(place, (verdict, _)): (usize, &(&str, &str))| format!("{{\"id\": \"{}\", \"verdict\": \"{verdict}\"}}", named(place));
    let verdicts: Vec<String> = cases.iter().enumerate().map(verdict).collect();
    let bench = |labels: &str| {
        let bench = Bench::new("measure", labels).task("direction").text("answers", &answers.join("\n"));
        bench.text("verdicts", &verdicts.join("\n"))
    };
    let set = metrics::read(&bench("labels = 'human'").run().unwrap().join("metrics"))
        .unwrap()
        .remove(0);
    assert_json_snapshot!(set.map(names::AGREEMENT).unwrap(), @r#"
    {
      "labelled": 9,
      "agreed": 0.75,
      "kappa": 0.5,
      "both_right": 3,
      "judge_alone": 1,
      "label_alone": 1,
      "neither_right": 3,
      "unscored": 1
    }
    "#);
    let (both, judge, label, neither) = (3.0, 1.0, 1.0, 3.0);
    let expected = 2.0 * (both * neither - judge * label) / ((both + judge) * (judge + neither) + (both + label) * (label + neither));
    let kappa = set.map(names::AGREEMENT).unwrap().number(names::KAPPA).unwrap();
    assert!((kappa - expected).abs() < 1e-12, "{kappa}, {expected}");
    let without = metrics::read(&bench("").run().unwrap().join("metrics")).unwrap().remove(0);
    assert!(without.map(names::AGREEMENT).is_none());
    let refused = [bench("labels = 'humane'").run(), bench("labels = 'prompt'").run()].map(Result::unwrap_err);
    insta::assert_snapshot!(refused.join("\n"), @r#"
    row `a0` has no field `humane` (it has `human`, `id`, `prompt`, `completion`, `step_num`, `answer`); name another field, or leave such rows out of the data
    row `a0`: `prompt` is "Assuming an initial orientation facing …, and `true`, `false`, a number from 0 to 1, or a word such as `correct` and `incorrect` is needed; name another field, or leave such rows out of the data
    "#);
}

/// A program says of which answers the steps are valid, in place of the task.
#[test]
fn a_program_says_which_steps_are_valid() {
    let answer = |id: &str| Answer {
        problem: Row {
            id: id.to_owned(),
            ..walk()
        },
        requested: None,
        sample: 0,
        response: "North. Left, Right\nEast.\nThus, the answer is North.".to_owned(),
        tokens: 9,
        failed: None,
        cut: false,
        choices: None,
    };
    let lines = ["a", "b", "c"].map(|id| serde_json::to_string(&answer(id)).unwrap());
    let bench = || Bench::new("measure", "").task("direction").text("answers", &lines.join("\n"));
    let valid = |bench: Bench| {
        let set = metrics::read(&bench.run().unwrap().join("metrics")).unwrap().remove(0);
        (
            set.number(names::VALID),
            set.number(names::VALID_RIGHT),
            set.number(names::ACCURACY),
        )
    };
    assert_eq!(valid(bench()), (Some(0.0), Some(0.0), Some(1.0)));
    // Of the third, the task alone says it.
    let said = "{\"id\": \"a\", \"valid\": [true, true]}\n{\"id\": \"b\", \"valid\": true}\n";
    let (all, right, accuracy) = valid(bench().text("steps", said));
    assert_eq!((all, right, accuracy), (Some(2.0 / 3.0), Some(2.0 / 3.0), Some(1.0)));
    insta::assert_snapshot!(bench().text("steps", "{\"id\": \"a\"}").run().unwrap_err(), @"/steps-0.jsonl:1: missing field `valid`");
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
