//! What follows a run: the command that is told of its end, and the scripts that send its numbers to tracking servers.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::lab::{LOOP, Lab};
use crate::require::require;

/// A stage that succeeds, and one that fails.
const STAGES: &str = r#"
name = "after"

[stages.good]
kind    = "command"
run     = ["sh", "-c", "echo 1 > $0", "{output.out}"]
outputs = { out = "file" }

[stages.bad]
kind    = "command"
run     = ["sh", "-c", "exit 3", "{output.out}"]
outputs = { out = "file" }
"#;

/// A program that writes down its arguments and its input.
const TELL: &str = "#!/bin/sh\nprintf '%s\\n' \"$@\" > arguments.txt\ncat > input.json\n";

#[test]
fn a_command_is_told_how_the_run_ended() {
    let lab = Lab::new(STAGES);
    lab.write_program("tell", TELL);
    let told = |words: &[&str], code: i32| {
        let output = lab
            .command("run x.toml")
            .args(words)
            .args(["--notify", "./tell --to 'a b' {message}"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        let arguments = std::fs::read_to_string(lab.path().join("arguments.txt")).unwrap();
        let input: Value = serde_json::from_slice(&std::fs::read(lab.path().join("input.json")).unwrap()).unwrap();
        let arguments: Vec<String> = arguments.lines().map(str::to_owned).collect();
        assert_eq!(arguments[..2], ["--to", "a b"]);
        assert_eq!(arguments[2], input["message"].as_str().unwrap());
        input
    };
    let done = told(&["good"], 0);
    assert_eq!(
        (&done["result"], &done["experiment"], &done["summary"]["ran"]),
        (&"done".into(), &"after".into(), &1.into())
    );
    assert!(done["message"].as_str().unwrap().starts_with("after: done after "), "{done}");
    let failed = told(&["bad"], 1);
    assert_eq!((&failed["result"], &failed["summary"]["failed"]), (&"failed".into(), &1.into()));
}

#[test]
fn a_command_that_fails_is_a_warning() {
    let lab = Lab::new(STAGES);
    lab.write("runner.toml", "[settings]\nnotify = \"false\"\n");
    let output = lab.output("run x.toml good");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("`false` was not told that the run has ended: it failed"), "{err}");
    // A command that cannot be read is an error before anything runs.
    let output = lab
        .command("run x.toml good --store other")
        .args(["--notify", "tell 'me"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!lab.path().join("other").exists());
}

/// What a script of docs/tracking.md calls of a library, written down.
const MLFLOW: &str = r#"
import json
calls = open("calls.jsonl", "w")
def note(*call): print(json.dumps(call), file=calls, flush=True)
def set_experiment(name): note("experiment", name)
def log_params(params): note("params", params)
def log_metric(name, value, step): note("metric", name, value, step)
class start_run:
    def __init__(self, run_name): note("run", run_name)
    def __enter__(self): return self
    def __exit__(self, *_): note("end")
"#;

/// The same of W&B.
const WANDB: &str = r#"
import json
calls = open("calls.jsonl", "w")
def note(*call): print(json.dumps(call), file=calls, flush=True)
class init:
    def __init__(self, project, name, config): note("run", project, name, config); self.summary = self
    def __enter__(self): return self
    def __exit__(self, *_): note("end")
    def define_metric(self, name, step_metric): note("define", name, step_metric)
    def log(self, values): note("log", values)
    def update(self, values): note("summary", values)
"#;

/// Runs a script of docs/tracking.md with a library that writes down its calls, and returns them.
fn tracked(script: &str, library: (&str, &str)) -> Option<Vec<Value>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tracking.md")).unwrap();
    let begin = page.find(&format!("# {script}\n")).unwrap();
    let code = &page[begin..begin + page[begin..].find("\n```").unwrap()];
    let lab = Lab::new(&LOOP.replace("seed = [1]", "seed = [1, 2]"));
    lab.write(script, code);
    lab.write(library.0, library.1);
    let program = Path::new(env!("CARGO_BIN_EXE_runner")).parent().unwrap();
    let runner = lab.command("");
    let mut python = Command::new("python3");
    python
        .args([script, "x.toml"])
        .current_dir(lab.path())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for (name, value) in runner.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    python.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()));
    let output = python.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let calls = std::fs::read_to_string(lab.path().join("calls.jsonl")).unwrap();
    Some(calls.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_script_sends_curves_and_scores_to_mlflow() {
    let calls = require!(tracked("to_mlflow.py", ("mlflow.py", MLFLOW)), "python3");
    assert_eq!(calls[0], serde_json::json!(["experiment", "loop"]));
    let runs: Vec<&Value> = calls.iter().filter(|call| call[0] == "run").map(|call| &call[1]).collect();
    assert_eq!(runs, ["seed=1", "seed=2"]);
    let metric = |name: &str| calls.iter().filter(|call| call[0] == "metric" && call[1] == name).count();
    // Each variant has the curve of its own training, and its score in both iterations.
    assert!(metric("standard.0./loss") >= 2);
    assert_eq!(metric("score.0./in_domain/accuracy"), 2);
}

#[test]
fn a_script_sends_curves_and_scores_to_wandb() {
    let calls = require!(tracked("to_wandb.py", ("wandb.py", WANDB)), "python3");
    assert_eq!(calls[0], serde_json::json!(["run", "loop", "seed=1", {"seed": "1"}]));
    assert_eq!(calls.iter().filter(|call| call[0] == "run").count(), 2);
    let logged = |name: &str, what: &str| calls.iter().filter(|call| call[0] == what && call[1].get(name).is_some()).count();
    assert!(logged("standard[0]/loss", "log") >= 2);
    assert_eq!(logged("score[1]/ood_easy/accuracy", "summary"), 2);
}
