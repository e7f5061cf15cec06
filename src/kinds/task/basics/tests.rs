use std::collections::BTreeSet;

use super::super::tests::{generate, refusal};
use super::*;

fn asked(question: &str) -> String {
    let read = BasicsQuestion::parse(question).unwrap_or_else(|| panic!("{question}"));
    assert_eq!(read.to_string(), question);
    let row = row(String::new(), &read);
    assert!(Basics.is_problem(&row) && Basics.is_right(&row, row.answer.as_str().unwrap()));
    row.completion.replace('\n', " | ")
}

#[test]
fn a_question_has_its_answer_in_one_step() {
    assert_eq!(asked("Add: 4 + 8"), "4 + 8 = 12. | Thus, the answer is 12.");
    assert_eq!(asked("Add: 9 + 0 + 1"), "9 + 0 + 1 = 10. | Thus, the answer is 10.");
    assert_eq!(asked("Turn: North, Left"), "West. | Thus, the answer is West.");
    assert_eq!(
        asked("Drop: Left, Right, Around"),
        "Right, Around | Thus, the answer is Right, Around."
    );
    assert_eq!(asked("Copy: ❤ ✾ ♋ ↔ ♙"), "❤ ✾ ♋ ↔ ♙ | Thus, the answer is ❤ ✾ ♋ ↔ ♙.");
    assert_eq!(
        asked("Move ♋: ♙ ✰ ♋ ❀ ♏ ↔ ❀ ☕"),
        "♙ ❀ ♏ ↔ ❀ ☕ ❀ ♋ | Thus, the answer is ♙ ❀ ♏ ↔ ❀ ☕ ❀ ♋."
    );
    assert_eq!(asked("Move ♙: ♙ ✰ ♋ ↔ ☕"), "♋ ↔ ☕ ❀ ♙ | Thus, the answer is ♋ ↔ ☕ ❀ ♙.");
    assert_eq!(asked("Move ♙: ❀ ♙ ↔ ☕"), "◯ ↔ ☕ ✰ ♙ | Thus, the answer is ◯ ↔ ☕ ✰ ♙.");
}

#[test]
fn what_is_no_question_is_none() {
    for text in [
        "",
        "Add: ",
        "Add: 4 + x",
        "Add: 04 + 8",
        "Add: 18446744073709551615 + 1",
        "Question: 4 + 8",
        "Turn: North",
        "Turn: Up, Left",
        "Drop: Left, Up",
        "Copy:  ",
        "Copy: a\nb",
        "Move ☕: ♙ ↔ ☕",
        "Move ♙: ♙ ♋ ↔ ☕",
        "Move ♙: ♙ ✰ ↔ ☕",
        "Move ♙: ✰ ♙ ↔ ☕",
        "Move ♙: ♙",
        "Move : ♙ ↔ ☕",
    ] {
        assert_eq!(BasicsQuestion::parse(text), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_question_or_none(word in "Add|Turn|Drop|Copy|Move ♋", rest in "[♋♙✰❀↔ ]{0,12}|[0-9 +]{0,24}|\\PC{0,12}") {
        if let Some(question) = BasicsQuestion::parse(&format!("{word}: {rest}")) {
            let _ = question.work();
            proptest::prop_assert_eq!(BasicsQuestion::parse(&question.to_string()), Some(question));
        }
    }
}

#[test]
fn only_the_right_line_follows() {
    let row = row("1".to_owned(), &BasicsQuestion::parse("Add: 4 + 8").unwrap());
    assert_eq!(
        Basics.follows(&row, &["4 + 8 = 12.", " 4 + 8 = 12. ", "4 + 8 = 13.", ""]),
        [true, true, false, false]
    );
    assert!(!Basics.is_right(&row, "13") && !Basics.is_right(&row, ""));
}

#[test]
fn training_has_every_fact_and_no_problem_is_in_two_splits() {
    let splits = generate(&Basics, "largest = 20", 1);
    let Splits {
        train,
        skipped,
        development,
        in_domain,
        ood_easy,
        ood_hard,
    } = &splits;
    let sizes = [train, skipped, development, in_domain, ood_easy, ood_hard].map(Vec::len);
    assert_eq!(sizes, [212 + 4_000, 0, 500, 500, 200, 200]);
    let all: Vec<&Row> = [train, development, in_domain, ood_easy, ood_hard].into_iter().flatten().collect();
    let prompts: BTreeSet<&str> = all.iter().map(|row| row.prompt.as_str()).collect();
    assert_eq!(prompts.len(), all.len());
    for fact in ["Add: 0 + 0", "Add: 9 + 9 + 1", "Turn: South, Around"] {
        assert!(train.iter().any(|row| row.prompt == fact), "{fact}");
    }
    for set in [train, development, in_domain, ood_easy, ood_hard] {
        let ids: BTreeSet<&str> = set.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids.len(), set.len());
    }
    for row in all {
        assert!(Basics.is_problem(row), "{}", row.prompt);
        let step = row.completion.lines().next().unwrap();
        assert_eq!(Basics.follows(row, &[step]), [true], "{}", row.prompt);
    }
    assert_ne!(generate(&Basics, "largest = 20", 2), splits);
}

#[test]
fn as_many_different_questions_are_drawn_as_there_are() {
    // 40·40 − 100 sums; 9 and 27 lists; 2·14·1·1 copies and 14·13·4·1 moves of two symbols.
    for (params, count) in [
        ("skills = ['sums']\nlargest = 39", 1_500),
        ("skills = ['turns']\nitems = [2, 3]", 36),
        ("skills = ['symbols']\nitems = [2, 2]", 28 + 728),
    ] {
        let none = "development = 0\nin_domain = 0\nood_easy = 0\nood_hard = 0";
        let splits = generate(&Basics, &format!("{params}\ntrain = {count}\n{none}"), 1);
        let drawn = splits.train.iter().filter(|row| !row.id.starts_with("fact"));
        assert_eq!(drawn.count(), count, "{params}");
    }
}

#[test]
fn wrong_params_are_refused() {
    insta::assert_snapshot!(
        [
            "skills = []",
            "skills = ['sums', 'sums']",
            "skills = ['steps']",
            "skills = ['sums']",
            "largest = 1000",
            "items = [1, 3]",
            "items_easy = [8, 9]",
            "start = 'warm'",
        ]
        .map(|params| refusal(&Basics, params))
        .join("\n"),
        @r#"
    skills: the list is empty; name some of "sums", "turns", "symbols"
    skills: "sums" appears twice
    skills.0: no `steps` (known: sums, turns, symbols)
    train: `train`, `development` and `in_domain` ask together for 5000 problems, and `items` allows 0 different ones; ask for fewer, or allow more items or skills
    largest: 1000 is too large, it must be at most 999
    items: [1, 3] must be the least and the most items, from 2 to 14
    items_easy: some problems belong to `items` as well, and splits may not overlap
    start: no field `start` (known: skills, train, development, in_domain, ood_easy, ood_hard, largest, items, items_easy, items_hard)
    "#
    );
}
