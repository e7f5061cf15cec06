use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use insta::assert_snapshot;
use proptest::prelude::*;
use serde::Deserialize;

use super::equation::{Factor, Term, TermSum};
use super::symbols::{EQUALS, MINUS, OVER, PLUS, TIMES, ZERO};
use super::*;
use crate::metrics;
use crate::task::tests::{generate, refusal};
use learn::dataset;

/// A published problem: no question, steps and answer have brackets but at the very end.
#[derive(Deserialize)]
struct PublishedRow {
    question: String,
    answer: String,
    num_steps: usize,
    variable_num: u32,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    equation: String,
}

fn equation(text: &str) -> Equation {
    let (left, right) = text.split_once(EQUALS).unwrap();
    Equation {
        left: sum(left),
        right: sum(right),
    }
}

fn sum(text: &str) -> TermSum {
    let mut terms: Vec<Term> = Vec::new();
    let mut sign = PLUS;
    for word in text.split_whitespace() {
        let symbol = word.chars().next().unwrap();
        match (symbol, terms.last_mut()) {
            (PLUS | MINUS | TIMES | OVER, _) => sign = symbol,
            (ZERO, _) => {}
            (symbol, Some(term)) if [TIMES, OVER].contains(&sign) => term.factors.push(Factor {
                divides: sign == OVER,
                symbol,
            }),
            (symbol, _) => terms.push(Term {
                negative: sign == MINUS,
                factors: vec![Factor { divides: false, symbol }],
            }),
        }
    }
    TermSum(terms)
}

fn solved(question: &str) -> String {
    solver::solve(equation(question)).join("\n")
}

#[test]
fn solutions_are_those_published() {
    // test_0, test_15, test_19, test_978 and test_993 of the published data.
    assert_snapshot!(solved("❀ ❤ ♪ ♙ ✰ ♋ ✰ ♏ ↔ ◯"), @r"
    ❀ ❤ ♪ ♙ ✰ ♏ ↔ ❀ ♋
    ❀ ❤ ♪ ♙ ↔ ❀ ♋ ❀ ♏
    ❤ ♪ ♙ ↔ ♋ ✰ ♏
    ❤ ↔ ♋ ✾ ♙ ✰ ♏ ✾ ♙
    ");
    assert_snapshot!(solved("❀ ♋ ↔ ♏ ✰ ♙ ✾ ❤"), @r"
    ♏ ✰ ♙ ✾ ❤ ↔ ❀ ♋
    ♙ ✾ ❤ ↔ ❀ ♋ ❀ ♏
    ❤ ↔ ❀ ♋ ♪ ♙ ❀ ♏ ♪ ♙
    ");
    assert_snapshot!(solved("❀ ♏ ♪ ❤ ↔ ♋ ✾ ♙"), @r"
    ♏ ♪ ❤ ↔ ❀ ♋ ✾ ♙
    ❤ ↔ ♏ ♪ ❲ ❀ ♋ ✾ ♙ ❳
    ");
    assert_snapshot!(solved("❀ ⚛ ✾ ♋ ↔ ♙ ♪ ☺ ♪ ♏ ✾ ⛭ ♪ ❤"), @r"
    ♙ ♪ ☺ ♪ ♏ ✾ ⛭ ♪ ❤ ↔ ❀ ⚛ ✾ ♋
    ♙ ♪ ☺ ✾ ⛭ ♪ ❤ ↔ ❀ ⚛ ✾ ♋ ✾ ♏
    ♙ ✾ ⛭ ♪ ❤ ↔ ❀ ⚛ ✾ ♋ ✾ ♏ ✾ ☺
    ⛭ ♪ ❤ ↔ ❀ ⚛ ✾ ♋ ✾ ♏ ✾ ☺ ♪ ♙
    ❤ ↔ ⛭ ♪ ❲ ❀ ⚛ ✾ ♋ ✾ ♏ ✾ ☺ ♪ ♙ ❳
    ");
    assert_snapshot!(solved("⛭ ♪ ♏ ♪ ❤ ✾ ♋ ✾ ⚛ ↔ ☺ ♪ ♙"), @r"
    ⛭ ♪ ♏ ♪ ❤ ✾ ⚛ ↔ ☺ ♪ ♙ ♪ ♋
    ⛭ ♪ ♏ ♪ ❤ ↔ ☺ ♪ ♙ ♪ ♋ ♪ ⚛
    ⛭ ♪ ❤ ↔ ☺ ♪ ♙ ♪ ♋ ♪ ⚛ ✾ ♏
    ❤ ↔ ⛭ ♪ ❲ ☺ ♪ ♙ ♪ ♋ ♪ ⚛ ✾ ♏ ❳
    ");
}

/// The published data are compared where they lie beside the project.
#[test]
#[ignore = "needs the published data in ../shared/data"]
fn every_published_problem_is_solved_as_published() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/algebra/id_test.jsonl");
    let problems: Vec<PublishedRow> = dataset::read(&path).unwrap();
    assert_eq!(problems.len(), 1_000);
    for published in problems {
        let steps: Vec<&str> = published.steps.iter().map(|step| step.equation.as_str()).collect();
        let problem = equation(&published.question);
        assert_eq!(problem.to_string(), published.question);
        let named = NamedProblem {
            id: String::new(),
            problem: problem.clone(),
        };
        let row = AlgebraParams::default().full_row(&named);
        assert_eq!(
            row.completion,
            format!("{}\nThus, the answer is {}.", steps.join("\n"), published.answer)
        );
        assert_eq!(
            (row.step_num as usize, row.answer.as_str()),
            (published.num_steps, Some(published.answer.as_str()))
        );
        assert!(Algebra.is_problem(&row) && Algebra.is_right(&row, metrics::read_solution(&row.completion).answer.unwrap()));
        assert_eq!(Algebra.follows(&row, &steps), vec![true; steps.len()], "{row:?}");
        // Such problems are drawn for the in-domain splits.
        let symbols = published
            .question
            .chars()
            .filter(|c| *c == symbols::UNKNOWN || symbols::LETTERS.contains(c))
            .count() as u32;
        assert_eq!(symbols, published.variable_num);
        assert!((4..=7).contains(&symbols) && (1..=5).contains(&steps.len()));
    }
}

#[test]
fn the_defaults_have_the_papers_sizes_and_no_overlap() {
    let splits = generate(&Algebra, "start = 'warm'", 0);
    let all = [
        &splits.train,
        &splits.development,
        &splits.in_domain,
        &splits.ood_easy,
        &splits.ood_hard,
    ];
    assert_eq!(all.map(Vec::len), [5_770, 1_000, 1_000, 2_000, 420]);
    let questions: HashSet<&str> = all.into_iter().flatten().map(|row| row.prompt.as_str()).collect();
    assert_eq!(questions.len(), 10_190);
    let count = |rows: &[Row], prefix: &str| rows.iter().filter(|row| row.id.starts_with(prefix)).count();
    assert_eq!([6, 7].map(|n| count(&splits.ood_easy, &format!("var{n}_"))), [1_000; 2]);
    assert_eq!([10, 11, 12, 13, 14].map(|n| count(&splits.ood_hard, &format!("var{n}_"))), [84; 5]);
    assert!(splits.train.iter().all(|row| (1..=5).contains(&row.step_num)));
    assert!(splits.ood_easy.iter().all(|row| row.step_num >= 6));
    // Every training problem of more than one step has a skip, of one step less.
    let several: Vec<&Row> = splits.train.iter().filter(|row| row.step_num > 1).collect();
    assert_eq!(several.len(), splits.skipped.len());
    for (full, skip) in several.iter().zip(&splits.skipped) {
        assert_eq!(skip.id, format!("{}_skip", full.id));
        assert_eq!(
            (&skip.prompt, &skip.answer, skip.step_num),
            (&full.prompt, &full.answer, full.step_num - 1)
        );
        let mut lines = full.completion.lines();
        assert!(skip.completion.lines().all(|line| lines.any(|other| other == line)), "{skip:?}");
    }
}

/// How many of 1,000 problems with so many symbols have so many steps: as in the published test set, which has 250 of each.
#[test]
fn problems_are_distributed_as_the_published_ones() {
    let published: [(u32, [u32; 5]); 4] = [
        (4, [33, 62, 109, 46, 0]),
        (5, [21, 42, 81, 84, 22]),
        (6, [25, 45, 53, 70, 57]),
        (7, [19, 34, 57, 72, 68]),
    ];
    let splits = generate(&Algebra, "train = 8000", 0);
    let mut counts: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    for row in &splits.train {
        let symbols = row.id["var".len()..].split('_').next().unwrap().parse().unwrap();
        *counts.entry((symbols, row.step_num)).or_default() += 1.0;
    }
    for (symbols, known) in published {
        let total: f64 = (1..=5).filter_map(|steps| counts.get(&(symbols, steps))).sum();
        for (steps, known) in (1..).zip(known) {
            let share = counts.get(&(symbols, steps)).copied().unwrap_or_default() / total;
            let expected = f64::from(known) / 250.0;
            // Three standard deviations of 250 draws.
            let deviation = (share * (1.0 - share) / 250.0).sqrt();
            assert!(
                (share - expected).abs() <= 3.0 * deviation + 1e-9,
                "{symbols} symbols, {steps} steps: {share:.3}, published {expected:.3}"
            );
        }
    }
}

#[test]
fn the_instruction_and_the_merged_steps_are_params() {
    let small = "start = 'warm'\ntrain = 30\ndevelopment = 0\nin_domain = 0\nood_easy = 0\nood_hard = 0";
    let splits = generate(&Algebra, small, 1);
    assert!(
        splits.train[0]
            .prompt
            .starts_with("Transform the expression to isolate ❤ on the left side of the ↔.\nQuestion: ")
    );
    let short = generate(&Algebra, &format!("{small}\ninstruction = ''"), 1);
    assert!(
        short
            .train
            .iter()
            .all(|row| row.prompt.starts_with("Question: ") && Algebra.is_problem(row))
    );
    assert_eq!(short.train[0].completion, splits.train[0].completion);
    for (merge, left_out) in [("first", 0), ("last", usize::MAX)] {
        let splits = generate(&Algebra, &format!("{small}\nmerge = '{merge}'"), 1);
        for (full, skip) in splits.train.iter().filter(|row| row.step_num > 1).zip(&splits.skipped) {
            let mut lines: Vec<&str> = full.completion.lines().collect();
            lines.remove(left_out.min(full.step_num as usize - 2));
            assert_eq!(skip.completion, lines.join("\n"));
        }
    }
}

#[test]
fn impossible_params_are_refused() {
    let message = |toml| refusal(&Algebra, toml);
    assert_snapshot!(message("train = 99\ndevelopment = 0\nin_domain = 0\nequations = { symbols = [2, 3], steps = [1, 1] }"), @"train: `train`, `development` and `in_domain` ask together for 99 problems, and `equations` allows 63 different ones; ask for fewer, or allow more symbols or steps");
    assert_snapshot!(message("equations_easy = { symbols = [4, 7], steps = [9, 9] }"), @"ood_easy: the split asks for 2000 problems, and `equations_easy` allows 0 different ones; ask for fewer, or allow more symbols or steps");
    assert_snapshot!(message("equations = { symbols = [1, 7] }"), @"equations: `symbols = [1, 7]` must be the least and the most symbols, from 2 to 15");
    assert_snapshot!(message("equations_hard = { symbols = [10, 16] }"), @"equations_hard: `symbols = [10, 16]` must be the least and the most symbols, from 2 to 15");
    assert_snapshot!(message("equations = { symbols = [4, 7], steps = [5, 1] }"), @"equations: `steps = [5, 1]` must be the least and the most steps, from 1 to 16");
    assert_snapshot!(message("equations = { symbols = [4, 7] }"), @"equations_easy: some problems belong to `equations` as well, and splits may not overlap");
    assert_snapshot!(message("equations = { steps = [1, 5] }"), @"equations: a field `symbols` is missing");
    assert_snapshot!(message("letters = 'all'"), @"letters: no `all` (known: first, any)");
}

fn right(gold: &str, answer: &str) -> bool {
    let row = Row {
        id: String::new(),
        prompt: String::new(),
        completion: String::new(),
        step_num: 1,
        answer: gold.into(),
        doc: Doc::default(),
    };
    Algebra.is_right(&row, answer)
}

#[test]
fn answers_are_right_when_they_are_equal() {
    for (gold, answer) in [
        ("❤ ↔ ❀ ♙ ❀ ♏ ✰ ♋", "❤ ↔ ♋ ❀ ❲ ♙ ✰ ♏ ❳"),
        ("❤ ↔ ❀ ♙ ❀ ♏ ✰ ♋", "❤↔❲❲♋❳❀♙❳❀♏"),
        ("❤ ↔ ♋ ♪ ♙ ♪ ♏", "❤ ↔ ♋ ♪ ❲ ♏ ✾ ♙ ❳"),
        ("❤ ↔ ♏ ♪ ❲ ♋ ✾ ♙ ❳", "❤ ↔ ❀ ♏ ♪ ❲ ❀ ♋ ✾ ♙ ❳"),
        ("❤ ↔ ♋ ♪ ❲ ♙ ♪ ♏ ❳", "❤ ↔ ♋ ✾ ♏ ♪ ♙"),
        ("❤ ↔ ♋", "❤ ↔ ♋ ✾ ♙ ♪ ♙ ✰ ◯"),
        ("❤ ↔ ♋", "❤ ↔ ❲ ♋ ✾ ♋ ❀ ♙ ✾ ♙ ❳ ♪ ❲ ♋ ✰ ♙ ❳ ✰ ♙"),
        ("❤ ↔ ❀ ♋ ✾ ♙", "❤ ↔ ♋ ✾ ❀ ♙"),
        ("❤ ↔ ♋", "❤ ↔ ❀ ❀ ✰ ♋"),
    ] {
        assert!(right(gold, answer), "{gold} and {answer}");
    }
    for (gold, answer) in [
        ("❤ ↔ ❀ ♙ ❀ ♏ ✰ ♋", "❤ ↔ ♋ ❀ ❲ ♙ ❀ ♏ ❳"),
        ("❤ ↔ ♋ ♪ ♙ ♪ ♏", "❤ ↔ ♋ ♪ ♙ ✾ ♏"),
        ("❤ ↔ ♋", "❤ ↔ ♋ ✾ ♙ ♪ ❲ ♙ ❀ ♙ ❳ ✾ ◯"),
        ("❤ ↔ ♋", "❤ ↔ ♋ ✰ ♙ ♪ ◯"),
        ("❤ ↔ ♋", "❤ ↔ ♋ ✰ ◯ ♪ ❲ ♙ ✾ ♏ ❀ ♏ ✾ ♙ ❳"),
        ("❤ ↔ ♋", "♋ ↔ ❤"),
        ("❤ ↔ ♋", "❲ ❤ ❳ ↔ ♋"),
        ("❤ ↔ ♋", "❤ ✰ ◯ ↔ ♋"),
        ("❤ ↔ ♋", "❤ ↔ ♋ ✰ ❤ ❀ ❤"),
        ("❤ ↔ ♋", "♋"),
        ("❤ ↔ ♋", "❤ ↔ ♋ ↔ ♋"),
        ("❤ ↔ ♋", "❤ ↔ ♋."),
        ("❤ ↔ ♋", ""),
        ("no equation", "no equation"),
        ("❤ ↔ ♋ ♪ ◯", "❤ ↔ ♋ ♪ ◯"),
    ] {
        assert!(!right(gold, answer), "{gold} and {answer}");
    }
    // A gold answer that is a text at all.
    let row = Row {
        answer: 3.into(),
        ..AlgebraParams::default().row(String::new(), &equation("❤ ✰ ♋ ↔ ♙"), &[], "")
    };
    assert!(!Algebra.is_right(&row, "3"));
}

#[test]
fn steps_follow_when_they_say_the_same_of_the_unknown() {
    let row = AlgebraParams::default().row(String::new(), &equation("❀ ♏ ♪ ❤ ✰ ♙ ↔ ♋"), &[], "");
    let held = |steps: &[&str]| Algebra.follows(&row, steps);
    assert_eq!(held(&["❀ ♏ ♪ ❤ ↔ ♋ ❀ ♙", "♏ ♪ ❤ ↔ ❀ ♋ ✰ ♙", "❤ ↔ ♏ ♪ ❲ ♙ ❀ ♋ ❳"]), [true; 3]);
    assert_eq!(held(&["♏ ↔ ❲ ♙ ❀ ♋ ❳ ✾ ❤", "♏ ♪ ❲ ♙ ❀ ♋ ❳ ↔ ❤"]), [true; 2]);
    // A wrong step, and one that follows from it.
    assert_eq!(
        held(&["❀ ♏ ♪ ❤ ↔ ♋ ✰ ♙", "♏ ♪ ❤ ↔ ❀ ♋ ❀ ♙", "♏ ♪ ❤ ↔ ♙ ❀ ♋"]),
        [false, true, false]
    );
    // Not read: no equation, ❤ twice or never, any ❤ or none solves it, a division by zero.
    for wrong in [
        "so",
        "❀ ♏ ♪ ❤ ↔",
        "❤ ✰ ❤ ↔ ♋",
        "♋ ↔ ♙",
        "❤ ✾ ◯ ↔ ◯",
        "◯ ✾ ❤ ↔ ♋",
        "♋ ♪ ❤ ↔ ◯",
        "♋ ♪ ❲ ❤ ✾ ◯ ❳ ↔ ♙",
        "❤ ↔ ♙ ♪ ◯",
    ] {
        assert_eq!(held(&[wrong, "♏ ♪ ❤ ↔ ♙ ❀ ♋"]), [false, true], "{wrong}");
    }
}

#[test]
fn huge_answers_are_judged_quickly() {
    let begun = std::time::Instant::now();
    let deep = format!("❤ ↔ {} ♋ {}", "❲ ❀ ❀ ".repeat(100_000), "❳ ".repeat(100_000));
    assert!(right("❤ ↔ ♋", &deep));
    let long = format!("❤ ↔ ♋ {}", "✾ ♙ ♪ ♙ ✰ ♏ ❀ ♏ ".repeat(100_000));
    assert!(right("❤ ↔ ♋", &long));
    let tower = format!("❤ ↔ {}♋{}", "❲ ♙ ♪ ".repeat(100_001), " ❳".repeat(100_001));
    assert!(right("❤ ↔ ♙ ♪ ♋", &tower));
    assert!(begun.elapsed().as_secs() < 20);
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "[❤♋♙✰❀✾♪↔❲❳◯ ]{0,40}|.{0,20}", gold in "❤ ↔ [♋♙✰❀✾♪❲❳ ]{0,12}") {
        right(&gold, &text);
        right("❤ ↔ ♋ ✰ ♙", &text);
        judge::follow(&text, &[&text, &gold]);
    }

    #[test]
    fn every_solution_is_right_and_its_steps_follow(seed: u64) {
        let sizes = "start = 'warm'\ntrain = 24\ndevelopment = 0\nin_domain = 0\nood_easy = 6\nood_hard = 6\nletters = 'any'";
        let splits = generate(&Algebra, sizes, seed);
        for row in [splits.train, splits.skipped, splits.ood_easy, splits.ood_hard].concat() {
            let reading = metrics::read_solution(&row.completion);
            prop_assert!(Algebra.is_problem(&row) && Algebra.is_right(&row, reading.answer.unwrap()), "{row:?}");
            prop_assert_eq!(reading.steps, row.step_num);
            let steps: Vec<&str> = metrics::steps(&row.completion).collect();
            prop_assert_eq!(Algebra.follows(&row, &steps), vec![true; steps.len()], "{:?}", row);
        }
    }
}
