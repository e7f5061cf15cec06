//! Stages as worker processes on this machine: a crash, a panic or an out-of-memory kill ends one stage, not the run.
//!
//! A stage that shares its worker is given to one that has ended another stage and waits (`docs/decisions/0025`). Where the process of
//! such a worker ends by itself, its stage runs again in a new process: what the stages before it left there may be the cause.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::Executor;
use super::work_order::{WorkOrder, WorkerMessage};
use super::worker_process::{Assignment, News, WorkerProcess};
use crate::event::FailureCause;

/// Starts workers as processes of the binary `program`, usually this one.
pub struct LocalExecutor {
    program: PathBuf,
    /// The news of the workers; one thread per worker reads them.
    sender: Sender<(usize, News)>,
    receiver: Receiver<(usize, News)>,
    running: BTreeMap<usize, RunningWorker>,
    /// Workers that wait for another stage.
    idle: Vec<WorkerProcess>,
}

/// A worker with its stage.
struct RunningWorker {
    process: WorkerProcess,
    assignment: Arc<Assignment>,
    /// Whether the process has run other stages before.
    is_used: bool,
    /// Whether the stage has ended and the process waits for another one.
    takes_more: bool,
}

/// Why no worker has begun the stage.
#[derive(Debug, thiserror::Error)]
enum StartError {
    /// A path that is no UTF-8, for example.
    #[error("its work order cannot be written: {0}")]
    Order(#[from] serde_json::Error),
    #[error("cannot create its log {}: {error}", path.display())]
    Log { path: PathBuf, error: io::Error },
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

impl LocalExecutor {
    pub fn new(program: PathBuf) -> Self {
        let (sender, receiver) = channel();
        Self {
            program,
            sender,
            receiver,
            running: BTreeMap::new(),
            idle: Vec::new(),
        }
    }

    fn try_start(&mut self, index: usize, order: &WorkOrder, log: &Path, held: &[File]) -> Result<(), StartError> {
        let assignment = Arc::new(Assignment::new(index, order)?);
        let log = create_log(log)?;
        // There are no more workers than stages may run at once.
        match self.idle.pop().filter(|_| order.shared_log.is_some()) {
            Some(process) => {
                process.assign(Arc::clone(&assignment));
                self.insert(process, assignment, true);
            }
            None => self.start_process(assignment, log, held)?,
        }
        Ok(())
    }

    /// Gives a stage to a new process.
    fn start_process(&mut self, assignment: Arc<Assignment>, log: File, held: &[File]) -> Result<(), StartError> {
        let process = WorkerProcess::start(&self.program, &assignment, log, held, self.sender.clone());
        self.insert(process.map_err(StartError::Worker)?, assignment, false);
        Ok(())
    }

    fn insert(&mut self, process: WorkerProcess, assignment: Arc<Assignment>, is_used: bool) {
        let index = assignment.index;
        let worker = RunningWorker {
            process,
            assignment,
            is_used,
            takes_more: false,
        };
        self.running.insert(index, worker);
    }

    /// A process has ended without the last message of its stage. One that had run other stages may have ended because of these: then the
    /// stage runs again in a process of its own, unless it was to end.
    fn ended_by_itself(&mut self, index: usize, failed: WorkerMessage) -> WorkerMessage {
        let WorkerMessage::Failed { error, .. } = &failed else {
            return failed;
        };
        let again = self
            .running
            .get(&index)
            .filter(|worker| worker.is_used && !worker.process.is_to_end());
        let Some(assignment) = again.map(|worker| Arc::clone(&worker.assignment)) else {
            return failed;
        };
        let message = format!("{error}; other stages had run in it, so this one runs again in a process of its own");
        let log = assignment.shared_log.as_deref().unwrap_or(Path::new(""));
        let started = create_log(log).and_then(|log| self.start_process(Arc::clone(&assignment), log, &[]));
        started.map_or(failed, |()| WorkerMessage::Warned { message })
    }
}

fn create_log(path: &Path) -> Result<File, StartError> {
    let path = path.to_owned();
    File::create(&path).map_err(|error| StartError::Log { path, error })
}

impl Executor for LocalExecutor {
    /// A worker that cannot be started is a failure of its stage: other stages may go on.
    fn start(&mut self, index: usize, order: &WorkOrder, log: &Path, held: Vec<File>) -> io::Result<()> {
        if let Err(error) = self.try_start(index, order, log, &held) {
            let failed = WorkerMessage::Failed {
                error: error.to_string(),
                seconds: 0.0,
                cause: FailureCause::Failed,
            };
            let _ = self.sender.send((index, News::Said(failed)));
        }
        Ok(())
    }

    fn next(&mut self, timeout: Duration) -> Option<(usize, WorkerMessage)> {
        let (index, news) = self.receiver.recv_timeout(timeout).ok()?;
        let message = match news {
            News::Said(message) => message,
            News::Ended(failed) => self.ended_by_itself(index, failed),
        };
        if let WorkerMessage::Done { takes_more, .. } = message
            && let Some(worker) = self.running.get_mut(&index)
        {
            worker.takes_more = takes_more;
        }
        Some((index, message))
    }

    fn stop(&mut self, index: usize) {
        if let Some(worker) = self.running.get(&index) {
            worker.process.stop();
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(worker) = self.running.get(&index) {
            worker.process.kill();
        }
    }

    fn ended(&mut self, index: usize) {
        if let Some(worker) = self.running.remove(&index)
            && worker.takes_more
            && !worker.process.is_to_end()
        {
            self.idle.push(worker.process);
        }
    }
}

#[cfg(test)]
mod tests {
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
}
