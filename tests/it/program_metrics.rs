//! Metrics of programs in reports.

use insta::assert_snapshot;

use super::lab::Lab;

const EXPERIMENT: &str = r#"
[matrix]
width = [16, 32]

[stages.fit]
kind    = "command"
run     = ["sh", "fit.sh"]
env     = { WIDTH = "0.{width}" }
outputs = { scores = "metrics" }
"#;

/// Writes a file, as a script with `json.dump` does, to the place of its output.
const FILE: &str = r#"printf '{"accuracy": %s, "loss": NaN, "folds": [1, 0.5], "name": "x"}' $WIDTH > $RUNNER_OUTPUT_SCORES"#;

/// Writes a folder with all that there may be.
const FOLDER: &str = r#"mkdir $RUNNER_OUTPUT_SCORES
cd $RUNNER_OUTPUT_SCORES
printf '{"accuracy": %s}' $WIDTH > metrics.json
printf '{"doc_id": 7, "right": true, "text": "<b>seven</b>"}\n{"doc_id": 8, "right": false}\n' > examples.jsonl
printf '{"step": 1, "loss": 2}\n{"step": 2, "loss": NaN}\n' > series.jsonl
"#;

fn lab(script: &str) -> Lab {
    let lab = Lab::new(EXPERIMENT);
    lab.write("fit.sh", script);
    lab
}

#[test]
fn a_program_s_numbers_are_scores() {
    let lab = lab(FILE);
    lab.summary("run x.toml --variant width=16", 0);
    let half: serde_json::Value = serde_json::from_str(&lab.stdout("report x.toml --json", 0)).unwrap();
    let count = |rows: &str| half[rows].as_array().unwrap().len();
    assert_eq!((count("rows"), count("unfinished")), (1, 1));
    lab.summary("run x.toml", 0);
    assert_snapshot!(lab.stdout("report x.toml --csv", 0), @r"
    stage,iteration,width,data,accuracy,folds.0,folds.1,loss,name
    fit,,16,,0.16,1,0.5,NaN,x
    fit,,32,,0.32,1,0.5,NaN,x
    ");
    let json: serde_json::Value = serde_json::from_str(&lab.stdout("report x.toml --json", 0)).unwrap();
    assert_eq!(
        json["rows"][0]["metrics"],
        serde_json::json!({"accuracy": 0.16, "loss": "NaN", "folds": [1, 0.5], "name": "x"})
    );
    let why = lab.stdout("why x.toml loss --variant width=32", 0);
    assert!(why.starts_with("loss = NaN\n"), "{why}");
}

#[test]
fn a_program_s_examples_are_on_the_page_as_text() {
    let lab = lab(FOLDER);
    lab.summary("run x.toml --tensorboard board", 0);
    lab.stdout("report x.toml --html page.html", 0);
    let page = std::fs::read_to_string(lab.path().join("page.html")).unwrap();
    assert!(
        page.contains("All 4 examples are on this page.") && !page.contains("<b>seven"),
        "{page}"
    );
    assert!(page.contains(r#"["doc_id","7"]"#), "{page}");
    for name in ["curve", "scores"] {
        let file = format!("board/fit width=16/events.out.tfevents.0.runner.{name}");
        assert!(lab.path().join(&file).exists(), "{file}");
    }
}

#[test]
fn what_is_no_metrics_fails_the_stage() {
    for (script, said) in [
        (
            "echo '{\"name\": \"x\"}' > $RUNNER_OUTPUT_SCORES",
            "output `scores`: scores: metrics are numbers",
        ),
        (
            "echo '{\"a\": 1, \"a\": 2}' > $RUNNER_OUTPUT_SCORES",
            "output `scores`: scores:1: the name `a` stands twice in a map",
        ),
        ("mkdir $RUNNER_OUTPUT_SCORES", "output `scores`: cannot read metrics.json"),
        ("true", "the program wrote nothing to"),
    ] {
        let lab = lab(script);
        let out = lab.output("run x.toml");
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && text.contains(said), "{script}: {text}");
    }
}
