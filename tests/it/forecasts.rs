//! Forecasts of time and size, from the records that there are.

use serde_json::Value;

use crate::lab::Lab;

/// A training of so many steps and its answers.
const EXPERIMENT: &str = r#"
name = "forecasts"

[params]
steps = 20
width = 16

[stages.problems]
kind  = "generate"
task  = "addition"
train = 60
in_domain = 20

[stages.fit]
kind  = "train"
data  = "problems.train"
model = { width = "{width}", layers = 1, heads = 2 }
steps = "{steps}"
batch = 4

[stages.answers]
kind  = "sample"
model = "fit.model"
data  = "problems.in_domain"
ask   = []

[stages.new]
kind    = "command"
run     = ["true"]
outputs = { out = "file" }
"#;

/// The stage of this name in what `plan --json` prints with these changes.
fn planned(lab: &Lab, name: &str, changes: &[&str]) -> Value {
    let changes: String = changes.iter().map(|change| format!(" --set {change}")).collect();
    lab.plan(&format!("x.toml{changes}"))[&format!("{name} {{}}")].clone()
}

#[test]
fn time_and_size_go_with_steps_and_width() {
    let lab = Lab::new(EXPERIMENT);
    assert_eq!(planned(&lab, "fit", &[])["seconds"], Value::Null, "no record says anything");
    lab.stdout("run x.toml answers", 0);
    let number = |name: &str, field: &str, changes: &[&str]| planned(&lab, name, changes)[field].as_f64().unwrap();
    let seconds = |steps: &str| number("fit", "seconds", &[steps]);
    let (short, long) = (seconds("steps=2000"), seconds("steps=20000"));
    assert!((9.0..=10.1).contains(&(long / short)), "{short} {long}");
    // The range is wider the further away the records are, and holds the forecast.
    let range = |steps: &str| {
        let stage = planned(&lab, "fit", &[steps]);
        let [low, high] = [0, 1].map(|end| stage["seconds_range"][end].as_f64().unwrap());
        assert!(low < stage["seconds"].as_f64().unwrap() && stage["seconds"].as_f64().unwrap() < high);
        high / low
    };
    assert!(range("steps=20000") > 1.1 * range("steps=40"));
    // A model of four times the width has some ten times the weights, and the stage that asks it is told so though there is no such model.
    let (small, large) = (
        number("fit", "bytes", &["steps=30"]),
        number("fit", "bytes", &["steps=30", "width=64"]),
    );
    assert!((8.0..20.0).contains(&(large / small)), "{small} {large}");
    assert!(number("answers", "seconds", &["width=64"]) > 1.3 * number("answers", "seconds", &["steps=30"]));
}

#[test]
fn what_no_record_knows_is_told_apart_and_past_forecasts_are_counted() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml answers", 0);
    let plan = lab.stdout("plan x.toml --set steps=30", 0);
    let last = plan.trim_end().lines().last().unwrap();
    assert!(
        last.contains("; about ") && last.ends_with("1 stage of which no record says anything (`new`)"),
        "{plan}"
    );
    let before = lab.stdout("plan x.toml --set steps=30 --forecast", 0);
    assert!(
        before.contains("no earlier runs from which its stages could have been forecast"),
        "{before}"
    );
    // Records have whole seconds of their beginning.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    lab.stdout("run x.toml answers --set steps=30", 0);
    let after = lab.stdout("plan x.toml --set steps=40 --forecast", 0);
    assert!(after.contains("the whole run: about "), "{after}");
    assert!(after.contains("  train: ") && after.contains(" of 1 within the range"), "{after}");
}
