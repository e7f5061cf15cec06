//! Artifacts that go from the store while a run needs them: they are made again, and nothing fails.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::lab::{LOOP, Lab, count};

#[test]
fn an_artifact_lost_during_a_run_is_made_again_and_the_run_ends_well() {
    let lab = Lab::new(&LOOP.replace("steps = 30", "steps = 400"));
    lab.stdout("run x.toml --store quiet", 0);
    let digests = lab.digests("quiet");
    let is_problems = |outputs: &&Value| outputs.get("in_domain").is_some();
    let problems = digests.values().find(is_problems).unwrap();
    let mut run = lab.start("run x.toml --store shared --jobs 1");
    let mut events = BufReader::new(run.stdout.take().unwrap()).lines();
    let is_training = |line: &String| line.contains("\"started\"") && line.contains("\"train\"");
    events.by_ref().map_while(Result::ok).find(is_training).unwrap();
    // The trained models are to be evaluated on these, which nobody reads before.
    for port in ["in_domain", "ood_easy"] {
        let digest = problems[port]["digest"].as_str().unwrap();
        std::fs::remove_file(lab.object("shared", digest)).unwrap();
    }
    let rest: Vec<Value> = events.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(run.wait().unwrap().code(), Some(0), "{rest:?}");
    let lost: Vec<&Value> = rest.iter().filter(|event| event["event"] == "lost").collect();
    assert_eq!((lost.len(), &lost[0]["stage"]), (1, &Value::from("problems")), "{lost:?}");
    let summary = rest.last().unwrap();
    assert_eq!(
        (count(summary, "ran"), count(summary, "cached"), count(summary, "failed")),
        (count(summary, "stages"), 0, 0)
    );
    assert_eq!(lab.digests("shared"), digests);
    assert_eq!(count(&lab.summary("run x.toml --store shared", 0), "ran"), 0);
}
