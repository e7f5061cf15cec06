//! Contamination on cases made by hand.

use super::super::known_questions::{KnownQuestions, TestSet, overlaps};
use super::*;

fn row(id: &str, prompt: &str, completion: &str) -> Row {
    Row {
        id: id.to_owned(),
        prompt: prompt.to_owned(),
        completion: completion.to_owned(),
        step_num: 1,
        answer: 1.into(),
        doc: learn::dataset::Doc::default(),
    }
}

fn index(n: usize, questions: &[&str]) -> ContaminationIndex {
    let mut tests = TestQuestions::new(n);
    for question in questions {
        tests.add(&row("t", question, "the solution of a test is not looked for in the training data"));
    }
    tests.index()
}

/// The question that is found in a row, with the words that both have.
fn found(index: &ContaminationIndex, prompt: &str, completion: &str) -> Option<(usize, String)> {
    index
        .overlap(&row("r", prompt, completion))
        .map(|overlap| (overlap.question, overlap.words))
}

const QUESTION: &str = "Tom has three red apples and buys two more at the market. How many apples does Tom have?";

#[test]
fn thirteen_words_in_a_row_are_an_overlap_wherever_they_stand() {
    let index = index(USUAL_WORDS, &["Something else entirely, and short.", QUESTION]);
    let whole = "tom has three red apples and buys two more at the market how";
    for (prompt, completion, expected) in [
        (QUESTION, "", Some(whole)),
        (
            "TOM HAS THREE RED APPLES, AND BUYS TWO MORE AT THE MARKET: HOW MANY?",
            "",
            Some(whole),
        ),
        // At the beginning and at the end of the row.
        (
            "Tom has three red apples and buys two more at the market. How come?",
            "x",
            Some(whole),
        ),
        (
            "Yesterday, red apples - and buys two more at the market. How many apples does Tom have?",
            "x",
            Some("red apples and buys two more at the market how many apples does"),
        ),
        // Twelve words, and thirteen that a word stands between.
        ("Tom has three red apples and buys two more at the market. Why?", "x", None),
        (
            "Tom has three green apples and buys two more at the shop. How many apples does Tom have?",
            "x",
            None,
        ),
        // In the solution, and across the border between question and solution.
        ("Another question", QUESTION, Some(whole)),
        (
            "Tom has three red apples and buys two",
            "more at the market. How many apples does Tom have?",
            None,
        ),
        ("", "", None),
    ] {
        let words = found(&index, prompt, completion).map(|(question, words)| {
            assert_eq!(question, 1);
            words
        });
        assert_eq!(words.as_deref(), expected, "{prompt} / {completion}");
    }
}

#[test]
fn a_short_question_is_compared_as_a_whole() {
    let index = index(USUAL_WORDS, &["Question: 86 + 75", "Why?", "?!"]);
    for (prompt, expected) in [
        ("Question: 86 + 75", Some(0)),
        ("question 86+75?", Some(0)),
        ("Question: 86 - 75", None),
        ("Question: 86 + 7", None),
        ("Question: 86 + 751", None),
        ("Another question: 86 + 75", None),
        ("Why not?", None),
        ("WHY", Some(1)),
        ("!?", None),
        ("", None),
    ] {
        assert_eq!(
            found(&index, prompt, "Why? Question: 86 + 75").map(|found| found.0),
            expected,
            "{prompt}"
        );
    }
}

#[test]
fn the_number_of_words_is_a_choice() {
    let index = index(3, &["one two three four", "five six"]);
    let question = |prompt: &str| found(&index, prompt, "").map(|found| found.0);
    assert_eq!(question("zero one two three"), Some(0));
    assert_eq!(question("zero one two"), None);
    assert_eq!(question("two three four five"), Some(0));
    assert_eq!((question("five six"), question("five six seven")), (Some(1), None));
}

/// Questions of 20 words that differ in two numbers alone.
fn template(a: u64, b: u64) -> String {
    format!("In a shop that opens every morning at nine, {a} pears are sold. How much is that and another {b} pears together?")
}

#[test]
fn the_wording_of_a_test_set_is_no_overlap() {
    let questions: Vec<String> = (0..200).map(|i| template(i, 2 * i)).collect();
    let mut texts: Vec<&str> = questions.iter().map(String::as_str).collect();
    texts.push(QUESTION);
    let index = index(USUAL_WORDS, &texts);
    // Another question of the template, and one of the questions.
    assert_eq!(
        found(&index, &template(7, 1000), "").map(|found| found.0),
        Some(7),
        "13 words with a number of one question"
    );
    assert_eq!(found(&index, &template(1000, 2000), ""), None);
    assert_eq!(found(&index, &template(7, 14), "").map(|found| found.0), Some(7));
    assert_eq!(found(&index, QUESTION, "").map(|found| found.0), Some(200));
}

#[test]
fn a_question_without_words_of_its_own_is_compared_as_a_whole() {
    // Two questions that begin with the same thirteen words and differ in the last.
    let of = |last: &str| format!("a b c d e f g h i j k l m {last}");
    let questions: Vec<String> = ["n", "o", "p"].map(of).into();
    let texts: Vec<&str> = questions.iter().map(String::as_str).collect();
    let index = index(14, &texts);
    assert_eq!(found(&index, &of("o"), "").map(|found| found.0), Some(1));
    let shared = self::index(13, &[&of("n"), &of("n o")]);
    assert_eq!(found(&shared, "a b c d e f g h i j k l m", ""), None, "both have it");
    assert_eq!(found(&shared, &of("n"), "").map(|found| found.0), Some(0), "as a whole");
}

#[test]
fn a_question_that_is_there_twice_counts_once() {
    let index = index(USUAL_WORDS, &[QUESTION, &QUESTION.to_uppercase(), QUESTION]);
    assert_eq!(found(&index, QUESTION, "").map(|found| found.0), Some(0));
}

/// Problems that are drawn differ from each other in little: no test question is one of the training.
#[test]
fn drawn_problems_are_no_overlap_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[Row]| {
        let path = folder.path().join(name);
        learn::dataset::write(&path, rows).unwrap();
        path
    };
    for task in crate::task::tasks().iter().filter(|task| task.published().is_none()) {
        let Ok(problems) = task.read(&lab::config::ConfigValue::from(serde_json::json!({}))) else {
            panic!("{} has params without defaults", task.name());
        };
        let splits = problems.generate(1);
        let train = write("train", &splits.train);
        for rows in [&splits.in_domain, &splits.ood_easy, &splits.ood_hard] {
            let test = write("test", rows);
            let set = TestSet::read(&test).unwrap();
            let found = |training: &std::path::Path| KnownQuestions::of(&set, &[&overlaps(training, &[&set]).unwrap()[0]]);
            assert_eq!(found(&train).rows, 0, "{}", task.name());
            assert_eq!(found(&test).rows, rows.len() as u64, "{}", task.name());
        }
    }
}
