//! Whole runs with a fake executor, in a temporary store.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::event::{Event, FailureCause, LostBecause, StageName};
use crate::exec::{WorkOrder, WorkerMessage};
use crate::fingerprint::Fingerprint;
use crate::plan::{Dag, Link, Node};
use crate::stage::{Effort, Kind, Output, PortType, Stage, StageContext, StageError};
use crate::store::{Acquired, Outputs, Record};

mod deleted;

static KIND: Kind = Kind {
    name: "fake",
    version: 1,
    inputs: &[],
    free: true,
    outputs: &[Output::of("data", PortType::File)],
    named: &[],
    command_line: None,
    gpus: None,
    implied: &[],
    parse: |_, _| Ok(Box::new(FakeStage)),
    schema: schemars::Schema::default,
    follows_seed: false,
    effort: Effort::of_inputs,
    shares_worker: true,
};

struct FakeStage;

impl Stage for FakeStage {
    fn params(&self) -> serde_json::Value {
        json!({})
    }

    fn draws(&self) -> bool {
        false
    }

    fn run(&self, _: &StageContext<'_>) -> Result<(), StageError> {
        Err(StageError::Stopped)
    }
}

/// A graph of stages, each with the stages whose output it reads.
fn dag(stages: &[(&str, &[&str])]) -> Dag {
    let mut graph = DiGraph::new();
    let mut indices: BTreeMap<&str, NodeIndex> = BTreeMap::new();
    for (name, needs) in stages {
        let link = |need: &&str| Link {
            from: indices[need],
            port: Cow::Borrowed("data"),
        };
        let links: Vec<Link> = needs.iter().map(link).collect();
        let from: Vec<NodeIndex> = links.iter().map(|link| link.from).collect();
        let index = graph.add_node(node(name, links));
        for from in from {
            graph.add_edge(from, index, ());
        }
        indices.insert(name, index);
    }
    Dag {
        experiment: "x".to_owned(),
        axes: Vec::new(),
        graph,
    }
}

fn node(name: &str, links: Vec<Link>) -> Node {
    Node {
        name: StageName {
            name: name.to_owned(),
            ..StageName::default()
        },
        base: name.to_owned(),
        index: None,
        part: false,
        members: Vec::new(),
        kind: &KIND,
        stage: Box::new(FakeStage),
        outputs: KIND.outputs.to_vec(),
        canonical: json!({"name": name}).into(),
        numerics: None,
        seed: None,
        resources: serde_json::from_value(json!({"retries": 2})).unwrap(),
        inputs: BTreeMap::from([("inputs".to_owned(), links)]),
        keep: BTreeSet::new(),
    }
}

/// How a fake worker behaves.
#[derive(Clone, Copy)]
enum Act {
    Succeed,
    /// Is killed.
    Crash,
    /// Is killed after its record is in the store, and before it can say so.
    CrashAtTheEnd,
    /// With another output than the last time.
    SucceedOtherwise,
    Fail,
    /// Damages its inputs in the store, and fails as if it had read them.
    DamageInputs,
    /// Goes on until it is asked to stop.
    Obey,
    /// Goes on until it is killed. The request to stop is followed by a second interrupt.
    Ignore,
}

/// An executor without processes.
struct FakeExecutor<'a> {
    store: &'a Store,
    interrupts: &'a AtomicUsize,
    /// The next acts of each stage; it succeeds when there are none.
    acts: BTreeMap<&'static str, Vec<Act>>,
    running: BTreeMap<usize, Act>,
    messages: VecDeque<(usize, WorkerMessage)>,
    /// Called when there is no message.
    when_idle: Box<dyn FnMut() + 'a>,
}

impl Executor for FakeExecutor<'_> {
    fn start(&mut self, index: usize, order: &WorkOrder, log: &Path, _: Vec<File>) -> io::Result<()> {
        let name = order.stage.name.as_str();
        std::fs::write(log, format!("{name} began\n"))?;
        let acts = self.acts.get_mut(name).filter(|acts| !acts.is_empty());
        let act = acts.map_or(Act::Succeed, |acts| acts.remove(0));
        self.running.insert(index, act);
        match act {
            Act::Succeed => {
                let outputs = compute(self.store, name, order.fingerprint.clone());
                self.messages.push_back((index, done(outputs)));
            }
            Act::SucceedOtherwise => {
                let outputs = put(self.store, name, "other", order.fingerprint.clone());
                self.messages.push_back((index, done(outputs)));
            }
            Act::Fail => self.fail(index),
            Act::Crash => self.end(index, FailureCause::Signal(9)),
            Act::CrashAtTheEnd => {
                compute(self.store, name, order.fingerprint.clone());
                self.end(index, FailureCause::Signal(9));
            }
            Act::DamageInputs => {
                for path in order.inputs.values().flatten() {
                    // Of the same size, so that only the digest shows it.
                    let damaged = vec![b'x'; std::fs::read(path)?.len()];
                    std::fs::remove_file(path)?;
                    std::fs::write(path, damaged)?;
                }
                self.fail(index);
            }
            Act::Obey | Act::Ignore => self.interrupts.store(1, Ordering::Relaxed),
        }
        Ok(())
    }

    fn next(&mut self, _: Duration) -> Option<(usize, WorkerMessage)> {
        if self.messages.is_empty() {
            (self.when_idle)();
            std::thread::sleep(Duration::from_millis(1));
        }
        self.messages.pop_front()
    }

    fn stop(&mut self, index: usize) {
        match self.running.get(&index) {
            Some(Act::Obey) => self.messages.push_back((index, WorkerMessage::Stopped)),
            _ => self.interrupts.store(2, Ordering::Relaxed),
        }
    }

    fn kill(&mut self, index: usize) {
        self.fail(index);
    }

    fn ended(&mut self, index: usize) {
        self.running.remove(&index);
    }
}

fn done(outputs: Outputs) -> WorkerMessage {
    WorkerMessage::Done {
        outputs,
        seconds: 1.0,
        takes_more: false,
    }
}

impl FakeExecutor<'_> {
    fn fail(&mut self, index: usize) {
        self.end(index, FailureCause::Failed);
    }

    fn end(&mut self, index: usize, cause: FailureCause) {
        let (error, seconds) = ("no luck".to_owned(), 1.0);
        self.messages.push_back((index, WorkerMessage::Failed { error, seconds, cause }));
    }
}

/// Puts the output and the record of a stage into the store, like a worker.
fn compute(store: &Store, name: &str, fingerprint: Fingerprint) -> Outputs {
    put(store, name, "output", fingerprint)
}

fn put(store: &Store, name: &str, what: &str, fingerprint: Fingerprint) -> Outputs {
    let workspace = store.workspace().unwrap();
    let path = workspace.path().join("data");
    // gc leaves small files alone.
    std::fs::write(&path, format!("{what} of {name}\n").repeat(500)).unwrap();
    let outputs = Outputs::from([("data".to_owned(), store.take(&path).unwrap())]);
    let mut record = Record::new(fingerprint, outputs.clone());
    name.clone_into(&mut record.stage);
    store.write_record(&record).unwrap();
    outputs
}

/// Notes the events in a few words.
#[derive(Default)]
struct Notes(Vec<String>);

impl Reporter for Notes {
    fn event(&mut self, event: &Event) {
        self.0.push(match event {
            Event::Cached { stage, .. } => format!("cached {stage}"),
            Event::Started { stage, .. } => format!("started {stage}"),
            Event::Waiting { stage, .. } => format!("waiting for {stage}"),
            Event::Lost {
                stage,
                needed_by,
                because: LostBecause::Changed,
            } => format!("looked up {stage} again, after {needed_by}"),
            Event::Lost { stage, needed_by, .. } => format!("lost {stage}, needed by {needed_by}"),
            Event::Finished { stage, .. } => format!("finished {stage}"),
            Event::Failed {
                stage, error, log_tail, ..
            } => format!("failed {stage}: {error}, {}", log_tail.join("")),
            Event::Retrying { stage, attempt, of, .. } => format!("retrying {stage}, {attempt} of {of}"),
            Event::Cancelled { stage, .. } => format!("cancelled {stage}"),
            Event::Skipped { stage, because } => format!("skipped {stage}: {because}"),
            Event::Interrupted => "interrupted".to_owned(),
            Event::Warned { message } => format!("warned: {}", without_digests(message)),
            _ => return,
        });
    }
}

/// A message with `OLD` and `NEW` in the place of two digests.
fn without_digests(message: &str) -> String {
    let is_digest = |word: &&str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words: Vec<&str> = message.split(' ').collect();
    let names = ["OLD", "NEW"].into_iter();
    let digests: Vec<&str> = words.iter().copied().filter(is_digest).collect();
    let mut text = message.to_owned();
    for (digest, name) in digests.into_iter().zip(names) {
        text = text.replace(digest, name);
    }
    text
}

/// A temporary store, and the runs in it.
struct Bench {
    _folder: TempDir,
    store: Store,
    interrupts: AtomicUsize,
    jobs: usize,
    keep_going: bool,
    requests: RunRequests,
    make_room: Option<MakeRoom>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self {
            _folder: folder,
            store,
            interrupts: AtomicUsize::new(0),
            jobs: 1,
            keep_going: false,
            requests: RunRequests::default(),
            make_room: None,
        }
    }

    fn plan(&self, stages: &[(&str, &[&str])]) -> Plan {
        Resolver::new(&self.store, None).plan(dag(stages), &BTreeSet::new()).unwrap()
    }

    fn run(&self, plan: &Plan, acts: &[(&'static str, Act)]) -> (RunSummary, Vec<String>) {
        self.run_with(plan, acts, || ())
    }

    fn run_with<'a>(&'a self, plan: &Plan, acts: &[(&'static str, Act)], when_idle: impl FnMut() + 'a) -> (RunSummary, Vec<String>) {
        let mut executor = FakeExecutor {
            store: &self.store,
            interrupts: &self.interrupts,
            acts: BTreeMap::new(),
            running: BTreeMap::new(),
            messages: VecDeque::new(),
            when_idle: Box::new(when_idle),
        };
        for (name, act) in acts {
            executor.acts.entry(name).or_default().push(*act);
        }
        let options = RunOptions {
            limits: RunLimits {
                jobs: self.jobs,
                threads: self.jobs,
                memory: None,
                keep_going: self.keep_going,
            },
            device: "cpu".to_owned(),
            gpu_device: "cuda:0".to_owned(),
            gpus: Vec::new(),
            gpu_locks: PathBuf::new(),
            sandbox: Sandbox::default(),
            patience: Duration::ZERO,
            run: "r".to_owned(),
            remotes: Remotes::none(),
            origin: RunOrigin::default(),
            sign: None,
            hidden: Vec::new(),
            requests: self.requests.clone(),
            make_room: self.make_room,
        };
        let (resolver, mut notes) = (Resolver::new(&self.store, None), Notes::default());
        let summary = run(plan, &self.store, &resolver, &options, &mut executor, &self.interrupts, &mut notes);
        assert!(executor.running.is_empty(), "every worker has ended");
        (summary.unwrap(), notes.0)
    }

    /// The path of the output of a stage that the plan knows.
    fn output(&self, plan: &Plan, stage: &str) -> PathBuf {
        let (_, _, entry) = plan.stages().find(|(_, node, _)| node.base == stage).unwrap();
        self.store.object(&entry.outputs["data"].digest)
    }
}

fn summary(cached: usize, ran: usize, failed: usize, skipped: usize) -> RunSummary {
    RunSummary {
        stages: cached + ran + failed + skipped,
        cached,
        ran,
        failed,
        skipped,
        cancelled: 0,
        interrupted: false,
    }
}

const CHAIN: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"])];

#[test]
fn what_ran_once_is_a_hit_from_then_on() {
    let bench = Bench::new();
    let (first, notes) = bench.run(&bench.plan(CHAIN), &[]);
    assert_eq!(first, summary(0, 2, 0, 0));
    assert_eq!(notes, ["started a", "finished a", "started b", "finished b"]);
    let (second, notes) = bench.run(&bench.plan(CHAIN), &[("a", Act::Fail), ("b", Act::Fail)]);
    assert_eq!(second, summary(2, 0, 0, 0));
    assert_eq!(notes, ["cached a", "cached b"]);
}

#[test]
fn a_failure_skips_what_needs_it_and_ends_the_run_unless_it_keeps_going() {
    let stages: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &[])];
    let mut bench = Bench::new();
    let (ended, notes) = bench.run(&bench.plan(stages), &[("a", Act::Fail)]);
    assert_eq!(ended, summary(0, 0, 1, 2));
    assert_eq!(
        notes,
        [
            "started a",
            "failed a: no luck, a began",
            "skipped b: `a` failed",
            "skipped c: another stage failed"
        ]
    );
    bench.keep_going = true;
    let (ended, notes) = bench.run(&bench.plan(stages), &[("a", Act::Fail)]);
    assert_eq!(ended, summary(0, 1, 1, 1));
    assert_eq!(notes[3..], ["started c", "finished c"]);
}

#[test]
fn a_crash_is_tried_again_and_a_plain_failure_is_not() {
    let bench = Bench::new();
    let plan = bench.plan(CHAIN);
    let (ended, notes) = bench.run(&plan, &[("a", Act::Crash), ("a", Act::Crash), ("a", Act::Crash)]);
    assert_eq!(ended, summary(0, 0, 1, 1));
    let tried = ["started a", "retrying a, 1 of 2", "started a", "retrying a, 2 of 2", "started a"];
    assert_eq!(notes[..5], tried);
    assert!(notes[5].starts_with("failed a"), "{notes:?}");
    let (ended, notes) = bench.run(&plan, &[("a", Act::Crash), ("a", Act::Fail)]);
    assert_eq!((ended.failed, notes.len()), (1, 5), "{notes:?}");
    let (ended, _) = bench.run(&plan, &[("a", Act::Crash)]);
    assert_eq!(ended, summary(0, 2, 0, 0));
}

#[test]
fn a_record_counts_whatever_became_of_its_worker() {
    let bench = Bench::new();
    let (ended, notes) = bench.run(&bench.plan(CHAIN), &[("a", Act::CrashAtTheEnd)]);
    assert_eq!(ended, summary(0, 2, 0, 0));
    assert_eq!(notes, ["started a", "finished a", "started b", "finished b"]);
}

#[test]
fn an_interrupt_stops_the_stages_and_a_second_one_kills_them() {
    let bench = Bench { jobs: 2, ..Bench::new() };
    let plan = bench.plan(&[("a", &[]), ("b", &[]), ("c", &["a"])]);
    let (ended, notes) = bench.run(&plan, &[("a", Act::Obey), ("b", Act::Ignore)]);
    let expected = RunSummary {
        interrupted: true,
        ..summary(0, 0, 0, 3)
    };
    assert_eq!(ended, expected, "a stage that is killed on request has not failed");
    assert_eq!(
        notes,
        [
            "started a",
            "started b",
            "interrupted",
            "skipped a: the run was interrupted",
            "skipped b: the run was interrupted",
            "skipped c: the run was interrupted"
        ]
    );
}

#[test]
fn a_stage_that_another_process_computes_is_waited_for() {
    let bench = Bench::new();
    let plan = bench.plan(CHAIN);
    let key = plan.entries[0].key.unwrap();
    let Acquired::Mine(lease) = bench.store.lease(&key, 99).unwrap() else {
        panic!("nobody has it");
    };
    let mut lease = Some(lease);
    let resolver = Resolver::new(&bench.store, None);
    let fingerprint = resolver.fingerprint(&plan.dag.graph[NodeIndex::new(0)], |_| None).unwrap();
    let (ended, notes) = bench.run_with(&plan, &[], || {
        if let Some(lease) = lease.take() {
            compute(&bench.store, "a", fingerprint.clone());
            drop(lease);
        }
    });
    assert_eq!(ended, summary(1, 1, 0, 0));
    assert_eq!(notes, ["waiting for a", "cached a", "started b", "finished b"]);
}

#[test]
fn a_stage_that_another_process_gives_up_is_run() {
    let bench = Bench::new();
    let plan = bench.plan(CHAIN);
    let key = plan.entries[0].key.unwrap();
    let mut lease = Some(bench.store.lease(&key, 99).unwrap());
    let (ended, notes) = bench.run_with(&plan, &[], || drop(lease.take()));
    assert_eq!(ended, summary(0, 2, 0, 0));
    assert_eq!(notes, ["waiting for a", "started a", "finished a", "started b", "finished b"]);
}

#[test]
fn an_input_that_is_gone_from_the_store_is_made_again() {
    let bench = Bench::new();
    bench.run(&bench.plan(&CHAIN[..1]), &[]);
    let plan = bench.plan(CHAIN);
    std::fs::remove_file(bench.output(&plan, "a")).unwrap();
    let (ended, notes) = bench.run(&plan, &[]);
    assert_eq!(ended, summary(0, 2, 0, 0), "the hit no longer counts");
    assert_eq!(
        notes,
        [
            "cached a",
            "lost a, needed by b",
            "started a",
            "finished a",
            "started b",
            "finished b"
        ]
    );
}

#[test]
fn a_stage_that_failed_over_a_damaged_input_runs_again_with_a_sound_one() {
    let bench = Bench::new();
    let (ended, notes) = bench.run(&bench.plan(CHAIN), &[("b", Act::DamageInputs)]);
    assert_eq!(ended, summary(0, 2, 0, 0));
    assert_eq!(
        notes,
        [
            "started a",
            "finished a",
            "started b",
            "lost a, needed by b",
            "started a",
            "finished a",
            "started b",
            "finished b"
        ]
    );
}

#[test]
fn a_failure_over_sound_inputs_stays_a_failure() {
    let bench = Bench::new();
    let (ended, notes) = bench.run(&bench.plan(CHAIN), &[("b", Act::Fail)]);
    assert_eq!(ended, summary(0, 1, 1, 0));
    assert_eq!(notes[3], "failed b: no luck, b began");
}
