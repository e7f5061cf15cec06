//! `runner get --to`: artifacts as files for other programs.

use std::path::Path;

use serde_json::Value;

use super::lab::Lab;

/// Stages of several variants, with outputs of several types.
const EXPERIMENT: &str = r#"
[matrix]
width = [1, 16]
seed = [1, 2]

[stages.data]
kind = "generate"
task = "addition"
train = 3
development = 0
in_domain = 0
ood_easy = 0
ood_hard = 0

[stages.fit]
kind = "command"
run = ["sh", "-c", "echo {width} $RUNNER_SEED > $RUNNER_OUTPUT_NOTE; mkdir $RUNNER_OUTPUT_MODEL; echo {width} > $RUNNER_OUTPUT_MODEL/w; echo \"<svg xmlns='http://www.w3.org/2000/svg'><title>{width}</title></svg>\" > $RUNNER_OUTPUT_PLOT; echo '# {width}' > $RUNNER_OUTPUT_TEXT"]
outputs = { note = "file", model = "file", plot = "figure", text = "text" }
"#;

/// All files below a folder, by path.
fn files(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| entry.path().strip_prefix(folder).unwrap().display().to_string())
        .collect()
}

fn json(lab: &Lab, words: &str, code: i32) -> Value {
    serde_json::from_str(&lab.stdout(&format!("{words} --json"), code)).unwrap()
}

/// How often each state is in the answer.
fn states(answer: &Value) -> String {
    let count = |state: &str| {
        answer["artifacts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|artifact| artifact["state"] == state)
            .count()
    };
    format!(
        "{} written, {} same, {} replaced",
        count("written"),
        count("same"),
        count("replaced")
    )
}

#[test]
fn artifacts_have_the_names_of_their_variants_and_fit_a_second_time() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml", 0);
    let text = lab.stdout("get x.toml fit --variant seed=1 --to out", 0);
    assert!(text.contains("\nwrote 8 artifacts (") && text.ends_with(" B) into out\n"), "{text}");
    let out = lab.path().join("out");
    assert_eq!(
        files(&out),
        [
            "width=1,seed=1/model/w",
            "width=1,seed=1/note",
            "width=1,seed=1/plot.svg",
            "width=1,seed=1/text.md",
            "width=16,seed=1/model/w",
            "width=16,seed=1/note",
            "width=16,seed=1/plot.svg",
            "width=16,seed=1/text.md",
        ]
    );
    assert_eq!(std::fs::read_to_string(out.join("width=16,seed=1/note")).unwrap(), "16 1\n");
    assert_eq!(
        lab.stdout("get x.toml fit --variant seed=1 --to out", 0),
        "nothing to write: out has the same already (8 artifacts)\n"
    );
    // What others have put there stays.
    lab.write("out/mine", "1");
    let more = json(&lab, "get x.toml fit.note --to out", 0);
    assert_eq!(states(&more), "2 written, 2 same, 0 replaced");
    assert!(out.join("mine").exists() && out.join("width=16,seed=2/note").exists());
    // Several stages have folders of their own.
    lab.stdout("get x.toml --to all", 0);
    let all = files(&lab.path().join("all"));
    assert!(all.contains(&"data/train.jsonl".to_owned()), "{all:?}");
    assert!(all.contains(&"width=16,seed=2/fit/plot.svg".to_owned()), "{all:?}");
}

#[test]
fn what_differs_is_refused_unless_it_is_forced() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml", 0);
    lab.stdout("get x.toml fit --variant seed=1 --variant width=1 --to out", 0);
    let place = lab.path().join("out/width=1,seed=1");
    // A copy may be written to, and the store keeps what it has.
    std::fs::write(place.join("note"), "mine").unwrap();
    std::fs::write(place.join("model/w"), "mine").unwrap();
    let output = lab.output("get x.toml fit --variant seed=1 --to out");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(
        error,
        "error: there is something else at out/width=1,seed=1/model, out/width=1,seed=1/note: nothing was written; `--force` replaces it\n"
    );
    assert!(!lab.path().join("out/width=16,seed=1").exists());
    let forced = json(&lab, "get x.toml fit --variant seed=1 --to out --force", 0);
    assert_eq!(states(&forced), "4 written, 2 same, 2 replaced");
    assert_eq!(std::fs::read_to_string(place.join("note")).unwrap(), "1 1\n");
    assert_eq!(
        files(&place),
        ["model/w", "note", "plot.svg", "text.md"],
        "nothing is left beside them"
    );
    lab.stdout("cache verify", 0);
}

#[test]
fn nothing_outside_of_the_folder_is_touched() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml", 0);
    for folder in ["out", "away"] {
        std::fs::create_dir(lab.path().join(folder)).unwrap();
    }
    std::os::unix::fs::symlink("../away", lab.path().join("out/width=1,seed=1")).unwrap();
    let output = lab.output("get x.toml fit --to out --force");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("out/width=1,seed=1: it is no folder"), "{error}");
    assert_eq!(files(&lab.path().join("away")), [""; 0]);
    lab.stdout("get x.toml fit --to cache/out", 2);
    lab.stdout("get x.toml fit --to nowhere/../cache/out", 2);
    lab.stdout("get x.toml fit --to=", 2);
    lab.stdout("cache verify", 0);
}

#[test]
fn stages_that_have_not_run_are_named() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml --variant width=1", 0);
    let answer = json(&lab, "get x.toml fit.note --to out", 4);
    assert_eq!(states(&answer), "2 written, 0 same, 0 replaced");
    assert_eq!(answer["missing"].as_array().unwrap().len(), 2, "{answer}");
    lab.stdout("get x.toml fit", 4);
    lab.stdout("get x.toml", 2);
    lab.stdout("get x.toml fit.nothing --to out", 4);
}

#[test]
fn what_was_imported_keeps_its_ending() {
    let lab = Lab::new("[sources.raw]\npath = 'raw.csv'\n\n[stages.raw]\nkind = 'import'\ntype = 'file'\nsource = 'raw'\n");
    lab.write("raw.csv", "a,b\n");
    lab.stdout("run x.toml", 0);
    lab.stdout("get x.toml --to out", 0);
    assert_eq!(files(&lab.path().join("out")), ["file.csv"]);
}
