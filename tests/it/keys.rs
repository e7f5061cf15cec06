//! What enters a stage's key and what never does: one test for each row of the table in `src/lab/fingerprint/mod.rs`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lab::Lab;

const EXPERIMENT: &str = r#"
name = "keys"

[stages.problems]
kind = "generate"
task = "addition"
train = 20
development = 5
in_domain = 0
ood_easy = 0
ood_hard = 0

[stages.mixed]
kind = "mix"
full = "problems.train"
seed = 1

[stages.model]
kind = "train"
data = "mixed"
model = { width = 16, layers = 1, heads = 2 }
steps = 3
batch = 4
seed = 1

[stages.score]
kind = "eval"
model = "model"
data = ["problems.development"]
max_tokens = 4
"#;

/// The keys of `problems`, `mixed`, `model` and `score` after a run of the experiment with each replacement made.
fn keys(lab: &Lab, replacements: &[(&str, &str)], flags: &str) -> BTreeMap<String, Value> {
    let mut text = EXPERIMENT.to_owned();
    for (from, to) in replacements {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    lab.write("x.toml", &text);
    lab.stdout(&format!("run x.toml {flags}"), 0);
    let keys = lab.keys(&format!("x.toml {}", flags.split("--jobs").next().unwrap()));
    keys.into_iter()
        .map(|(name, key)| (name.split(' ').next().unwrap().to_owned(), key))
        .collect()
}

/// The stages whose keys change with the replacements.
fn changed(replacements: &[(&str, &str)]) -> Vec<String> {
    let lab = Lab::new(EXPERIMENT);
    let (before, after) = (keys(&lab, &[], ""), keys(&lab, replacements, ""));
    after
        .into_iter()
        .filter(|(name, key)| before.get(name) != Some(key))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn the_kind_does() {
    let lab = Lab::new(EXPERIMENT);
    let keys: std::collections::BTreeSet<String> = keys(&lab, &[], "").into_values().map(|key| key.to_string()).collect();
    assert_eq!(keys.len(), 5);
}

#[test]
fn params_do() {
    assert_eq!(changed(&[("steps = 3", "steps = 4")]), ["model", "score", "score.development"]);
    assert_eq!(changed(&[("max_tokens = 4", "max_tokens = 5")]), ["score", "score.development"]);
}

#[test]
fn a_default_written_out_does_not() {
    assert_eq!(
        changed(&[
            ("steps = 3", "steps = 3\nbeta1 = 0.9\nwarmup = 0.05"),
            ("kind = \"mix\"", "kind = \"mix\"\nmode = \"new\"")
        ]),
        [""; 0]
    );
}

#[test]
fn the_seed_does_where_random_numbers_are_drawn() {
    assert_eq!(
        changed(&[("batch = 4\nseed = 1", "batch = 4\nseed = 2")]),
        ["model", "score", "score.development"]
    );
    assert_eq!(
        changed(&[("max_tokens = 4", "max_tokens = 4\nseed = 9")]),
        [""; 0],
        "a greedy evaluation draws nothing"
    );
}

#[test]
fn inputs_do_by_content_and_not_by_name() {
    assert_eq!(
        changed(&[("train = 20", "train = 21")]),
        ["mixed", "model", "problems", "score", "score.development"]
    );
    // The same problems under another name: another path to the same content.
    assert_eq!(changed(&[("problems", "sums")]), ["sums"], "only the name is new");
}

#[test]
fn the_numeric_class_does() {
    assert_eq!(
        changed(&[("steps = 3", "steps = 3\nengine = \"candle\"")]),
        ["model", "score.development"]
    );
    assert_eq!(
        changed(&[("steps = 3", "steps = 3\nengine = \"cpu\"\ndtype = \"f32\"")]),
        [""; 0],
        "the defaults"
    );
}

#[test]
fn the_instruction_set_does_only_where_asked_for() {
    let lab = Lab::new(EXPERIMENT);
    let (before, after) = (keys(&lab, &[], ""), keys(&lab, &[], "--set settings.strict_numerics=true"));
    let differ: Vec<&String> = after.keys().filter(|name| before[*name] != after[*name]).collect();
    assert_eq!(differ, ["model", "score.development"], "only where numbers are computed");
}

#[test]
fn names_comments_key_order_and_layout_do_not() {
    let lab = Lab::new(EXPERIMENT);
    let before = keys(&lab, &[], "");
    let renamed = [
        ("name = \"keys\"", "# a comment\nname = \"other\""),
        ("steps = 3\nbatch = 4", "batch = 4   # fewer\n\nsteps = 3"),
        ("[stages.mixed]", "[stages.all]"),
        ("data = \"mixed\"", "data = \"all\""),
    ];
    let after = keys(&lab, &renamed, "");
    assert_eq!(before["mixed"], after["all"]);
    for name in ["problems", "model", "score"] {
        assert_eq!(before[name], after[name], "{name}");
    }
}

#[test]
fn settings_paths_threads_and_jobs_do_not() {
    let lab = Lab::new(EXPERIMENT);
    let before = keys(&lab, &[], "");
    assert_eq!(before, keys(&lab, &[], "--store elsewhere --jobs 1 --threads 2 --keep-going"));
}
