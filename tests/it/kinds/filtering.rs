//! `filter`.

use insta::assert_snapshot;
use learn::dataset::{Answer, Row};

use super::bench::{Bench, row};

/// An answer to `12 + 3`, whose full solution has two steps.
fn answer(requested: Option<u32>, response: &str) -> Answer {
    Answer {
        problem: row("2_1/0", (12, 3), "1. a\n2. b", 2),
        requested,
        sample: 0,
        response: response.to_owned(),
        tokens: 9,
        failed: None,
        cut: false,
        choices: None,
    }
}

fn filter(answers: &[Answer]) -> Bench {
    let lines: Vec<String> = answers.iter().map(|answer| serde_json::to_string(answer).unwrap()).collect();
    Bench::new("filter", "").text("answers", &lines.join("\n"))
}

#[test]
fn right_consistent_skips_are_kept_and_nothing_else() {
    for (requested, response, is_kept) in [
        (1, "1. ab\nThus, the answer is 15.", true),
        (1, "1. ab\nThus, the answer is 16.", false),
        (1, "1. a\n2. b\nThus, the answer is 15.", false),
        (2, "1. a\n2. b\nThus, the answer is 15.", false),
        (2, "1. ab\nThus, the answer is 15.", false),
        (3, "1. a\n2. b\n3. c\nThus, the answer is 15.", false),
        (1, "1. ab", false),
        (1, "", false),
        (1, "1. nonsense, unread\nThus, the answer is 15.", true),
    ] {
        let kept = filter(&[answer(Some(requested), response)]).output("data");
        assert_eq!(kept.len(), usize::from(is_kept), "{requested} {response:?}");
    }
}

#[test]
fn valid_steps_may_be_asked_for() {
    let (sound, lucky) = (
        "1. 12 + 3 (plus carry 0) = 15 (write down 15, no carry over).",
        "1. 12 + 3 (plus carry 0) = 16 (write down 15, no carry over).",
    );
    let answers = [sound, lucky, "1. ab"].map(|step| answer(Some(1), &format!("{step}\nThus, the answer is 15.")));
    let kept = |params: &str| {
        let lines: Vec<String> = answers.iter().map(|answer| serde_json::to_string(answer).unwrap()).collect();
        let rows = Bench::new("filter", params).text("answers", &lines.join("\n")).output("data");
        rows.into_iter()
            .map(|row| row.completion.lines().next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(""), [sound, lucky, "1. ab"]);
    assert_eq!(kept("steps = 'any'"), kept(""));
    assert_eq!(kept("steps = 'valid'"), [sound]);
}

#[test]
fn a_kept_row_has_the_models_solution() {
    let kept = filter(&[answer(Some(1), " 1. ab\nThus, the answer is 15.\n")]).output("data");
    let expected = Row {
        id: "2_1/0_skip".to_owned(),
        completion: "1. ab\nThus, the answer is 15.".to_owned(),
        step_num: 1,
        ..answer(None, "").problem
    };
    assert_eq!(kept, [expected]);
}

#[test]
fn equal_solutions_are_kept_once_and_others_get_ids_of_their_own() {
    let with = |solution: &str| answer(Some(1), &format!("{solution}\nThus, the answer is 15."));
    let kept = filter(&[with("1. x"), with("1. x "), with("1. x"), with("1. y")]).output("data");
    let ids: Vec<&str> = kept.iter().map(|row| row.id.as_str()).collect();
    // `1. x ` differs from `1. x` in a blank that the model wrote.
    assert_eq!(ids, ["2_1/0_skip", "2_1/0_skip_2", "2_1/0_skip_3"]);
    let mut elsewhere = with("1. x");
    elsewhere.problem.prompt = "Question: 11 + 4".to_owned();
    assert_eq!(filter(&[with("1. x"), elsewhere]).output("data").len(), 2);
}

#[test]
fn answers_that_cannot_be_judged_are_errors() {
    assert_snapshot!(filter(&[answer(None, "1. a")]).run().unwrap_err(), @"the prompt of answer `2_1/0` names no number of steps; sample a model trained with a numbered prompt");
    let mut stranger = answer(Some(1), "1. a");
    stranger.problem.prompt = "How many?".to_owned();
    assert_snapshot!(filter(&[stranger]).run().unwrap_err(), @r#"row `2_1/0` is no problem of the task `addition`: "How many?""#);
    assert_snapshot!(Bench::new("filter", "").text("answers", "{}").run().unwrap_err(), @"/answers-0.jsonl:1: missing field `id`");
    assert_snapshot!(Bench::new("filter", "").run().unwrap_err(), @"input `answers` has 0 artifacts, and needs one");
}
