//! What the commands print and how they end, with the real program on a tiny experiment.

use serde_json::Value;

use crate::lab::Lab;

const EXPERIMENT: &str = r#"
name = "tiny"

[matrix]
seed = [1, 2]

[stages.problems]
kind = "generate"
task = "addition"
train = 30
development = 0
in_domain = 4
ood_easy = 3
ood_hard = 0

[stages."standard[0]"]
kind = "train"
data = "problems.train"
steps = 2
batch = 4
model = { width = 16, layers = 1, heads = 2 }

[stages."score[0]"]
kind = "eval"
model = "standard[0]"
data = ["problems.in_domain", "problems.ood_easy"]
max_tokens = 8
"#;

/// What a command that ends well prints, as JSON.
fn json(lab: &Lab, words: &str) -> Value {
    serde_json::from_str(&lab.stdout(words, 0)).unwrap()
}

fn states(plan: &Value) -> Vec<(&str, &str)> {
    let stages = plan["stages"].as_array().unwrap().iter();
    stages
        .map(|stage| (stage["name"].as_str().unwrap(), stage["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn from_a_file_to_scores() {
    let lab = Lab::new(EXPERIMENT);
    let before = json(&lab, "plan x.toml --json");
    assert_eq!(
        states(&before),
        [
            ("problems", "run"),
            ("standard[0]", "unknown"),
            ("score[0].in_domain", "unknown"),
            ("score[0].ood_easy", "unknown"),
            ("score[0]", "unknown"),
            ("standard[0]", "unknown"),
            ("score[0].in_domain", "unknown"),
            ("score[0].ood_easy", "unknown"),
            ("score[0]", "unknown")
        ]
    );
    lab.stdout("plan x.toml --check", 3);
    let note = lab.stdout("report x.toml", 0);
    assert!(note.contains("2 of 2 stages with scores missing: runner run x.toml"), "{note}");

    let events = lab.stdout("run x.toml --json", 0);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        events
            .iter()
            .all(|event| event["event"].is_string() && event["time"].as_f64().unwrap() > 1.7e9)
    );
    let last = events.last().unwrap();
    assert_eq!(
        ["event", "stages", "cached", "ran", "failed"].map(|field| &last[field]),
        [&Value::from("summary"), &9.into(), &0.into(), &9.into(), &0.into()]
    );

    let after = json(&lab, "plan x.toml --json --check");
    assert!(states(&after).iter().all(|(_, state)| *state == "hit"));
    assert_eq!(after["stages"][2]["inputs"][0]["digest"].as_str().unwrap().len(), 64);

    let report = json(&lab, "report x.toml --json");
    let rows = report["rows"].as_array().unwrap();
    let keys: Vec<_> = rows
        .iter()
        .map(|row| (row["data"].as_str().unwrap(), row["variant"]["seed"].as_str().unwrap()))
        .collect();
    assert_eq!(keys, [("in_domain", "1"), ("ood_easy", "1"), ("in_domain", "2"), ("ood_easy", "2")]);
    for row in rows {
        assert_eq!((&row["stage"], &row["iteration"]), (&"score[0]".into(), &0.into()));
        let metrics = &row["metrics"];
        assert!(
            ["accuracy", "average_steps", "average_full_steps"]
                .iter()
                .all(|name| metrics[name].is_number()),
            "{metrics}"
        );
    }
    let table = lab.stdout("report x.toml", 0);
    let first: Vec<&str> = table.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(first, ["stage", "full solutions", "score[0]"], "{table}");
    assert_eq!(lab.stdout("report x.toml --csv", 0).lines().count(), 1 + 4);
}

#[test]
fn a_run_of_hits_says_so_in_plain_lines() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml", 0);
    let out = lab.output("run x.toml");
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(text.lines().last().unwrap().starts_with("9 stages: 9 cached, 0 ran in "), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
    assert!(out.stdout.is_empty());
}

#[test]
fn exit_codes_say_how_it_ended() {
    let lab = Lab::new(EXPERIMENT);
    std::fs::write(lab.path().join("file"), "").unwrap();
    for (words, code, said) in [
        ("plan missing.toml", 2, "no file `missing.toml`\n\n1 error"),
        (
            "plan x.toml --set stages.problems.train=-1",
            2,
            "`train` must be a whole number from 0",
        ),
        ("frobnicate", 2, "unrecognized subcommand"),
        (
            "run x.toml --jobs 0",
            2,
            "invalid value '0' for '--jobs <N>': expected a whole number, 1 or more",
        ),
        ("run x.toml --threads 0", 2, "expected a whole number, 1 or more"),
        (
            "plan x.toml problms",
            4,
            "error: no stage `problms` (known: problems, standard, score): did you mean `problems`?\n",
        ),
        ("run x.toml --variant seed=9", 4, "error: no variant has seed = 9 (known: 1, 2)\n"),
        ("report x.toml score[1]", 4, "error: no stage `score[1]` (known: score[0])"),
        (
            "graph x.toml --variant sed=1",
            4,
            "error: no axis `sed` in the matrix (known: seed): did you mean `seed`?\n",
        ),
        ("diff x.toml x.toml nosuch", 4, "error: no stage `nosuch` (known: "),
        ("report x.toml problems", 2, "gives metrics"),
        ("plan x.toml --store file", 5, "cannot open"),
    ] {
        let output = lab.output(words);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}\n{text}");
        assert!(text.contains(said), "{words}\n{text}");
    }
}

#[test]
fn the_store_is_where_one_says() {
    let lab = Lab::new(EXPERIMENT);
    assert_eq!(lab.stdout("cache dir", 0), "cache\n");
    assert_eq!(lab.stdout("cache dir --store elsewhere", 0), "elsewhere\n");
    lab.stdout("run x.toml problems", 0);
    let size: Value = serde_json::from_str(&lab.stdout("cache size --json", 0)).unwrap();
    assert_eq!(size["records"], 1);
    assert!(size["object_bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn drawings_have_every_stage() {
    let lab = Lab::new(EXPERIMENT);
    let dot = lab.stdout("graph x.toml", 0);
    assert!(
        dot.starts_with("digraph \"tiny\" {") && dot.matches("label=\"standard[0]").count() == 2,
        "{dot}"
    );
    let mermaid = lab.stdout("graph x.toml --format mermaid", 0);
    assert!(
        mermaid.starts_with("flowchart LR\n") && mermaid.matches(":::unknown").count() == 8,
        "{mermaid}"
    );
}
