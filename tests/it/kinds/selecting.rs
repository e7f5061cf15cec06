//! `select`.

use std::fs;

use insta::assert_snapshot;
use learn::dataset::Row;
use serde_json::{Value, json};

use super::bench::{Bench, parse_given, row};

/// Rows with 1 to 6 steps, of two answers.
fn rows() -> Vec<Row> {
    (0..6)
        .map(|i| row(&format!("r{i}"), (i % 2, 1), &"1. a\n".repeat(1 + i as usize), 1 + i as u32))
        .collect()
}

fn text(id: &str, prompt: &str) -> Row {
    Row {
        prompt: prompt.to_owned(),
        ..row(id, (1, 1), "1. a", 1)
    }
}

fn select(params: &str, rows: &[Row]) -> Bench {
    Bench::new("select", params).rows("data", rows)
}

fn ids(bench: &Bench) -> Vec<String> {
    bench.output("data").into_iter().map(|row| row.id).collect()
}

#[test]
fn rows_are_selected() {
    for (params, expected) in [
        ("", &["r0", "r1", "r2", "r3", "r4", "r5"][..]),
        ("min_steps = 3\nmax_steps = 4", &["r2", "r3"]),
        ("max_characters = 35", &["r0", "r1"]),
        (
            "where = [{ field = 'answer', equals = 2 }, { field = 'step_num', max = 4 }]",
            &["r1", "r3"],
        ),
        ("order = 'most_steps'", &["r5", "r4", "r3", "r2", "r1", "r0"]),
        ("select_num = 2", &["r0", "r1"]),
        ("select_num = 2\norder = { highest = 'step_num' }", &["r5", "r4"]),
        ("select_ratio = 0.5", &["r0", "r1", "r2"]),
        ("select_num = 4\nstratify = 'answer'", &["r0", "r1", "r2", "r3"]),
        ("topk = 1", &["r0", "r1"]),
        ("topk = 2\norder = 'most_steps'", &["r5", "r4", "r3", "r2"]),
        ("topk = 1\nper = 'step_num'\nselect_num = 3", &["r0", "r1", "r2"]),
        ("duplicates = { on = ['prompt'] }", &["r0", "r1"]),
    ] {
        assert_eq!(ids(&select(params, &rows())), expected, "{params}");
    }
}

#[test]
fn a_random_choice_is_by_the_seed_alone() {
    let drawn = |seed| ids(&select("order = 'shuffle'\nselect_num = 3", &rows()).seed(seed));
    assert_eq!(drawn(1), drawn(1));
    assert!((2..9).any(|seed| drawn(seed) != drawn(1)));
    let draws = |params| parse_given("select", params, &["data"]).unwrap().draws();
    assert!(draws("order = 'shuffle'") && !draws("select_num = 3"));
}

#[test]
fn duplicates_are_dropped() {
    let question = "Tom has three red apples and buys two more at the market. How many apples does Tom have in all?";
    let other = question.replace("red", "green");
    let rows = [
        text("a", question),
        text("b", question),
        text("c", &question.to_uppercase()),
        text("d", &other),
        text("e", "Something else"),
    ];
    assert_eq!(ids(&select("duplicates = 'exact'", &rows)), ["a", "c", "d", "e"]);
    assert_eq!(ids(&select("duplicates = 'near'", &rows)), ["a", "d", "e"]);
    assert_eq!(ids(&select("duplicates = { threshold = 0.5 }", &rows)), ["a", "e"]);
    assert_eq!(ids(&select("duplicates = 'keep'", &rows)).len(), 5);
}

#[test]
fn test_questions_are_left_out() {
    let question = "Tom has three red apples and buys two more at the market. How many apples does Tom have?";
    let rows = [
        text("a", "What is 1 + 1?"),
        text("b", &format!("Well: {question}")),
        text("c", "What is 1 + 2?"),
    ];
    let tests = [text("t1", question), text("t2", "WHAT IS 1+2")];
    let bench = select("", &rows)
        .rows("decontaminate", &tests[..1])
        .rows("decontaminate", &tests[1..]);
    assert_eq!(ids(&bench), ["a"]);
    let wide = select("decontaminate_n = 30", &rows).rows("decontaminate", &tests);
    assert_eq!(ids(&wide), ["a", "b"]);
}

#[test]
fn what_is_dropped_is_counted_with_samples() {
    let rows = [rows(), rows()].concat();
    let bench = select(
        "where = [{ field = 'answer', equals = 2 }]\nmin_steps = 1\nmax_steps = 4\nduplicates = 'exact'\nselect_num = 1",
        &rows,
    );
    let dropped = bench.run().unwrap().join("dropped");
    let metrics: Value = serde_json::from_str(&fs::read_to_string(dropped.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(
        metrics,
        json!({"rows": 12, "kept": 1, "dropped": {"where answer": 6, "min_steps": 0, "max_steps": 2, "duplicates": 2, "not_selected": 1}})
    );
    let samples = fs::read_to_string(dropped.join("examples.jsonl")).unwrap();
    let samples: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(samples.len(), 5 + 2 + 2 + 1);
    assert_eq!((&samples[7]["id"], &samples[7]["reason"]), (&json!("r1"), &json!("duplicates")));
    assert_eq!(
        (&samples[7]["detail"], &samples[7]["row"]["step_num"]),
        (&json!("the text of row `r1`"), &json!(2))
    );
    // What reports read.
    let read = kinds::artifact::metrics::read(&dropped).unwrap();
    assert_eq!(read[0].integer("dropped.duplicates"), Some(2));
    kinds::artifact::metrics::check(&dropped).unwrap();
}

#[test]
fn ids_are_unique_and_nothing_left_is_said() {
    let bench = select("", &[text("a", "x"), text("a", "y")]);
    assert_eq!(ids(&bench), ["a", "a#2"]);
    let bench = select("min_steps = 9", &rows());
    assert!(ids(&bench).is_empty());
    assert_snapshot!(bench.warned.borrow().join("\n"), @"none of 6 rows is left, and the data set is empty. Dropped: 6 `min_steps` (such as `r0`, `r1`, `r2`)");
    let bench = select("select_num = 9", &rows());
    assert_eq!(ids(&bench).len(), 6);
    assert_snapshot!(bench.warned.borrow().join("\n"), @"`select_num = 9` is more than the 6 rows that are left: all of them are kept");
    let bench = select("", &[]);
    assert!(ids(&bench).is_empty());
    assert_snapshot!(bench.warned.borrow().join("\n"), @"there are no rows: the data set is empty");
}

#[test]
fn what_cannot_be_selected_is_refused() {
    let refusal = |params: &str| {
        let error = parse_given("select", params, &["data"]).err().unwrap();
        format!("{}: {}", error.path.join("."), error.problem)
    };
    assert_snapshot!([
        refusal("select_num = 1\nselect_ratio = 0.5"),
        refusal("select_ratio = 1.5"),
        refusal("stratify = 'answer'"),
        refusal("per = 'answer'"),
        refusal("topk = 0"),
        refusal("decontaminate_n = 5"),
        refusal("min_steps = 2\nmax_steps = 1"),
        refusal("order = 'most_tokens'"),
        refusal("order = 'best'"),
        refusal("where = [{ field = 'answer', equals = 1 }, { field = 'x' }]"),
        refusal("duplicates = 'nearly'"),
        refusal("duplicates = { threshold = 2 }"),
    ].join("\n"), @r#"
    select_ratio: `select_num` is given, too; leave one of both out
    select_ratio: 1.5 is out of range, it must be above 0 and at most 1
    stratify: all rows are kept; give `select_num` or `select_ratio`
    per: `topk` is missing: how many rows of each value?
    topk: 0 is too small, it must be at least 1
    decontaminate_n: there are no test sets to compare with; name them: `decontaminate = "cases.test"`
    min_steps: 2 is more than `max_steps = 1`: nothing would be kept
    order: rows have no number of tokens, answers have: select among these with `filter`, or use `fewest_characters`
    order: no `best` (known: as_is, shuffle, fewest_steps, most_steps, fewest_tokens, most_tokens, fewest_characters, most_characters, lowest, highest)
    where.1.field: nothing is compared; add `equals`, `one_of`, `none_of`, `min`, `max`, `min_characters` or `max_characters`
    duplicates: no `nearly` (known: keep, exact, near)
    duplicates.threshold: 2 is out of range, it must be above 0 and at most 1
    "#);
    let error = select("where = [{ field = 'level', min = 1 }]", &rows()).run().unwrap_err();
    assert!(error.starts_with("row `r0` has no field `level` (it has `id`, `prompt`"), "{error}");
}
