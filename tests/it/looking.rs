//! Looking on while a run goes on: `status`, `watch`, `logs`, `stop` and `cancel`, from processes beside it on one store.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{LOOP, Lab, count};

/// The longest that a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stage that waits for the file `go`, one that needs it, and one that needs nothing.
const EXPERIMENT: &str = r#"
name = "looked-at"
[stages.slow]
kind = "command"
run = ["sh", "-c", "echo it begins; printf '1 %%\\r2 %%\\r'; while [ ! -e HERE/go ]; do sleep 0.05; done; printf '\\033[31mit ends\\033[0m\\n'; echo 1 > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
[stages.after]
kind = "command"
run = ["sh", "-c", "cat $RUNNER_INPUT_D > $RUNNER_OUTPUT_X"]
inputs = { d = "slow" }
outputs = { x = "file" }
[stages.other]
kind = "command"
run = ["sh", "-c", "echo 2 > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
"#;

fn lab() -> Lab {
    let lab = Lab::new("");
    lab.write("x.toml", &EXPERIMENT.replace("HERE", lab.path().to_str().unwrap()));
    lab
}

/// The runs that `status` shows.
fn runs(lab: &Lab, words: &str) -> Vec<Value> {
    let output = lab.output(&format!("status {words} --json"));
    match serde_json::from_slice::<Value>(&output.stdout) {
        Ok(shown) => shown["runs"].as_array().unwrap().clone(),
        Err(_) => Vec::new(),
    }
}

/// Waits until the only run is as it is wanted.
fn wait_for(lab: &Lab, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    wait_for_runs(lab, what, |runs| runs.len() == 1 && fits(&runs[0])).remove(0)
}

fn wait_for_runs(lab: &Lab, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let runs = runs(lab, "x.toml");
        if fits(&runs) {
            return runs;
        }
        assert!(begun.elapsed() < PATIENCE, "not {what}: {runs:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn names(stages: &Value) -> Vec<&str> {
    stages
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect()
}

/// Whether only `slow` runs any more, and `after` waits for it.
fn is_slow_alone(run: &Value) -> bool {
    names(&run["running"]) == ["slow"] && run["done"] == 1 && names(&run["waiting"]["first"]) == ["after"]
}

/// What the events of a run say, and its exit code.
fn rest(mut run: Child) -> (Vec<Value>, Option<i32>) {
    let events = BufReader::new(run.stdout.take().unwrap()).lines();
    let events = events.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    (events, run.wait().unwrap().code())
}

fn kinds_of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e str> {
    let of_kind = events.iter().filter(|event| event["event"] == kind);
    of_kind.map(|event| event["stage"].as_str().unwrap()).collect()
}

#[test]
fn two_runs_on_one_store_are_seen_by_a_third_process() {
    let lab = lab();
    lab.stdout("status", 4);
    let first = lab.start("run x.toml --jobs 2");
    let seen = wait_for(&lab, "waiting for `slow`", is_slow_alone);
    assert_eq!(seen["experiment"], "looked-at");
    assert_eq!(
        (&seen["state"], &seen["stages"], &seen["ran"], &seen["jobs"]),
        (&"alive".into(), &3.into(), &1.into(), &2.into())
    );
    assert_eq!(seen["process"], first.id());
    assert!(seen["command"].as_str().unwrap().ends_with("run x.toml"), "{seen}");
    let running = &seen["running"][0];
    assert!(
        running["log"].as_str().unwrap().ends_with("-slow.log") && running["kind"] == "command",
        "{running}"
    );
    assert!(
        cfg!(not(target_os = "linux")) || running["memory"].as_u64().unwrap() > 1 << 20,
        "{running}"
    );
    let after = &seen["waiting"]["first"][0];
    assert_eq!(
        (&after["why"], &after["for"], &seen["waiting"]["inputs"]),
        (&"inputs".into(), &"slow".into(), &1.into())
    );

    let second = lab.start("run x.toml --jobs 2");
    let both = wait_for_runs(&lab, "two runs", |runs| runs.len() == 2 && runs[1]["waiting"]["elsewhere"] == 1);
    let held = &both[1]["waiting"]["first"][0];
    assert_eq!((&held["stage"], &held["why"]), (&"slow".into(), &"elsewhere".into()));
    assert!(
        held["for"].as_str().unwrap().starts_with(&format!("process {} on ", first.id())),
        "{held}"
    );
    assert_eq!((names(&both[1]["running"]), &both[1]["cached"]), (vec![], &1.into()));
    let text = lab.stdout("status", 0);
    for part in [
        "looked-at: 1 of 3 stages, 1 running, ",
        "\n  ------------ slow  ",
        "after  waits for slow\n",
        "slow  waits for process ",
    ] {
        assert!(text.replace('─', "-").contains(part), "no `{part}` in\n{text}");
    }
    // Which of them is meant must be said.
    let error = String::from_utf8(lab.output("stop x.toml").stderr).unwrap();
    assert!(error.contains("2 runs go on") && error.contains("--run"), "{error}");
    let of_run = runs(&lab, &format!("--run {}", both[1]["run"].as_str().unwrap()));
    assert_eq!((of_run.len(), &of_run[0]["process"]), (1, &second.id().into()));
    lab.write("go", "");
    assert_eq!((rest(first).1, rest(second).1), (Some(0), Some(0)));
    let ended = wait_for(&lab, "over", |run| run["state"] == "done");
    assert_eq!((&ended["done"], count(&ended, "cached") + count(&ended, "ran")), (&3.into(), 3));
    assert_eq!((&ended["left"], names(&ended["running"]).len()), (&Value::Null, 0));
    assert!(lab.stdout("status x.toml", 0).starts_with("looked-at: done after "));
    let runs_folder = lab.path().join("cache/v1/runs");
    let before = std::fs::read_dir(&runs_folder).unwrap().count();
    lab.stdout("run x.toml", 0);
    assert_eq!(
        std::fs::read_dir(&runs_folder).unwrap().count(),
        before,
        "a run of hits leaves nothing behind"
    );
}

#[test]
fn a_killed_run_is_told_from_one_that_lives_and_another_experiment_s_from_this_one_s() {
    let lab = lab();
    let mut run = lab.start("run x.toml");
    wait_for(&lab, "running", |run| names(&run["running"]).contains(&"slow"));
    lab.write(
        "y.toml",
        "[stages.note]\nkind = 'command'\nrun = ['true']\noutputs = { x = 'file' }\n",
    );
    lab.stdout("status y.toml", 4);
    lab.stdout("cancel y.toml note", 4);
    kill_process(Pid::from_raw(run.id().cast_signed()).unwrap(), Signal::KILL).unwrap();
    run.wait().unwrap();
    let seen = wait_for(&lab, "killed", |run| run["state"] == "killed");
    assert_eq!(names(&seen["running"]).last(), Some(&"slow"));
    assert!(lab.stdout("status", 0).starts_with("looked-at: was killed after "));
    lab.stdout("stop x.toml", 4);
    lab.stdout("watch x.toml", 1);
    // What it printed is still there.
    lab.write("go", "");
    assert!(lab.stdout("logs x.toml slow", 0).starts_with("it begins\n"));
}

#[test]
fn a_log_is_followed_until_the_stage_ends() {
    let lab = lab();
    let run = lab.start("run x.toml");
    wait_for(&lab, "running, and the other waiting", |run| {
        names(&run["running"]) == ["slow"] && names(&run["waiting"]["first"]) == ["after"]
    });
    assert!(lab.stdout("logs x.toml slow", 0).starts_with("it begins\n"));
    let follow = |stage: &str| {
        let mut command = lab.command(&format!("logs x.toml {stage} -f"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut followers = [follow("slow"), follow("after")];
    let mut lines = BufReader::new(followers[0].stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "it begins");
    lab.write("go", "");
    // Of what is drawn again and again the last state, and nothing that draws.
    assert_eq!(lines.next().unwrap().unwrap(), "it ends");
    assert!(lines.next().is_none(), "it ends with the stage");
    let mut waited = String::new();
    followers[1].stderr.take().unwrap().read_to_string(&mut waited).unwrap();
    assert!(waited.contains("`after` waits for slow in run "), "{waited}");
    for follower in &mut followers {
        assert_eq!(follower.wait().unwrap().code(), Some(0));
    }
    assert_eq!(rest(run).1, Some(0));
    let output = lab.output("logs x.toml slow");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "it begins\nit ends\n");
    assert!(String::from_utf8(output.stderr).unwrap().contains("-slow.log"));
    // No run of this experiment has it, but the store has what the other one made.
    lab.write(
        "y.toml",
        &std::fs::read_to_string(lab.path().join("x.toml"))
            .unwrap()
            .replace("looked-at", "other"),
    );
    assert_eq!(lab.stdout("logs y.toml slow", 0), "it begins\nit ends\n");
    lab.stdout("logs x.toml nosuch", 4);
}

#[test]
fn the_log_of_the_last_run_counts_whether_it_failed_or_not() {
    let stage = "[matrix]\nseed = [1, 2]\n[stages.fit]\nkind = 'command'\nrun = ['sh', '-c', 'SAY {seed}; echo 1 > $RUNNER_OUTPUT_X']\noutputs = { x = 'file' }\n";
    let lab = Lab::new(&stage.replace("SAY", "echo good"));
    lab.stdout("logs x.toml fit --variant seed=1", 4);
    lab.stdout("run x.toml", 0);
    let error = String::from_utf8(lab.output("logs x.toml fit").stderr).unwrap();
    assert!(error.contains("`fit` matches 2 stages (fit (seed=1); fit (seed=2))"), "{error}");
    assert_eq!(lab.stdout("logs x.toml fit --variant seed=2", 0), "good 2\n");
    lab.write("x.toml", &stage.replace("SAY {seed};", "echo bad {seed}; exit 3;"));
    lab.stdout("run x.toml --keep-going", 1);
    assert_eq!(lab.stdout("logs x.toml fit --variant seed=2", 0), "bad 2\n");
    assert_eq!(runs(&lab, "")[0]["state"], "failed");
}

#[test]
fn a_training_writes_its_losses_into_its_log() {
    let lab = Lab::new(&LOOP.replace("steps = 30", "steps = 200"));
    lab.summary("run x.toml numbered[0]", 0);
    let log = lab.stdout("logs x.toml numbered[0]", 0);
    let lines: Vec<&str> = log.lines().collect();
    let (losses, answers) = lines.split_at(lines.len() - 6);
    assert!((20..=40).contains(&losses.len()), "{log}");
    assert!(
        losses.iter().all(|line| line.contains("/200 steps, ") && line.contains("loss ")),
        "{log}"
    );
    assert!(
        losses[0].starts_with("1/200 steps") && losses.last().unwrap().starts_with("200/200 steps"),
        "{log}"
    );
    // Three rows of its data, answered by the trained model.
    for pair in answers.chunks(2) {
        assert!(pair[0].starts_with("asked    ") && pair[0].contains('+'), "{log}");
        assert!(pair[1].starts_with("answered "), "{log}");
    }
    let file = runs(&lab, "x.toml")[0]["run"].as_str().unwrap().to_owned();
    let folder = lab.path().join("cache/v1/runs").join(file);
    let raw = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let raw = raw.filter(|path| path.to_str().unwrap().contains("numbered"));
    raw.for_each(|path| assert!(!std::fs::read_to_string(path).unwrap().contains('\x1b')));
}

#[test]
fn a_run_is_stopped_from_elsewhere_as_by_ctrl_c() {
    for (words, said) in [
        ("stop x.toml", "asked its running stages to stop"),
        ("stop --now", "killed its running stages"),
    ] {
        let lab = lab();
        let run = lab.start("run x.toml");
        let seen = wait_for(&lab, "running", |run| names(&run["running"]) == ["slow"]);
        let answer = lab.stdout(words, 0);
        assert!(
            answer.starts_with(&format!("run {}: ", seen["run"].as_str().unwrap())) && answer.contains(said),
            "{answer}"
        );
        let (events, code) = rest(run);
        let last = events.last().unwrap();
        assert_eq!(
            (code, &last["interrupted"], count(last, "failed")),
            (Some(130), &true.into(), 0),
            "{last}"
        );
        assert_eq!(wait_for(&lab, "over", |run| run["state"] != "alive")["state"], "interrupted");
        lab.stdout("watch", 130);
        lab.stdout(words, 4);
        let requests = lab
            .path()
            .join("cache/v1/runs")
            .join(seen["run"].as_str().unwrap())
            .join("requests");
        assert_eq!(std::fs::read_dir(requests).unwrap().count(), 0);
    }
}

#[test]
fn one_stage_is_cancelled_and_the_rest_goes_on() {
    let lab = lab();
    // `late` keeps the run going until it has been looked at.
    let text = std::fs::read_to_string(lab.path().join("x.toml")).unwrap();
    let late = text.split("[stages.after]").next().unwrap().split("[stages.slow]").nth(1).unwrap();
    lab.write("x.toml", &format!("{text}\n[stages.late]{}", late.replace("/go", "/late")));
    let mut run = lab.start("run x.toml --jobs 2");
    wait_for(&lab, "running", |run| names(&run["running"]) == ["late", "slow"]);
    lab.stdout("cancel x.toml nosuch", 4);
    let error = |words: &str| String::from_utf8(lab.output(words).stderr).unwrap();
    assert!(error("cancel x.toml other").contains("`other` has ended already"));
    assert!(error("cancel x.toml *").contains("`*` matches 3 stages"));
    assert!(lab.stdout("cancel x.toml slow", 0).contains("`slow` is asked to end"));
    let seen = wait_for(&lab, "cancelled", |run| run["cancelled"] == 1);
    assert_eq!(
        (names(&seen["running"]), &seen["skipped"], &seen["failed"]),
        (vec!["late"], &1.into(), &0.into())
    );
    assert!(run.try_wait().unwrap().is_none(), "the rest goes on");
    lab.write("late", "");
    let (events, code) = rest(run);
    assert_eq!(code, Some(1));
    assert_eq!(
        (kinds_of(&events, "cancelled"), kinds_of(&events, "skipped")),
        (vec!["slow"], vec!["after"])
    );
    assert_eq!(
        events.iter().find(|event| event["event"] == "skipped").unwrap()["because"],
        "`slow` was cancelled"
    );
    let last = events.last().unwrap();
    assert_eq!((count(last, "ran"), count(last, "cancelled"), count(last, "failed")), (2, 1, 0));
    assert_eq!(kinds_of(&events, "started").len(), 3, "it is not tried again");
    // The next run computes it.
    lab.write("go", "");
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 2);
}

#[test]
fn a_stage_that_waits_is_taken_out() {
    let lab = lab();
    let run = lab.start("run x.toml");
    wait_for(&lab, "waiting", is_slow_alone);
    assert!(
        lab.stdout("cancel x.toml after", 0)
            .contains("`after`, which had not begun, is taken out")
    );
    lab.write("go", "");
    let (events, code) = rest(run);
    assert_eq!(
        (code, kinds_of(&events, "cancelled"), kinds_of(&events, "finished")),
        (Some(1), vec!["after"], vec!["other", "slow"])
    );
}

#[test]
fn a_run_is_watched_until_it_is_over() {
    let lab = lab();
    let run = lab.start("run x.toml");
    wait_for(&lab, "running", |run| names(&run["running"]) == ["slow"]);
    let watching = lab.command("watch x.toml").stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    lab.write("go", "");
    let watched = watching.wait_with_output().unwrap();
    let text = String::from_utf8(watched.stdout).unwrap();
    assert_eq!((watched.status.code(), rest(run).1), (Some(0), Some(0)));
    assert!(
        text.starts_with("looked-at: ") && text.contains("looked-at: done after ") && !text.contains('\x1b'),
        "{text}"
    );
}
