//! The run: the loop that carries messages between scheduler, executor, store and reporter.

mod inputs;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use petgraph::graph::NodeIndex;

use super::Executor;
use super::origin::Origin;
use super::scheduler::{Job, Limits, Scheduler};
use super::task::{Message, Task};
use crate::event::{Event, Reporter, StageName};
use crate::fingerprint::Fingerprint;
use crate::hash::Digest;
use crate::plan::{Node, Plan, PlanEntry, Resolver, StageState};
use crate::source::SOURCE;
use crate::store::remote::{Remotes, Uploaded, Uploads};
use crate::store::{Acquired, Lease, Outputs, Provenance, Store, StoreError, Use};
use inputs::Inputs;

/// How often the reporter is ticked, leases are kept alive and held stages looked up.
const TICK: Duration = Duration::from_millis(200);

/// How often news of inputs are looked for, while there may be any.
const SOON: Duration = Duration::from_millis(5);

/// How often leases are touched.
const BEAT: Duration = Duration::from_secs(5);

/// So many last lines of a failed stage's log are shown.
const TAIL: usize = 20;

/// A stage that never ran is thought to take so long, by whether it computes; for the critical path only.
const THOUGHT: [f64; 2] = [0.1, 10.0];

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    pub limits: Limits,
    pub device: String,
    /// The run's name: its folder in the store.
    pub run: String,
    /// The command that runs a stage alone, but for the stage: `runner run experiments/x.toml`.
    pub rerun: String,
    /// Where inputs may come from and results go; and the command that brings there what the run did not.
    pub remotes: Remotes,
    pub push: String,
    pub origin: Origin,
    /// The file of the secret key that signs the records.
    pub sign: Option<PathBuf>,
}

/// How the run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    pub stages: usize,
    pub cached: usize,
    pub ran: usize,
    pub failed: usize,
    pub skipped: usize,
    pub interrupted: bool,
}

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a worker: {0}")]
    Start(std::io::Error),
}

/// Runs all stages of the plan that are not in the store. `interrupts` counts the requests to stop: the first one asks the running
/// stages to stop, the second kills them.
///
/// # Errors
/// When the store cannot be read or written. A stage that fails is no error here: it is in the summary.
pub fn run(
    plan: &Plan,
    store: &Store,
    resolver: &Resolver<'_>,
    options: &Options,
    executor: &mut dyn Executor,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<Summary, Failure> {
    let begun = Instant::now();
    store.clear_dead_leases();
    store.clear_abandoned_work();
    let mut run = Run::new(plan, store, resolver, options, reporter);
    let ended = run.go(executor, interrupts);
    if ended.is_err() {
        let running: Vec<usize> = run.running.keys().copied().collect();
        running.into_iter().for_each(|index| executor.kill(index));
    }
    ended?;
    run.finish_uploads(interrupts);
    let Summary {
        stages,
        cached,
        ran,
        failed,
        skipped,
        interrupted,
    } = run.summary;
    let seconds = begun.elapsed().as_secs_f64();
    run.reporter.event(&Event::Summary {
        stages,
        cached,
        ran,
        failed,
        skipped,
        seconds,
        interrupted,
    });
    Ok(run.summary)
}

/// A stage that is being computed here.
struct Running {
    key: Digest,
    lease: Lease,
    log: PathBuf,
}

struct Run<'a> {
    plan: &'a Plan,
    store: &'a Store,
    resolver: &'a Resolver<'a>,
    options: &'a Options,
    reporter: &'a mut dyn Reporter,
    scheduler: Scheduler,
    /// By place in the plan's order, as all indices here.
    outputs: Vec<Option<Outputs>>,
    places: HashMap<NodeIndex, usize>,
    fingerprints: BTreeMap<usize, (Fingerprint, PlanEntry)>,
    running: BTreeMap<usize, Running>,
    /// Who holds the stages that are waited for, as last told.
    holders: BTreeMap<usize, String>,
    /// Under way beside the run.
    uploads: Option<Uploads>,
    summary: Summary,
    /// What all records of the run have in common; known from the first start on.
    provenance: Option<Provenance>,
    /// Says what the run needs; from the first start on.
    needed: Option<Use>,
    /// The stages that ran here, and those whose outputs were lost after they were looked up.
    made: BTreeSet<usize>,
    lost: BTreeSet<usize>,
    /// What is done to inputs beside the run.
    inputs: Option<Inputs>,
    /// Whether the running stages were killed on request: then their end is no failure.
    killed: bool,
    beaten: Instant,
    polled: Instant,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, store: &'a Store, resolver: &'a Resolver<'a>, options: &'a Options, reporter: &'a mut dyn Reporter) -> Self {
        let places: HashMap<NodeIndex, usize> = plan.order.iter().enumerate().map(|(place, &index)| (index, place)).collect();
        let jobs: Vec<Job> = plan.stages().map(|(_, node, entry)| job(node, entry, &places)).collect();
        let summary = Summary {
            stages: jobs.len(),
            ..Summary::default()
        };
        let scheduler = Scheduler::new(&jobs, options.limits);
        let outputs = vec![None; jobs.len()];
        Self {
            plan,
            store,
            resolver,
            options,
            reporter,
            scheduler,
            outputs,
            places,
            fingerprints: BTreeMap::new(),
            running: BTreeMap::new(),
            holders: BTreeMap::new(),
            uploads: None,
            summary,
            provenance: None,
            needed: None,
            made: BTreeSet::new(),
            lost: BTreeSet::new(),
            inputs: None,
            killed: false,
            beaten: Instant::now(),
            polled: Instant::now(),
        }
    }

    fn go(&mut self, executor: &mut dyn Executor, interrupts: &AtomicUsize) -> Result<(), Failure> {
        let Limits { jobs, threads, .. } = self.options.limits;
        let (run, experiment) = (self.options.run.clone(), self.plan.dag.experiment.clone());
        self.reporter.event(&Event::RunStarted {
            run,
            experiment,
            stages: self.summary.stages,
            jobs,
            threads,
        });
        loop {
            self.look_up()?;
            self.warn();
            while let Some((index, threads)) = self.scheduler.start() {
                self.start(index, threads, executor)?;
                self.look_up()?;
            }
            if self.scheduler.is_over() {
                break;
            }
            let is_busy = self.inputs.as_ref().is_some_and(Inputs::is_busy);
            match executor.next(if is_busy { SOON } else { TICK }) {
                Some((index, message)) => self.hear(index, message, executor),
                None if self.polled.elapsed() < TICK => {}
                None => self.poll()?,
            }
            self.hear_of_inputs()?;
            self.reporter.tick();
            self.beat();
            self.obey(interrupts.load(Ordering::Relaxed), executor);
        }
        let because = if self.summary.interrupted {
            "the run was interrupted"
        } else {
            "another stage failed"
        };
        for index in self.scheduler.skip_rest() {
            self.skip(index, because);
        }
        Ok(())
    }

    /// Looks up every stage whose inputs are there: a hit unblocks others, a miss is to run.
    fn look_up(&mut self) -> Result<(), Failure> {
        while let Some(index) = self.scheduler.next_unblocked() {
            // The plan has asked the store already about the stages that it knew enough of.
            let planned = self.entry(index);
            let is_lost = self.lost.contains(&index);
            if planned.state == StageState::Hit && !is_lost {
                let (key, outputs) = (planned.key, planned.outputs.clone());
                self.cached(index, key, outputs);
                continue;
            }
            let outputs = |from: NodeIndex| self.outputs[*self.places.get(&from)?].as_ref();
            let node = self.node(index);
            let Some(fingerprint) = self.resolver.fingerprint(node, outputs) else {
                continue;
            };
            let entry = if planned.key == Some(fingerprint.key()) && !is_lost {
                planned.clone()
            } else {
                self.resolver.look_up(node, &fingerprint)?
            };
            if entry.state == StageState::Hit {
                self.cached(index, entry.key, entry.outputs);
            } else {
                self.fingerprints.insert(index, (fingerprint, entry));
                self.scheduler.must_run(index);
            }
        }
        Ok(())
    }

    /// Starts a stage, unless the store has it by now or somebody else is computing it.
    fn start(&mut self, index: usize, threads: usize, executor: &mut dyn Executor) -> Result<(), Failure> {
        let Some((fingerprint, entry)) = self.fingerprints.get(&index).cloned() else {
            return Ok(());
        };
        let key = fingerprint.key();
        if self.fetch_inputs(index) {
            return Ok(());
        }
        if let Some(lost) = self.lost_inputs(index)? {
            self.take_back(index, &lost);
            return Ok(());
        }
        let lease = match self.store.lease(&key, index as u64)? {
            Acquired::Mine(lease) => lease,
            Acquired::Held(holder) => {
                self.wait(index, key, holder);
                return Ok(());
            }
        };
        // Only now: its last holder may have ended between the look-up and the lease.
        if let Some(outputs) = self.resolver.hit(&key)? {
            self.cached(index, Some(key), outputs);
            return Ok(());
        }
        self.holders.remove(&index);
        self.say_needed()?;
        let log = self
            .store
            .run_folder(&self.options.run)?
            .join(format!("{:04}-{}.log", index, file_name(&self.name(index))));
        let task = self.task(index, fingerprint, threads);
        let (kind, stage) = (task.fingerprint.kind.clone(), task.stage.clone());
        executor.start(index, &task, &log).map_err(Failure::Start)?;
        let reason = entry.reason.map_or_else(String::new, |reason| reason.to_string());
        self.reporter.event(&Event::Started {
            stage,
            key,
            kind,
            reason,
            log: log.clone(),
        });
        self.running.insert(index, Running { key, lease, log });
        Ok(())
    }

    /// Tells housekeeping what the run has found so far: it is not to be removed before the run ends.
    fn say_needed(&mut self) -> Result<(), StoreError> {
        if self.needed.is_none() {
            let planned = self.plan.stages().map(|(_, _, entry)| &entry.outputs);
            let known = planned.chain(self.outputs.iter().flatten());
            let digests: Vec<Digest> = known.flat_map(|outputs| outputs.values().map(|artifact| artifact.digest)).collect();
            self.needed = Some(self.store.begin_use(&self.options.run, &digests)?);
        }
        Ok(())
    }

    fn need(&mut self, outputs: &Outputs) {
        let digests: Vec<Digest> = outputs.values().map(|artifact| artifact.digest).collect();
        self.needed.iter_mut().for_each(|needed| needed.add(&digests));
    }

    fn task(&mut self, index: usize, fingerprint: Fingerprint, threads: usize) -> Task {
        let origin = &self.options.origin;
        let provenance = self.provenance.get_or_insert_with(|| origin.provenance(self.store)).clone();
        let node = self.node(index);
        let path = |link: &crate::plan::Link| {
            let artifact = self.outputs[self.places[&link.from]].as_ref()?.get(link.port.as_ref())?;
            Some(self.store.object(&artifact.digest))
        };
        let mut inputs: BTreeMap<String, Vec<PathBuf>> = node
            .inputs
            .iter()
            .map(|(port, links)| (port.clone(), links.iter().filter_map(path).collect()))
            .collect();
        if let Some(place) = node.stage.source().and_then(|source| self.resolver.place(source)) {
            inputs.insert(SOURCE.to_owned(), vec![place.to_owned()]);
        }
        Task {
            store: self.store.folder().to_owned(),
            fingerprint,
            unkeyed_params: node.stage.unkeyed_params(),
            inputs,
            threads,
            device: self.options.device.clone(),
            stage: node.name.clone(),
            experiment: self.plan.dag.experiment.clone(),
            run: self.options.run.clone(),
            provenance,
            sign: self.options.sign.clone(),
        }
    }

    fn hear(&mut self, index: usize, message: Message, executor: &mut dyn Executor) {
        if let Message::Progress(progress) = message {
            let stage = self.name(index);
            self.reporter.event(&Event::Progressed { stage, progress });
            return;
        }
        executor.ended(index);
        let Some(key) = self.running.get(&index).map(|running| running.key) else {
            return;
        };
        match message {
            Message::Failed { .. } if self.killed => self.scheduler.held(index),
            Message::Failed { error, seconds } => {
                if !self.check_inputs(index, &error, seconds) {
                    self.failed(index, error, seconds);
                }
                return;
            }
            Message::Done { outputs, seconds } => {
                self.summary.ran += 1;
                self.made.insert(index);
                self.upload(key);
                let digests = outputs.iter().map(|(port, artifact)| (port.clone(), artifact.digest)).collect();
                let stage = self.name(index);
                self.reporter.event(&Event::Finished {
                    stage,
                    key,
                    seconds,
                    outputs: digests,
                });
                self.need(&outputs);
                self.outputs[index] = Some(outputs);
                self.scheduler.done(index);
            }
            Message::Stopped | Message::Progress(_) => {
                // It has saved where it was; it goes on from there in the next run.
                self.scheduler.held(index);
                self.scheduler.close();
            }
        }
        // With it goes the lease.
        self.running.remove(&index);
    }

    /// A stage failed, unless it read damaged bytes: these count as lost, and it runs again when they have been made again.
    fn failed(&mut self, index: usize, error: String, seconds: f64) {
        let Some(Running { key, lease, log }) = self.running.remove(&index) else {
            return;
        };
        if let Ok(Some(lost)) = self.lost_inputs(index) {
            self.take_back(index, &lost);
            return;
        }
        self.summary.failed += 1;
        let stage = self.name(index);
        let rerun = format!("{} {}", self.options.rerun, selector(&stage));
        let because = format!("`{stage}` failed");
        let log_tail = tail(&log);
        self.reporter.event(&Event::Failed {
            stage,
            key,
            seconds,
            error,
            log,
            log_tail,
            rerun,
        });
        for skipped in self.scheduler.failed(index) {
            self.skip(skipped, &because);
        }
        drop(lease);
    }

    /// Brings a stage that ran to the remotes, beside the run.
    fn upload(&mut self, key: Digest) {
        let remotes = &self.options.remotes;
        if remotes.writes() {
            let start = || Uploads::start(remotes.clone(), self.store.clone());
            self.uploads.get_or_insert_with(start).add(key);
        }
    }

    /// Waits for the uploads, unless the run is to stop.
    fn finish_uploads(&mut self, interrupts: &AtomicUsize) {
        let Some(uploads) = self.uploads.take() else { return };
        let Uploaded { of, stages, bytes, failed } = uploads.finish(|| interrupts.load(Ordering::Relaxed) > 0, || self.reporter.tick());
        self.warn();
        let finish = self.options.push.clone();
        self.reporter.event(&Event::Uploaded {
            stages,
            of,
            bytes,
            failed,
            finish,
        });
    }

    /// Says what is wrong with remotes.
    fn warn(&mut self) {
        for message in self.options.remotes.notes() {
            self.reporter.event(&Event::Warned { message });
        }
    }

    fn wait(&mut self, index: usize, key: Digest, holder: String) {
        self.scheduler.held(index);
        if self.holders.get(&index) != Some(&holder) {
            self.holders.insert(index, holder.clone());
            let ours = self.running.values().any(|running| running.key == key);
            let holder = if ours { "an equal stage of this run".to_owned() } else { holder };
            let stage = self.name(index);
            self.reporter.event(&Event::Waiting { stage, key, holder });
        }
    }

    /// Takes what others have computed in the meantime, and what they have given up.
    fn poll(&mut self) -> Result<(), Failure> {
        self.polled = Instant::now();
        for index in self.scheduler.all_held() {
            if self.inputs.as_ref().is_some_and(|inputs| inputs.fetches(index)) {
                continue;
            }
            let Some(key) = self.fingerprints.get(&index).map(|(fingerprint, _)| fingerprint.key()) else {
                continue;
            };
            if let Some(outputs) = self.resolver.hit(&key)? {
                self.cached(index, Some(key), outputs);
            } else if !self.store.is_held(&key) {
                self.scheduler.must_run(index);
            }
        }
        Ok(())
    }

    fn beat(&mut self) {
        if self.beaten.elapsed() >= BEAT {
            self.beaten = Instant::now();
            self.running.values().for_each(|running| running.lease.beat());
            self.needed.iter().for_each(Use::beat);
        }
    }

    fn obey(&mut self, interrupts: usize, executor: &mut dyn Executor) {
        if interrupts == 0 {
            return;
        }
        if !self.summary.interrupted {
            self.summary.interrupted = true;
            self.scheduler.close();
            self.reporter.event(&Event::Interrupted);
            self.running.keys().for_each(|&index| executor.stop(index));
        }
        if interrupts > 1 {
            self.killed = true;
            self.running.keys().for_each(|&index| executor.kill(index));
        }
    }

    fn cached(&mut self, index: usize, key: Option<Digest>, outputs: Outputs) {
        self.summary.cached += 1;
        self.need(&outputs);
        self.outputs[index] = Some(outputs);
        self.scheduler.done(index);
        if let Some(key) = key {
            let stage = self.name(index);
            self.reporter.event(&Event::Cached { stage, key });
        }
    }

    fn skip(&mut self, index: usize, because: &str) {
        self.summary.skipped += 1;
        let stage = self.name(index);
        self.reporter.event(&Event::Skipped {
            stage,
            because: because.to_owned(),
        });
    }

    fn node(&self, index: usize) -> &'a Node {
        &self.plan.dag.graph[self.plan.order[index]]
    }

    fn entry(&self, index: usize) -> &'a PlanEntry {
        &self.plan.entries[self.plan.order[index].index()]
    }

    fn name(&self, index: usize) -> StageName {
        self.node(index).name.clone()
    }
}

fn job(node: &Node, entry: &PlanEntry, places: &HashMap<NodeIndex, usize>) -> Job {
    let needs: BTreeSet<usize> = node.inputs.values().flatten().map(|link| places[&link.from]).collect();
    let threaded = node.stage.threaded();
    let seconds = entry
        .estimate
        .map_or(THOUGHT[usize::from(threaded)], |estimate| estimate.as_secs_f64());
    Job {
        needs: needs.into_iter().collect(),
        seconds,
        threaded,
    }
}

/// The words that select one stage on the command line, quoted for a shell: `'standard[2]' --variant seed=1`.
fn selector(stage: &StageName) -> String {
    let coordinates = stage.variant.iter().map(|(axis, value)| format!(" --variant '{axis}={value}'"));
    format!("'{}'{}", stage.name, coordinates.collect::<String>())
}

/// A name without what file systems and shells mind.
fn file_name(stage: &StageName) -> String {
    let plain = |letter: char| {
        if letter.is_alphanumeric() || "-_.=[]".contains(letter) {
            letter
        } else {
            '_'
        }
    };
    stage.to_string().chars().map(plain).take(100).collect()
}

fn tail(log: &std::path::Path) -> Vec<String> {
    let text = std::fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}
