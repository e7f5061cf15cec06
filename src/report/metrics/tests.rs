//! A sweep of a program with three seeds, shown in every way.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::MetricGrid;
use crate::layout::{BestRows, Better, Dimension, MetricChoice, ReportLayout, RowOrder};
use crate::scores::{Baseline, Score, Scores, StagePlace};
use crate::table::ReportTable;
use kinds::artifact::metrics::Example;
use lab::text::Paint;

/// The score of a stage in the variant with these coordinates; `null` for one that has not run.
fn score(stage: &str, node: usize, variant: &[(&str, &str)], metrics: Value) -> Score {
    let coordinate = |(axis, value): &(&str, &str)| ((*axis).to_owned(), (*value).to_owned());
    Score {
        place: StagePlace {
            stage: stage.to_owned(),
            variant: variant.iter().map(coordinate).collect::<BTreeMap<_, _>>(),
            iteration: None,
            phase: stage.to_owned(),
            node,
        },
        data: String::new(),
        metrics: serde_json::from_value(metrics).unwrap(),
        answers: Rc::default(),
        examples: Rc::default(),
        series: Rc::default(),
    }
}

/// Two widths, two rates, three seeds; the program writes `loss` and `test.f1`.
fn sweep() -> Scores {
    let mut scores = Vec::new();
    for (w, width) in ["16", "1"].into_iter().enumerate() {
        for (r, rate) in ["0.1", "0.01"].into_iter().enumerate() {
            for seed in 1..=3_u32 {
                let noise = f64::from(seed) / 100.0;
                let metrics = json!({
                    "loss": 1.5 - w as f64 / 2.0 + noise * 2.0,
                    "test": {"f1": 0.5 + r as f64 / 4.0 + noise},
                });
                let variant = [("lr", rate), ("seed", &seed.to_string()), ("width", width)];
                scores.push(score("fit", scores.len(), &variant, metrics));
            }
        }
    }
    Scores {
        experiment: "sweep".to_owned(),
        axes: ["width", "lr", "seed"].map(str::to_owned).to_vec(),
        scores,
    }
}

fn grid<'a>(scores: &'a Scores, layout: &ReportLayout) -> MetricGrid<'a> {
    MetricGrid::new(scores, scores.scores.iter().collect(), layout)
}

fn table(scores: &Scores, layout: &ReportLayout) -> ReportTable {
    grid(scores, layout).table(layout).unwrap()
}

/// The title and the table.
fn text(scores: &Scores, layout: &ReportLayout) -> String {
    let table = table(scores, layout);
    format!("{}\n{}", table.title, table.text(Paint::default()))
}

fn differences(scores: &Scores, layout: &ReportLayout, baseline: &str) -> String {
    let baseline: Baseline = baseline.parse().unwrap();
    let all = scores.scores.iter().collect();
    let table = MetricGrid::differences_table(scores, all, layout, &baseline).unwrap().unwrap();
    format!("{}\n{}", table.title, table.text(Paint::default()))
}

fn axis(name: &str) -> Dimension {
    Dimension::Axis(name.to_owned())
}

fn of_metrics(names: &[&str]) -> ReportLayout {
    ReportLayout {
        metrics: names.iter().map(|name| MetricChoice::of(*name)).collect(),
        ..ReportLayout::default()
    }
}

#[test]
fn a_row_for_each_variant_but_for_seeds_in_the_order_of_the_file() {
    insta::assert_snapshot!(text(&sweep(), &ReportLayout::default()), @r"
    Metrics: mean ± standard deviation, 3 seeds
    width  lr              loss         test.f1
    16     0.1    1.540 ± 0.020   0.520 ± 0.010
    16     0.01   1.540 ± 0.020  *0.770 ± 0.010

    1      0.1   *1.040 ± 0.020   0.520 ± 0.010
    1      0.01  *1.040 ± 0.020  *0.770 ± 0.010
    ");
}

#[test]
fn values_of_an_axis_are_columns() {
    let pivot = ReportLayout {
        columns: vec![axis("lr")],
        ..of_metrics(&["test.f1"])
    };
    insta::assert_snapshot!(text(&sweep(), &pivot), @r"
    test.f1 by lr: mean ± standard deviation, 3 seeds
    width         lr=0.1        lr=0.01
    16     0.520 ± 0.010  0.770 ± 0.010
    1      0.520 ± 0.010  0.770 ± 0.010
    ");
    let both = ReportLayout {
        columns: vec![axis("lr")],
        interval: true,
        ..of_metrics(&["loss", "*.f1"])
    };
    let table = table(&sweep(), &both);
    assert_eq!(table.title, "Metrics by lr: mean with 95 % interval (Student's t), 3 seeds");
    let titles: Vec<(&str, usize)> = table
        .column_groups
        .iter()
        .map(|group| (group.title.as_str(), group.columns.len()))
        .collect();
    assert_eq!(titles, [("", 1), ("loss", 2), ("test.f1", 2)]);
    assert_eq!(table.rows[1].cells[1].text, "1.040 [0.990, 1.090]");
}

#[test]
fn a_sweep_of_27_variants_fits_the_terminal_as_a_pivot() {
    let mut scores = Scores::default();
    for width in ["16", "64", "256"] {
        for depth in ["1", "2", "4"] {
            for rate in ["0.1", "0.01", "0.001"] {
                for seed in ["1", "2", "3"] {
                    let number = scores.scores.len();
                    let variant = [("width", width), ("depth", depth), ("lr", rate), ("seed", seed)];
                    let accuracy = 0.5 + (number * 7 % 40) as f64 / 100.0;
                    scores.scores.push(score("fit", number, &variant, json!({"accuracy": accuracy})));
                }
            }
        }
    }
    let pivot = ReportLayout {
        columns: vec![axis("lr")],
        ..ReportLayout::default()
    };
    let table = table(&scores, &pivot);
    assert_eq!((table.rows.len(), table.split(80).len()), (9, 1));
    let text = table.text(Paint::default());
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(
        text.starts_with("depth  width"),
        "without the order of the file, axes stand by name: {text}"
    );
}

#[test]
fn an_axis_that_is_left_out_is_averaged_and_the_title_says_so() {
    let layout = ReportLayout {
        rows: Some(vec![axis("lr")]),
        ..of_metrics(&["loss"])
    };
    insta::assert_snapshot!(text(&sweep(), &layout), @r"
    Metrics: mean over width, seed ± standard deviation, 6 runs
    lr           loss
    0.1   1.29 ± 0.27
    0.01  1.29 ± 0.27
    ");
}

#[test]
fn metrics_of_stages_stand_in_one_row() {
    let mut scores = Scores::default();
    for (number, rate) in ["0.1", "0.01"].into_iter().enumerate() {
        let variant = [("lr", rate)];
        let value = 0.25 * (number + 1) as f64;
        scores
            .scores
            .push(score("fit", number * 2, &variant, json!({"accuracy": value, "epochs": 3})));
        scores
            .scores
            .push(score("check", number * 2 + 1, &variant, json!({"accuracy": value / 2.0})));
    }
    insta::assert_snapshot!(text(&scores, &ReportLayout::default()), @r"
    Metrics
    lr    stage  accuracy  epochs
    0.01  fit      *0.500       3
    0.01  check    *0.250

    0.1   fit       0.250       3
    0.1   check     0.125
    ");
    let joined = ReportLayout {
        rows: Some(vec![axis("lr")]),
        ..ReportLayout::default()
    };
    insta::assert_snapshot!(text(&scores, &joined), @r"
    Metrics
    lr    fit.accuracy  epochs  check.accuracy
    0.01         *0.50       3          *0.250
    0.1           0.25       3           0.125
    ");
    let chosen = ReportLayout {
        metrics: vec![MetricChoice::of("check.accuracy")],
        ..joined
    };
    let titles: Vec<String> = table(&scores, &chosen).columns().map(|(_, column)| column.title.clone()).collect();
    assert_eq!(titles, ["lr", "accuracy"], "one stage's metric needs no more than its name");
}

#[test]
fn no_mean_is_made_of_runs_that_diverged_or_are_missing() {
    let mut scores = sweep();
    scores.scores[1] = score(
        "fit",
        1,
        &[("lr", "0.1"), ("seed", "2"), ("width", "16")],
        json!({"loss": "NaN", "test": {"f1": 0.5}}),
    );
    scores.scores[4].metrics = None;
    for at in 6..9 {
        scores.scores[at].metrics = None;
    }
    insta::assert_snapshot!(text(&scores, &ReportLayout::default()), @r"
    Metrics: mean ± standard deviation
    width  lr    n                 loss         test.f1
    16     0.1   3  – (1 of 3 diverged)   0.513 ± 0.015
    16     0.01  2        1.540 ± 0.028  *0.770 ± 0.014

    1      0.1   0                    –               –
    1      0.01  3       *1.040 ± 0.020  *0.770 ± 0.010
    ");
}

#[test]
fn before_anything_has_run_there_are_the_rows() {
    let mut scores = sweep();
    scores.scores.iter_mut().for_each(|score| score.metrics = None);
    let only_width = ReportLayout {
        rows: Some(vec![axis("width")]),
        ..ReportLayout::default()
    };
    insta::assert_snapshot!(text(&scores, &only_width), @r"
    Metrics
    width  n
    16     0
    1      0
    ");
    let named = ReportLayout {
        metrics: vec![MetricChoice::of("loss"), MetricChoice::of("test.*")],
        best: Some(BestRows { count: 1, by: None }),
        ..only_width
    };
    insta::assert_snapshot!(text(&scores, &named), @r"
    Metrics
    width  loss
    16        –
    1         –
    ");
    assert!(grid(&scores, &named).warnings().is_empty(), "what may still come is no mistake");
}

#[test]
fn the_best_rows_come_first() {
    let layout = ReportLayout {
        best: Some(BestRows {
            count: 1,
            by: Some("loss".to_owned()),
        }),
        ..ReportLayout::default()
    };
    let first = |layout: &ReportLayout| table(&sweep(), layout).rows[0].cells[0].text.clone();
    assert_eq!(
        (first(&layout).as_str(), table(&sweep(), &layout).rows.len()),
        ("1", 1),
        "a low loss is good"
    );
    assert!(table(&sweep(), &layout).title.ends_with(", the best 1 by loss"));
    let mut choice = MetricChoice::of("loss");
    choice.better = Some(Better::Higher);
    let turned = ReportLayout {
        metrics: vec![choice],
        ..layout
    };
    assert_eq!(first(&turned), "16");

    let sorted = |order: &str| {
        let layout = ReportLayout {
            order: Some(RowOrder::named(order)),
            ..ReportLayout::default()
        };
        let rows = table(&sweep(), &layout).rows;
        rows.iter()
            .map(|row| format!("{} {}", row.cells[0].text, row.cells[1].text))
            .collect::<Vec<_>>()
    };
    assert_eq!(sorted("lr"), ["16 0.01", "1 0.01", "16 0.1", "1 0.1"]);
    assert_eq!(sorted("-test.f1"), ["16 0.01", "1 0.01", "16 0.1", "1 0.1"]);
    assert_eq!(sorted("-width"), ["16 0.1", "16 0.01", "1 0.1", "1 0.01"]);
    assert_eq!(sorted("axis.lr"), sorted("lr"));
}

#[test]
fn an_axis_is_not_taken_for_what_has_its_name() {
    let warnings = |scores: &Scores, layout: ReportLayout| grid(scores, &layout).warnings().to_vec();
    let scores = sweep();
    let by_column = ReportLayout {
        columns: vec![Dimension::Axis("lr".to_owned())],
        order: Some(RowOrder::named("lr")),
        ..ReportLayout::default()
    };
    assert_eq!(
        warnings(&scores, by_column),
        ["rows cannot be sorted by `lr`, which does not separate them"]
    );
    let by_data = ReportLayout {
        rows: Some(vec![Dimension::Data]),
        ..ReportLayout::default()
    };
    assert_eq!(warnings(&scores, by_data.clone()), [""; 0]);
    let mut with_axis = sweep();
    for score in &mut with_axis.scores {
        let width = score.place.variant["width"].clone();
        score.place.variant.insert("data".to_owned(), width);
    }
    assert_eq!(
        warnings(&with_axis, by_data),
        ["`data` is not the axis of this name: write `axis.data`"]
    );
    let of_axis = ReportLayout {
        rows: Some(vec![Dimension::Axis("data".to_owned())]),
        ..ReportLayout::default()
    };
    assert_eq!(warnings(&with_axis, of_axis), [""; 0]);
}

#[test]
fn what_fits_nothing_is_told_with_its_place() {
    let mut layout = of_metrics(&["lost"]);
    layout.metrics[0].place = "x.toml:3".to_owned();
    let scores = sweep();
    let grid = grid(&scores, &layout);
    assert!(grid.table(&layout).is_none());
    assert_eq!(grid.warnings(), ["no metric `lost` (x.toml:3): known: loss, test.f1"]);
}

#[test]
fn differences_are_paired_by_seed() {
    insta::assert_snapshot!(differences(&sweep(), &ReportLayout::default(), "(width=16, lr=0.1)"), @r"
    Differences to (lr=0.1, width=16), with 95 % intervals (paired by seed), 3 seeds
    width  lr               Δ loss             Δ test.f1
    16     0.01     0.0 [0.0, 0.0]  +0.25 [+0.25, +0.25]

    1      0.1   -0.5 [-0.5, -0.5]     0.00 [0.00, 0.00]
    1      0.01  -0.5 [-0.5, -0.5]  +0.25 [+0.25, +0.25]
    ");
}

/// Two models that judge ten examples each; the second is right on three more of them.
fn with_examples() -> Scores {
    let mut scores = Scores::default();
    for (number, (model, right)) in [("small", 4), ("large", 7)].into_iter().enumerate() {
        let example = |id: usize| Example {
            id: id.to_string(),
            numbers: vec![("accuracy".to_owned(), f64::from(u8::from(id < right)))],
            ..Example::default()
        };
        let metrics = json!({"accuracy": right as f64 / 10.0, "f1": 0.5});
        let mut score = score("fit", number, &[("model", model)], metrics);
        score.examples = (0..10).map(example).collect();
        scores.scores.push(score);
    }
    scores
}

#[test]
fn examples_say_how_sure_a_single_run_is() {
    // python3 -c 'import statistics as s; print([s.stdev([1] * n + [0] * (10 - n)) / 10 ** 0.5 for n in (4, 7)])'
    // [0.1632993161855452, 0.15275252316519466]
    insta::assert_snapshot!(text(&with_examples(), &ReportLayout::default()), @r"
    Metrics: value ± standard error over its examples
    model      accuracy   f1
    small   0.40 ± 0.16  0.5
    large  *0.70 ± 0.15  0.5
    ");
}

#[test]
fn differences_are_paired_by_example() {
    let text = differences(&with_examples(), &ReportLayout::default(), "(model=small)");
    assert!(
        text.starts_with("Differences to (model=small), with 95 % intervals (paired by example)\n"),
        "{text}"
    );
    let cells: Vec<&str> = text.lines().nth(2).unwrap().split("  ").collect();
    assert!(cells[1].trim_start().starts_with("+0.30 [") && text.ends_with(" 0\n"), "{text}");
    let baseline: Baseline = "(model=small)".parse().unwrap();
    let scores = with_examples();
    let json = MetricGrid::differences_json(&scores, scores.scores.iter().collect(), &ReportLayout::default(), &baseline).unwrap();
    assert_eq!(
        (&json[0]["paired_by"], &json[0]["pairs"], &json[1]["paired_by"], &json[1]["low"]),
        (&json!("example"), &json!(10), &json!("run"), &Value::Null)
    );
    // One side has examples that the other lacks.
    let mut scores = with_examples();
    let more = scores.scores[1].examples.iter().cloned().chain([Example {
        id: "10".to_owned(),
        numbers: vec![("accuracy".to_owned(), 0.7)],
        ..Example::default()
    }]);
    scores.scores[1].examples = more.collect();
    let text = differences(&scores, &ReportLayout::default(), "(model=small)");
    assert!(text.contains("+0.3 ") && !text.contains("example"), "{text}");
}

#[test]
fn the_table_has_a_form_for_papers() {
    let mut choice = MetricChoice::of("test.f1");
    (choice.percent, choice.digits, choice.title) = (true, Some(1), Some("F_1".to_owned()));
    let layout = ReportLayout {
        rows: Some(vec![axis("lr")]),
        columns: vec![axis("width")],
        metrics: vec![MetricChoice::of("loss"), choice],
        ..ReportLayout::default()
    };
    insta::assert_snapshot!(table(&sweep(), &layout).latex(), @r"
    \begin{table}
      \centering
      \caption{Metrics by width: mean $\pm$ standard deviation, 3 seeds}
      \begin{tabular}{lrrrr}
        \toprule
         & \multicolumn{2}{c}{loss} & \multicolumn{2}{c}{F\_1 \%} \\
        \cmidrule(lr){2-3} \cmidrule(lr){4-5}
        lr & width=16 & width=1 & width=16 & width=1 \\
        \midrule
        0.1 & 1.540 $\pm$ 0.020 & 1.040 $\pm$ 0.020 & 52.0 $\pm$ 1.0 & 52.0 $\pm$ 1.0 \\
        0.01 & 1.540 $\pm$ 0.020 & 1.040 $\pm$ 0.020 & \textbf{77.0 $\pm$ 1.0} & \textbf{77.0 $\pm$ 1.0} \\
        \bottomrule
      \end{tabular}
    \end{table}
    ");
    let markdown = table(&sweep(), &layout).markdown();
    assert!(markdown.contains("| **77.0 ± 1.0** |"), "{markdown}");
    assert!(table(&sweep(), &layout).html().contains("<strong>77.0 ± 1.0</strong>"));
}

#[test]
fn csv_has_every_run_and_json_every_mean() {
    let mut scores = sweep();
    scores.scores.truncate(1);
    insta::assert_snapshot!(scores.csv().unwrap(), @r"
    stage,iteration,width,lr,seed,data,loss,test.f1
    fit,,16,0.1,1,,1.52,0.51
    ");
    let scores = sweep();
    let json = grid(&scores, &ReportLayout::default()).json();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.len(), 8);
    let first = &rows[0];
    assert_eq!(
        (&first["variant"], &first["metric"], &first["n"], &first["stage"], &first["best"]),
        (
            &json!({"lr": "0.1", "width": "16"}),
            &json!("loss"),
            &json!(3),
            &json!("fit"),
            &json!(false)
        )
    );
    let number = |name: &str| first[name].as_f64().unwrap();
    assert!((number("mean") - 1.54).abs() < 1e-9 && (number("deviation") - 0.02).abs() < 1e-9);
    // t.ppf(0.975, 2) * 0.02 / sqrt(3) = 0.0496827…
    assert!((number("high") - 1.589_682_7).abs() < 1e-6, "{first}");
}

#[test]
fn without_a_choice_each_stage_has_metrics_in_the_table() {
    let many = |name: &str| Value::Object((0..9).map(|at| (format!("{name}{at}"), json!(at))).collect());
    let scores = Scores {
        experiment: "two".to_owned(),
        axes: vec!["lr".to_owned()],
        scores: vec![
            score("fit", 0, &[("lr", "1")], many("a")),
            score("check", 1, &[("lr", "1")], json!({"b0": 1, "b1": 2})),
        ],
    };
    let grid = grid(&scores, &ReportLayout::default());
    let shown: Vec<&str> = grid.metric_columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(shown, ["a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1"]);
    assert_eq!(grid.hidden(), ["a6", "a7", "a8"]);
}
