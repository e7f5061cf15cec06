//! What a store goes through: kills, many processes, a full disk, a read-only one. The outcomes are in `docs/store.md`.
//!
//! A short form runs with all tests. The long forms run on request, each with a seed:
//!
//! ```sh
//! RUNNER_FAULTS=7 cargo test --test it -- --ignored faults
//! ```

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::lab::{LOOP, Lab, count};
use crate::require::require;

/// The requirement of tests with a file system of their own.
const MOUNT: &str = "the right to mount a file system";
/// The requirement of tests with several accounts.
const ROOT: &str = "root, to act as other accounts";

/// Stages that end at once, and trainings of two steps.
fn lab() -> Lab {
    Lab::new(&LOOP.replace("steps = 30", "steps = 2"))
}

/// Numbers from a seed, which a failure names.
struct Numbers(u64);

impl Numbers {
    fn of_the_environment() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test that runs on request is told its seed")]
        let seed = std::env::var("RUNNER_FAULTS");
        Self(seed.ok().and_then(|seed| seed.parse().ok()).unwrap_or(1))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Every record's objects are there and right.
fn is_sound(lab: &Lab, store: &str) {
    let said = lab.stdout(&format!("cache verify --json --store {store}"), 0);
    let verified: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(verified["damaged"], Value::Array(Vec::new()));
    for (key, outputs) in lab.digests(store) {
        for artifact in outputs.as_object().unwrap().values() {
            let digest = artifact["digest"].as_str().unwrap();
            let object = lab.object(store, digest);
            assert!(object.exists(), "{key} has no {digest}");
        }
    }
}

/// Kills runs at random instants over one store: the runner alone, or with the group of a worker.
fn kills(rounds: u64) {
    let (lab, mut numbers) = (lab(), Numbers::of_the_environment());
    let seed = numbers.0;
    let begun = Instant::now();
    lab.stdout("run x.toml --store quiet", 0);
    let whole = begun.elapsed().as_millis() as u64;
    let digests = lab.digests("quiet");
    for round in 0..rounds {
        let mut run = lab.start("run x.toml --store killed");
        std::thread::sleep(Duration::from_millis(numbers.below(whole)));
        let process = run.id();
        let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        let workers = children.split_whitespace().filter_map(|number| Pid::from_raw(number.parse().ok()?));
        if round % 2 == 0 {
            let _ = kill_process(Pid::from_raw(process.cast_signed()).unwrap(), Signal::KILL);
        }
        if round % 3 != 0 {
            // It may have ended by itself.
            workers.for_each(|worker| {
                let _ = kill_process_group(worker, Signal::KILL);
            });
        }
        run.wait().unwrap();
        // A run that is killed at once has made no store yet.
        let is_made = lab.path().join("killed/v1/records").exists();
        let found = if is_made { lab.digests("killed") } else { BTreeMap::new() };
        assert!(
            found.iter().all(|(key, outputs)| digests.get(key) == Some(outputs)),
            "seed {seed}, round {round}"
        );
        if is_made && (found.len() == digests.len() || round + 1 == rounds) {
            is_sound(&lab, "killed");
            std::fs::remove_dir_all(lab.path().join("killed")).unwrap();
        }
    }
    lab.stdout("run x.toml --store killed", 0);
    is_sound(&lab, "killed");
    assert_eq!(lab.digests("killed"), digests, "seed {seed}");
}

#[test]
fn twenty_kills_lose_and_change_nothing() {
    kills(20);
}

#[test]
#[ignore = "an hour"]
fn a_thousand_kills_lose_and_change_nothing() {
    kills(1000);
}

/// Several runs on one store, which begin again with a fresh store until the time is over: nothing is computed twice.
fn crowd(processes: usize, time: Duration) {
    let lab = lab();
    lab.stdout("run x.toml --store quiet", 0);
    let (digests, begun) = (lab.digests("quiet"), Instant::now());
    loop {
        let runs: Vec<_> = (0..processes).map(|_| lab.start("run x.toml --jobs 1 --store crowd")).collect();
        let mut ran = 0;
        for run in runs {
            let output = run.wait_with_output().unwrap();
            let out = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{out}");
            ran += count(&serde_json::from_str(out.lines().last().unwrap()).unwrap(), "ran");
        }
        assert_eq!(ran, digests.len() as u64, "nothing is computed twice");
        is_sound(&lab, "crowd");
        assert_eq!(lab.digests("crowd"), digests);
        std::fs::remove_dir_all(lab.path().join("crowd")).unwrap();
        if begun.elapsed() >= time {
            break;
        }
    }
}

#[test]
fn four_processes_on_one_store_compute_nothing_twice() {
    crowd(4, Duration::ZERO);
}

#[test]
#[ignore = "five minutes"]
fn eight_processes_on_one_store_compute_nothing_twice() {
    crowd(8, Duration::from_secs(300));
}

/// A file system in memory; unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` if this user may not mount one.
    fn new(path: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }

    fn change(&self, options: &str) {
        let options = format!("remount,{options}");
        let changed = || {
            Command::new("mount")
                .args(["-o", &options])
                .arg(&self.0)
                .status()
                .unwrap()
                .success()
        };
        // A disk is busy while a worker that has nothing more to do is still on its way out.
        for _ in 0..50 {
            if changed() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("cannot remount {}", self.0.display());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_the_run_goes_on_when_there_is_room() {
    let lab = lab();
    lab.stdout("run x.toml --store quiet", 0);
    let disk = require!(Disk::new(&lab.path().join("small"), "size=64k"), MOUNT);
    let output = lab.output("run x.toml --store small");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        matches!(output.status.code(), Some(1 | 5)) && said.contains("No space left"),
        "{said}"
    );
    let records = lab.digests("small");
    let quiet = lab.digests("quiet");
    assert!(
        records.iter().all(|(key, outputs)| quiet.get(key) == Some(outputs)),
        "what was recorded is right"
    );
    disk.change("size=64m");
    lab.stdout("run x.toml --store small", 0);
    assert_eq!(lab.digests("small"), quiet);
    is_sound(&lab, "small");
}

#[test]
fn a_read_only_store_serves_hits_and_says_why_it_cannot_run() {
    let lab = lab();
    let disk = require!(Disk::new(&lab.path().join("shelf"), "size=64m"), MOUNT);
    lab.stdout("run x.toml --store shelf", 0);
    disk.change("ro");
    assert_eq!(count(&lab.summary("run x.toml --store shelf", 0), "ran"), 0);
    lab.stdout("report x.toml --store shelf", 0);
    lab.stdout("why x.toml score[1] --store shelf", 0);
    lab.stdout("cache verify --store shelf", 0);
    let output = lab.output("run x.toml --store shelf --set steps=3");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

/// Runs `words` as another account. `None` if this one may not.
fn by(lab: &Lab, user: u32, group: u32, words: &str) -> Option<Output> {
    // Only the system's first account may.
    std::os::unix::fs::chown(lab.path(), Some(0), None).ok()?;
    std::fs::set_permissions(lab.path(), Permissions::from_mode(0o755)).unwrap();
    // What is run lies where the other account may not look: it gets a copy.
    let program = lab.path().join("runner");
    if !program.exists() {
        lab.copy_program(env!("CARGO_BIN_EXE_runner"), "runner");
    }
    let mut other = Command::new(program);
    other
        .args(lab.command(words).get_args())
        .current_dir(lab.path())
        .uid(user)
        .gid(group);
    other.env("HOME", lab.path()).env("XDG_CONFIG_HOME", lab.path());
    Some(other.output().unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_store_of_another_account_serves_hits_and_says_why_it_cannot_run() {
    let lab = lab();
    lab.stdout("run x.toml --store theirs", 0);
    let hits = require!(by(&lab, 4001, 4001, "run x.toml --store theirs --json"), ROOT);
    assert_eq!(hits.status.code(), Some(0), "{}", said(&hits));
    let output = by(&lab, 4001, 4001, "run x.toml --store theirs --set steps=3").unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(
        said(&output).contains("Permission denied") && said(&output).contains("theirs"),
        "{}",
        said(&output)
    );
    let output = by(&lab, 4001, 4001, "run x.toml --store none").unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("Permission denied"), "{}", said(&output));
    is_sound(&lab, "theirs");
}

#[test]
fn two_accounts_of_one_group_share_a_store() {
    const GROUP: u32 = 4100;
    let lab = lab();
    let shared = lab.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    require!(std::os::unix::fs::chown(&shared, None, Some(GROUP)).is_ok().then_some(GROUP), ROOT);
    std::fs::set_permissions(&shared, Permissions::from_mode(0o2775)).unwrap();
    let command = "run x.toml problems mixed[0] numbered[0] --store shared --json";
    let first = require!(by(&lab, 4001, GROUP, command), ROOT);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    let second = by(&lab, 4002, GROUP, "run x.toml --store shared --json").unwrap();
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    let summary = String::from_utf8_lossy(&second.stdout).into_owned();
    let summary = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
    assert_eq!((count(&summary, "cached"), count(&summary, "ran")), (3, 11));
    let third = by(&lab, 4001, GROUP, "run x.toml --store shared --set steps=3 --json").unwrap();
    assert_eq!(third.status.code(), Some(0), "{}", said(&third));
    // Each may tidy up what the other made.
    let swept = by(&lab, 4001, GROUP, "cache gc --store shared --older-than 0s --grace 0s --delete").unwrap();
    assert_eq!(swept.status.code(), Some(0), "{}", said(&swept));
    let swept = by(
        &lab,
        4002,
        GROUP,
        "cache gc --store shared --older-than 0s --grace 0s --forget --delete",
    )
    .unwrap();
    assert_eq!(swept.status.code(), Some(0), "{}", said(&swept));
    assert_eq!(lab.digests("shared"), BTreeMap::new(), "{}", said(&swept));
}

#[test]
fn what_is_damaged_counts_as_lost_and_the_run_makes_it_again() {
    let lab = Lab::new(LOOP);
    lab.stdout("run x.toml", 0);
    let digests = lab.digests("cache");
    let object = |artifact: &Value| lab.object("cache", artifact["digest"].as_str().unwrap());
    let cut = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    // Of the same size: only a stage that reads it notices.
    let spoil = |path: &Path| {
        let length = std::fs::metadata(path).unwrap().len();
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, vec![0; length as usize]).unwrap();
    };
    let (mut models, mut scores) = (0, 0);
    for (key, outputs) in &digests {
        if let Some(problems) = outputs.get("in_domain") {
            cut(&object(problems));
        }
        if let Some(model) = outputs.get("model") {
            spoil(&object(model).join("model.safetensors"));
            models += 1;
        }
        // So that something reads the models.
        if outputs.get("metrics").is_some() {
            std::fs::remove_file(lab.record("cache", key)).unwrap();
            scores += 1;
        }
        if outputs.get("answers").is_some() && outputs.get("metrics").is_none() {
            cut(&lab.record("cache", key));
        }
    }
    assert!(models > 0 && scores > 0);
    let output = lab.output("run x.toml --json");
    let (events, warnings) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{events}{warnings}");
    assert!(events.contains("its record is ignored: it is damaged"), "{events}");
    assert!(events.contains("\"lost\"") && !events.contains("\"event\":\"failed\""), "{events}");
    assert_eq!(lab.digests("cache"), digests);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
    lab.stdout("cache verify", 0);
}
