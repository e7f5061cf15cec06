//! What comes of the files that programs write. Those in `written_by` were written by the writers of lm-evaluation-harness 0.4.13, Lightning
//! 2.6.6, transformers 5.24 (whose state of a training TRL writes too) and scikit-learn 1.9 with Python's `json`.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Files by name, and the bytes of each.
type Files<'a> = &'a [(&'a str, &'a [u8])];

/// Writes the files below a folder, and collects them.
fn collected(metrics: Files<'_>, examples: Files<'_>, series: Files<'_>) -> (TempDir, Result<(), String>) {
    let folder = tempfile::tempdir().unwrap();
    let put = |files: Files<'_>| {
        let path = |(name, bytes): &(&str, &[u8])| {
            let path = folder.path().join("written").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            ((*name).to_owned(), path)
        };
        files.iter().map(path).collect::<Vec<_>>()
    };
    let files = MetricsFiles {
        metrics: put(metrics),
        examples: put(examples),
        series: put(series),
    };
    let made = collect(&files, &folder.path().join("made")).map_err(|error| error.to_string());
    (folder, made)
}

fn numbers(folder: &TempDir) -> Vec<String> {
    let sets = read(&folder.path().join("made")).unwrap();
    let numbers = sets.iter().flat_map(MetricMap::numbers);
    numbers.map(|(name, number)| format!("{name} {number}")).collect()
}

/// The numbers in one file of metrics, or the error.
fn numbers_in(name: &str, text: &str) -> String {
    let (folder, made) = collected(&[(name, text.as_bytes())], &[], &[]);
    match made {
        Ok(()) => numbers(&folder).join(", "),
        Err(error) => error,
    }
}

fn series_in(folder: &TempDir) -> Vec<String> {
    let series = read_series(&folder.path().join("made")).unwrap();
    let line = |series: &Series| format!("{} by {}: {:?}", series.name, series.unit, series.points);
    series.iter().map(line).collect()
}

#[test]
fn the_report_of_scikit_learn() {
    let (folder, made) = collected(&[("report.json", include_bytes!("written_by/sklearn.json"))], &[], &[]);
    made.unwrap();
    let found = numbers(&folder);
    assert_eq!(
        found[..4],
        ["setosa.precision 1", "setosa.recall 1", "setosa.f1-score 1", "setosa.support 11"]
    );
    for line in [
        "accuracy 0.8666666666666667",
        "macro avg.f1-score 0.8560606060606061",
        "confusion.1.2 4",
        "undefined NaN",
    ] {
        assert!(found.iter().any(|found| found == line), "{line}: {found:?}");
    }
    assert_eq!(found.len(), 4 * 5 + 1 + 9 + 1);
    let text = fs::read_to_string(folder.path().join("made/metrics.json")).unwrap();
    assert!(text.contains("\"undefined\": \"NaN\""), "{text}");
    assert!(check(&folder.path().join("made")).is_ok());
}

#[test]
fn the_csv_of_lightning() {
    let (folder, made) = collected(&[("logs/metrics.csv", include_bytes!("written_by/lightning.csv"))], &[], &[]);
    made.unwrap();
    insta::assert_snapshot!(numbers(&folder).join("\n"), @r"
    train_loss 0.3061224489795918
    val_acc 0.75
    val_loss 0.625
    test_acc 0.71875
    test_perplexity inf
    ");
    insta::assert_snapshot!(series_in(&folder).join("\n"), @r"
    train_loss by step: [(9.0, 0.7894736842105263), (19.0, 0.5172413793103449), (29.0, 0.38461538461538464), (39.0, 0.3061224489795918)]
    val_acc by step: [(19.0, 0.5), (39.0, 0.75)]
    val_loss by step: [(19.0, 1.25), (39.0, 0.625)]
    test_acc by step: [(40.0, 0.71875)]
    test_perplexity by step: [(40.0, inf)]
    ");
    let text = fs::read_to_string(folder.path().join("made/series.jsonl")).unwrap();
    assert_eq!(
        text.lines().last().unwrap(),
        r#"{"step":40,"test_acc":0.71875,"test_perplexity":"Infinity"}"#
    );
    assert!(check(&folder.path().join("made")).is_ok());
}

#[test]
fn the_state_of_a_training_with_transformers_or_trl() {
    let (folder, made) = collected(
        &[("out/trainer_state.json", include_bytes!("written_by/trainer_state.json"))],
        &[],
        &[],
    );
    made.unwrap();
    let found = numbers(&folder);
    for line in [
        "global_step 20",
        "train_batch_size 4",
        "total_flos 123456789012",
        "loss 1.75",
        "grad_norm NaN",
        "eval_loss 1.8125",
        "train_loss 2.125",
    ] {
        assert!(found.iter().any(|found| found == line), "{line}: {found:?}");
    }
    assert!(
        !found.iter().any(|line| line.starts_with("log_history") || line.starts_with("step")),
        "{found:?}"
    );
    let series = series_in(&folder);
    assert!(
        series.contains(&"loss by step: [(10.0, 2.5), (20.0, 1.75)]".to_owned()),
        "{series:?}"
    );
    assert!(
        series.contains(&"grad_norm by step: [(10.0, 1.5), (20.0, NaN)]".to_owned()),
        "{series:?}"
    );
    assert!(series.contains(&"eval_loss by step: [(20.0, 1.8125)]".to_owned()), "{series:?}");
    assert!(!series.iter().any(|line| line.starts_with("epoch")), "{series:?}");
}

#[test]
fn the_results_and_samples_of_lm_evaluation_harness() {
    let (folder, made) = collected(
        &[(
            "out/gpt2/results_2026-05-01T12-00-59.123456.json",
            include_bytes!("written_by/lm_eval_results.json"),
        )],
        &[
            (
                "out/gpt2/samples_sciq_2026-05-01T12-00-59.123456.jsonl",
                include_bytes!("written_by/lm_eval_samples_sciq.jsonl"),
            ),
            (
                "out/gpt2/samples_arc_easy_2026-05-01T12-00-59.123456.jsonl",
                include_bytes!("written_by/lm_eval_samples_arc_easy.jsonl"),
            ),
        ],
        &[],
    );
    made.unwrap();
    let made = folder.path().join("made");
    let Metrics::Any(metrics) = read_metrics(&made).unwrap() else {
        panic!("no program wrote sets");
    };
    let selected = metrics.selected(&["results.*acc,none".to_owned()]);
    assert_eq!(
        serde_json::to_string(&selected).unwrap(),
        r#"{"arc_easy.acc,none":0.5,"sciq.acc,none":1.0}"#
    );
    assert!(metrics.number("results.sciq.acc_norm_stderr,none").is_some_and(f64::is_nan));
    assert_eq!(metrics.number("results.sciq.acc_stderr,none"), None, "the text `N/A`");
    let examples = read_examples(&made, 0).unwrap().unwrap();
    let line = |example: &Example| format!("{} {:?}", example.id, example.numbers);
    insta::assert_snapshot!(examples.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    arc_easy/0 [("acc,none", 1.0), ("acc_norm,none", 1.0)]
    arc_easy/1 [("acc,none", 0.0), ("acc_norm,none", 1.0)]
    sciq/0 [("acc,none", 1.0), ("acc_norm,none", 1.0)]
    "#);
    let behind = numbers_behind(&examples, "results.arc_easy.acc,none");
    assert_eq!(behind[0], [("arc_easy/0", 1.0), ("arc_easy/1", 0.0)], "its mean is the metric");
    assert_eq!((behind.len(), behind[1].len()), (2, 3), "then those of all tasks");
    assert!(numbers_behind(&examples, "results.arc_easy.alias").is_empty());
    assert_eq!(examples[0].fields["doc"]["question"], "Which is a gas?");
    assert!(check(&made).is_ok());
}

#[test]
fn several_files_have_their_names() {
    let (folder, made) = collected(
        &[
            ("out/results_b.json", b"{\"acc\": 0.5}"),
            ("out/results_a.json", b"{\"acc\": 0.25, \"log\": [{\"step\": 1, \"loss\": 2}]}"),
        ],
        &[],
        &[],
    );
    made.unwrap();
    assert_eq!(numbers(&folder), ["results_a.acc 0.25", "results_a.loss 2", "results_b.acc 0.5"]);
    assert_eq!(series_in(&folder), ["results_a.loss by step: [(1.0, 2.0)]"]);
}

#[test]
fn one_file_may_be_a_list_or_a_number() {
    assert_eq!(numbers_in("out/accuracy.txt", " 0.93\n"), "accuracy 0.93");
    assert_eq!(numbers_in("x.json", "NaN"), "x NaN");
    assert_eq!(numbers_in("folds.json", "[0.5, [1, true], {\"f1\": 2}]"), "0 0.5, 1.0 1, 2.f1 2");
    assert_eq!(numbers_in("folds.json", "[{\"acc\": 1}, {\"acc\": 2}]"), "0.acc 1, 1.acc 2");
    assert_eq!(numbers_in("m.json", "\u{feff}{\"acc\": 1}"), "acc 1");
}

#[test]
fn rows_are_series_whose_last_values_are_metrics() {
    let lines = "{\"epoch\": 1, \"loss\": 2, \"lr\": null}\n\n{\"epoch\": 2, \"loss\": -Infinity, \"text\": \"x\"}\n";
    assert_eq!(numbers_in("log.json", lines), "loss -inf");
    assert_eq!(numbers_in("log.jsonl", "{\"step\": 3, \"loss\": 2}"), "loss 2", "one line");
    assert_eq!(
        numbers_in("list.json", "[{\"step\": 1, \"a\": {\"b\": 1}}, {\"step\": 2, \"a\": {\"c\": 2}}]"),
        "a.b 1, a.c 2"
    );
    assert_eq!(
        numbers_in("results.csv", "  epoch,  train/box,x,\n  1, 0.5 ,a,\n"),
        "train/box 0.5",
        "as ultralytics writes it"
    );
    assert_eq!(numbers_in("t.tsv", "a\tb\n1\t\n2\t\n"), "a 2");
    let (folder, made) = collected(&[("t.csv", b"loss,step\n3,2\n2,1\n1,\n")], &[], &[]);
    made.unwrap();
    assert_eq!(
        series_in(&folder),
        ["loss by step: [(1.0, 2.0), (2.0, 3.0)]", "loss by row: [(3.0, 1.0)]"]
    );
    assert_eq!(numbers(&folder), ["loss 1"]);
}

#[test]
fn series_in_a_file_are_named_after_their_place() {
    let text = r#"{"train": {"history": [{"step": 1, "loss": 2}]}, "dev": [{"epoch": 1, "loss": 3}], "loss": 4,
                   "runs": [[{"iter": 1, "x": 5}], 6], "not": [{"step": 1}, {"x": 2}]}"#;
    let (folder, made) = collected(&[("m.json", text.as_bytes())], &[], &[("log.csv", b"step,loss\n1,7\n")]);
    made.unwrap();
    insta::assert_snapshot!(series_in(&folder).join("\n"), @r"
    train.loss by step: [(1.0, 2.0)]
    dev.loss by epoch: [(1.0, 3.0)]
    runs.0.x by iter: [(1.0, 5.0)]
    loss by step: [(1.0, 7.0)]
    ");
    assert_eq!(
        numbers(&folder),
        [
            "loss 4",
            "runs.1 6",
            "not.0.step 1",
            "not.1.x 2",
            "train.loss 2",
            "dev.loss 3",
            "runs.0.x 5"
        ]
    );
}

#[test]
fn series_of_one_name_are_told_apart() {
    let (folder, made) = collected(
        &[("m.csv", b"step,loss\n1,2\n")],
        &[],
        &[("a.csv", b"step,loss\n1,3\n"), ("b.json", b"[{\"epoch\": 1, \"loss\": 4}]")],
    );
    made.unwrap();
    assert_eq!(
        series_in(&folder),
        [
            "loss by step: [(1.0, 2.0)]",
            "a.loss by step: [(1.0, 3.0)]",
            "b.loss by epoch: [(1.0, 4.0)]"
        ]
    );
    let (folder, made) = collected(&[("m.csv", b"step,loss\n1,2\n")], &[], &[("a.csv", b"step,loss\n1,3\n")]);
    made.unwrap();
    assert_eq!(series_in(&folder), ["loss by step: [(1.0, 2.0)]", "loss#2 by step: [(1.0, 3.0)]"]);
}

#[test]
fn examples_have_ids_and_numbers() {
    let examples = |name: &str, text: &str| {
        let (folder, made) = collected(&[("m.json", b"{\"a\": 1}")], &[(name, text.as_bytes())], &[]);
        made.unwrap();
        let examples = read_examples(&folder.path().join("made"), 0).unwrap().unwrap();
        let line = |example: &Example| format!("{} {:?}", example.id, example.numbers);
        examples.iter().map(line).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        examples(
            "p.jsonl",
            "{\"id\": 7, \"right\": true, \"nll\": NaN, \"doc\": {\"n\": 1}, \"metrics\": {\"right\": 0, \"f1\": 0.5}}"
        ),
        r#"7 [("right", 1.0), ("nll", NaN), ("metrics.right", 0.0), ("f1", 0.5)]"#
    );
    assert_eq!(
        examples("p.csv", ",label,ok\n0012,cat,True\n0013,\"a, b\",False\n"),
        r#"0012 [("ok", 1.0)]; 0013 [("ok", 0.0)]"#,
        "the index of pandas"
    );
    assert_eq!(
        examples("p.json", "[{\"idx\": 3, \"x\": 1}, {\"idx\": 3, \"x\": 2}, {\"x\": 3}]"),
        r#"3 [("x", 1.0)]; 3#2 [("x", 2.0)]; 3#3 [("x", 3.0)]"#,
        "the third is row 3"
    );
    let (folder, made) = collected(&[("m.json", b"{\"a\": 1}")], &[("p.csv", b"name,x,note\na,0.10,\n")], &[]);
    made.unwrap();
    let text = fs::read_to_string(folder.path().join("made/examples.jsonl")).unwrap();
    assert_eq!(text, "{\"id\":\"a\",\"name\":\"a\",\"x\":0.1,\"note\":null}\n");
    assert_eq!(read_examples(&folder.path().join("made"), 1).unwrap(), None);
}

#[test]
fn sets_stay_sets() {
    let sets = b"{\"sets\": [{\"accuracy\": 1.0}, {\"accuracy\": NaN}]}";
    let (folder, made) = collected(&[("m.json", sets)], &[("b.csv", b"id,x\n1,1\n"), ("a.csv", b"id,x\n1,2\n")], &[]);
    made.unwrap();
    let made = folder.path().join("made");
    assert!(matches!(read_metrics(&made).unwrap(), Metrics::Sets(sets) if sets.len() == 2));
    assert_eq!(read_examples(&made, 0).unwrap().unwrap()[0].numbers, [("x".to_owned(), 2.0)]);
    assert_eq!(read_examples(&made, 1).unwrap().unwrap()[0].numbers, [("x".to_owned(), 1.0)]);
    assert!(numbers_in("m.json", "{\"sets\": [{\"a\": 1}], \"b\": 2}").contains("sets.0.a 1, b 2"));
}

#[test]
fn what_is_no_metrics_is_said() {
    insta::assert_snapshot!([
        numbers_in("m.json", "{\"model\": \"x\", \"ok\": true, \"none\": null}"),
        numbers_in("m.json", "{}"),
        numbers_in("m.json", ""),
        numbers_in("m.json", "{\n\"a\": 1,\n\"a\": 2}"),
        numbers_in("m.json", "{\"a\": 1,}"),
        numbers_in("m.json", "{\"a\": None}"),
        numbers_in("m.jsonl", "{\"a\": 1}\n{\"a\": 1, \"a\": 2}\n"),
        numbers_in("m.csv", "a,b\n1\n"),
        numbers_in("m.txt", "accuracy: 0.9\n"),
        numbers_in("m.json", "{\0\"\0a\0\"\0:\0"),
        numbers_in("m.json", &("[".repeat(120) + &"]".repeat(120))),
        numbers_in("m.json", &format!("[{}1]", "1,".repeat(100_000))),
    ].join("\n"), @r"
    m.json: metrics are numbers, at any depth of a JSON object, and it has none: it has `model` (a text), `ok` (true or false), `none` (null)
    m.json: metrics are numbers, at any depth of a JSON object, and it has none: it has nothing
    m.json:1: the file is empty
    m.json:3: the name `a` stands twice in a map
    m.json:1: not valid JSON: trailing comma
    m.json:1: not valid JSON: expected value
    m.jsonl:2: `a` stands twice
    m.csv:2: has 1 fields, and the first line names 2; they are separated by `,`
    m.txt: it was read as CSV, and no column has numbers; metrics are JSON, JSON Lines, CSV or Parquet, with a point in `0.5`
    m.json: this is text in UTF-16, which is not read: save it as UTF-8
    m.json:1: maps and lists are nested more than 100 deep
    m.json: it has 100001 numbers, and metrics may have 100000; write what belongs to single cases as examples
    ");
    let (_folder, made) = collected(&[], &[], &[]);
    assert_eq!(made.unwrap_err(), "no file of metrics was given");
    let (_folder, made) = collected(&[("m.json", b"{\"a\": 1}")], &[], &[("s.csv", b"step,note\n1,x\n")]);
    assert_eq!(
        made.unwrap_err(),
        "s.csv: it has no series: rows with numbers, or a list of objects with a `step`"
    );
}

/// What a program wrote to the place of an output, after it was completed.
fn completed(files: Files<'_>) -> (TempDir, Result<(), String>) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("scores");
    if let [("", bytes)] = files {
        fs::write(&place, bytes).unwrap();
    } else {
        fs::create_dir(&place).unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(place.join(name), bytes).unwrap());
    }
    let made = complete(&place).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""));
    (folder, made)
}

#[test]
fn what_a_program_wrote_in_place_is_completed() {
    let valid: Files<'_> = &[("metrics.json", b"{\"sets\":[{}]}"), ("answers-0.jsonl", b"not looked at")];
    let (folder, made) = completed(valid);
    made.unwrap();
    for (name, bytes) in valid {
        assert_eq!(fs::read(folder.path().join("scores").join(name)).unwrap(), *bytes, "as it was");
    }

    let (folder, made) = completed(&[
        ("metrics.json", b"{\"f1\": NaN}"),
        ("examples.jsonl", b"{\"id\": 1, \"ok\": true}\n"),
        ("series.jsonl", b"{\"step\": 1, \"loss\": inf}\n"),
        ("plot.svg", b"<svg/>"),
    ]);
    made.unwrap();
    let place = folder.path().join("scores");
    assert!(check(&place).is_ok() && place.join("plot.svg").exists());
    assert_eq!(read_series(&place).unwrap()[0].points, [(1.0, f64::INFINITY)]);
    assert_eq!(read_examples(&place, 0).unwrap().unwrap()[0].id, "1");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

    let (folder, made) = completed(&[("", b"{\"accuracy\": 0.81, \"f1\": 0.7}")]);
    made.unwrap();
    assert!(matches!(read_metrics(&folder.path().join("scores")).unwrap(), Metrics::Any(metrics) if metrics.number("f1") == Some(0.7)));

    let folder = tempfile::tempdir().unwrap();
    let (secret, link) = (folder.path().join("secret"), folder.path().join("scores"));
    fs::write(&secret, "{\"a\": 1}").unwrap();
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    complete(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "links are refused later");

    let (_folder, made) = completed(&[("notes.txt", b"")]);
    assert!(made.unwrap_err().contains("metrics.json"), "it must be there");
    let (_folder, made) = completed(&[("metrics.json", b"{\"f1\": 1}"), ("examples.jsonl", b"{")]);
    assert!(made.unwrap_err().starts_with("examples.jsonl"));
}

/// JSON, CSV and the like, more or less.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\n",
        "\"step\"",
        "\"id\"",
        "a",
        "NaN",
        "-inf",
        "1",
        "0.5",
        "1e999",
        "null",
        "true",
        "\"\\",
        ";",
        "\t",
        "\r\n",
        "step,loss\n",
        "{\"step\": 1, \"loss\": ",
        "{\"sets\": [{",
        "\u{feff}",
        "❤",
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_an_artifact_or_an_error(metrics in text(), examples in text(), series in text(), ending in "(json|jsonl|csv|x)") {
        let name = format!("m.{ending}");
        for (examples, series) in [(None, None), (Some(examples), None), (None, Some(series))] {
            let examples: Vec<(&str, &[u8])> = examples.iter().map(|bytes| ("e", bytes.as_slice())).collect();
            let series: Vec<(&str, &[u8])> = series.iter().map(|bytes| ("s", bytes.as_slice())).collect();
            let good: &[u8] = b"{\"a\": 1}";
            let metrics = if examples.is_empty() && series.is_empty() { metrics.as_slice() } else { good };
            let (folder, made) = collected(&[(&name, metrics)], &examples, &series);
            if made.is_ok() {
                let made = folder.path().join("made");
                prop_assert!(check(&made).is_ok(), "{:?}", check(&made));
                let sets = read(&made).unwrap();
                for (name, number) in sets.iter().flat_map(MetricMap::numbers) {
                    prop_assert!(sets.iter().any(|set| set.number(&name).is_some_and(|found| found == number || number.is_nan())), "{}", name);
                }
                prop_assert!(read_series(&made).is_ok());
            }
        }
    }
}
