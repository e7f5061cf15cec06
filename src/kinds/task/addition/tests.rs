use std::collections::HashSet;
use std::path::Path;

use insta::assert_snapshot;

use super::solution::Wording;
use super::*;
use crate::metrics;
use crate::task::{Splits, tests as task};
use learn::dataset;

fn generate(toml: &str, seed: u64) -> Splits {
    task::generate(&Addition, toml, seed)
}

fn operands(row: &Row) -> (u64, u64) {
    let sum = row.prompt.strip_prefix("Question: ").unwrap();
    let (a, b) = sum.split_once(" + ").unwrap();
    (a.parse().unwrap(), b.parse().unwrap())
}

#[test]
fn solutions_are_worded_as_published() {
    // Rows 2_2/435, 2_1/110 and 3_1/310 of the published data.
    assert_snapshot!(Wording::PUBLISHED.full(86, 75).text, @r"
    1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).
    2. 8 + 7 (plus carry 1) = 16 (write down 6, carry over 1).
    3. Carry the final carry over 1 to the next place.
    Thus, the answer is 161.
    ");
    assert_snapshot!(Wording::PUBLISHED.full(94, 6).text, @r"
    1. 4 + 6 (plus carry 0) = 10 (write down 0, carry over 1).
    2. 9 + 0 (plus carry 1) = 10 (write down 0, carry over 1).
    3. Carry the final carry over 1 to the next place.
    Thus, the answer is 100.
    ");
    assert_snapshot!(Wording::PUBLISHED.full(381, 2).text, @r"
    1. 1 + 2 (plus carry 0) = 3 (write down 3, no carry over).
    2. 8 + 0 (plus carry 0) = 8 (write down 8, no carry over).
    3. 3 + 0 (plus carry 0) = 3 (write down 3, no carry over).
    Thus, the answer is 383.
    ");
    // 3_1/943_skip, 3_2/362_skip and 3_3/637_skip: leading zeros are written down, and not read.
    assert_snapshot!(Wording::PUBLISHED.merged(205, 2, 0).text, @r"
    1. 5 + 2 (plus carry 0) = 7 (write down 07, no carry over).
    2. 2 + 0 (plus carry 0) = 2 (write down 2, no carry over).
    Thus, the answer is 207.
    ");
    assert_snapshot!(Wording::PUBLISHED.merged(604, 56, 0).text, @r"
    1. 4 + 56 (plus carry 0) = 60 (write down 60, no carry over).
    2. 6 + 0 (plus carry 0) = 6 (write down 6, no carry over).
    Thus, the answer is 660.
    ");
    assert_snapshot!(Wording::PUBLISHED.merged(900, 486, 0).text, @r"
    1. 0 + 86 (plus carry 0) = 86 (write down 86, no carry over).
    2. 9 + 4 (plus carry 0) = 13 (write down 3, carry over 1).
    3. Carry the final carry over 1 to the next place.
    Thus, the answer is 1386.
    ");
}

/// The published data are compared where they lie beside the project.
#[test]
#[ignore = "needs the published data in ../shared/data"]
fn every_published_row_is_reproduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/addition");
    for (file, skips) in [("train.jsonl", 2_829), ("train_cold.jsonl", 0), ("id_test.jsonl", 0)] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let rows: Vec<Row> = dataset::read(&folder.join(file)).unwrap();
        assert_eq!(text.lines().count(), rows.len());
        let mut skipped = 0;
        for (line, row) in text.lines().zip(rows) {
            let (a, b) = operands(&row);
            let (id, is_skip) = row.id.strip_suffix("_skip").map_or((row.id.as_str(), false), |id| (id, true));
            let pairs = solution::positions(a, b) - 1;
            let ours: Vec<Row> = match is_skip {
                true => (0..pairs)
                    .map(|pair| super::row(format!("{id}_skip"), (a, b), Wording::PUBLISHED.merged(a, b, pair)))
                    .collect(),
                false => vec![super::row(id.to_owned(), (a, b), Wording::PUBLISHED.full(a, b))],
            };
            skipped += usize::from(is_skip);
            assert!(
                Addition.is_right(&row, metrics::read_solution(&row.completion).answer.unwrap()),
                "{line}"
            );
            let steps: Vec<&str> = metrics::steps(&row.completion).collect();
            assert_eq!(Addition.follows(&row, &steps), vec![true; steps.len()], "{line}");
            assert!(ours.iter().any(|ours| written(ours) == line), "{line}");
        }
        assert_eq!(skipped, skips);
    }
}

/// In the published out-of-domain sets the steps are worded otherwise; question, answer and number of steps are the same.
#[test]
#[ignore = "needs the published data in ../shared/data"]
fn published_out_of_domain_rows_agree_in_all_that_is_measured() {
    for file in ["ood_easy.jsonl", "ood_hard.jsonl"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data/addition")
            .join(file);
        let rows: Vec<Row> = dataset::read(&path).unwrap();
        for row in rows {
            let (a, b) = operands(&row);
            let ours = super::row(row.id.clone(), (a, b), Wording::PUBLISHED.full(a, b));
            assert_eq!((ours.prompt, ours.answer, ours.step_num), (row.prompt, row.answer, row.step_num));
        }
    }
}

fn written(row: &Row) -> String {
    let folder = tempfile::tempdir().unwrap();
    dataset::write(&folder.path().join("row"), std::slice::from_ref(row)).unwrap();
    std::fs::read_to_string(folder.path().join("row")).unwrap().trim_end().to_owned()
}

#[test]
fn the_defaults_have_the_papers_sizes_and_no_overlap() {
    let splits = generate("start = 'warm'", 0);
    let all = [
        &splits.train,
        &splits.development,
        &splits.in_domain,
        &splits.ood_easy,
        &splits.ood_hard,
    ];
    assert_eq!(all.map(Vec::len), [2_855, 1_000, 1_000, 1_200, 1_600]);
    let sums: HashSet<_> = all.into_iter().flatten().map(operands).map(|(a, b)| (a.min(b), a.max(b))).collect();
    assert_eq!(sums.len(), 2_855 + 1_000 + 1_000 + 1_200 + 1_600);
    // Every training problem of more than one digit has a skip, of one step less.
    let several = splits.train.iter().filter(|row| !row.id.starts_with("1_1/"));
    for (full, skip) in several.zip(&splits.skipped) {
        assert_eq!(skip.id, format!("{}_skip", full.id));
        assert_eq!((&skip.prompt, skip.step_num), (&full.prompt, full.step_num - 1));
    }
    for combination in ["4_1/", "7_3/"] {
        assert_eq!(splits.ood_easy.iter().filter(|row| row.id.starts_with(combination)).count(), 100);
    }
    for combination in ["4_4/", "4_7/", "7_4/"] {
        assert_eq!(splits.ood_hard.iter().filter(|row| row.id.starts_with(combination)).count(), 100);
    }
}

#[test]
fn rows_are_right_and_have_the_steps_they_say() {
    let splits = generate("start = 'warm'\nswapped = true", 7);
    let Splits {
        train,
        skipped,
        development,
        in_domain,
        ood_easy,
        ood_hard,
    } = splits;
    for row in [train, skipped, development, in_domain, ood_easy, ood_hard].concat() {
        let reading = metrics::read_solution(&row.completion);
        assert!(Addition.is_problem(&row));
        assert!(reading.complete && Addition.is_right(&row, reading.answer.unwrap()), "{row:?}");
        assert_eq!(reading.steps, row.step_num, "{row:?}");
        let steps: Vec<&str> = metrics::steps(&row.completion).collect();
        assert_eq!(Addition.follows(&row, &steps), vec![true; steps.len()], "{row:?}");
        let (a, b) = operands(&row);
        assert_eq!(row.answer, (a + b).into());
    }
}

#[test]
fn seed_and_params_decide_the_rows() {
    let small = "train = 20\ndevelopment = 5\nin_domain = 5\nood_easy = 0\nood_hard = 0";
    assert_eq!(generate(small, 1), generate(small, 1));
    assert_ne!(generate(small, 1), generate(small, 2));
    let splits = generate(small, 1);
    assert_eq!((splits.skipped.len(), splits.ood_easy.len(), splits.ood_hard.len()), (0, 0, 0));
    // A cold and a warm start differ in the skips alone.
    let warm = generate(&format!("{small}\nstart = 'warm'"), 1);
    assert_eq!(warm.train, splits.train);
    let half = generate("start = 'warm'\nskip_share = 0.5", 1);
    assert!((1_300..1_550).contains(&half.skipped.len()), "{}", half.skipped.len());
}

#[test]
fn a_swapped_problem_stays_in_its_split() {
    let quick = "train = 3300\ndevelopment = 500\nin_domain = 500\nswapped = true\ndigits = { a = [2, 2], b = [1, 2] }";
    let splits = generate(quick, 3);
    let sums: HashSet<_> = splits.train.iter().map(operands).collect();
    assert_eq!(sums.len(), splits.train.len());
    assert!(splits.train.len() > 5_500, "{}", splits.train.len());
    let tests: Vec<_> = [splits.development, splits.in_domain].concat();
    assert!(
        tests
            .iter()
            .map(operands)
            .all(|(a, b)| !sums.contains(&(a, b)) && !sums.contains(&(b, a)))
    );
}

#[test]
fn training_rows_may_number_their_steps_from_any_number_on() {
    let small = "start = 'warm'\ntrain = 2000\ndevelopment = 20\nin_domain = 20\nood_easy = 20\nood_hard = 20\nskip_share = 0.5";
    let (plain, numbered) = (generate(small, 3), generate(&format!("{small}\nrandom_start = 0.5"), 3));
    // The problems are the same, and so is all but the training rows.
    let prompts = |rows: &[Row]| {
        rows.iter()
            .map(|row| (row.id.clone(), row.prompt.clone(), row.step_num))
            .collect::<Vec<_>>()
    };
    assert_eq!(prompts(&plain.train), prompts(&numbered.train));
    assert_eq!(prompts(&plain.skipped), prompts(&numbered.skipped));
    let tests = |splits: &Splits| [&splits.development, &splits.in_domain, &splits.ood_easy, &splits.ood_hard].map(Clone::clone);
    assert_eq!(tests(&plain), tests(&numbered));
    let first = |row: &Row| row.completion.split('.').next().unwrap().parse::<u32>().unwrap();
    let mut starts = std::collections::BTreeMap::new();
    for row in &numbered.train {
        *starts.entry(first(row)).or_insert(0) += 1;
        let steps: Vec<&str> = metrics::steps(&row.completion).collect();
        for (step, number) in steps.iter().zip(first(row)..) {
            assert!(step.starts_with(&format!("{number}. ")) && number <= 9, "{row:?}");
        }
        assert_eq!(Addition.follows(row, &steps), vec![true; steps.len()]);
    }
    assert!(
        (1..=6).all(|start| starts.contains_key(&start)) && starts.keys().all(|start| *start <= 8),
        "{starts:?}"
    );
    // Half of them from 1, and a part of the others.
    assert!((1_050..1_350).contains(&starts[&1]), "{starts:?}");
    // A skip goes by the numbers of its problem.
    let by_id = |id: &str| numbered.train.iter().find(|row| row.id == id).unwrap();
    for skip in &numbered.skipped {
        assert_eq!(first(skip), first(by_id(skip.id.strip_suffix("_skip").unwrap())));
    }
    // Where there are more steps than numbers of one digit, the first is 1.
    let long =
        "train = 20\ndevelopment = 0\nin_domain = 0\nood_easy = 0\nood_hard = 0\nrandom_start = 1.0\ndigits = { a = [10, 10], b = [1, 1] }";
    assert!(generate(long, 1).train.iter().all(|row| first(row) == 1));
}

/// A solution with the first operands of its steps as numbers, without leading zeros.
fn without_zeros(solution: &str) -> Vec<String> {
    let line = |line: &str| {
        let parts = line
            .split_once(" + ")
            .and_then(|(start, rest)| Some((start.split_once(". ")?, rest)));
        parts.map_or(line.to_owned(), |((number, operand), rest)| {
            format!("{number}. {} + {rest}", operand.parse::<u64>().unwrap())
        })
    };
    solution.lines().map(line).collect()
}

#[test]
fn first_operands_may_keep_their_leading_zeros() {
    let zeros = generate("start = 'warm'\nmerge = 'lowest'\nleading_zeros = true", 2);
    let plain = generate("start = 'warm'\nmerge = 'lowest'", 2);
    let without = |row: &Row| Row {
        doc: Doc::default(),
        ..row.clone()
    };
    // Full steps have one digit; the rows say that there may be zeros.
    assert_eq!(zeros.in_domain.iter().map(without).collect::<Vec<_>>(), plain.in_domain);
    assert_eq!(zeros.train.iter().map(without).collect::<Vec<_>>(), plain.train);
    assert_eq!(zeros.skipped.len(), plain.skipped.len());
    let mut padded = 0;
    for (row, as_published) in zeros.skipped.iter().zip(&plain.skipped) {
        let steps: Vec<&str> = metrics::steps(&row.completion).collect();
        assert_eq!(Addition.follows(row, &steps), vec![true; steps.len()], "{row:?}");
        assert_eq!(without_zeros(&row.completion), without_zeros(&as_published.completion));
        padded += usize::from(row.completion != as_published.completion);
    }
    // Of 60 % with three digits one tens digit in ten.
    assert!((80..300).contains(&padded), "{padded}");
    let wording = Wording {
        leading_zeros: true,
        first: 4,
    };
    assert_snapshot!(wording.merged(908, 12, 0).text, @r"
    4. 08 + 12 (plus carry 0) = 20 (write down 20, no carry over).
    5. 9 + 0 (plus carry 0) = 9 (write down 9, no carry over).
    Thus, the answer is 920.
    ");
}

#[test]
fn which_positions_are_merged_is_a_param() {
    let skipped = |merge| generate(&format!("start = 'warm'\nmerge = '{merge}'"), 0).skipped;
    let problems = generate("start = 'warm'", 0).train;
    let several = problems.iter().filter(|row| !row.id.starts_with("1_1/"));
    for ((full, lowest), highest) in several.zip(skipped("lowest")).zip(skipped("highest")) {
        let (a, b) = operands(full);
        let positions = solution::positions(a, b);
        assert_eq!(lowest.completion, Wording::PUBLISHED.merged(a, b, 0).text);
        assert_eq!(highest.completion, Wording::PUBLISHED.merged(a, b, positions - 2).text);
    }
}

#[test]
fn impossible_params_are_refused() {
    let message = |toml: &str| task::refusal(&Addition, toml);
    assert_snapshot!(message("train = 4000\ndigits = { a = [2, 2], b = [1, 2] }"), @"train: `train`, `development` and `in_domain` ask together for 6000 problems, and `digits` allows 4905 different ones (a + b and b + a are one); ask for fewer, or allow more digits");
    assert_snapshot!(message("ood_easy = 50\nood_hard = 0\ndigits_easy = { a = [1, 1], b = [1, 1] }\ndigits = { a = [2, 3], b = [1, 2] }"), @"ood_easy: the split asks for 50 problems, and `digits_easy` allows 45 different ones (a + b and b + a are one); ask for fewer, or allow more digits");
    assert_snapshot!(message("digits_easy = { a = [3, 4], b = [1, 1] }"), @"digits_easy: some problems belong to `digits` as well, and splits may not overlap");
    assert_snapshot!(message("digits = { a = [3, 1], b = [1, 1] }"), @"digits: `a = [3, 1]` must be the least and the most digits, from 1 to 18");
    assert_snapshot!(message("digits = { a = [1, 19], b = [1, 1] }"), @"digits: `a = [1, 19]` must be the least and the most digits, from 1 to 18");
    assert_snapshot!(message("digits = { a = [1, 1], b = [2, 2] }"), @"digits: the first operand is always the shorter one, and `longer_first` leaves such sums out");
    assert_snapshot!(message("skip_share = 1.5"), @"skip_share: 1.5 is out of range, it must be a share, from 0 to 1");
    assert_snapshot!(message("train = -1"), @"train: must be a whole number from 0, not -1");
    assert_snapshot!(message("random_start = -0.5"), @"random_start: -0.5 is out of range, it must be a share, from 0 to 1");
    assert_snapshot!(message("merge = 'first'"), @"merge: no `first` (known: any, lowest, highest)");
    assert_snapshot!(message("digits = { a = [1, 2], c = [1, 1] }"), @"digits.c: no field `c` (known: a, b, longer_first)");
    assert_snapshot!(message("iterations = 3"), @"iterations: no field `iterations` (known: start, train, development, in_domain, ood_easy, ood_hard, skip_share, digits, digits_easy, digits_hard, swapped, merge, random_start, leading_zeros)");
}

#[test]
fn answers_are_compared_as_text() {
    let row = row(String::new(), (86, 75), Wording::PUBLISHED.full(86, 75));
    for (answer, right) in [("161", true), ("0161", false), ("160", false), ("161.", false), ("one", false)] {
        assert_eq!(Addition.is_right(&row, answer), right, "{answer}");
    }
}
