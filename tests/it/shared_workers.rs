//! Workers that run several small stages in turn: what one of them does, or suffers, is no matter of the others.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{Lab, count};

/// The longest that a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A few small stages, and those that `more` adds.
fn lab(more: &str) -> Lab {
    Lab::new(&format!(
        r#"
[stages.problems]
kind = "generate"
task = "addition"
train = 20
development = 0
in_domain = 0
ood_easy = 0
ood_hard = 0

[stages."mixed[k]"]
for.k = "0..40"
kind = "mix"
full = "problems.train"
seed = "{{k}}"
{more}"#
    ))
}

/// A stage that takes long, and whose first output is large; it may come after the small ones.
const LARGE: &str = r#"
[stages.large]
kind = "generate"
task = "addition"
train = 100000
development = 5
in_domain = 0
ood_easy = 0
ood_hard = 0
"#;

/// The events of a run, and its exit code.
fn rest(mut run: Child, before: Vec<String>) -> (Vec<Value>, Option<i32>) {
    let lines = BufReader::new(run.stdout.take().unwrap()).lines().map(Result::unwrap);
    let events = before.into_iter().chain(lines).map(|line| serde_json::from_str(&line).unwrap());
    (events.collect(), run.wait().unwrap().code())
}

fn events(lab: &Lab, words: &str, code: i32) -> Vec<Value> {
    let out = lab.stdout(&format!("{words} --json"), code);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The workers of a run.
fn workers(run: &Child) -> BTreeSet<i32> {
    let process = run.id();
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let numbers = children.split_whitespace().map(|number| number.parse().unwrap());
    numbers
        .filter(|number: &i32| std::fs::read(format!("/proc/{number}/cmdline")).is_ok_and(|words| words == b"runner\0worker\0"))
        .collect()
}

/// Reads events up to one of this stage.
fn read_until(run: &mut Child, event: &str, stage: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut output = BufReader::with_capacity(1, run.stdout.as_mut().unwrap());
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "{lines:?}");
        let read: Value = serde_json::from_str(&line).unwrap();
        lines.push(line.trim_end().to_owned());
        if read["event"] == event && read["stage"] == stage {
            return lines;
        }
    }
}

/// Starts a run in which one worker has begun the stage `large` after the small ones.
fn start_with_large_last(lab: &Lab) -> (Child, Vec<String>, i32) {
    // What is short goes last where nothing else decides; what ran before has its time.
    let mut run = lab.start("run x.toml --jobs 1");
    let mut lines = read_until(&mut run, "started", "large");
    let began = Instant::now();
    let used = |lines: &[String]| lines.iter().any(|line| line.contains("\"finished\""));
    if !used(&lines) {
        lines.extend(read_until(&mut run, "finished", "large"));
        panic!("`large` must come after another stage: {lines:?}");
    }
    loop {
        let workers = workers(&run);
        if let Some(worker) = workers.first() {
            assert_eq!(workers.len(), 1);
            return (run, lines, *worker);
        }
        assert!(began.elapsed() < PATIENCE);
    }
}

fn wait_for_end_of(worker: i32) {
    let began = Instant::now();
    while std::fs::read(format!("/proc/{worker}/cmdline")).is_ok_and(|words| !words.is_empty()) {
        assert!(began.elapsed() < PATIENCE, "worker {worker} goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(number: i32) {
    kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
}

fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// The stage `large`, which needs a small one, so that the worker has run others before.
fn large_after_others(more: &str) -> Lab {
    lab(&format!(
        "{more}{LARGE}\n[stages.small]\nkind = \"mix\"\nfull = \"large.development\"\n"
    ))
}

fn record(lab: &Lab, stage: &str) -> Value {
    let shown: Value = serde_json::from_str(&lab.stdout(&format!("show x.toml {stage} --json"), 0)).unwrap();
    shown["record"].clone()
}

#[test]
fn one_worker_for_each_job_runs_all_small_stages() {
    let lab = lab("");
    for (store, jobs) in [("one", 1), ("two", 2)] {
        let mut run = lab.start(&format!("run x.toml --store {store} --jobs {jobs}"));
        let mut seen = BTreeSet::new();
        while run.try_wait().unwrap().is_none() {
            seen.extend(workers(&run));
        }
        assert!((1..=jobs).contains(&seen.len()), "{seen:?}");
        // None is left, nor its folder.
        assert_eq!(std::fs::read_dir(lab.path().join(store).join("v1/tmp")).unwrap().count(), 0);
        let (events, code) = rest(run, Vec::new());
        assert_eq!((code, of(&events, "finished").len()), (Some(0), 41));
    }
    assert_eq!(lab.digests("one"), lab.digests("two"));
}

#[test]
fn a_stage_with_resources_has_a_process_to_itself_and_gives_the_same_bytes() {
    let lab = lab("");
    lab.stdout("run x.toml --store shared", 0);
    let shared = std::fs::read_to_string(lab.path().join("x.toml")).unwrap();
    lab.write(
        "x.toml",
        &format!("{shared}\n[resources.own]\nretries = 1\n[defaults.mix]\nresources = 'own'\n"),
    );
    let mut run = lab.start("run x.toml --store alone --jobs 1");
    let mut seen = BTreeSet::new();
    while run.try_wait().unwrap().is_none() {
        seen.extend(workers(&run));
    }
    let (events, code) = rest(run, Vec::new());
    assert_eq!(code, Some(0), "{events:?}");
    assert!(seen.len() > 3, "{seen:?}");
    assert_eq!(lab.digests("shared"), lab.digests("alone"));
}

#[test]
fn logs_and_records_are_those_of_each_stage() {
    // Each warns of its empty data set, in its log, too.
    let empty = |name: &str, data: &str| format!("[stages.{name}]\nkind = 'mix'\ndata = [{data}]\nweights = [1, 1]\n");
    let first = empty("first_empty", "'problems.development', 'problems.train'");
    let second = empty("second_empty", "'problems.train', 'problems.development'");
    let lab = large_after_others(&(first + &second));
    let events = events(&lab, "run x.toml --jobs 1", 0);
    let log = |stage: &str| {
        let started = events.iter().find(|event| event["event"] == "started" && event["stage"] == stage);
        std::fs::read_to_string(PathBuf::from(started.unwrap()["log"].as_str().unwrap())).unwrap()
    };
    let said = |place: usize| format!("data set {place} of `data` has no rows; the mixture is without it\n");
    assert_eq!((log("first_empty"), log("second_empty")), (said(1), said(2)));
    assert_eq!((log("mixed[0]"), log("large")), (String::new(), String::new()));
    // What the large one used is its own, whatever ran before and after it in its process.
    let (large, small) = (record(&lab, "large"), record(&lab, "small"));
    let number = |record: &Value, field: &str| record["provenance"][field].as_f64().unwrap();
    assert!(
        number(&large, "peak_memory") > 2.0 * number(&small, "peak_memory"),
        "{large} {small}"
    );
    assert!(
        number(&large, "cpu_seconds") > 10.0 * number(&small, "cpu_seconds"),
        "{large} {small}"
    );
    assert!(large["seconds"].as_f64().unwrap() > 10.0 * small["seconds"].as_f64().unwrap());
    assert_eq!((&large["threads"], &small["threads"]), (&1.into(), &1.into()));
}

#[test]
fn a_stage_that_ends_its_process_is_named_and_costs_no_other_its_result() {
    let lab = large_after_others("");
    let mut command = lab.command("run x.toml --jobs 1 --keep-going --json");
    // SAFETY: a system call alone, which may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // Who writes a larger file is ended by a signal.
            let limit = libc::rlimit {
                rlim_cur: 4 << 20,
                rlim_max: 4 << 20,
            };
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
            Ok(())
        });
    }
    let (events, code) = rest(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap(), Vec::new());
    assert_eq!(code, Some(1));
    let [failed] = of(&events, "failed")[..] else {
        panic!("{events:?}");
    };
    let signal = libc::SIGXFSZ;
    assert_eq!(failed["stage"], "large");
    assert_eq!(failed["error"], format!("its process was ended by signal {signal}"));
    assert_eq!(failed["cause"]["signal"], signal);
    let [warned] = of(&events, "warned")[..] else {
        panic!("{events:?}");
    };
    let message = warned["message"].as_str().unwrap();
    assert!(
        message.starts_with("large: its process was ended by") && message.contains("other stages had run in it"),
        "{message}"
    );
    let summary = events.last().unwrap();
    assert_eq!(
        (count(summary, "ran"), count(summary, "failed"), count(summary, "skipped")),
        (41, 1, 1)
    );
    // Nothing of the others is lost.
    let summary = lab.summary("run x.toml", 0);
    assert_eq!((count(&summary, "cached"), count(&summary, "ran")), (41, 2));
}

#[test]
fn a_shared_worker_that_is_killed_costs_nothing() {
    let lab = large_after_others("");
    lab.stdout("run x.toml --store quiet", 0);
    let (run, lines, worker) = start_with_large_last(&lab);
    kill(worker);
    let (events, code) = rest(run, lines);
    assert_eq!(code, Some(0), "{events:?}");
    let [warned] = of(&events, "warned")[..] else {
        panic!("{events:?}");
    };
    assert!(warned["message"].as_str().unwrap().contains("(signal 9)"), "{warned}");
    assert_eq!((of(&events, "failed").len(), of(&events, "finished").len()), (0, 43));
    assert_eq!(lab.digests("cache"), lab.digests("quiet"));
}

#[test]
fn a_worker_ends_with_its_runner() {
    let lab = large_after_others("");
    let (mut run, _, worker) = start_with_large_last(&lab);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for_end_of(worker);
    lab.stdout("run x.toml", 0);
}

#[test]
fn a_cancelled_stage_ends_alone() {
    for words in ["", " --now"] {
        let lab = large_after_others("");
        // The run looks for requests once in a second.
        let text = std::fs::read_to_string(lab.path().join("x.toml")).unwrap();
        lab.write("x.toml", &text.replace("train = 100000", "train = 450000"));
        let (run, lines, _) = start_with_large_last(&lab);
        lab.stdout(&format!("cancel x.toml large{words}"), 0);
        let (events, code) = rest(run, lines);
        assert_eq!(code, Some(1), "{events:?}");
        let cancelled = of(&events, "cancelled");
        assert_eq!((cancelled.len(), &cancelled[0]["stage"]), (1, &"large".into()));
        let summary = events.last().unwrap();
        assert_eq!(
            (count(summary, "ran"), count(summary, "failed"), count(summary, "skipped")),
            (41, 0, 1),
            "{events:?}"
        );
        assert_eq!(of(&events, "warned").len(), 0, "{events:?}");
    }
}

#[test]
fn an_interrupt_ends_a_shared_worker_s_stage() {
    let lab = large_after_others("");
    let (run, lines, worker) = start_with_large_last(&lab);
    kill_process(Pid::from_raw(run.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let (events, code) = rest(run, lines);
    assert_eq!(code, Some(130), "{events:?}");
    assert_eq!(of(&events, "failed").len(), 0, "{events:?}");
    wait_for_end_of(worker);
    lab.stdout("run x.toml", 0);
}
