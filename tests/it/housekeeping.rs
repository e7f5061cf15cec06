//! Keeping house: what goes, what stays, what is damaged; and never a failed run.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{LOOP, Lab, count, warnings};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn gc_says_first_and_removes_only_when_asked_and_keeps_what_is_named() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    let young = json(&lab.stdout("cache gc --older-than 0s --forget --json", 0));
    assert_eq!(young["records"].as_array().unwrap().len(), 0, "an hour of grace");
    let all = json(&lab.stdout("cache gc --older-than 0s --grace 0s --forget --json", 0));
    assert_eq!(all["records"].as_array().unwrap().len(), digests.len());
    assert_eq!(lab.digests("cache"), digests, "nothing is removed unless it is asked for");
    let text = lab.stdout("cache gc --older-than 0s --grace 0s --forget", 0);
    assert!(text.contains("can be deleted") && text.contains("--delete"), "{text}");
    lab.write("y.toml", &LOOP.replace("rate = 3e-3", "rate = 2e-3"));
    lab.stdout("cache gc --forget", 2);
    lab.stdout("cache gc --keep y.toml --grace 0s --forget --delete", 0);
    assert_eq!(
        count(&lab.summary("run x.toml", 0), "ran"),
        8,
        "the two standard models, their answers and their scores"
    );
    lab.stdout("cache protect x.toml", 0);
    assert!(lab.stdout("cache protected", 0).contains("x.toml: 14 stages"));
    lab.stdout("cache gc --max-size 0 --grace 0s --forget --delete", 0);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
    lab.stdout("cache unprotect x.toml", 0);
    lab.stdout("cache gc --max-size 0 --grace 0s --forget --delete", 0);
    assert_eq!(json(&lab.stdout("cache size --json", 0))["object_bytes"], 0);
    // What is left then, if anything, is the record of an empty data set.
    lab.stdout("cache gc --older-than 0s --grace 0s --forget --delete", 0);
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
    while !lab.path().join("shared/v1/files").exists() {
        assert!(run.try_wait().unwrap().is_none(), "the run ended without a store");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Without grace: what a worker has put into the store a moment ago may go before its record is written.
    let mut forget = ["", " --forget"].into_iter().cycle();
    while run.try_wait().unwrap().is_none() {
        let forget = forget.next().unwrap();
        lab.stdout(&format!("cache gc --older-than 0s --grace 0s --delete --store shared{forget}"), 0);
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

/// The loop, whose models may go as soon as they have been used.
fn loop_without_models() -> Lab {
    Lab::new(&format!("{LOOP}\n[defaults.train]\nkeep_outputs = \"never\"\n"))
}

/// All that a report prints and writes.
fn reports(lab: &Lab) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for words in ["", "--format json", "--format csv", "--table training", "--table data"] {
        all.push(lab.stdout(&format!("report x.toml {words}"), 0).into_bytes());
    }
    lab.stdout("report x.toml --html page.html --plots plots", 0);
    all.push(std::fs::read(lab.path().join("page.html")).unwrap());
    let mut plots: Vec<_> = std::fs::read_dir(lab.path().join("plots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    plots.sort();
    assert!(
        plots
            .iter()
            .any(|path| path.to_string_lossy().contains("curve") || path.to_string_lossy().contains("training")),
        "{plots:?}"
    );
    all.extend(plots.iter().map(|path| std::fs::read(path).unwrap()));
    all
}

/// The ports of stages whose outputs are deleted, and the stages that run again for that.
fn deleted(lab: &Lab, words: &str) -> (Vec<String>, Vec<String>) {
    let plan = lab.plan(words);
    let of = |holds: &dyn Fn(&Value) -> bool| {
        let stages = plan.iter().filter(|(_, stage)| holds(stage));
        stages
            .map(|(name, _)| name.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    (
        of(&|stage| !stage["deleted"].as_array().unwrap().is_empty()),
        of(&|stage| stage["again"] == true),
    )
}

#[test]
fn after_gc_of_all_models_the_report_is_the_same_and_only_what_is_needed_runs() {
    let lab = loop_without_models();
    lab.stdout("run x.toml", 0);
    let (before, digests) = (reports(&lab), lab.digests("cache"));
    let listed = lab.stdout("cache gc --grace 0s", 0);
    assert!(
        listed.contains("standard[1] seed=1") && listed.contains("the records stay"),
        "{listed}"
    );
    let removed = json(&lab.stdout("cache gc --grace 0s --delete --json", 0));
    assert_eq!(removed["removed"]["records"], 3, "{removed}");
    let models = ["numbered[0]", "standard[0]", "standard[1]"].map(str::to_owned);
    assert_eq!(deleted(&lab, "x.toml"), (models.to_vec(), Vec::new()));
    assert_eq!(reports(&lab), before, "byte for byte");
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0, "everything is a hit");
    lab.stdout("cache verify", 0);

    // A further iteration trains on what is there. (What comes out as before is not computed again.)
    let more = lab.summary("run x.toml --set iterations=2", 0);
    assert_eq!(count(&more, "failed"), 0, "{more}");
    assert!((1..=7).contains(&count(&more, "ran")), "{more}");
    assert_eq!(deleted(&lab, "x.toml").0, models, "none of the old models was computed again");

    // Other scores need the old models.
    let other = "x.toml --set stages.score[k].max_tokens=13";
    let (_, again) = deleted(&lab, other);
    assert_eq!(again, ["standard[0]", "standard[1]"]);
    let text = lab.stdout(&format!("plan {other}"), 0);
    assert!(
        text.contains("2 of the hits run again only because gc deleted what they put out"),
        "{text}"
    );
    assert!(text.contains("gc deleted `model`, and `score[0]"), "{text}");
    let ran = lab.summary(&format!("run {other}"), 0);
    let trained = lab.stdout("cache gc --grace 0s --json", 0);
    assert_eq!(count(&ran, "failed"), 0);
    assert!(
        trained.contains("standard[0]") && trained.contains("standard[1]"),
        "both are there again"
    );
    for (key, outputs) in &digests {
        assert_eq!(
            lab.digests("cache").get(key),
            Some(outputs),
            "what was computed again came out the same"
        );
    }
}

#[test]
fn the_strongest_wish_of_all_experiments_wins() {
    let lab = loop_without_models();
    lab.stdout("run x.toml", 0);
    let free = || {
        json(&lab.stdout("cache gc --grace 0s --json", 0))["records"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(free(), 3);
    lab.write("y.toml", LOOP);
    assert_eq!(count(&lab.summary("run y.toml", 0), "ran"), 0);
    assert_eq!(free(), 0, "the other experiment has not said that they may go");
    let asked = "cache gc --grace 0s --older-than 0s --json";
    let stages = |listed: &Value| {
        let stages = listed["records"].as_array().unwrap().iter();
        stages
            .map(|record| record["stage"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(stages(&json(&lab.stdout(asked, 0))).contains(&"standard[0]".to_owned()));
    let rate = "learning_rate = \"{rate}\"\n";
    lab.write(
        "y.toml",
        &LOOP.replace(rate, &format!("{rate}keep_outputs = {{ model = \"always\" }}\n")),
    );
    assert_eq!(count(&lab.summary("run y.toml", 0), "ran"), 0, "it is in no key");
    let listed = json(&lab.stdout(asked, 0));
    assert!(!stages(&listed).contains(&"standard[0]".to_owned()), "{listed}");
    assert!(listed["wished_bytes"].as_u64().unwrap() > 0);
    lab.stdout("cache unprotect y.toml", 0);
    assert_eq!(free(), 3);
    for (text, expected) in [
        ("\"7 days\"", "expected \"always\", \"results\", \"never\" or a time"),
        ("7", "or a time such as"),
        ("{ weights = \"7d\" }", "no output `weights` to keep"),
    ] {
        lab.write("y.toml", &format!("{LOOP}\n[defaults.train]\nkeep_outputs = {text}\n"));
        let output = lab.output("plan y.toml");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains(expected), "{error}");
    }
}

#[test]
fn a_deleted_artifact_that_is_asked_for_is_computed_again() {
    let lab = loop_without_models();
    lab.stdout("run x.toml", 0);
    let path = lab.stdout("get x.toml standard[0]", 0);
    lab.stdout("cache gc --grace 0s --delete", 0);
    let output = lab.output("get x.toml standard[0]");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(4) && error.contains("gc deleted `standard[0]"),
        "{error}"
    );
    assert!(error.contains("runner run x.toml"), "{error}");
    assert!(lab.stdout("plan x.toml standard[0]", 0).contains("which is asked for"));
    let ran = lab.summary("run x.toml standard[0]", 0);
    assert_eq!((count(&ran, "ran"), count(&ran, "cached")), (1, 2), "{ran}");
    assert_eq!(lab.stdout("get x.toml standard[0]", 0), path);
}

#[test]
fn a_deleted_artifact_comes_back_from_a_remote() {
    let lab = loop_without_models();
    std::fs::create_dir(lab.path().join("elsewhere")).unwrap();
    let remote = format!("file://{}", lab.path().join("elsewhere").display());
    lab.write(
        "runner.toml",
        &format!("[settings]\nremotes = [{{ url = \"{remote}\", access = \"read-write\" }}]\n"),
    );
    lab.stdout("run x.toml", 0);
    lab.stdout("cache push x.toml", 0);
    lab.stdout("cache gc --grace 0s --delete", 0);
    let pushed = json(&lab.stdout("cache push x.toml --json", 0));
    assert_eq!(
        (&pushed["deleted"], &pushed["failed"]),
        (&Value::from(3), &Value::Array(Vec::new())),
        "{pushed}"
    );
    let other = "x.toml --set stages.score[k].max_tokens=13";
    assert_eq!(deleted(&lab, other).1, [""; 0], "a remote has what is needed");
    let events = lab.stdout(&format!("run {other} --json"), 0);
    let trained = events
        .lines()
        .map(json)
        .filter(|event| event["event"] == "started" && event["kind"] == "train");
    assert_eq!(trained.count(), 0);
    assert!(events.contains("\"brought\""));
}

/// `a` writes what nobody can foresee; `b` adds a line to it. `c` needs both.
const CHANCE: &str = r#"
[stages.a]
kind    = "command"
run     = ["sh", "-c", "head -c 9000 /dev/urandom > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
keep_outputs = "never"

[stages.b]
kind    = "command"
run     = ["sh", "-c", "cat $RUNNER_INPUT_D > $RUNNER_OUTPUT_X; echo b >> $RUNNER_OUTPUT_X"]
inputs  = { d = "a" }
outputs = { x = "file" }
"#;

const CHANCE_COMPARED: &str = r#"
[stages.c]
kind    = "command"
run     = ["sh", "-c", "head -c 9000 $RUNNER_INPUT_E | cmp - $RUNNER_INPUT_D && echo same > $RUNNER_OUTPUT_X"]
inputs  = { d = "a", e = "b" }
outputs = { x = "file" }
"#;

#[test]
fn what_comes_out_otherwise_is_told_and_never_mixed() {
    let lab = Lab::new(CHANCE);
    lab.stdout("run x.toml", 0);
    lab.stdout("cache gc --grace 0s --delete", 0);
    assert_eq!(deleted(&lab, "x.toml").0, ["a"]);
    lab.write("x.toml", &format!("{CHANCE}{CHANCE_COMPARED}"));
    let events = lab.stdout("run x.toml --json", 0);
    let told = warnings(&events);
    assert!(
        told.iter()
            .any(|told| told.contains("`a` is not deterministic") && told.contains("1 record (`b`)")),
        "{told:?}"
    );
    let summary = json(events.lines().last().unwrap());
    assert_eq!(
        (count(&summary, "ran"), count(&summary, "cached"), count(&summary, "failed")),
        (3, 0, 0),
        "{events}"
    );
    assert_eq!(content(&lab, "c"), "same\n");
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
}

#[test]
fn where_results_are_deleted_by_name_their_numbers_stay() {
    let lab = Lab::new(&format!(
        "{LOOP}\n[defaults.eval]\nkeep_outputs = {{ metrics = \"never\" }}\n[defaults.sample]\nkeep_outputs = \"never\"\n"
    ));
    lab.stdout("run x.toml", 0);
    let table = lab.stdout("report x.toml --format csv", 0);
    lab.stdout("report x.toml --html before.html", 0);
    let removed = json(&lab.stdout("cache gc --grace 0s --delete --json", 0));
    assert!(removed["removed"]["records"].as_u64().unwrap() > 0, "{removed}");
    assert_eq!(lab.stdout("report x.toml --format csv", 0), table);
    let output = lab.output("report x.toml --html after.html");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("deleted by gc"), "{told}");
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
}

#[test]
fn a_tombstone_that_is_lost_is_a_miss() {
    let lab = loop_without_models();
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    lab.stdout("cache gc --grace 0s --delete", 0);
    // To an earlier version of the program, the store is as without them.
    std::fs::remove_dir_all(lab.path().join("cache/v1/gone")).unwrap();
    assert_eq!(lab.plan("x.toml")["standard[0] {\"seed\":\"1\"}"]["state"], "run");
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    assert_eq!(lab.digests("cache"), digests);
}

/// Forty stages with outputs that are worth deleting.
const MANY: &str = r#"
[stages."a[k]"]
for.k   = "1..=40"
kind    = "command"
run     = ["sh", "-c", "yes {k} | head -c 20000 > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
keep_outputs = "never"
"#;

#[test]
fn a_gc_that_is_killed_leaves_hits_alone() {
    let lab = Lab::new(MANY);
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    for milliseconds in [3, 6, 9, 12, 15, 20, 25, 30, 40, 60] {
        let mut command = lab.command("cache gc --grace 0s --delete");
        let mut gc = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        gc.kill().unwrap();
        gc.wait().unwrap();
        assert_eq!(lab.keys("x.toml").len(), 40, "after {milliseconds} ms every stage is a hit");
    }
    lab.stdout("cache gc --grace 0s --delete", 0);
    assert_eq!(json(&lab.stdout("cache size --json", 0))["object_bytes"], 0);
    assert_eq!((deleted(&lab, "x.toml").0.len(), lab.digests("cache")), (40, digests));
    lab.stdout("cache verify", 0);
    assert_eq!(count(&lab.summary("run x.toml a[7]", 0), "ran"), 1);
}
