//! An ablation from its file to its report: a base model, changes one at a time, differences to the baseline.

use serde_json::Value;

use crate::lab::{Lab, count};

const ABLATION: &str = r#"
name = "ablation"

[params]
base = "pretrained"
kept = "skips[k]"
ask = [-1]

[ablate]
base = [[]]
kept = ["skips[1..=k]"]
ask = [[-1, -2]]

[models.dot]
width = 16
layers = 1
heads = 2

[stages.basics]
kind = "generate"
task = "basics"
skills = ["sums"]
train = 0
development = 0
in_domain = 0
ood_easy = 0
ood_hard = 0

[stages.problems]
kind = "generate"
task = "addition"
start = "warm"
train = 40
development = 0
in_domain = 6
ood_easy = 0
ood_hard = 0

[stages.pretrained]
kind = "train"
data = "basics.train"
vocabulary = ["problems.train", "problems.skipped"]
model = "dot"
steps = 20
batch = 8

[stages."mixed[0]"]
kind = "mix"
full = "problems.train"
skips = "problems.skipped"

[stages."mixed[k]"]
for.k = "1..=2"
kind = "mix"
full = "problems.train"
skips = "{kept}"

[stages."numbered[k]"]
for.k = "0..2"
kind = "train"
data = "mixed[k]"
base = "{base}"
prompt = "numbered"
model = "dot"
steps = 10
batch = 8

[stages."answers[k]"]
for.k = "1..=2"
kind = "sample"
model = "numbered[{k-1}]"
data = "problems.train"
ask = "{ask}"
max_tokens = 12

[stages."skips[k]"]
for.k = "1..=2"
kind = "filter"
answers = "answers[k]"

[stages."standard[k]"]
for.k = "0..=2"
kind = "train"
data = "mixed[k]"
base = "{base}"
model = "dot"
steps = 10
batch = 8

[stages."score[k]"]
for.k = "0..=2"
kind = "eval"
model = "standard[k]"
data = "problems.in_domain"
max_tokens = 12
"#;

#[test]
fn an_ablation_runs_each_change_once_and_is_compared_with_its_baseline() {
    let lab = Lab::new(ABLATION);
    let names: Vec<String> = lab.plan("x.toml").into_keys().collect();
    let with = |name: &str| names.iter().filter(|found| found.starts_with(name)).count();
    // The data, the first mixture and the base do not depend on the changes; up to the first iteration, `kept` changes nothing.
    assert_eq!(
        (with("basics "), with("problems "), with("pretrained "), with("mixed[0] ")),
        (1, 1, 1, 1)
    );
    assert_eq!(
        (with("numbered[0] "), with("answers[1] "), with("mixed[1] "), with("mixed[2] ")),
        (2, 3, 3, 4)
    );
    assert_eq!(count(&lab.summary("run x.toml", 0), "failed"), 0);

    let report = lab.stdout("report x.toml", 0);
    for words in [
        "Differences to (ablate=baseline), with 95 % intervals",
        "base=[]",
        "kept=skips[1..=k]",
        "ask=[-1, -2]",
    ] {
        assert!(report.contains(words), "{words}\n{report}");
    }
    let json: Value = serde_json::from_str(&lab.stdout("report x.toml --json", 0)).unwrap();
    let differences = json["baseline"]["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 3 * 3, "{json}");
    assert!(
        differences
            .iter()
            .all(|row| row["variant"]["ablate"] != "baseline" && row["pairs"] == 6)
    );
    // A baseline that is named is the one of the unchanged variant; a selection without it is shown without differences.
    let named: Value = serde_json::from_str(&lab.stdout("report x.toml --json --baseline score[0]", 0)).unwrap();
    assert_eq!(named["baseline"]["variant"]["ablate"], "baseline");
    for change in ["kept=skips[1..=k]", "baseline"] {
        let report = lab.stdout(&format!("report x.toml --variant ablate={change}"), 0);
        assert!(!report.contains("Differences"), "{report}");
    }
    let diff = lab.stdout("diff x.toml@ablate=baseline x.toml@ablate=base=[] standard[0]", 0);
    assert!(diff.contains("base"), "{diff}");
}

#[test]
fn a_base_that_does_not_fit_is_refused_before_anything_runs() {
    let lab = Lab::new(&ABLATION.replace("prompt = \"numbered\"\nmodel = \"dot\"", "prompt = \"numbered\"\nmodel = \"tiny\""));
    let output = lab.output("plan x.toml");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("`model` has width 64, but the base has 16"), "{message}");
    // Once for all indices and variants, at the model's place.
    assert!(
        message.contains("1 error in x.toml") && message.contains("model = \"tiny\""),
        "{message}"
    );
}
