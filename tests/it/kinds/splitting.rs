//! `split`.

use learn::dataset::Row;

use super::bench::{Bench, row};

/// Five rows with each number of steps from 1 to 3.
fn rows(prefix: &str) -> Vec<Row> {
    (0..15)
        .map(|i| row(&format!("{prefix}/{i}"), (i, 1), "1. a", 1 + i as u32 / 5))
        .collect()
}

fn split(params: &str, port: &str) -> Vec<String> {
    let bench = Bench::new("split", params).rows("training", &rows("a")).rows("testing", &rows("b"));
    bench.output(port).into_iter().map(|row| row.id).collect()
}

#[test]
fn rows_are_divided_by_their_steps() {
    let ids = |prefix: &str, range: std::ops::Range<u64>| range.map(|i| format!("{prefix}/{i}")).collect::<Vec<_>>();
    assert_eq!(split("steps = 2", "train"), ids("a", 0..10));
    assert_eq!(split("steps = 2", "train_ood"), ids("a", 10..15));
    assert_eq!(split("steps = 2", "test_id"), ids("b", 0..10));
    assert_eq!(split("steps = 2", "test_ood"), ids("b", 10..15));
    assert_eq!(split("steps = 2", "development"), ids("a", 0..0));
    assert_eq!(split("", "test_id").len(), 15, "at most 4 steps unless told otherwise");
}

#[test]
fn some_are_chosen_at_random_and_none_twice() {
    let params = "steps = 2\ntrain = 4\ndevelopment = 3\ntest_ood = 2";
    let (train, development) = (split(params, "train"), split(params, "development"));
    assert_eq!((train.len(), development.len(), split(params, "test_ood").len()), (4, 3, 2));
    assert!(train.iter().all(|id| !development.contains(id)));
    assert_eq!(split(params, "train"), train, "and the same every time");
    assert_ne!(train, split("steps = 2\ntrain = 4", "train"), "of what development leaves");
    let all = Bench::new("split", "steps = 2\ntrain = 11").rows("training", &rows("a"));
    assert_eq!(all.run().unwrap_err(), "`train = 11` is more than the 10 rows that are left");
}

#[test]
fn numbers_may_be_shares() {
    let params = "steps = 'any'\ntrain = 0.8\ndevelopment = 0.2";
    let (train, development) = (split(params, "train"), split(params, "development"));
    assert_eq!((train.len(), development.len(), split(params, "train_ood").len()), (12, 3, 0));
    assert!(train.iter().all(|id| !development.contains(id)));
    assert_eq!(split("steps = 2\ntrain_ood = 0.4", "train_ood").len(), 2);
    let wrong = super::bench::parse("split", "train = 1.5").err().unwrap();
    assert_eq!(
        wrong.to_string(),
        "1.5 is no share, which is above 0 and below 1; write a number of rows without a point"
    );
}

#[test]
fn a_stratified_choice_keeps_the_shares_of_a_field() {
    let counts = |params: &str, port: &str| {
        let ids = split(params, port);
        // Five rows of each number of steps, in order.
        let of = |steps: usize| ids.iter().filter(|id| id[2..].parse::<usize>().unwrap() / 5 == steps).count();
        [of(0), of(1), of(2)]
    };
    let params = "steps = 'any'\ndevelopment = 6\ntrain = 6\nstratify = 'step_num'";
    assert_eq!((counts(params, "development"), counts(params, "train")), ([2, 2, 2], [2, 2, 2]));
    let bench = Bench::new("split", "train = 3\nstratify = 'level'").rows("training", &rows("a"));
    assert!(bench.run().unwrap_err().starts_with("row `a/0` has no field `level`"));
}
