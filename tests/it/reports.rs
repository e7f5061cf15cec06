//! `runner report` in all its formats and `runner diff`, on the tiny loop: what they print is the same on every machine.

use serde_json::Value;

use crate::lab::{LOOP, Lab};

/// The loop under two seeds, run.
fn lab() -> Lab {
    let lab = Lab::new(&LOOP.replace("seed = [1]", "seed = [1, 2]"));
    lab.stdout("run x.toml", 0);
    lab
}

/// The text with every number as `#`: what the tiny models learn differs between processors.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for word in text.split_inclusive([' ', '\n', '|', ',', '[', ']', '\\']) {
        let (word, end) = word.split_at(word.len() - word.chars().last().map_or(0, char::len_utf8));
        let is_number = word.parse::<f64>().is_ok();
        shape += if is_number { "#" } else { word };
        shape += end;
    }
    let mut squeezed = String::new();
    for line in shape.lines() {
        squeezed += &line.split_whitespace().collect::<Vec<_>>().join(" ");
        squeezed.push('\n');
    }
    squeezed
}

#[test]
fn every_format_has_every_row() {
    let lab = lab();
    for format in ["text", "markdown", "latex"] {
        let text = lab.stdout(&format!("report x.toml --format {format} --baseline score[0]"), 0);
        insta::assert_snapshot!(format, shape(&text));
    }
    let csv = lab.stdout("report x.toml --format csv", 0);
    assert!(csv.starts_with("stage,iteration,seed,data,accuracy,"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + 2 * 2 * 2);
    assert_eq!(csv, lab.stdout("report x.toml --csv", 0));
    let json: Value = serde_json::from_str(&lab.stdout("report x.toml --format json --baseline score[0]", 0)).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), 2 * 2 * 2);
    let difference = &json["baseline"]["differences"][0];
    assert_eq!(
        (&difference["stage"], &difference["data"]),
        (&"score[1]".into(), &"in_domain".into())
    );
    assert_eq!((&difference["pairs"], &difference["seeds"]), (&(2 * 6).into(), &2.into()));
    let of = |row: &Value| row["metrics"]["average_steps"].as_f64().unwrap();
    let mean = |stage: &str| {
        let rows = json["rows"].as_array().unwrap().iter();
        let own: Vec<f64> = rows
            .filter(|row| row["stage"] == stage && row["data"] == "in_domain")
            .map(of)
            .collect();
        own.iter().sum::<f64>() / own.len() as f64
    };
    let steps = &difference["average_steps"];
    let expected = mean("score[1]") - mean("score[0]");
    assert!(
        (steps["difference"].as_f64().unwrap() - expected).abs() < 1e-9,
        "{steps} {expected}"
    );
    assert!(steps["low"].as_f64() <= steps["difference"].as_f64() && steps["difference"].as_f64() <= steps["high"].as_f64());
}

#[test]
fn wrong_wishes_are_refused() {
    let lab = lab();
    lab.stdout("report x.toml --baseline nosuch", 2);
    lab.stdout("report x.toml --csv --baseline score[0]", 2);
    lab.stdout("report x.toml --json --csv", 2);
    lab.stdout("report x.toml --format yaml", 2);
    lab.stdout("report x.toml --html no/such/folder/x.html", 1);
    for (words, said) in [
        ("--table differences", "no differences without a `--baseline`"),
        ("--table following", "no selected evaluation of a numbered model"),
        ("--csv --table results", "CSV and JSON have no tables"),
        (
            "--table sizes",
            "possible values: results, metrics, differences, valid, answers, agreement, following, skips, data",
        ),
    ] {
        let output = lab.output(&format!("report x.toml {words}"));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains(said), "{words}\n{text}");
    }
}

#[test]
fn tables_are_printed_as_they_are_asked_for() {
    let lab = lab();
    let text = lab.stdout("report x.toml --table data --table skips", 0);
    insta::assert_snapshot!("tables", shape(&text));
    let problems = lab.stdout("report x.toml problems", 0);
    assert!(
        problems.starts_with("stage     output       rows  steps least  mean  most\n"),
        "without evaluations: {problems}"
    );
    let json: Value = serde_json::from_str(&lab.stdout("report x.toml --json", 0)).unwrap();
    let skips = json["skips"].as_array().unwrap();
    assert_eq!(skips.len(), 2, "one for each seed");
    assert_eq!((&skips[0]["stage"], &skips[0]["iteration"]), (&"skips[1]".into(), &1.into()));
    assert_eq!(skips[0]["following"]["requests"], 40);
}

#[test]
fn figures_are_written() {
    let lab = lab();
    let said = lab.stdout("report x.toml --plots figures", 0);
    let written = if cfg!(feature = "png") {
        "wrote 7 figures as SVG and PNG in figures"
    } else {
        "wrote 7 figures as SVG in figures (a build with `--features png` writes PNG too)"
    };
    assert!(said.ends_with(&format!("\n{written}\n")), "{said}");
    let mut names: Vec<String> = std::fs::read_dir(lab.path().join("figures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let formats = if cfg!(feature = "png") { 2 } else { 1 };
    assert_eq!(names.len(), formats * 7, "{names:?}");
    for name in names {
        let bytes = std::fs::read(lab.path().join("figures").join(&name)).unwrap();
        if name.ends_with(".png") {
            // Width and height stand big-endian at 16 and 20.
            let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            assert!(bytes.starts_with(b"\x89PNG") && size(16) >= 680 && size(20) >= 480, "{name}");
        } else {
            let text = String::from_utf8(bytes).unwrap();
            assert!(
                text.starts_with("<!-- runner report -->\n<svg xmlns") && text.ends_with("</svg>\n") && text.contains("class=\"tick"),
                "{name}"
            );
            let numbers = lab.stdout(&format!("report x.toml --table {}", name.trim_end_matches(".svg")), 0);
            assert!(numbers.lines().nth(3).unwrap().starts_with("panel"), "{name}: {numbers}");
        }
    }
    let again = lab.stdout("report x.toml --plots figures --html a.html", 0);
    assert!(again.contains("wrote a.html ("), "{again}");
    lab.stdout("report x.toml --html b.html", 0);
    let page = |name: &str| std::fs::read(lab.path().join(name)).unwrap();
    assert!(page("a.html") == page("b.html"), "the same store gives the same page");
}

#[test]
fn a_report_begins_with_what_the_experiment_shows() {
    let lab = lab();
    lab.write("y.toml", "extends = \"x.toml\"\nreport.shows = [\"kept-skips\", \"data\"]\n");
    lab.write("z.toml", "extends = \"y.toml\"\n");
    let text = lab.stdout("report y.toml --html y.html", 0);
    assert!(
        text.starts_with("Kept skips by iteration\nFirst: rows that the filter kept."),
        "with its caption: {text}"
    );
    assert!(
        text.contains("\n\nData sets: rows") && text.contains("\n\nmore with --table: results, skips\n"),
        "{text}"
    );
    let page = std::fs::read_to_string(lab.path().join("y.html")).unwrap();
    let at = |part: &str| page.find(part).unwrap();
    assert!(
        at("<figure id=\"kept-skips\">") < at("<section id=\"figures\">"),
        "among the results"
    );
    assert!(
        at("<section id=\"figures\">") < at("<figure id=\"training\">"),
        "the others are where they always are"
    );
    assert_eq!(page.matches("<figure id=\"kept-skips\">").count(), 1);

    let compared = lab.stdout("report y.toml --baseline score[0]", 0);
    assert!(
        compared.contains("\nDifferences to `score[0]`"),
        "who asks for differences sees them: {compared}"
    );
    assert!(
        compared.contains("\nmore with --table: results, skips\n"),
        "and is not offered them: {compared}"
    );
    let also = lab.stdout("report y.toml --table results --html y.html", 0);
    assert!(!also.contains("more with --table"), "{also}");
    let page = std::fs::read_to_string(lab.path().join("y.html")).unwrap();
    let results = page.split("<section id=\"figures\">").next().unwrap();
    assert!(
        results.contains("Data sets: rows"),
        "the page has what the experiment shows, whatever is printed"
    );
    lab.write("y.toml", "extends = \"x.toml\"\nreport.shows = [\"valid-by-iteration\"]\n");
    let nothing = lab.stdout("report y.toml", 0);
    assert!(nothing.starts_with("phase "), "the usual tables instead: {nothing}");
    assert!(
        nothing.contains("nothing to show yet: valid-by-iteration") && !nothing.contains("more with"),
        "{nothing}"
    );
    let usual = lab.stdout("report x.toml", 0);
    assert_eq!(lab.stdout("report z.toml", 0), usual, "not taken over");
    assert_eq!(
        lab.stdout("report y.toml --table results", 0),
        lab.stdout("report x.toml --table results", 0)
    );

    assert_eq!(
        lab.stdout("report y.toml --csv", 0),
        lab.stdout("report x.toml --csv", 0),
        "numbers are for programs"
    );

    lab.write("y.toml", "extends = \"x.toml\"\nreport.shows = [\"kept-skip\"]\n");
    let output = lab.output("plan y.toml");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && text.contains("did you mean `kept-skips`?"),
        "{text}"
    );
    lab.write("y.toml", "extends = \"x.toml\"\nreport.shows = [\"skips\", \"skips\"]\n");
    let output = lab.output("plan y.toml");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("`shows` has `skips` twice"), "{text}");
    lab.write("y.toml", "extends = \"x.toml\"\nreport.shows = 3\n");
    let output = lab.output("plan y.toml");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("`shows` names a table, a figure, or a list of these, not 3"),
        "{text}"
    );
    lab.write("y.toml", "extends = \"x.toml\"\nshows = [\"skips\"]\n");
    let output = lab.output("report y.toml");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && text.contains("`shows` is now a field of `[report]`") && text.contains("`shows = [\"skips\"]`"),
        "the old place says the new one: {text}"
    );
}

#[test]
fn a_report_of_what_has_not_run_says_so() {
    let lab = Lab::new(LOOP);
    let text = lab.stdout("report x.toml --html page.html --plots figures", 0);
    assert!(text.contains("2 of 2 stages with scores missing: runner run x.toml"), "{text}");
    assert!(text.contains("0 figures"), "{text}");
    let page = std::fs::read_to_string(lab.path().join("page.html")).unwrap();
    assert!(page.contains("14 stages: 0 in the store, 14 to run."), "{page}");
}

#[test]
fn two_variants_side_by_side() {
    let lab = lab();
    let text = lab.stdout("diff x.toml@seed=1 x.toml@seed=2 standard mixed problems", 0);
    insta::assert_snapshot!("diff", digests(&text));
    let json: Value = serde_json::from_str(&lab.stdout("diff x.toml@seed=1 x.toml@seed=2 --json", 0)).unwrap();
    let stages = json["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 14);
    let problems = stages.iter().find(|stage| stage["stage"] == "problems").unwrap();
    assert_eq!((&problems["in"], &problems["rows"]), (&"both".into(), &Value::Array(Vec::new())));
    let score = stages.iter().find(|stage| stage["stage"] == "score[0]").unwrap();
    let about: Vec<&str> = score["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["about"].as_str().unwrap())
        .collect();
    assert!(about.contains(&"input"), "{score}");
    assert!(
        lab.stdout("diff x.toml@seed=1 x.toml@seed=2 --all --json", 0)
            .contains("in_domain accuracy")
    );
}

#[test]
fn two_experiments_and_two_runs_side_by_side() {
    let lab = lab();
    lab.write("y.toml", "extends = \"x.toml\"\nname = \"y\"\n[params]\nrate = 2e-3\n");
    lab.stdout("run y.toml", 0);
    let text = lab.stdout("diff x.toml y.toml standard", 0);
    assert!(text.starts_with("A  x.toml\nB  y.toml\n\nstandard[0] (seed=1)\n"), "{text}");
    assert!(text.contains("  param   learning_rate  0.003"), "{text}");
    let mut runs: Vec<String> = std::fs::read_dir(lab.path().join("cache/v1/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(runs.len(), 2);
    runs.sort();
    let json: Value = serde_json::from_str(&lab.stdout(&format!("diff {} {} --json", runs[0], runs[1]), 0)).unwrap();
    let of = |side: &str| {
        json["stages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|stage| stage["in"] == side)
            .count()
    };
    assert_eq!([of("both"), of("a") + of("b")], [14, 13], "the standard models and their scores");
    assert_eq!(
        lab.stdout("diff x.toml x.toml standard", 0).lines().count(),
        4,
        "all equal, on one line"
    );
    lab.stdout("diff x.toml nosuch", 2);
    lab.stdout("diff x.toml x.toml nosuch", 4);
}

/// The text with every digest as `DIGEST`, and every number of equal rows as `#`: kinds get new params.
fn digests(text: &str) -> String {
    let is_digest = |word: &str| word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    let lines = text.lines().map(|line| {
        if line.ends_with(" equal") {
            return "# equal".to_owned();
        }
        let words = line.split_whitespace().map(|word| if is_digest(word) { "DIGEST" } else { word });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A program that measures a loss, at two widths and under three seeds.
const SWEEP: &str = r#"
[matrix]
width = [1, 16]
seed = [1, 2, 3]

[stages.fit]
kind = "command"
run = ["sh", "-c", '''mkdir -p "$RUNNER_OUTPUT_SCORES"; printf '\173"loss": 0.%s%s\175' "$1" "$RUNNER_SEED" > "$RUNNER_OUTPUT_SCORES/metrics.json"''', "sh", "{width}"]
outputs = { scores = "metrics" }
"#;

#[test]
fn the_numbers_of_a_program_have_a_report() {
    let lab = Lab::new(SWEEP);
    let words = |text: &str, line: usize| {
        text.lines()
            .nth(line)
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let before = lab.stdout("report x.toml", 0);
    assert!(before.contains("6 of 6 stages with scores missing"), "{before}");
    lab.stdout("run x.toml", 0);
    let text = lab.stdout("report x.toml", 0);
    assert_eq!(words(&text, 0), "Metrics: mean ± standard deviation, 3 seeds", "{text}");
    assert_eq!(
        [words(&text, 2), words(&text, 3)],
        ["1 *0.1200 ± 0.0100", "16 0.1620 ± 0.0010"],
        "{text}"
    );
    let text = lab.stdout("report x.toml --metric loss:higher --columns width --digits 2", 0);
    assert_eq!(words(&text, 0), "loss by width: mean ± standard deviation, 3 seeds", "{text}");
    assert_eq!(
        [words(&text, 1), words(&text, 2)],
        ["width=1 width=16", "0.12 ± 0.01 0.16 ± 0.00"],
        "{text}"
    );

    let text = lab.stdout("report x.toml --baseline (width=1) --table differences", 0);
    assert!(words(&text, 1).starts_with("16 +0.042 ["), "{text}");
    let json: Value = serde_json::from_str(&lab.stdout("report x.toml --json", 0)).unwrap();
    assert_eq!((&json["summary"][0]["n"], &json["summary"][0]["best"]), (&3.into(), &true.into()));
    let csv = lab.stdout("report x.toml --csv", 0);
    assert!(
        csv.lines().count() == 7 && csv.contains("\nfit,,") && csv.contains(",0.11\n"),
        "{csv}"
    );

    let output = lab.output("report x.toml --metric lost");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && text.contains("no metric `lost` (--metric): known: loss"),
        "{text}"
    );
    let output = lab.output("report x.toml --rows widths");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("did you mean `width`?"), "{text}");
    lab.write(
        "y.toml",
        "extends = \"x.toml\"\n[report]\nbest = 1\nmetrics = [\"loss\", \"nothing\"]\n",
    );
    let output = lab.output("report y.toml");
    let warning = String::from_utf8(output.stderr).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(warning.contains("no metric `nothing` (y.toml:4): known: loss"), "{warning}");
    assert!(
        text.starts_with("Metrics: mean ± standard deviation, 3 seeds, the best 1 by loss\n"),
        "{text}"
    );
}
