//! Runs of the whole loop: nothing computed twice, nothing lost, the same bytes whatever happens.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{LOOP, Lab, count};

/// The stages of [`LOOP`]: problems, two mixes, a numbered model, its answers, the skips kept, two standard models and their scores.
const STAGES: u64 = 14;

#[test]
fn a_second_run_is_all_hits_and_a_change_runs_only_what_depends_on_it() {
    let lab = Lab::new(LOOP);
    let first = lab.summary("run x.toml", 0);
    assert_eq!((count(&first, "stages"), count(&first, "ran")), (STAGES, STAGES));
    let second = lab.summary("run x.toml", 0);
    assert_eq!((count(&second, "cached"), count(&second, "ran")), (STAGES, 0));
    lab.write("x.toml", &LOOP.replace("rate = 3e-3", "rate = 2e-3"));
    let planned = lab.plan("x.toml");
    let mut work: Vec<&str> = planned
        .iter()
        .filter(|(_, stage)| stage["state"] != "hit")
        .map(|(name, _)| name.as_str())
        .collect();
    work.retain(|name| !name.starts_with("standard[") && !name.starts_with("score["));
    assert_eq!(work, [""; 0], "only the standard models and their scores");
    let reason = planned["standard[0] {\"seed\":\"1\"}"]["reason"].as_str().unwrap();
    assert_eq!(reason, "param `learning_rate` changed: 3e-3 → 2e-3");
    let third = lab.summary("run x.toml", 0);
    // Where two models answer the same, their answers are measured once.
    assert!((6..=8).contains(&count(&third, "ran")), "{third}");
    assert_eq!(count(&third, "cached") + count(&third, "ran"), STAGES);
}

#[test]
fn seeds_share_the_problems() {
    let lab = Lab::new(&LOOP.replace("seed = [1]", "seed = [1, 2]"));
    let summary = lab.summary("run x.toml", 0);
    assert_eq!(count(&summary, "stages"), 1 + 2 * 13);
    assert_eq!(count(&summary, "ran"), 1 + 2 * 13);
}

#[test]
fn jobs_and_threads_do_not_change_a_byte() {
    let lab = Lab::new(LOOP);
    for (store, flags) in [
        ("a", "--jobs 1 --threads 1"),
        ("b", "--jobs 2 --threads 2"),
        ("c", "--jobs 1 --threads 2"),
        ("d", "--jobs 3 --threads 4"),
    ] {
        lab.summary(&format!("run x.toml --store {store} {flags}"), 0);
    }
    let digests = lab.digests("a");
    assert_eq!(digests.len() as u64, STAGES);
    assert!(["b", "c", "d"].iter().all(|store| lab.digests(store) == digests));
}

#[test]
fn two_runs_at_once_compute_nothing_twice() {
    let lab = Lab::new(LOOP);
    let runs = [lab.start("run x.toml"), lab.start("run x.toml")];
    let summaries = runs.map(|run| {
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let out = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str::<Value>(out.lines().last().unwrap()).unwrap()
    });
    let ran: u64 = summaries.iter().map(|summary| count(summary, "ran")).sum();
    assert_eq!(ran, STAGES, "{summaries:?}");
    assert!(
        summaries
            .iter()
            .all(|summary| count(summary, "ran") + count(summary, "cached") == STAGES)
    );
}

/// Kills the runner, or one of its workers, at moments spread over the run, and runs again: the digests are those of a quiet run.
#[test]
fn a_kill_at_any_moment_loses_nothing_that_finished_and_changes_nothing() {
    let lab = Lab::new(LOOP);
    lab.summary("run x.toml --store quiet", 0);
    let mut wait = Duration::from_millis(10);
    for round in 0..20 {
        let mut run = lab.start("run x.toml --store killed");
        std::thread::sleep(wait);
        wait = Duration::from_millis(10 + (wait.as_millis() as u64 * 7 + 31) % 500);
        let victim = if round % 2 == 0 { Some(pid(&run)) } else { worker(&run) };
        if let Some(victim) = victim {
            // It may have ended by itself.
            let _ = kill_process(victim, Signal::KILL);
        }
        run.wait().unwrap();
    }
    lab.summary("run x.toml --store killed", 0);
    assert_eq!(lab.digests("killed"), lab.digests("quiet"));
    let left = std::fs::read_dir(lab.path().join("killed/v1/leases")).unwrap().count();
    assert_eq!(left, 0, "leases of dead runners");
    let left = std::fs::read_dir(lab.path().join("killed/v1/tmp")).unwrap().count();
    assert_eq!(left, 0, "work of dead workers");
}

#[test]
fn an_interrupt_stops_the_run_and_the_next_goes_on() {
    let lab = Lab::new(&LOOP.replace("steps = 30", "steps = 20000"));
    let mut run = lab.start("run x.toml numbered");
    let mut events = BufReader::new(run.stdout.take().unwrap()).lines();
    let training = |line: &String| line.contains("progressed") && line.contains("numbered");
    events.by_ref().map_while(Result::ok).find(training).unwrap();
    kill_process(pid(&run), Signal::INT).unwrap();
    let rest: Vec<Value> = events.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let last = rest.last().unwrap();
    assert_eq!(
        (&last["event"], &last["interrupted"], &last["failed"]),
        (&"summary".into(), &true.into(), &0.into())
    );
    let checkpoints = walkdir::WalkDir::new(lab.path().join("cache/v1/scratch"))
        .into_iter()
        .filter(|entry| entry.as_ref().unwrap().file_type().is_file());
    assert!(checkpoints.count() > 0, "training saved where it was");
}

#[test]
fn a_failed_stage_is_named_with_its_log_and_a_command_and_the_rest_is_kept() {
    // A model that reads at most 8 tokens cannot be trained on any of the rows.
    let lab = Lab::new(&LOOP.replace("heads = 2", "heads = 2\ncontext = 8"));
    let out = lab.stdout("run x.toml --json --keep-going", 1);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<&Value> = events.iter().filter(|event| event["event"] == "failed").collect();
    let names: Vec<&str> = failed.iter().map(|event| event["stage"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}: the models of iteration 0");
    assert!(failed[0]["error"].as_str().unwrap().contains("context"), "{}", failed[0]);
    let rerun = failed[0]["rerun"].as_str().unwrap();
    assert_eq!(rerun, format!("runner run x.toml '{}' --variant 'seed=1'", names[0]));
    let summary = events.last().unwrap();
    assert_eq!(
        (count(summary, "ran"), count(summary, "failed"), count(summary, "skipped")),
        (2, 2, STAGES - 4)
    );
    assert_eq!(count(&lab.summary("run x.toml", 1), "cached"), 2);
}

#[test]
fn exit_codes_are_the_contract_s() {
    let lab = Lab::new(LOOP);
    lab.stdout("plan x.toml --check", 3);
    lab.stdout("run x.toml nosuch", 4);
    lab.stdout("run missing.toml", 2);
    lab.stdout("run x.toml", 0);
    lab.stdout("plan x.toml --check", 0);
    let record = walkdir::WalkDir::new(lab.path().join("cache/v1/records"))
        .into_iter()
        .map(Result::unwrap)
        .find(|entry| entry.file_type().is_file());
    let record = record.unwrap();
    let replace = |text: &str| {
        std::fs::remove_file(record.path()).unwrap();
        std::fs::write(record.path(), text).unwrap();
    };
    replace(r#"{"format": 3}"#);
    lab.stdout("run x.toml", 5);
    replace("{");
    lab.stdout("run x.toml", 0);
}

#[test]
fn a_missing_output_is_made_again() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    let digest = digests.values().find_map(|outputs| outputs["model"]["digest"].as_str()).unwrap();
    std::fs::remove_dir_all(lab.object("cache", digest)).unwrap();
    let reasons: Vec<Value> = lab
        .plan("x.toml")
        .into_values()
        .map(|stage| stage["reason"].clone())
        .filter(Value::is_string)
        .collect();
    assert!(reasons[0].as_str().unwrap().starts_with("output `model` ("), "{reasons:?}");
    assert_eq!(
        count(&lab.summary("run x.toml", 0), "ran"),
        1,
        "early cutoff: what follows has the same inputs as before"
    );
    assert_eq!(lab.digests("cache"), digests);
}

/// The first stage waits for the file `go`; the second runs after it.
const TWO_STAGES: &str = r#"
[stages.a]
kind = "command"
run = ["sh", "-c", "while [ ! -e HERE/go ]; do sleep 0.02; done; echo 1 > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
[stages.b]
kind = "command"
run = ["sh", "-c", "cat $RUNNER_INPUT_D > $RUNNER_OUTPUT_X"]
inputs = { d = "a" }
outputs = { x = "file" }
"#;

#[test]
fn workers_run_the_build_that_the_run_began_with() {
    let build = std::fs::read(env!("CARGO_BIN_EXE_runner")).unwrap();
    let digest = blake3::hash(&build).to_hex().to_string();
    // Its program is replaced by another one, or removed, while the first stage runs.
    for replacement in [Some("#!/bin/sh\nexit 0\n"), None] {
        let lab = Lab::new("");
        lab.write("x.toml", &TWO_STAGES.replace("HERE", lab.path().to_str().unwrap()));
        let program = lab.copy_program(env!("CARGO_BIN_EXE_runner"), "runner");
        let mut command = Command::new(&program);
        command
            .args(["run", "x.toml", "--json"])
            .current_dir(lab.path())
            .env("XDG_CONFIG_HOME", lab.path());
        let mut run = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut events = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
        events.by_ref().find(|line| line.contains("\"started\"")).unwrap();
        if let Some(text) = replacement {
            lab.write_program("new", text);
            std::fs::rename(lab.path().join("new"), &program).unwrap();
        } else {
            std::fs::remove_file(&program).unwrap();
        }
        lab.write("go", "");
        let rest: Vec<String> = events.collect();
        assert_eq!(run.wait().unwrap().code(), Some(0), "{rest:?}");
        let last: Value = serde_json::from_str(rest.last().unwrap()).unwrap();
        assert_eq!((count(&last, "ran"), count(&last, "failed")), (2, 0), "{rest:?}");
        for stage in ["a", "b"] {
            let shown: Value = serde_json::from_str(&lab.stdout(&format!("show x.toml {stage} --json"), 0)).unwrap();
            assert_eq!(shown["record"]["provenance"]["build"], digest.as_str(), "{stage}");
        }
    }
}

#[test]
fn the_end_of_a_log_is_shown_as_a_person_wants_it() {
    let lab = Lab::new(
        r#"
[stages.bar]
kind = "command"
run = ["sh", "-c", "for i in $(seq 1 3000); do printf '\\r%d%% of 3000' $i; done; echo; echo 'the error'; exit 1"]
outputs = { x = "file" }
[stages.long]
kind = "command"
run = ["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' a; echo; echo 'the error'; exit 1"]
outputs = { x = "file" }
"#,
    );
    let failure = |stage: &str| {
        let output = lab.output(&format!("run x.toml {stage}"));
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let text = failure("bar");
    assert!(text.contains("\n  | 3000% of 3000\n  | the error\n  log: "), "{text}");
    let text = failure("long");
    assert!(
        text.contains("\n  | aaaa")
            && text.contains("a… (3000000 characters) …a")
            && text.contains("\n  | the error\n  log: ")
            && text.len() < 2000,
        "{text}"
    );
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).unwrap()
}

/// One of the runner's workers.
fn worker(runner: &Child) -> Option<Pid> {
    let process = runner.id();
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}
