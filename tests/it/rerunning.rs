//! `runner cache verify --rerun`: programs are run again, and what is not deterministic is told.

use serde_json::Value;

use super::lab::Lab;

/// A script from a source, a script of the stage's own, and a program whose output differs each time.
const EXPERIMENT: &str = r#"
[sources.code]
path = "src"

[stages.fit]
kind = "command"
run = ["sh", "fit.sh"]
source = "code"
outputs = { model = "file" }

[stages.count]
kind = "command"
run = ["sh", "scripts/count.sh"]
inputs = { model = "fit" }
outputs = { lines = "file" }

[stages.chance]
kind = "command"
run = ["sh", "-c", "mkdir $RUNNER_OUTPUT_X; echo 1 > $RUNNER_OUTPUT_X/a; od -N 16 -x /dev/urandom > $RUNNER_OUTPUT_X/b; echo 1 > $RUNNER_OUTPUT_NOTE"]
outputs = { x = "file", note = "file" }
"#;

fn lab() -> Lab {
    let lab = Lab::new(EXPERIMENT);
    for folder in ["src", "scripts"] {
        std::fs::create_dir(lab.path().join(folder)).unwrap();
    }
    lab.write("src/fit.sh", "mkdir $RUNNER_OUTPUT_MODEL; cat part.txt > $RUNNER_OUTPUT_MODEL/w\n");
    lab.write("src/part.txt", "1\n2\n");
    lab.write("scripts/count.sh", "wc -l < $RUNNER_INPUT_MODEL/w > $RUNNER_OUTPUT_LINES\n");
    lab
}

fn outcomes(lab: &Lab, words: &str, code: i32) -> Vec<String> {
    let answer: Value = serde_json::from_str(&lab.stdout(&format!("cache verify --rerun 9 {words} --json"), code)).unwrap();
    let stages = answer["stages"].as_array().unwrap().iter();
    let mut outcomes: Vec<String> = stages
        .map(|stage| {
            let word = |field: &str| stage[field].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {}",
                word("stage"),
                word("outcome"),
                stage["differences"],
                stage["deterministic"]
            )
        })
        .collect();
    outcomes.sort();
    outcomes
}

#[test]
fn programs_run_again_with_the_code_that_their_experiment_locates() {
    let lab = lab();
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    let chance = r#"chance different [{"file":"b","port":"x"}] false"#;
    assert_eq!(
        outcomes(&lab, "--experiment x.toml", 5),
        [chance, "count identical [] null", "fit identical [] null"]
    );
    assert_eq!(lab.digests("cache"), digests, "nothing is written to the store");
    // Records do not say where code is.
    let output = lab.output("cache verify --rerun 9");
    let (said, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        said.contains("output `x` differs (first in `b`); two runs here differ, too: the stage is not deterministic"),
        "{said}"
    );
    assert!(said.contains("1 stages run again: 0 identical"), "{said}");
    assert!(warned.contains("passed over 2 stages of programs"), "{warned}");
    lab.stdout("cache verify --set a=1", 2);
    lab.stdout("cache verify --experiment x.toml", 2);
}

#[test]
fn code_that_is_not_there_any_more_is_told() {
    let lab = lab();
    lab.stdout("run x.toml", 0);
    lab.write("src/part.txt", "3\n");
    let output = lab.output("cache verify --rerun 9 --experiment x.toml");
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(warned.contains("fit has no record as it is now: `part.txt` changed: "), "{warned}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("  fit, "), "{said}");
}
