//! A training with a validation set: from the file to the report.

use std::fs;

use serde_json::Value;

use crate::lab::Lab;

const EXPERIMENT: &str = r#"
name = "held-out"

[models.dot]
width = 16
layers = 1
heads = 2

[stages.problems]
kind = "generate"
task = "addition"
train = 40
development = 10
in_domain = 6
ood_easy = 4
ood_hard = 0

[stages.tuned]
kind = "train"
data = "problems.train"
vocabulary = "problems.development"
validation = "problems.development"
model = "dot"
steps = 30
batch = 8
validate_every = 10
keep = "best"

[stages.score]
kind = "eval"
model = "tuned"
data = "problems.in_domain"
max_tokens = 12
"#;

/// The folder of the trained model in the store.
fn model(lab: &Lab) -> std::path::PathBuf {
    let digests = lab.digests("cache");
    let model = digests.values().find_map(|outputs| outputs.get("model")).unwrap();
    lab.object("cache", model["digest"].as_str().unwrap())
}

#[test]
fn the_held_out_loss_is_in_the_artifact_the_report_and_the_page() {
    let lab = Lab::new(EXPERIMENT);
    let events = lab.stdout("run x.toml --store cache --json", 0);
    let progress = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .rfind(|event| event["event"] == "progressed" && event["stage"] == "tuned")
        .unwrap();
    assert_eq!(progress["progress"]["done"], 30, "the last one is never left out");
    let told = progress["progress"]["readings"]["validation_loss"].as_f64().unwrap();
    let summary: Value = serde_json::from_slice(&fs::read(model(&lab).join("validation.json")).unwrap()).unwrap();
    assert_eq!(
        (&summary["evaluations"], &summary["stopped_early"]),
        (&3.into(), &false.into()),
        "{summary}"
    );
    assert!(told >= summary["best_loss"].as_f64().unwrap(), "{told} {summary}");
    let numbers = lab.stdout("report x.toml --store cache --table training", 0);
    assert!(numbers.contains("tuned, held out"), "{numbers}");
    lab.stdout("report x.toml --store cache --html page.html", 0);
    let page = fs::read_to_string(lab.path().join("page.html")).unwrap();
    assert!(page.contains("tuned, held out") && page.contains("dashed: of the tokens of the validation set"));
    let found = format!("\"best_step\":{}", summary["best_step"]);
    assert!(page.contains(&found), "{found}");
}

#[test]
fn a_set_that_is_not_asked_for_anything_leaves_the_model_as_it_is() {
    let with = Lab::new(&EXPERIMENT.replace("keep = \"best\"\n", ""));
    let without = Lab::new(
        &EXPERIMENT
            .replace("keep = \"best\"\n", "")
            .replace("validate_every = 10\n", "")
            .replace("validation = \"problems.development\"\n", ""),
    );
    let models = [&with, &without].map(|lab| {
        lab.stdout("run x.toml tuned --store cache", 0);
        model(lab)
    });
    let weights = models.each_ref().map(|folder| fs::read(folder.join("model.safetensors")).unwrap());
    assert!(weights[0] == weights[1]);
    let validated = models.each_ref().map(|folder| folder.join("validation.json").exists());
    assert_eq!(validated, [true, false]);
    let keys = [&with, &without].map(|lab| lab.keys("x.toml tuned --store cache")["tuned {}"].clone());
    assert_ne!(keys[0], keys[1], "the curve is another one");
}

#[test]
fn a_param_without_a_set_is_an_error_with_its_place() {
    let lab = Lab::new(&EXPERIMENT.replace("validation = \"problems.development\"\n", ""));
    let output = lab.output("plan x.toml");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    let line = EXPERIMENT.lines().position(|line| line.starts_with("validate_every")).unwrap();
    assert!(message.contains(&format!("x.toml:{line}:")), "{message}");
    assert!(
        message.contains("name the data set that it is computed on as `validation`"),
        "{message}"
    );
}
