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

/// A data set of `count` rows.
fn set(name: &str, count: u64) -> Vec<Row> {
    (0..count)
        .map(|i| row(&format!("{name}/{i}"), (i, 1), "1. a", 1 + i as u32))
        .collect()
}

/// How many rows of each data set are in the mixture, and how often the most frequent row of each is.
fn mixture(params: &str, sets: &[(&str, u64)]) -> Vec<(usize, usize)> {
    let mut bench = Bench::new("mix", params);
    for (name, count) in sets {
        bench = bench.rows("data", &set(name, *count));
    }
    let mixed = bench.output("data");
    assert_eq!(ids(&mixed).len(), mixed.len(), "ids are unique");
    let of = |name: &str| {
        let ids = mixed.iter().filter_map(|row| row.id.strip_prefix(&format!("{name}/")));
        let mut times: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        ids.for_each(|id| *times.entry(id.split('#').next().unwrap()).or_default() += 1);
        (times.values().sum(), times.values().copied().max().unwrap_or_default())
    };
    sets.iter().map(|(name, _)| of(name)).collect()
}

#[test]
fn a_mixture_has_the_shares_that_are_asked_for() {
    let sets = [("a", 10), ("b", 40)];
    for (params, expected) in [
        ("", [(10, 1), (40, 1)]),
        ("weights = [1, 1]", [(10, 1), (10, 1)]),
        ("weights = [3, 1]\nsize = 100", [(75, 8), (25, 1)]),
        ("weights = [0, 1]", [(0, 0), (40, 1)]),
        ("repetitions = [2.5, 0.5]", [(25, 3), (20, 1)]),
        ("size = 25", [(5, 1), (20, 1)]),
        ("size = 100", [(20, 2), (80, 2)]),
    ] {
        assert_eq!(mixture(params, &sets), expected, "{params}");
    }
}

#[test]
fn a_mixture_depends_on_the_seed_and_its_order() {
    let mixed = |params: &str, seed| {
        let bench = Bench::new("mix", params)
            .rows("data", &set("a", 10))
            .rows("data", &set("b", 20))
            .seed(seed);
        bench.output("data").into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let drawn = "repetitions = [1, 0.5]";
    assert_eq!(mixed(drawn, 1), mixed(drawn, 1));
    assert_ne!(mixed(drawn, 1), mixed(drawn, 2));
    let as_is = |seed| mixed(&format!("{drawn}\norder = 'as_is'"), seed);
    assert_eq!(as_is(1)[..10], set("a", 10).into_iter().map(|row| row.id).collect::<Vec<_>>());
    assert_ne!(as_is(1), as_is(2), "which half of the second set it is");
    assert!(as_is(1)[10..].is_sorted_by_key(|id| id[2..].parse::<u32>().unwrap()));
    let steps = Bench::new("mix", "order = 'fewest_steps'")
        .rows("data", &set("a", 3))
        .rows("data", &set("b", 2));
    let ids: Vec<String> = steps.output("data").into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["a/0", "b/0", "a/1", "b/1", "a/2"]);
    // Full solutions and skips have an order, too.
    let bench = Bench::new("mix", "order = 'as_is'").rows("full", &full()).rows("skips", &skips());
    assert_eq!(bench.output("data"), [full(), skips()].concat());
}

#[test]
fn a_mixture_without_rows_is_said() {
    let bench = Bench::new("mix", "weights = [1, 1]\nsize = 4")
        .rows("data", &[])
        .rows("data", &set("b", 3));
    assert_eq!(bench.output("data").len(), 2);
    assert_snapshot!(bench.warned.borrow().join("\n"), @"data set 1 of `data` has no rows; the mixture is without it");
    let bench = Bench::new("mix", "").rows("full", &[]);
    assert!(bench.output("data").is_empty());
    assert_snapshot!(bench.warned.borrow().join("\n"), @"the mixture has no rows: the data sets are empty, or their shares are below one row");
}

#[test]
fn mixtures_that_cannot_be_are_refused() {
    let refusal = |params: &str, inputs: &[(&str, usize)]| {
        let inputs: std::collections::BTreeMap<String, usize> = inputs.iter().map(|(port, count)| ((*port).to_owned(), *count)).collect();
        let checked = super::bench::parse("mix", params).and_then(|stage| stage.check_inputs(&inputs));
        checked.map_or_else(
            |error| format!("{}: {}", error.path.join("."), error.problem),
            |()| "fine".to_owned(),
        )
    };
    assert_eq!(refusal("weights = [1, 2]", &[("data", 2)]), "fine");
    assert_eq!(refusal("mode = 'cont'", &[("full", 1), ("skips", 3)]), "fine");
    assert_snapshot!([
        refusal("weights = [1, 2]", &[("data", 3)]),
        refusal("weights = [1, 2]", &[("full", 2)]),
        refusal("size = 5", &[("skips", 2)]),
        refusal("", &[("data", 1), ("full", 1)]),
        refusal("mode = 'cont'", &[("data", 1)]),
        refusal("weights = [1, -2]", &[]),
        refusal("repetitions = [0, 0]", &[]),
        refusal("repetitions = [1]\nweights = [1]", &[]),
        refusal("repetitions = [1]\nsize = 3", &[]),
        refusal("size = 0", &[]),
        refusal("order = 'fewest_tokens'", &[]),
    ].join("\n"), @r"
    weights: has 2 numbers for the 3 data sets of `data`; give one for each, in their order
    weights: is of the data sets of `data`, which is missing; name them there
    size: is of the data sets of `data`, which is missing; name them there
    data: a mixture of `data` has no `full` and no `skips`; name all data sets in `data`, or none
    mode: is for `full` and `skips`; a mixture of `data` has `weights` or `repetitions`
    weights: -2 is out of range, it must be a number from 0 on
    repetitions: no data set has any rows in the mixture; make one of them larger than 0
    repetitions: `weights` is given, too, and decides the same; leave one of both out
    repetitions: `size` is given, too, and decides the same; leave one of both out
    size: 0 is out of range, it must be from 1 to 100000000
    order: rows have no number of tokens, answers have: select among these with `filter`, or use `fewest_characters`
    ");
}
