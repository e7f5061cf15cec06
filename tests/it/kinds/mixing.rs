//! `mix`.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use learn::dataset::Row;

use super::bench::{Bench, row};

fn full() -> Vec<Row> {
    (0..6).map(|i| row(&format!("1_1/{i}"), (i, 1), "1. a", 1)).collect()
}

fn skips() -> Vec<Row> {
    (0..2).map(|i| row(&format!("1_1/{i}_skip"), (i, 1), "", 0)).collect()
}

fn ids(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|row| row.id.clone()).collect()
}

#[test]
fn the_mode_says_which_rows_are_taken() {
    let mixed = |mode| {
        let bench = Bench::new("mix", mode).rows("full", &full()).rows("skips", &skips());
        ids(&bench.output("data"))
    };
    let all = ids(&[full(), skips()].concat());
    assert_eq!(mixed(""), all);
    assert_eq!(mixed("mode = 'new'"), all);
    assert_eq!(mixed("mode = 'only-skip'"), ids(&skips()));
    let cont = mixed("mode = 'cont'");
    assert_eq!(cont.intersection(&ids(&full())).count(), 2);
    assert!(cont.is_superset(&ids(&skips())));
}

#[test]
fn the_order_and_the_choice_depend_on_the_seed_alone() {
    for mode in ["mode = 'new'", "mode = 'cont'"] {
        let mixed = |seed| {
            Bench::new("mix", mode)
                .rows("full", &full())
                .rows("skips", &skips())
                .seed(seed)
                .output("data")
        };
        assert_eq!(mixed(1), mixed(1));
        assert_ne!(mixed(1), mixed(2));
        assert_ne!(mixed(1), [full(), skips()].concat());
    }
}

#[test]
fn equal_rows_are_kept_once() {
    // D' of two iterations, the second with one skip more; ids do not matter.
    let mut later = skips();
    later.push(row("1_1/5_skip", (5, 1), "", 0));
    later[0].id = "another".to_owned();
    let bench = Bench::new("mix", "")
        .rows("full", &full())
        .rows("skips", &skips())
        .rows("skips", &later);
    let mixed = bench.output("data");
    assert_eq!(mixed.len(), 6 + 3);
    assert!(!ids(&mixed).contains("another"));
}

#[test]
fn as_many_full_rows_as_skips_means_different_ones() {
    for seed in 1..10 {
        let bench = Bench::new("mix", "mode = 'cont'").seed(seed);
        let bench = bench.rows("full", &full()).rows("full", &full()).rows("skips", &skips());
        assert_eq!(bench.output("data").len(), 2 + 2);
    }
}

#[test]
fn either_input_may_be_missing_or_empty() {
    assert_eq!(Bench::new("mix", "").rows("full", &full()).output("data").len(), 6);
    assert_eq!(
        Bench::new("mix", "mode = 'cont'")
            .rows("full", &full())
            .rows("skips", &[])
            .output("data")
            .len(),
        0
    );
    assert_eq!(
        Bench::new("mix", "mode = 'only-skip'").rows("skips", &skips()).output("data").len(),
        2
    );
    let error = Bench::new("mix", "mode = 'cont'").rows("skips", &skips()).run().unwrap_err();
    assert_snapshot!(error, @r#"`full` is missing; give it, or set `mode = "only-skip"`"#);
}

#[test]
fn corrupt_rows_are_named_with_file_and_line() {
    let bench = Bench::new("mix", "").rows("full", &full()).text("skips", "\n{\"id\": 3}\n");
    assert_snapshot!(bench.run().unwrap_err(), @"/skips-0.jsonl:2: invalid type: integer `3`, expected a string");
}
