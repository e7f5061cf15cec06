//! Workers are scripts here, in place of the program.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::json;

use super::*;
use crate::config::Resources;
use crate::event::StageName;
use crate::exec::StageLimits;
use crate::fingerprint::Fingerprint;
use crate::stage::Sandbox;
use crate::store::Provenance;

fn order() -> WorkOrder {
    WorkOrder {
        earlier: Vec::new(),
        store: "store".into(),
        fingerprint: Fingerprint::new("mix", 1, json!({})),
        unkeyed_params: serde_json::Map::new(),
        inputs: BTreeMap::new(),
        shared_log: None,
        threads: 1,
        device: "cpu".to_owned(),
        gpus: None,
        limits: StageLimits::default(),
        asked: Resources::default(),
        attempts: Vec::new(),
        sandbox: Sandbox::default(),
        patience: 0,
        stage: StageName::default(),
        experiment: String::new(),
        run: String::new(),
        provenance: Provenance::default(),
        keep: String::new(),
        sign: None,
    }
}

/// An order that fills more than a pipe takes at once.
fn long_order() -> WorkOrder {
    WorkOrder {
        experiment: "x".repeat(1 << 20),
        ..order()
    }
}

/// A folder with a program in place of the worker. Another process writes it: a file that is open for writing cannot be run, and a
/// test beside this one may start a process, which has all files open for a moment.
fn program(script: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let mut writer = Command::new("sh");
    writer.args(["-c", r#"printf '%s\n' "$1" > "$2" && chmod +x "$2""#, "sh"]);
    assert!(writer.arg(format!("#!/bin/sh\n{script}")).arg(&path).status().unwrap().success());
    (folder, path)
}

/// The error of a stage that fails.
fn error_of(executor: &mut LocalExecutor) -> String {
    match executor.next(Duration::from_secs(60)) {
        Some((0, WorkerMessage::Failed { error, .. })) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_that_cannot_be_written_is_a_failure() {
    let (folder, path) = program("cat > /dev/null");
    let mut executor = LocalExecutor::new(path);
    let order = WorkOrder {
        earlier: Vec::new(),
        store: OsStr::from_bytes(b"b\xffd").into(),
        ..order()
    };
    executor.start(0, &order, &folder.path().join("log"), Vec::new()).unwrap();
    let error = error_of(&mut executor);
    assert_eq!(error, "its work order cannot be written: path contains invalid UTF-8 characters");
}

#[test]
fn a_worker_that_cannot_be_started_is_a_failure_of_its_stage() {
    let folder = tempfile::tempdir().unwrap();
    let mut executor = LocalExecutor::new(folder.path().join("none"));
    executor.start(0, &order(), &folder.path().join("log"), Vec::new()).unwrap();
    assert!(error_of(&mut executor).starts_with("cannot start a worker: No such file"));
    executor.start(0, &order(), &folder.path().join("none/log"), Vec::new()).unwrap();
    assert!(error_of(&mut executor).starts_with("cannot create its log "));
}

#[test]
fn a_worker_that_ends_without_reading_is_a_failure() {
    let (folder, path) = program("exit 3");
    let mut executor = LocalExecutor::new(path);
    executor.start(0, &long_order(), &folder.path().join("log"), Vec::new()).unwrap();
    assert_eq!(error_of(&mut executor), "its process ended without a message (exit code 3)");
}

#[test]
fn a_worker_that_does_not_read_keeps_nobody_waiting() {
    let (folder, path) = program("exec sleep 600");
    let mut executor = LocalExecutor::new(path);
    executor.start(0, &long_order(), &folder.path().join("log"), Vec::new()).unwrap();
    assert!(executor.next(Duration::from_millis(50)).is_none());
    executor.stop(0);
    executor.kill(0);
    assert!(error_of(&mut executor).starts_with("its process was killed"));
}

#[test]
fn what_a_library_prints_is_no_message_and_a_request_to_stop_ends_the_input() {
    let script = r#"printf '\377 not ours\n{"progress":\n'; cat > /dev/null; echo '"stopped"'"#;
    let (folder, path) = program(script);
    let mut executor = LocalExecutor::new(path);
    executor.start(0, &long_order(), &folder.path().join("log"), Vec::new()).unwrap();
    assert!(executor.next(Duration::from_millis(50)).is_none());
    executor.stop(0);
    let message = executor.next(Duration::from_secs(60));
    assert!(matches!(message, Some((0, WorkerMessage::Stopped))), "{message:?}");
}

/// A worker that runs stages until one is named `crash`, and puts its number into the log of the process. It wants `ends` to be its
/// last stage.
const SHARED: &str = r#"echo $$ >&2
    while read -r line; do
        more=true
        case $line in
            *'"stage":"crash"'*) exit 101 ;;
            *'"stage":"wait"'*) cat > /dev/null; exit 3 ;;
            *'"stage":"ends"'*) more=false ;;
        esac
        printf '{"done":{"outputs":{},"seconds":1.0,"takes_more":%s}}\n' $more
        $more || exit 0
    done"#;

/// An executor of such workers in a folder.
struct SharedBench {
    folder: tempfile::TempDir,
    executor: LocalExecutor,
}

impl SharedBench {
    fn new() -> Self {
        let (folder, path) = program(SHARED);
        let executor = LocalExecutor::new(path);
        Self { folder, executor }
    }

    fn start(&mut self, index: usize, name: &str) {
        let log = self.folder.path().join(format!("log{index}"));
        let stage = StageName {
            name: name.to_owned(),
            ..StageName::default()
        };
        let order = WorkOrder {
            store: self.folder.path().join("store"),
            shared_log: Some(log.clone()),
            stage,
            ..order()
        };
        self.executor.start(index, &order, &log, Vec::new()).unwrap();
    }

    /// All messages about a stage, which has ended then.
    fn end(&mut self, index: usize) -> Vec<WorkerMessage> {
        let mut messages = Vec::new();
        loop {
            let (of, message) = self.executor.next(Duration::from_secs(60)).unwrap();
            assert_eq!(of, index);
            let is_last = !matches!(message, WorkerMessage::Progress(_) | WorkerMessage::Warned { .. });
            messages.push(message);
            if is_last {
                self.executor.ended(index);
                return messages;
            }
        }
    }

    fn run(&mut self, index: usize, name: &str) -> Vec<WorkerMessage> {
        self.start(index, name);
        self.end(index)
    }

    /// What a new process has written to the log of its first stage; nothing in the log of a stage after others.
    fn began(&self, index: usize) -> bool {
        !std::fs::read(self.folder.path().join(format!("log{index}"))).unwrap().is_empty()
    }
}

fn is_done(messages: &[WorkerMessage]) -> bool {
    matches!(messages, [WorkerMessage::Done { .. }])
}

#[test]
fn stages_share_a_worker_until_it_takes_no_more() {
    let mut bench = SharedBench::new();
    for (index, name) in ["a", "b", "ends", "c"].into_iter().enumerate() {
        assert!(is_done(&bench.run(index, name)), "{name}");
    }
    assert_eq!([0, 1, 2, 3].map(|index| bench.began(index)), [true, false, false, true]);
    // Two at once need two.
    bench.start(4, "d");
    bench.start(5, "e");
    let first = bench.executor.next(Duration::from_secs(60)).unwrap().0;
    bench.executor.ended(first);
    assert!(is_done(&bench.end(9 - first)));
    assert_eq!([4, 5].map(|index| bench.began(index)), [false, true]);
    assert_eq!(bench.executor.idle.len(), 2);
    // One that has a process of its own takes the place of one that waits.
    let log = bench.folder.path().join("log6");
    let alone = WorkOrder {
        store: bench.folder.path().join("store"),
        ..order()
    };
    bench.executor.start(6, &alone, &log, Vec::new()).unwrap();
    assert_eq!(bench.executor.idle.len(), 1);
    assert!(is_done(&bench.end(6)));
    assert!(bench.began(6));
}

#[test]
fn a_stage_that_ends_a_used_worker_runs_again_alone_and_is_named_if_it_ends_that_too() {
    let mut bench = SharedBench::new();
    assert!(is_done(&bench.run(0, "a")));
    let messages = bench.run(1, "crash");
    let [WorkerMessage::Warned { message }, WorkerMessage::Failed { error, .. }] = messages.as_slice() else {
        panic!("{messages:?}");
    };
    assert_eq!(error, "its process panicked: an error in the runner");
    assert!(message.starts_with(&format!("{error}; other stages had run in it")), "{message}");
    assert!(bench.began(1), "the log is that of the process of its own");
    // Alone from the beginning, it is not tried again.
    let messages = bench.run(2, "crash");
    assert!(matches!(messages.as_slice(), [WorkerMessage::Failed { .. }]), "{messages:?}");
    assert!(is_done(&bench.run(3, "a")));
}

#[test]
fn a_worker_that_was_killed_while_it_waited_costs_nothing() {
    let mut bench = SharedBench::new();
    assert!(is_done(&bench.run(0, "a")));
    let number = std::fs::read_to_string(bench.folder.path().join("log0")).unwrap();
    assert!(Command::new("kill").args(["-KILL", number.trim()]).status().unwrap().success());
    let messages = bench.run(1, "b");
    assert!(
        matches!(messages.as_slice(), [WorkerMessage::Warned { .. }, WorkerMessage::Done { .. }]),
        "{messages:?}"
    );
    assert!(is_done(&bench.run(2, "c")));
}

#[test]
fn a_stage_that_was_to_end_does_not_run_again() {
    for end in [LocalExecutor::stop, LocalExecutor::kill] {
        let mut bench = SharedBench::new();
        assert!(is_done(&bench.run(0, "a")));
        bench.start(1, "wait");
        assert!(bench.executor.next(Duration::from_millis(50)).is_none());
        end(&mut bench.executor, 1);
        let messages = bench.end(1);
        assert!(matches!(messages.as_slice(), [WorkerMessage::Failed { .. }]), "{messages:?}");
        assert!(is_done(&bench.run(2, "b")));
        assert!(bench.began(2));
    }
}

#[test]
fn a_stage_that_is_stopped_before_its_worker_has_heard_of_it_has_not_failed() {
    for is_used in [false, true] {
        for _ in 0..20 {
            let mut bench = SharedBench::new();
            if is_used {
                assert!(is_done(&bench.run(0, "a")));
            }
            bench.start(1, "b");
            bench.executor.stop(1);
            let messages = bench.end(1);
            assert!(
                matches!(messages.as_slice(), [WorkerMessage::Stopped | WorkerMessage::Done { .. }]),
                "{messages:?}"
            );
            assert_eq!(bench.executor.idle.len(), 0);
        }
    }
}
