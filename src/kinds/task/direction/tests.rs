use std::collections::HashSet;
use std::path::Path;

use insta::assert_snapshot;

use super::*;
use crate::metrics;
use crate::task::tests::{generate, refusal};
use learn::dataset;
use proptest::prelude::*;

/// A published walk, whole, and with its first pair that cancels done in one step (row seq9_360 and row seq9_360/skip).
const QUESTION: &str = "Assuming an initial orientation facing North, determine the final direction after executing the following actions: \
                        Around, Around, Left, Right, Left, Right, Around, Left, Right";

#[test]
fn solutions_are_worded_as_published() {
    let walk = Walk::parse(QUESTION).unwrap();
    let row = walk.row("seq9_360".to_owned(), None);
    assert_eq!((row.prompt.as_str(), row.step_num, &row.answer), (QUESTION, 9, &"South".into()));
    assert_snapshot!(row.completion, @r"
    South. Around, Left, Right, Left, Right, Around, Left, Right
    North. Left, Right, Left, Right, Around, Left, Right
    West. Right, Left, Right, Around, Left, Right
    North. Left, Right, Around, Left, Right
    West. Right, Around, Left, Right
    North. Around, Left, Right
    South. Left, Right
    East. Right
    South.
    Thus, the answer is South.
    ");
    let skip = walk.skipped("seq9_360").unwrap();
    assert_eq!((skip.id.as_str(), skip.step_num), ("seq9_360/skip", 8));
    assert_snapshot!(skip.completion, @r"
    North. Left, Right, Left, Right, Around, Left, Right
    West. Right, Left, Right, Around, Left, Right
    North. Left, Right, Around, Left, Right
    West. Right, Around, Left, Right
    North. Around, Left, Right
    South. Left, Right
    East. Right
    South.
    Thus, the answer is South.
    ");
    let straight = Walk::parse(&QUESTION.replace("Around, Around, Left, Right, Left, Right, ", "")).unwrap();
    assert!(straight.skipped("seq3_0").is_some());
    let plain = Walk::parse(&QUESTION.replace("Around, Around, Left, Right, Left, Right, Around, Left, Right", "Left, Left")).unwrap();
    assert_eq!(plain.skipped("seq2_0"), None);
}

/// The published data are compared where they lie beside the project.
#[test]
#[ignore = "needs the published data in ../shared/data"]
fn every_published_row_is_reproduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/direction");
    for (file, full, skips) in [
        ("train.jsonl", 2_080, 1_819),
        ("train_cold.jsonl", 2_080, 0),
        ("id_test.jsonl", 1_000, 0),
    ] {
        let rows: Vec<Row> = dataset::read(&folder.join(file)).unwrap();
        let (mut found, mut skipped) = (0, 0);
        for row in rows {
            let walk = Walk::parse(&row.prompt).unwrap();
            let ours = match row.id.strip_suffix("/skip") {
                Some(id) => walk.skipped(id),
                None => Some(walk.row(row.id.clone(), None)),
            };
            assert_eq!(ours.as_ref(), Some(&row));
            *(if row.id.ends_with("/skip") { &mut skipped } else { &mut found }) += 1;
            assert!(
                Direction.is_right(&row, metrics::read_solution(&row.completion).answer.unwrap()),
                "{row:?}"
            );
            let steps: Vec<&str> = metrics::steps(&row.completion).collect();
            assert_eq!(Direction.follows(&row, &steps), vec![true; row.step_num as usize], "{row:?}");
            // A problem without such a pair has no skip.
            if file == "train_cold.jsonl" {
                skipped += usize::from(walk.skipped("").is_some());
            }
        }
        let expected = if file == "train_cold.jsonl" { 1_819 } else { skips };
        assert_eq!((found, skipped), (full, expected), "{file}");
    }
}

#[test]
fn the_defaults_have_the_papers_sizes_and_no_overlap() {
    let splits = generate(&Direction, "start = 'warm'", 0);
    let all = [
        &splits.train,
        &splits.development,
        &splits.in_domain,
        &splits.ood_easy,
        &splits.ood_hard,
    ];
    assert_eq!(all.map(Vec::len), [2_080, 1_000, 1_000, 500, 500]);
    let questions: HashSet<&str> = all.into_iter().flatten().map(|row| row.prompt.as_str()).collect();
    assert_eq!(questions.len(), 5_080);
    // As many of each length as published: all of the short ones, and 600 of the others.
    let drawn = [&splits.train, &splits.development, &splits.in_domain];
    for (length, count) in [(1, 12), (2, 36), (3, 108), (4, 324), (5, 600), (10, 600)] {
        assert_eq!(
            drawn
                .iter()
                .flat_map(|rows| rows.iter())
                .filter(|row| row.step_num == length)
                .count(),
            count
        );
    }
    for (rows, lengths) in [(&splits.ood_easy, 11..=20), (&splits.ood_hard, 21..=30)] {
        for length in lengths {
            assert_eq!(rows.iter().filter(|row| row.id.starts_with(&format!("seq{length}_"))).count(), 50);
        }
    }
    let skips = splits
        .train
        .iter()
        .filter_map(|row| Walk::parse(&row.prompt).unwrap().skipped(&row.id));
    assert_eq!(splits.skipped, skips.collect::<Vec<_>>());
    assert!((1_750..1_880).contains(&splits.skipped.len()), "{}", splits.skipped.len());
}

#[test]
fn impossible_params_are_refused() {
    let message = |toml| refusal(&Direction, toml);
    assert_snapshot!(message("train = 50\ndevelopment = 0\nin_domain = 0\nactions = [1, 2]"), @"train: `train`, `development` and `in_domain` ask together for 50 problems, and `actions` allows 48 different ones; ask for fewer, or allow more actions");
    assert_snapshot!(message("actions = [0, 3]"), @"actions: [0, 3] must be the least and the most actions, from 1 to 60");
    assert_snapshot!(message("actions_hard = [21, 61]"), @"actions_hard: [21, 61] must be the least and the most actions, from 1 to 60");
    assert_snapshot!(message("actions_easy = [10, 20]"), @"actions_easy: some problems belong to `actions` as well, and splits may not overlap");
    assert_snapshot!(message("skip_share = -0.1"), @"skip_share: -0.1 is out of range, it must be a share, from 0 to 1");
    assert_snapshot!(message("digits = [1, 2]"), @"digits: no field `digits` (known: start, train, development, in_domain, ood_easy, ood_hard, skip_share, actions, actions_easy, actions_hard)");
}

#[test]
fn answers_are_compared_as_text() {
    let row = Walk::parse(QUESTION).unwrap().row(String::new(), None);
    for (answer, right) in [
        ("South", true),
        ("south", false),
        ("North", false),
        ("South.", false),
        ("South East", false),
    ] {
        assert_eq!(Direction.is_right(&row, answer), right, "{answer}");
    }
}

proptest! {
    #[test]
    fn every_walk_is_read_as_it_is_written(seed: u64) {
        let splits = generate(&Direction, "start = 'warm'\ntrain = 20\ndevelopment = 0\nin_domain = 0\nood_easy = 5\nood_hard = 5", seed);
        for row in [splits.train, splits.skipped, splits.ood_easy, splits.ood_hard].concat() {
            let reading = metrics::read_solution(&row.completion);
            prop_assert!(Direction.is_right(&row, reading.answer.unwrap()));
            prop_assert_eq!(reading.steps, row.step_num);
            let steps: Vec<&str> = metrics::steps(&row.completion).collect();
            prop_assert_eq!(Direction.follows(&row, &steps), vec![true; steps.len()]);
        }
    }

    #[test]
    fn any_text_is_held(steps in prop::collection::vec("[A-Za-z,. ]{0,30}|.{0,20}", 0..4)) {
        let row = Walk::parse(QUESTION).unwrap().row(String::new(), None);
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        prop_assert_eq!(Direction.follows(&row, &steps).len(), steps.len());
    }
}
