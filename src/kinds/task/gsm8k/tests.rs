use insta::assert_snapshot;

use super::*;
use crate::task;

/// A problem in the published form, made up.
const QUESTION: &str = "A box has 12 rows of 8 pens. Mia takes 1/4 of them and sells each for $1.50. How many dollars does she get?";
const SOLUTION: &str = "The box has 12 x 8 = <<12*8=96>>96 pens.\nThus, the share is 96/4 = <<96/4=24>>24 pens.\n\nShe gets 24*$1.50 = $<<24*1.5=36>>36.\n#### 1,036";

fn row() -> Row {
    Gsm8k.row("gsm8k/1".to_owned(), QUESTION.to_owned(), SOLUTION).unwrap()
}

#[test]
fn a_published_row_becomes_steps_and_an_answer() {
    let row = row();
    assert_snapshot!(row.completion, @r"
    The box has 12 x 8 = 96 pens.
    So, the share is 96/4 = 24 pens.
    She gets 24*$1.50 = $36.
    Thus, the answer is 1,036.
    ");
    assert_eq!((row.step_num, row.answer.as_str()), (3, Some("1,036")));
    assert_eq!(task::task_of_row(&row).map(Task::name), Some("gsm8k"));
}

#[test]
fn what_is_not_the_published_form_is_refused() {
    let refusal = |solution: &str| Gsm8k.row(String::new(), String::new(), solution).unwrap_err().to_string();
    assert_snapshot!([refusal("1 + 1 = 2"), refusal("1 + 1 = 2\n#### two"), refusal("\n#### 2")].join("\n"), @r"
    the solution has no line `#### …` with the answer
    the answer `two` is not a number
    the solution has no steps
    ");
    assert_eq!(without_notes("a <<1>>b << c"), "a b << c");
}

#[test]
fn answers_are_numbers_however_they_are_written() {
    let is_right = |gold: &str, answer: &str| {
        let answered = Row {
            answer: gold.into(),
            ..row()
        };
        Gsm8k.is_right(&answered, answer)
    };
    for (gold, right) in [
        ("1,080", "1080"),
        ("1,080", "$1,080.00"),
        ("18", "18."),
        ("18", " 18 eggs"),
        ("18", "18%"),
        ("18", "018"),
        ("18", "$ 18 per day"),
        ("0.5", ".50"),
        ("-3", "-3.0"),
        ("-3", "-$3"),
        ("-3", "$-3"),
        ("0", "-0"),
    ] {
        assert!(is_right(gold, right), "{gold} {right}");
    }
    for (gold, wrong) in [
        ("18", "19"),
        ("18", "-18"),
        ("18", "18 or 19"),
        ("18", "1,8"),
        ("18", "18.5"),
        ("18", "eighteen"),
        ("18", ""),
        ("18", "."),
        ("1.5", "1.5.0"),
        ("1080", "10,80"),
        ("18", "3 * 6"),
        ("18", "x = 18"),
    ] {
        assert!(!is_right(gold, wrong), "{gold} {wrong}");
    }
}

#[test]
fn steps_follow_when_their_equations_hold() {
    let follows = |step: &str| Gsm8k.follows(&row(), &[step]);
    for step in [
        "The box has 12 x 8 = 96 pens.",
        "12/60 = $0.20 a minute, so 50 minutes are 0.2 x 50 = $10.",
        "10/3 = 3.33 and 2/3 = .66",
        "20% * 50 = 10, which is 10 / 50 * 100 = 20%",
        "(2 + 3) * [4 - 1] = 5 * 3 = 15",
        "- 5 * 2 = 10",
        "1. 1,200 + 34 = 1,234",
        "100/3 = 33 boxes",
        "There are 7 days in a week.",
        "2 + 3 apples = 4",
        "She has 3, 4 = 5",
        "−5 + 3 = −2",
        "1 / 0 = 3",
    ] {
        assert_eq!(follows(step), [true], "{step}");
    }
    for step in [
        "The box has 12 x 8 = 98 pens.",
        "So 7 + 5 = 13.",
        "7 + 5 = 12 and 12 * 2 = 25",
        "(2 + 3) * 3 = 15 = 5 * 4",
        "10/4 = 2.6",
        "",
    ] {
        assert_eq!(follows(step), [false], "{step}");
    }
}

#[test]
fn any_text_is_judged_in_time() {
    let deep = "(".repeat(100_000) + "1" + &")".repeat(100_000) + " = 1";
    let long = "1 + ".repeat(100_000) + "1 = 100001 = é½ =";
    assert_eq!(
        Gsm8k.follows(&row(), &[&deep, &long, "= = =", "-".repeat(100_000).as_str()]),
        [true; 4]
    );
}
