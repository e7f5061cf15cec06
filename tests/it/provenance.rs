//! From an artifact or a number back to what made it.

use serde_json::Value;

use crate::lab::{LOOP, Lab};

#[test]
fn a_record_is_shown_by_its_key_its_stage_and_its_output() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let shown: Value = serde_json::from_str(&lab.stdout("show x.toml numbered[0] --json", 0)).unwrap();
    let (key, record) = (shown["key"].as_str().unwrap(), &shown["record"]);
    assert_eq!((&record["stage"], &record["experiment"]), (&"numbered[0]".into(), &"loop".into()));
    let provenance = &record["provenance"];
    assert!(provenance["cpu_seconds"].as_f64().unwrap() > 0.0 && provenance["peak_memory"].as_u64().unwrap() > 1 << 20);
    assert_eq!(provenance["build"].as_str().map(str::len), Some(64));
    assert_ne!(provenance["user"], "");
    let text = lab.stdout(&format!("show {}", &key[..12]), 0);
    for expected in ["numbered[0] (seed=1) of loop", "from mixed[0].data", "model.width = 16", "of CPU"] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let digest = record["outputs"]["model"]["digest"].as_str().unwrap();
    let text = lab.stdout(&format!("show {}", &digest[..10]), 0);
    for expected in [
        "a folder of",
        "model.safetensors",
        "numbered[0].model (seed=1) of loop",
        "answers[1].model (seed=1) of loop",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    std::fs::remove_dir_all(lab.object("cache", digest)).unwrap();
    let text = lab.stdout(&format!("show {digest}"), 0);
    assert!(
        text.contains("not in this store") && text.contains("`runner get FILE 'numbered[0].model'` with the file of `loop`"),
        "{text}"
    );
}

#[test]
fn what_is_not_there_is_said() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml problems", 0);
    for (words, code, expected) in [
        ("show x.toml score[0]", 4, "`runner plan x.toml` gives the reason"),
        ("show x.toml", 2, "name a stage of x.toml"),
        ("show abc", 2, "too short"),
        ("show abcdef", 4, "no artifact or record in"),
        ("show nothing", 2, "neither the start of a digest"),
        ("show x.toml score", 2, "score[0]"),
        ("why x.toml nothing", 4, "no stage has metrics yet"),
    ] {
        let output = lab.output(words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words}: {text}");
        assert!(text.contains(expected), "{words}: {text}");
    }
}

#[test]
fn a_number_is_followed_to_its_sources() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let text = lab.stdout("why x.toml accuracy", 0);
    for expected in [
        "accuracy = ",
        " on in_domain",
        "score[1] (seed=1): measure",
        "train of problems",
        "task = \"addition\"",
        "(above)",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let why: Value = serde_json::from_str(&lab.stdout("why x.toml score[1] --json", 0)).unwrap();
    let chain = &why["chains"][0];
    let numbers = chain["numbers"].as_array().unwrap();
    assert!(
        numbers
            .iter()
            .any(|number| number["metric"] == "average_steps" && number["data"] == "ood_easy")
    );
    let stages: Vec<&str> = chain["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!((stages[0], stages.len()), ("score[1]", 10), "{stages:?}");
    assert!(stages.contains(&"problems") && stages.contains(&"skips[1]") && !stages.contains(&"standard[0]"));
}
