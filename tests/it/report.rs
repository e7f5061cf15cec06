//! What the commands print and how they end, with the real program on a tiny experiment.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

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

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(experiment: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), experiment).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn runner(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(self.path()).args(words.split_whitespace());
        command.env("XDG_CONFIG_HOME", self.path()).env_remove("RUNNER_STORE");
        command.output().unwrap()
    }

    /// Standard output of a command that must end with `code`.
    fn out(&self, code: i32, words: &str) -> String {
        let out = self.runner(words);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(out.status.code(), Some(code), "{words}\n{}{}", text(&out.stdout), text(&out.stderr));
        text(&out.stdout)
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.out(0, words)).unwrap()
    }
}

fn states(plan: &Value) -> Vec<(&str, &str)> {
    let stages = plan["stages"].as_array().unwrap().iter();
    stages
        .map(|stage| (stage["name"].as_str().unwrap(), stage["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn from_a_file_to_scores() {
    let folder = Folder::with(EXPERIMENT);
    let before = folder.json("plan tiny.toml --json");
    assert_eq!(
        states(&before),
        [
            ("problems", "run"),
            ("standard[0]", "unknown"),
            ("score[0]", "unknown"),
            ("standard[0]", "unknown"),
            ("score[0]", "unknown")
        ]
    );
    folder.out(3, "plan tiny.toml --check");
    let note = folder.out(0, "report tiny.toml");
    assert!(
        note.contains("2 of 2 stages with scores not run yet: runner run tiny.toml"),
        "{note}"
    );

    let events = folder.out(0, "run tiny.toml --json");
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        events
            .iter()
            .all(|event| event["event"].is_string() && event["time"].as_f64().unwrap() > 1.7e9)
    );
    let last = events.last().unwrap();
    assert_eq!(
        ["event", "stages", "cached", "ran", "failed"].map(|field| &last[field]),
        [&Value::from("summary"), &5.into(), &0.into(), &5.into(), &0.into()]
    );

    let after = folder.json("plan tiny.toml --json --check");
    assert!(states(&after).iter().all(|(_, state)| *state == "hit"));
    assert_eq!(after["stages"][2]["inputs"][0]["digest"].as_str().unwrap().len(), 64);

    let report = folder.json("report tiny.toml --json");
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
    let table = folder.out(0, "report tiny.toml");
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.starts_with("stage     n  in_domain %"), "{table}");
    assert_eq!(folder.out(0, "report tiny.toml --csv").lines().count(), 1 + 4);
}

#[test]
fn a_run_of_hits_says_so_in_plain_lines() {
    let folder = Folder::with(EXPERIMENT);
    folder.out(0, "run tiny.toml");
    let out = folder.runner("run tiny.toml");
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(text.lines().last().unwrap().starts_with("5 stages: 5 cached, 0 ran in "), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
    assert!(out.stdout.is_empty());
}

#[test]
fn exit_codes_say_how_it_ended() {
    let folder = Folder::with(EXPERIMENT);
    folder.out(2, "plan missing.toml");
    folder.out(2, "plan tiny.toml --set stages.problems.train=-1");
    folder.out(2, "frobnicate");
    folder.out(4, "plan tiny.toml nothing-of-that-name");
    folder.out(4, "run tiny.toml --variant seed=9");
    folder.out(2, "report tiny.toml problems");
    std::fs::write(folder.path().join("file"), "").unwrap();
    folder.out(5, "plan tiny.toml --store file");
}

#[test]
fn the_store_is_where_one_says() {
    let folder = Folder::with(EXPERIMENT);
    assert_eq!(folder.out(0, "cache dir"), "cache\n");
    assert_eq!(folder.out(0, "cache dir --store elsewhere"), "elsewhere\n");
    folder.out(0, "run tiny.toml problems");
    let size: Value = serde_json::from_str(&folder.out(0, "cache size --json")).unwrap();
    assert_eq!(size["records"], 1);
    assert!(size["object_bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn drawings_have_every_stage() {
    let folder = Folder::with(EXPERIMENT);
    let dot = folder.out(0, "graph tiny.toml");
    assert!(
        dot.starts_with("digraph \"tiny\" {") && dot.matches("label=\"standard[0]").count() == 2,
        "{dot}"
    );
    let mermaid = folder.out(0, "graph tiny.toml --format mermaid");
    assert!(
        mermaid.starts_with("flowchart LR\n") && mermaid.matches(":::unknown").count() == 4,
        "{mermaid}"
    );
}
