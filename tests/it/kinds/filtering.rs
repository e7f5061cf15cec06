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
    filter_with("", answers)
}

fn filter_with(params: &str, answers: &[Answer]) -> Bench {
    let lines: Vec<String> = answers.iter().map(|answer| serde_json::to_string(answer).unwrap()).collect();
    Bench::new("filter", params).text("answers", &lines.join("\n"))
}

/// Answers to two questions, of a model that is asked for no number of steps.
fn samples() -> Vec<Answer> {
    let of = |id: &str, (a, b): (u64, u64), response: &str, tokens: u32| Answer {
        problem: row(id, (a, b), "1. a\n2. b", 2),
        tokens,
        ..answer(None, response)
    };
    vec![
        of("q1", (12, 3), "1. a\n2. b\n3. c\nThus, the answer is 15.", 20),
        of("q1", (12, 3), "1. ab\nThus, the answer is 15.", 12),
        of("q1", (12, 3), "1. x\nThus, the answer is 16.", 11),
        of("q1", (12, 3), "I do not know", 4),
        of("q2", (40, 7), "1. x\nThus, the answer is 48.", 10),
        of("q2", (40, 7), "1. y\nThus, the answer is 48.", 9),
        of("q2", (40, 7), "1. abc\nThus, the answer is 47.", 13),
    ]
}

/// The first lines of the kept solutions.
fn kept(params: &str) -> Vec<String> {
    let rows = filter_with(params, &samples()).output("data");
    rows.iter().map(|row| row.completion.lines().next().unwrap().to_owned()).collect()
}

#[test]
fn answers_are_kept_by_what_they_are() {
    for (params, expected) in [
        ("keep = 'right'", &["1. a", "1. ab", "1. abc"][..]),
        ("keep = 'wrong'", &["1. x", "1. x", "1. y"]),
        ("keep = 'majority'", &["1. a", "1. ab", "1. x", "1. y"]),
        (
            "keep = 'all'",
            &["1. a", "1. ab", "1. x", "I do not know", "1. x", "1. y", "1. abc"],
        ),
        ("keep = 'right'\nmax_steps = 1", &["1. ab", "1. abc"]),
        ("keep = 'right'\nmin_steps = 2", &["1. a"]),
        ("keep = 'right'\nmin_tokens = 13", &["1. a", "1. abc"]),
        ("keep = 'right'\nmax_characters = 29", &["1. ab"]),
        ("keep = 'all'\nmin_agreement = 0.5", &["1. a", "1. ab", "1. x", "1. y"]),
        ("keep = 'right'\nmax_agreement = 0.4", &["1. abc"]),
        ("keep = 'right'\nmin_accuracy = 0.5", &["1. a", "1. ab"]),
        ("keep = 'wrong'\nmax_accuracy = 0.4", &["1. x", "1. y"]),
        ("keep = 'right'\nwhere = [{ field = 'answer', min = 40 }]", &["1. abc"]),
        (
            "keep = 'right'\nwhere = [{ field = 'id', equals = 'q1' }, { field = 'answer', one_of = [15] }]",
            &["1. a", "1. ab"],
        ),
    ] {
        assert_eq!(kept(params), expected, "{params}");
    }
}

#[test]
fn some_answers_of_each_question_are_kept() {
    for (params, expected) in [
        ("topk = 1", &["1. a", "1. abc"][..]),
        ("topk = 1\norder = 'fewest_steps'", &["1. ab", "1. abc"]),
        ("topk = 1\norder = 'fewest_tokens'", &["1. ab", "1. abc"]),
        ("topk = 1\norder = 'most_characters'", &["1. a", "1. abc"]),
        ("topk = 2\norder = { highest = 'answer' }", &["1. abc", "1. a", "1. ab"]),
        ("order = { lowest = 'answer' }", &["1. a", "1. ab", "1. abc"]),
    ] {
        assert_eq!(kept(&format!("keep = 'right'\n{params}")), expected, "{params}");
    }
    let drawn = |seed| {
        let bench = filter_with("keep = 'all'\ntopk = 1\norder = 'shuffle'", &samples()).seed(seed);
        bench.output("data").into_iter().map(|row| row.completion).collect::<Vec<_>>()
    };
    assert!((1..9).all(|seed| drawn(seed) == drawn(seed) && drawn(seed).len() == 2));
    assert!((1..9).any(|seed| drawn(seed) != drawn(9)));
}

#[test]
fn kept_answers_are_rows_of_their_question() {
    let rows = filter_with("keep = 'right'\norder = 'fewest_steps'", &samples()).output("data");
    let ids: Vec<(&str, u32)> = rows.iter().map(|row| (row.id.as_str(), row.step_num)).collect();
    assert_eq!(ids, [("q1_answer", 1), ("q2_answer", 1), ("q1_answer_2", 3)]);
}

#[test]
fn what_is_dropped_is_counted_and_nothing_left_is_said() {
    let bench = filter_with("keep = 'right'\nmax_steps = 1\ntopk = 1", &[samples(), samples()].concat());
    assert_eq!(bench.output("data").len(), 2);
    let readings = bench.told.borrow().last().unwrap().readings.clone();
    let readings: Vec<(&str, f64)> = readings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(
        readings,
        [
            ("kept", 2.0),
            ("max_steps", 2.0),
            ("no_answer", 2.0),
            ("repeated", 2.0),
            ("wrong", 6.0)
        ]
    );
    assert!(bench.warned.borrow().is_empty());
    let bench = filter_with("keep = 'right'\nmin_steps = 9", &samples());
    assert!(bench.output("data").is_empty());
    assert_snapshot!(bench.warned.borrow().join("\n"), @"none of 7 answers is left, and the data set is empty. Dropped: 3 `min_steps` (`q1`, `q1`, `q2`); 3 `wrong` (`q1`, `q2`, `q2`); 1 `no_answer` (`q1`)");
    let mut silent = answer(Some(1), "");
    silent.failed = Some("its prompt has 9 tokens".to_owned());
    let bench = filter_with("keep = 'all'", &[silent]);
    assert!(bench.output("data").is_empty());
    assert_eq!(bench.told.borrow().last().unwrap().readings["failed"], 1.0);
}

#[test]
fn a_field_that_is_not_there_is_an_error() {
    let error = filter_with("keep = 'all'\nwhere = [{ field = 'level', min = 1 }]", &samples())
        .run()
        .unwrap_err();
    assert!(error.starts_with("row `q1` has no field `level`"), "{error}");
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
    assert_snapshot!(filter(&[answer(None, "1. a")]).run().unwrap_err(), @r#"the prompt of answer `2_1/0` names no number of steps; sample a model trained with a numbered prompt, or set `keep = "right"`"#);
    let mut stranger = answer(Some(1), "1. a");
    stranger.problem.prompt = "How many?".to_owned();
    assert_snapshot!(filter(&[stranger]).run().unwrap_err(), @r#"row `2_1/0` is no problem of the task `addition`: "How many?""#);
    assert_snapshot!(Bench::new("filter", "").text("answers", "{}").run().unwrap_err(), @"/answers-0.jsonl:1: missing field `id`");
    assert_snapshot!(Bench::new("filter", "task = 'addition'").run().unwrap_err(), @"input `answers` has 0 artifacts, and needs one");
}
