//! Keeping house: what goes, what stays, what is damaged; and never a failed run.

use serde_json::Value;

use crate::lab::{LOOP, Lab, count};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn gc_says_first_and_removes_only_when_asked_and_keeps_what_is_named() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    let young = json(&lab.stdout("cache gc --older-than 0s --json", 0));
    assert_eq!(young["records"].as_array().unwrap().len(), 0, "an hour of grace");
    let all = json(&lab.stdout("cache gc --older-than 0s --grace 0s --json", 0));
    assert_eq!(all["records"].as_array().unwrap().len(), digests.len());
    assert_eq!(lab.digests("cache"), digests, "nothing is removed unless it is asked for");
    let text = lab.stdout("cache gc --older-than 0s --grace 0s", 0);
    assert!(text.contains("can be deleted") && text.contains("--delete"), "{text}");
    lab.write("y.toml", &LOOP.replace("rate = 3e-3", "rate = 2e-3"));
    lab.stdout("cache gc --keep y.toml --grace 0s --delete", 0);
    assert_eq!(
        count(&lab.summary("run x.toml", 0), "ran"),
        8,
        "the two standard models, their answers and their scores"
    );
    lab.stdout("cache protect x.toml", 0);
    assert!(lab.stdout("cache protected", 0).contains("x.toml: 14 stages"));
    lab.stdout("cache gc --max-size 0 --grace 0s --delete", 0);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
    lab.stdout("cache unprotect x.toml", 0);
    lab.stdout("cache gc --max-size 0 --grace 0s --delete", 0);
    assert_eq!(json(&lab.stdout("cache size --json", 0))["object_bytes"], 0);
    // What is left then, if anything, is the record of an empty data set.
    lab.stdout("cache gc --older-than 0s --grace 0s --delete", 0);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 14);
    assert_eq!(lab.digests("cache"), digests);
}

#[test]
fn gc_beside_a_run_fails_nothing() {
    let lab = Lab::new(&LOOP.replace("steps = 30", "steps = 200"));
    lab.stdout("run x.toml --store quiet", 0);
    let mut run = lab.start("run x.toml --store shared");
    let out = run.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(out).unwrap());
    // Without a store there is nothing to clean, which is an error.
    while !lab.path().join("shared").exists() {
        assert!(run.try_wait().unwrap().is_none(), "the run ended without a store");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // Without grace: what a worker has put into the store a moment ago may go before its record is written.
    while run.try_wait().unwrap().is_none() {
        lab.stdout("cache gc --older-than 0s --grace 0s --delete --store shared", 0);
    }
    let events = reader.join().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0), "{events}");
    assert_eq!(count(&lab.summary("run x.toml --store shared", 0), "failed"), 0);
    assert_eq!(lab.digests("shared"), lab.digests("quiet"));
}

#[test]
fn what_is_damaged_is_found_thrown_out_and_made_again() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    assert!(lab.stdout("cache verify", 0).contains("all are intact"));
    let object = |outputs: &Value, port: &str| lab.object("cache", outputs[port]["digest"].as_str().unwrap());
    let with = |port: &str| {
        digests
            .values()
            .filter(|outputs| outputs.get(port).is_some())
            .map(|outputs| object(outputs, port))
            .next()
            .unwrap()
    };
    let replace = |path: &std::path::Path, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let bytes = change(std::fs::read(path).unwrap());
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    replace(&with("train"), &|bytes| bytes[..bytes.len() / 2].to_vec());
    let flip = |mut bytes: Vec<u8>| {
        bytes[100] ^= 1;
        bytes
    };
    replace(&with("model").join("model.safetensors"), &flip);
    let records: Vec<std::path::PathBuf> = digests.keys().map(|key| lab.record("cache", key)).collect();
    replace(&records[0], &|bytes| bytes[..bytes.len() / 2].to_vec());
    let other = std::fs::read(&records[2]).unwrap();
    replace(&records[1], &|_| other.clone());
    let found = json(&lab.stdout("cache verify --json", 5));
    let problems: Vec<String> = found["damaged"]
        .as_array()
        .unwrap()
        .iter()
        .map(|damage| damage["problem"].to_string())
        .collect();
    assert_eq!(problems.len(), 4, "{problems:?}");
    for expected in ["not a record", "the record of another stage", "its content is another"] {
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "{expected}: {problems:?}"
        );
    }
    lab.stdout("cache repair", 0);
    lab.stdout("cache verify", 0);
    let summary = lab.summary("run x.toml", 0);
    // All stages read the problems or what was made from them, but where a record was unreadable, nothing tells what was made from it.
    assert!((6..=14).contains(&count(&summary, "ran")), "{summary}");
    assert_eq!(lab.digests("cache"), digests);
}

#[test]
fn stages_run_again_put_out_the_same_and_a_record_of_something_else_is_told() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    let all = json(&lab.stdout("cache verify --rerun 100 --json", 0));
    let outcomes = all["stages"].as_array().unwrap();
    assert_eq!(outcomes.len(), digests.len());
    assert!(outcomes.iter().all(|stage| stage["outcome"] == "identical"), "{all}");
    assert_eq!(lab.digests("cache"), digests, "nothing is written to the store");
    assert!(lab.stdout("cache verify --rerun 2", 0).contains("2 stages run again: 2 identical"));

    let filtered = outcomes
        .iter()
        .find(|stage| stage["stage"].as_str().unwrap().starts_with("skips"))
        .unwrap();
    let key = filtered["key"].as_str().unwrap();
    let path = lab.record("cache", &format!("{key}.json"));
    let mut record = json(&std::fs::read_to_string(&path).unwrap());
    let data = digests.values().find_map(|outputs| outputs.get("train")).unwrap();
    let (port, artifact) = record["outputs"].as_object_mut().unwrap().iter_mut().next().unwrap();
    assert_ne!(artifact, data, "{port}");
    *artifact = data.clone();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, record.to_string()).unwrap();
    let text = lab.stdout(&format!("cache verify --rerun 1 {}", &key[..12]), 5);
    assert!(text.contains("1 different"), "{text}");
}

/// `b` and `c` copy what `a` wrote; `d` counts the bytes of the copies.
const COPIES: &str = r#"
[stages.a]
kind    = "command"
run     = ["sh", "-c", "mkdir $RUNNER_OUTPUT_X; for i in 1 2 3; do echo $i > $RUNNER_OUTPUT_X/f$i; done; : > $RUNNER_OUTPUT_X/empty"]
outputs = { x = "file" }

[stages.b]
kind    = "command"
run     = ["sh", "-c", "cat $RUNNER_INPUT_D/* > $RUNNER_OUTPUT_X"]
inputs  = { d = "a" }
outputs = { x = "file" }

[stages.c]
kind    = "command"
run     = ["sh", "-c", "wc -c < $RUNNER_INPUT_D > $RUNNER_OUTPUT_X"]
inputs  = { d = "b" }
outputs = { x = "file" }
"#;

/// The content of a stage's output, which is one file.
fn content(lab: &Lab, stage: &str) -> String {
    std::fs::read_to_string(lab.stdout(&format!("get x.toml {stage}"), 0).trim()).unwrap()
}

#[test]
fn a_folder_that_lacks_a_file_is_no_hit() {
    let lab = Lab::new(COPIES);
    for name in ["f2", "empty"] {
        lab.stdout("run x.toml a", 0);
        let folder = lab.stdout("get x.toml a", 0);
        std::fs::remove_file(std::path::Path::new(folder.trim()).join(name)).unwrap();
        assert_eq!(lab.plan("x.toml a")["a {}"]["state"], "run", "without {name}");
        assert_eq!(count(&lab.summary("run x.toml a", 0), "ran"), 1);
    }
    lab.stdout("run x.toml", 0);
    assert_eq!((content(&lab, "b"), content(&lab, "c")), ("1\n2\n3\n".to_owned(), "6\n".to_owned()));
    lab.stdout("cache verify", 0);
}

#[test]
fn what_was_made_from_damage_does_not_stay() {
    let lab = Lab::new(COPIES);
    lab.stdout("run x.toml a", 0);
    let folder = lab.stdout("get x.toml a", 0);
    let file = std::path::Path::new(folder.trim()).join("f2");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "X\n").unwrap();
    lab.stdout("run x.toml", 0);
    assert_eq!(content(&lab, "b"), "1\nX\n3\n", "nobody has looked");
    let found = json(&lab.stdout("cache verify --json", 5));
    let derived = found["derived"].as_array().unwrap().iter();
    let mut stages: Vec<&str> = derived.map(|derived| derived["stage"].as_str().unwrap()).collect();
    stages.sort_unstable();
    assert_eq!((found["damaged"].as_array().unwrap().len(), stages), (1, vec!["b", "c"]));
    let text = lab.stdout("cache repair", 0);
    assert!(text.contains("of `b`: made from the artifact"), "{text}");
    assert!(
        text.contains("repaired 1 that were damaged, and 2 records derived from them"),
        "{text}"
    );
    assert_eq!(lab.digests("cache").len(), 1, "the record of `a`");
    assert_eq!(json(&lab.stdout("cache size --json", 0))["object_bytes"], 0);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    assert_eq!((content(&lab, "b"), content(&lab, "c")), ("1\n2\n3\n".to_owned(), "6\n".to_owned()));
    lab.stdout("cache verify", 0);
}
