//! Resources of stages: their limits, how they end, when they are tried again, and the devices that they share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Lab, count};

/// Stages that end each in its own way. Each but `fails` writes its output if it is tried often enough.
const ENDINGS: &str = r#"
name = "endings"

[resources.short]
time  = "1s"
grace = "1s"

[resources.silent]
silent = "1s"
grace  = "1s"

[resources.patient]
silent = "4s"

[resources.small]
memory     = "40 MiB"
max_memory = "600 MiB"
retries    = 5

[resources.capped]
memory  = "40 MiB"
retries = 3

[resources.again]
retries  = 2
retry_on = ["signal", 75]

[defaults.command]
outputs.text = "file"

[stages.hangs]
kind = "command"
resources = "short"
run = ["sh", "-c", "trap '' TERM; sleep 600"]

[stages.stops_in_time]
kind = "command"
resources = "short"
run = ["sh", "-c", "trap 'echo saved > $RUNNER_SCRATCH/kept; exit 0' TERM; sleep 600 & wait"]

[stages.is_silent]
kind = "command"
resources = "silent"
run = ["sh", "-c", "echo begun; sleep 600"]

[stages.talks]
kind = "command"
resources = "patient"
run = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.6; done; echo > $RUNNER_OUTPUT_TEXT"]

[stages.grows]
kind = "command"
resources = "small"
run = ["sh", "-c", "x=$(head -c 60000000 /dev/zero | tr '\\0' a); sleep 1; echo ${{#x}} > $RUNNER_OUTPUT_TEXT"]

[stages.is_too_big]
kind = "command"
resources = "capped"
run = ["sh", "-c", "x=$(head -c 60000000 /dev/zero | tr '\\0' b); sleep 1; echo ${{#x}} > $RUNNER_OUTPUT_TEXT"]

[stages.is_killed]
kind = "command"
resources = "again"
run = ["sh", "-c", "kill -9 $$"]

[stages.fails_once]
kind = "command"
resources = "again"
run = ["sh", "-c", "[ -e $RUNNER_SCRATCH/tried ] || {{ touch $RUNNER_SCRATCH/tried; exit 75; }}; echo > $RUNNER_OUTPUT_TEXT"]

[stages.fails]
kind = "command"
resources = "again"
run = ["sh", "-c", "exit 3"]

[stages.needs_it]
kind = "command"
inputs.text = "fails.text"
run = ["sh", "-c", "echo > $RUNNER_OUTPUT_TEXT"]

[stages.is_well]
kind = "command"
run = ["sh", "-c", "echo > $RUNNER_OUTPUT_TEXT"]
"#;

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_end_has_its_cause_and_nothing_else_stops() {
    let lab = Lab::new(ENDINGS);
    let begun = Instant::now();
    let events = events(&lab.stdout("run x.toml --store cache --keep-going --jobs 4 --json", 1));
    assert!(begun.elapsed() < Duration::from_secs(120), "nothing waits for what hangs");
    let of = |name: &str| -> BTreeMap<String, (Value, usize)> {
        let mut found: BTreeMap<String, (Value, usize)> = BTreeMap::new();
        for event in events.iter().filter(|event| event["event"] == name) {
            let stage = event["stage"].as_str().unwrap().to_owned();
            let entry = found.entry(stage).or_insert((Value::Null, 0));
            *entry = (event["cause"].clone(), entry.1 + 1);
        }
        found
    };
    let causes: BTreeMap<String, Value> = of("failed").into_iter().map(|(stage, (cause, _))| (stage, cause)).collect();
    let expected: BTreeMap<String, Value> = [
        ("hangs", "time".into()),
        ("stops_in_time", "time".into()),
        ("is_silent", "silent".into()),
        ("is_too_big", "memory".into()),
        ("is_killed", serde_json::json!({"signal": 9})),
        ("fails", serde_json::json!({"exit": 3})),
    ]
    .map(|(stage, cause): (&str, Value)| (stage.to_owned(), cause))
    .into();
    assert_eq!(causes, expected);
    let finished: BTreeSet<String> = of("finished").into_keys().collect();
    let well = ["fails_once", "grows", "is_well", "talks"].map(str::to_owned);
    assert_eq!(finished, well.into());
    assert_eq!(of("skipped").into_keys().collect::<Vec<_>>(), ["needs_it"]);
    let mut retried: BTreeMap<String, usize> = of("retrying").into_iter().map(|(stage, (_, count))| (stage, count)).collect();
    // How much memory a shell needs for its variable is its own affair.
    let grown = retried.remove("grows");
    assert!(grown.is_some_and(|times| (1..=4).contains(&times)), "{grown:?}");
    let expected = [("fails_once", 1), ("is_killed", 2)].map(|(stage, count)| (stage.to_owned(), count));
    assert_eq!(retried, expected.into(), "a plain failure, and a limit that cannot grow, are final");
    let summary = events.last().unwrap();
    let counted = serde_json::json!({"time": 2, "silent": 1, "memory": 1, "signal 9": 1, "exit code 3": 1});
    assert_eq!(summary["causes"], counted);

    let grown = lab.stdout("show x.toml grows --store cache", 0);
    assert!(
        grown.contains("40 MiB of memory") && grown.contains("before this one: memory after"),
        "{grown}"
    );
    let again = lab.summary("run x.toml grows talks fails_once is_well --store cache", 0);
    assert_eq!((count(&again, "cached"), count(&again, "ran")), (4, 0));
}

#[test]
fn resources_are_in_no_key_but_for_the_gpus_of_a_program() {
    let lab = Lab::new(ENDINGS);
    let key = |experiment: &str, more: &str| {
        fs::write(lab.path().join("y.toml"), experiment).unwrap();
        lab.plan(&format!("y.toml is_well --store cache {more}"))["is_well {}"]["key"].clone()
    };
    let with = |resources: &str| ENDINGS.replace("[stages.is_well]\n", &format!("[stages.is_well]\nresources = {resources}\n"));
    let plain = key(ENDINGS, "");
    assert_eq!(key(&with("\"short\""), ""), plain);
    assert_eq!(key(&with("{ cores = 1, memory = \"1 MiB\", retries = 2 }"), ""), plain);
    let gpu = key(&with("{ gpus = 1 }"), "--set settings.gpus=[\"0\"]");
    assert_ne!(gpu, plain);
    assert_ne!(key(&with("{ gpus = 2 }"), "--set settings.gpus=[\"0\",\"1\"]"), gpu);
    let free = with("{ gpus = 1 }\ngpus_matter = false");
    assert_eq!(key(&free, "--set settings.gpus=[\"0\"]"), plain);
}

#[test]
fn what_can_never_fit_is_refused_before_anything_runs() {
    let lab = Lab::new(&ENDINGS.replace("[stages.is_well]\n", "[stages.is_well]\nresources = \"site\"\n"));
    let refused = |resources: &str| {
        let output = lab.output(&format!("run x.toml is_well --store cache --threads 2 {resources}"));
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let unknown = refused("");
    assert!(
        unknown.contains("no entry `site` in `[resources]`") && unknown.contains("x.toml:"),
        "{unknown}"
    );
    assert!(refused("--set settings.resources.site.cores=3").contains("stage `is_well` asks for 3 cores"));
    assert!(refused("--set settings.resources.site.memory=9000TiB").contains("asks for 9000 TiB of memory"));
    let gpus = refused("--set settings.resources.site.gpus=3 --set settings.gpus=[\"0\",\"1\"]");
    assert!(gpus.contains("asks for 3 GPUs, and this machine has 2"), "{gpus}");
    let slip = refused("--set settings.resources.site.time=soon");
    assert!(slip.contains("no span of time"), "{slip}");
    lab.stdout("run x.toml is_well --store cache --set settings.resources.site.cores=1", 0);
}

/// Forty stages with one or two of four devices each. Each writes down when it had which.
fn sharing(name: &str) -> String {
    let stage = |number: usize| {
        let gpus = 1 + number % 2;
        format!(
            "[stages.{name}{number}]\nkind = \"command\"\nresources = {{ gpus = {gpus} }}\noutputs.text = \"file\"\nparams.number = {number}\n\
             run = [\"sh\", \"-c\", \"echo {name}{number} begin $(date +%s%N) $CUDA_VISIBLE_DEVICES >> $LOG; sleep 0.1; \
             echo {name}{number} end $(date +%s%N) >> $LOG; echo > $RUNNER_OUTPUT_TEXT\"]\npass = [\"LOG\"]\n"
        )
    };
    let stages: String = (0..40).map(stage).collect();
    format!("name = \"{name}\"\n[settings]\ngpus = [\"0\", \"1\", \"2\", \"3\"]\ngpu_locks = \"locks\"\nsandbox = \"off\"\n{stages}")
}

/// The times at which each stage had which devices, from what the programs wrote.
fn uses(log: &str) -> Vec<(u64, u64, Vec<String>)> {
    let mut begun: BTreeMap<&str, (u64, Vec<String>)> = BTreeMap::new();
    let mut uses = Vec::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [stage, "begin", at, devices] => {
                let devices = devices.split(',').map(str::to_owned).collect();
                begun.insert(stage, (at.parse().unwrap(), devices));
            }
            [stage, "end", at] => {
                let (from, devices) = begun.remove(stage).unwrap();
                uses.push((from, at.parse().unwrap(), devices));
            }
            other => panic!("{other:?}"),
        }
    }
    uses
}

#[test]
fn two_runs_share_devices_and_none_is_given_twice() {
    let lab = Lab::new(&sharing("a"));
    fs::write(lab.path().join("y.toml"), sharing("b")).unwrap();
    let start = |arguments: &str| -> Child {
        let mut command = lab.command(arguments);
        command.env("LOG", lab.path().join("log")).spawn().unwrap()
    };
    let runs = [
        "run x.toml --store one --jobs 8 --threads 8",
        "run y.toml --store two --jobs 8 --threads 8",
    ]
    .map(start);
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    let uses = uses(&fs::read_to_string(lab.path().join("log")).unwrap());
    assert_eq!(uses.len(), 80);
    let mut by_device: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for (from, to, devices) in &uses {
        for device in devices {
            by_device.entry(device).or_default().push((*from, *to));
        }
    }
    assert_eq!(by_device.keys().copied().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    for (device, times) in &mut by_device {
        times.sort_unstable();
        let twice = times.windows(2).find(|pair| pair[1].0 < pair[0].1);
        assert_eq!(twice, None, "device {device} was given twice");
    }
}

#[test]
fn a_killed_run_leaves_no_device_locked() {
    let stage = |name: &str, seconds: u32| {
        format!(
            "[stages.{name}]\nkind = \"command\"\nresources = {{ gpus = 1 }}\noutputs.text = \"file\"\n\
             run = [\"sh\", \"-c\", \"sleep {seconds}; echo $CUDA_VISIBLE_DEVICES > $RUNNER_OUTPUT_TEXT\"]\n"
        )
    };
    let settings = "[settings]\ngpus = [\"7\"]\ngpu_locks = \"locks\"\n";
    let lab = Lab::new(&format!("{settings}{}", stage("long", 600)));
    fs::write(lab.path().join("y.toml"), format!("{settings}{}", stage("short", 0))).unwrap();
    let mut run = lab.command("run x.toml --store cache").spawn().unwrap();
    // Its worker has the lock once the log is there.
    let begun = Instant::now();
    while !lab.path().join("locks").exists() || fs::read_dir(lab.path().join("locks")).unwrap().count() < 8 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let waiting = lab.command("run y.toml --store other").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    run.kill().unwrap();
    run.wait().unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "the device is free again");
}
