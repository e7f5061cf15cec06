//! The loop of a run: carries messages between the scheduler, the executor, the store and the reporter.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::attempts::Attempts;
use super::cancel;
use super::claims::{Claim, Claims, RunningStage};
use super::doubt::doubt;
use super::inputs::{InputNews, InputWorker, StageFailure};
use super::orders::{Given, OrderWriter};
use super::queue::Waiting;
use super::room::RoomKeeper;
use super::send_events::RunEvents;
use super::stages::{ChangedOutput, InputCheck, Miss, RunStages, StageLookUp};
use super::time_left::TimeLeft;
use super::{RunError, RunOptions, RunSummary};
use crate::event::{LostBecause, Reporter};
use crate::exec::gpus::{GpuLocks, GpuPool, NotLocked};
use crate::exec::scheduler::{Scheduler, StageGrant};
use crate::exec::{Executor, WorkerMessage};
use crate::hash::Digest;
use crate::plan::{Plan, Resolver};
use crate::runs::{Answer, Cancel};
use crate::store::remote::Uploads;
use crate::store::{Outputs, Store, StoreError, Wisher};

/// The longest wait for a message of the executor. Also the time between two look-ups of the stages that other processes compute.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The longest wait while inputs are being fetched or checked: news of them does not come through the executor.
const INPUT_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How often a stage may fail and find its inputs damaged: after that, it is the one that damages them.
const MOST_DAMAGED: u32 = 2;

/// The parts of a run, and the loop around them.
pub(super) struct RunLoop<'a> {
    store: &'a Store,
    options: &'a RunOptions,
    experiment: &'a str,
    scheduler: Scheduler,
    stages: RunStages<'a>,
    inputs: InputWorker,
    claims: Claims<'a>,
    orders: OrderWriter<'a>,
    /// From the first stage on that ran.
    uploads: Option<Uploads>,
    report: RunEvents<'a>,
    /// Whether any stage asks for a GPU: then each sees its own alone.
    shares_gpus: bool,
    locks: GpuLocks,
    attempts: Attempts,
    room: RoomKeeper<'a>,
    /// How often each stage has failed and found its inputs damaged.
    damaged: BTreeMap<usize, u32>,
    /// Whether the running stages were killed on request: then their end is no failure.
    killed: bool,
    /// The running stages that somebody has asked to end: their end is no failure of the run.
    cancelled: BTreeSet<usize>,
    time_left: TimeLeft,
    last_poll: Instant,
}

impl<'a> RunLoop<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        store: &'a Store,
        resolver: &'a Resolver<'a>,
        options: &'a RunOptions,
        reporter: &'a mut dyn Reporter,
    ) -> Self {
        let stages = RunStages::new(plan, store, resolver);
        Self {
            store,
            options,
            experiment: &plan.dag.experiment,
            scheduler: Scheduler::new(&stages.to_schedule(), options.limits, GpuPool::new(options.gpus.clone())),
            shares_gpus: stages.ask_for_gpus(),
            locks: GpuLocks::new(&options.gpu_locks),
            attempts: Attempts::default(),
            inputs: InputWorker::new(options.remotes.clone(), store.clone()),
            claims: Claims::new(store, &options.run),
            orders: OrderWriter::new(store, options, &plan.dag.experiment),
            uploads: None,
            report: RunEvents::new(reporter, stages.count(), &options.hidden),
            stages,
            room: RoomKeeper::new(store, options.make_room),
            damaged: BTreeMap::new(),
            killed: false,
            cancelled: BTreeSet::new(),
            time_left: TimeLeft::new(),
            last_poll: Instant::now(),
        }
    }

    /// Runs until no stage is running and none can be started.
    pub(super) fn run(&mut self, executor: &mut dyn Executor, interrupts: &AtomicUsize) -> Result<(), RunError> {
        self.report.run_started(&self.options.run, self.experiment, self.options.limits);
        loop {
            self.look_up()?;
            self.report.warnings(self.options.remotes.warnings());
            while let Some((index, grant)) = self.scheduler.start() {
                self.start(index, &grant, executor)?;
                self.look_up()?;
            }
            if self.scheduler.is_over() {
                break;
            }
            let timeout = if self.inputs.is_busy() {
                INPUT_POLL_INTERVAL
            } else {
                POLL_INTERVAL
            };
            match executor.next(timeout) {
                Some((index, message)) => self.receive(index, message, executor),
                None if self.last_poll.elapsed() < POLL_INTERVAL => {}
                None => self.poll_held()?,
            }
            self.receive_input_news()?;
            self.handle_cancels(executor);
            self.look();
            self.report.tick();
            self.claims.heartbeat();
            self.handle_interrupts(interrupts.load(Ordering::Relaxed), executor);
        }
        let because = if self.report.is_interrupted() {
            "the run was interrupted"
        } else {
            "another stage failed"
        };
        for index in self.scheduler.skip_rest() {
            self.report.skipped(self.stages.name(index), because);
        }
        Ok(())
    }

    /// Ends all running stages at once, after an error of the run.
    pub(super) fn kill_all(&self, executor: &mut dyn Executor) {
        self.claims.running().for_each(|index| executor.kill(index));
    }

    /// Waits for the uploads, unless the run is to stop, and reports the end.
    pub(super) fn finish(&mut self, interrupts: &AtomicUsize) -> RunSummary {
        if let Some(uploads) = self.uploads.take() {
            let uploaded = uploads.finish(|| interrupts.load(Ordering::Relaxed) > 0, || self.report.tick());
            self.report.warnings(self.options.remotes.warnings());
            self.report.uploaded(uploaded);
        }
        self.report.end()
    }

    /// Looks up every stage whose inputs are known. A hit may unblock other stages.
    fn look_up(&mut self) -> Result<(), StoreError> {
        while let Some(index) = self.scheduler.next_unblocked() {
            match self.stages.look_up(index)? {
                StageLookUp::Hit { key, outputs } => self.cached(index, key, outputs),
                StageLookUp::Miss => self.scheduler.must_run(index),
                StageLookUp::Unknown => {}
            }
        }
        Ok(())
    }

    /// Starts a stage, unless its inputs have to be fetched or made first, another process computes it, or the store has it by now.
    fn start(&mut self, index: usize, grant: &StageGrant, executor: &mut dyn Executor) -> Result<(), RunError> {
        let Some(Miss { fingerprint, reason }) = self.stages.miss(index).cloned() else {
            return Ok(());
        };
        let key = fingerprint.key();
        if self.fetch_inputs(index) {
            return Ok(());
        }
        if let InputCheck::Lost(lost) = self.stages.check_inputs(index)? {
            self.make_again(&lost, index);
            return Ok(());
        }
        let lease = match self.claims.claim(index, &key)? {
            Claim::Ours(lease) => lease,
            Claim::Elsewhere { news } => {
                self.scheduler.held(index);
                if let Some(holder) = news {
                    self.report.waiting(self.stages.name(index), key, holder);
                }
                return Ok(());
            }
        };
        // Once more, with the lease: its last holder may have finished between the look-up and the lease.
        if let Some(outputs) = self.stages.hit(index, &key)? {
            self.cached(index, Some(key), Cow::Owned(outputs));
            return Ok(());
        }
        let Some(locks) = self.lock_gpus(index, grant)? else {
            return Ok(());
        };
        self.claims.protect_known(|| self.stages.known_artifacts())?;
        if self.room.is_due() {
            // What the run needs is protected by now.
            let told = self.room.make_room();
            self.report.warnings(told.into_iter().collect());
        }
        let stage = self.stages.name(index);
        let attempts = self.attempts.failed(index);
        let log = self.orders.log(index, &stage, attempts.len())?;
        let given = Given {
            log: log.clone(),
            threads: grant.threads,
            gpus: self.shares_gpus.then(|| self.scheduler.gpus().tokens(&grant.gpus)),
            limits: self.attempts.limits(index, &self.stages.node(index).resources),
            attempts,
        };
        let order = self.orders.order(&self.stages, index, fingerprint, given);
        executor.start(index, &order, &log, locks).map_err(RunError::Start)?;
        self.report.started(stage, key, &order.fingerprint.kind, reason, &log);
        self.claims.begin(index, RunningStage { key, lease, log });
        self.time_left.started(index);
        Ok(())
    }

    /// Locks the GPUs of a stage for its worker. `None` where another run has one: the stage waits for another device, or for this one.
    fn lock_gpus(&mut self, index: usize, grant: &StageGrant) -> Result<Option<Vec<File>>, RunError> {
        match self.locks.take(self.scheduler.gpus(), &grant.gpus) {
            Ok(locks) => Ok(Some(locks)),
            Err(NotLocked::Io(error)) => Err(RunError::Lock(self.options.gpu_locks.clone(), error)),
            Err(NotLocked::Taken(device)) => {
                self.scheduler.gpu_taken(index, device);
                Ok(None)
            }
        }
    }

    /// Fetches the inputs of a stage that only a remote has. Returns whether the stage waits for them. Inputs that no remote has count
    /// as lost from the store.
    fn fetch_inputs(&mut self, index: usize) -> bool {
        if !self.inputs.may_fetch(index) {
            return false;
        }
        let absent = self.stages.absent_inputs(index);
        if absent.is_empty() {
            return false;
        }
        self.inputs.fetch(index, absent);
        self.scheduler.held(index);
        true
    }

    /// Handles a message of a stage that runs here.
    fn receive(&mut self, index: usize, message: WorkerMessage, executor: &mut dyn Executor) {
        if let WorkerMessage::Progress(progress) = message {
            self.time_left.progressed(index, &progress);
            self.report.progressed(self.stages.name(index), progress);
            return;
        }
        if let WorkerMessage::Warned { message } = message {
            self.report.warnings(vec![format!("{}: {message}", self.stages.name(index))]);
            return;
        }
        executor.ended(index);
        let Some(key) = self.claims.key(index) else { return };
        let is_done = matches!(message, WorkerMessage::Done { .. });
        let ran = self.time_left.ended(&self.stages, index, is_done);
        if self.cancelled.remove(&index) && !is_done {
            drop(self.claims.end(index));
            self.end_cancelled(index, ran);
            return;
        }
        match message {
            WorkerMessage::Failed { .. } if self.killed => self.scheduler.held(index),
            WorkerMessage::Failed { error, seconds, cause } => {
                // It keeps its lease until its inputs are checked.
                self.check_inputs_of_failed(index, StageFailure { error, seconds, cause });
                return;
            }
            WorkerMessage::Done { outputs, seconds, .. } => self.finished(index, key, seconds, outputs),
            WorkerMessage::Stopped | WorkerMessage::Progress(_) | WorkerMessage::Warned { .. } => {
                // It has saved a checkpoint; the next run goes on from there.
                self.scheduler.held(index);
                self.scheduler.close();
            }
        }
        drop(self.claims.end(index));
    }

    /// The outputs and the record of a stage are in the store.
    fn finished(&mut self, index: usize, key: Digest, seconds: f64, outputs: Outputs) {
        self.upload(key);
        self.report.finished(self.stages.name(index), key, seconds, &outputs);
        self.claims.protect(&outputs);
        if !self.stages.has_key(index, &key) {
            // While it ran, one of its inputs came out otherwise than before. Its record is right; but it is not what the stage is now.
            self.report
                .lost(self.stages.name(index), self.stages.name(index), true, LostBecause::Changed);
            self.scheduler.reopen(&[index]);
            return;
        }
        let changed = self.stages.changed(index, &outputs);
        self.stages.made(index, outputs);
        self.scheduler.done(index);
        self.look_up_users(index, &changed);
    }

    /// A stage failed, perhaps because it read damaged bytes: its inputs are hashed again before the failure counts.
    fn check_inputs_of_failed(&mut self, index: usize, failure: StageFailure) {
        let read = self.stages.inputs(index);
        if read.is_empty() {
            self.failed(index, failure);
        } else {
            self.inputs.check(index, read, failure);
        }
    }

    /// A stage failed. If it read damaged bytes, these count as lost, and the stage runs again when they have been made again; but not
    /// without end.
    fn failed(&mut self, index: usize, mut failure: StageFailure) {
        let Some(running) = self.claims.end(index) else { return };
        // Its worker may have been ended between the record and its last message.
        if let Ok(Some(outputs)) = self.stages.hit(index, &running.key) {
            self.finished(index, running.key, failure.seconds, outputs);
            return;
        }
        // Somebody has asked it to end while its inputs were checked.
        if self.cancelled.remove(&index) {
            self.end_cancelled(index, failure.seconds);
            return;
        }
        if let Ok(InputCheck::Lost(lost)) = self.stages.check_inputs(index) {
            let times = self.damaged.entry(index).or_default();
            *times += 1;
            if *times < MOST_DAMAGED {
                self.make_again(&lost, index);
                return;
            }
            failure.error += "; its input was damaged twice while it ran";
        }
        let stage = self.stages.name(index);
        let resources = &self.stages.node(index).resources;
        if let Some(next) = self.attempts.next(index, resources, &failure, self.options.limits.memory) {
            self.scheduler.must_run(index);
            if let Some(memory) = next.memory {
                self.scheduler.set_memory(index, memory);
            }
            self.report.retrying(stage, running.key, failure, next);
            return;
        }
        let because = format!("`{stage}` failed");
        self.report.failed(stage, &running, failure);
        for skipped in self.scheduler.failed(index) {
            self.report.skipped(self.stages.name(skipped), &because);
        }
    }

    /// Where a stage that was computed again came out otherwise than before, nothing that was made of its old outputs counts: all stages
    /// after it are looked up with the new ones. What is in doubt is said.
    fn look_up_users(&mut self, index: usize, changed: &[ChangedOutput]) {
        if changed.is_empty() {
            return;
        }
        self.report.warnings(vec![doubt(self.store, &self.stages.name(index), changed)]);
        let stale = self.stages.forget_users(index);
        for &(user, ran_here) in &stale {
            self.report
                .lost(self.stages.name(user), self.stages.name(index), ran_here, LostBecause::Changed);
        }
        self.scheduler.reopen(&stale.iter().map(|(user, _)| *user).collect::<Vec<_>>());
    }

    /// These outputs of stages are gone from the store. That is a miss, however late it is noticed: these stages are looked up again before
    /// the stage that needs them.
    fn make_again(&mut self, lost: &BTreeMap<usize, BTreeSet<String>>, needed_by: usize) {
        for (&index, ports) in lost {
            let because = if self.stages.is_deleted(index, ports) {
                LostBecause::Deleted
            } else {
                LostBecause::Missing
            };
            let ran_here = self.stages.forget(index, ports);
            self.report
                .lost(self.stages.name(index), self.stages.name(needed_by), ran_here, because);
        }
        let lost: Vec<usize> = lost.keys().copied().collect();
        self.scheduler.lost(&lost, needed_by);
    }

    /// Handles the stages whose inputs have been fetched or checked.
    fn receive_input_news(&mut self) -> Result<(), StoreError> {
        while let Some((index, news)) = self.inputs.next() {
            match news {
                InputNews::Progressed(progress) => self.report.progressed(self.stages.name(index), progress),
                InputNews::Fetched { fetched, seconds } => {
                    self.report.brought(self.stages.name(index), &fetched?, seconds);
                    // When another stage has noticed a loss in the meantime, this one waits for the outputs that are made again.
                    if self.scheduler.is_held(index) {
                        self.inputs.mark_fetched(index);
                        self.scheduler.must_run(index);
                    }
                }
                InputNews::Checked(failure) => self.failed(index, failure),
            }
        }
        Ok(())
    }

    /// Looks up the stages that other processes compute: some may be done, others released.
    fn poll_held(&mut self) -> Result<(), StoreError> {
        self.last_poll = Instant::now();
        self.scheduler.look_at_gpus_again();
        for index in self.scheduler.all_held() {
            if self.inputs.is_fetching(index) {
                continue;
            }
            let Some(key) = self.stages.miss(index).map(|miss| miss.fingerprint.key()) else {
                continue;
            };
            if let Some(outputs) = self.stages.hit(index, &key)? {
                self.cached(index, Some(key), Cow::Owned(outputs));
            } else if !self.claims.is_held(&key) {
                self.scheduler.must_run(index);
            }
        }
        Ok(())
    }

    fn handle_interrupts(&mut self, interrupts: usize, executor: &mut dyn Executor) {
        if interrupts == 0 {
            return;
        }
        if !self.report.is_interrupted() {
            self.scheduler.close();
            self.report.interrupted();
            self.claims.running().for_each(|index| executor.stop(index));
        }
        if interrupts > 1 {
            self.killed = true;
            self.kill_all(executor);
        }
    }

    /// Tells others what waits, now and then.
    fn look(&mut self) {
        let waiting = Waiting {
            scheduler: &self.scheduler,
            stages: &self.stages,
            claims: &self.claims,
            inputs: &self.inputs,
        };
        self.report.look(|| waiting.queue(&self.time_left));
    }

    /// Does what others ask of single stages.
    fn handle_cancels(&mut self, executor: &mut dyn Executor) {
        let options = self.options;
        options.requests.cancels(|asked| self.cancel(asked, executor));
    }

    fn cancel(&mut self, asked: &Cancel, executor: &mut dyn Executor) -> Answer {
        let cancel::Found { index, is_running } = match cancel::find(asked, &self.stages, &self.scheduler) {
            Ok(found) => found,
            Err(nothing) => return nothing,
        };
        let stage = self.stages.name(index);
        if !is_running {
            self.end_cancelled(index, 0.0);
            return Answer::Done(format!("`{stage}`, which had not begun, is taken out of the run"));
        }
        self.cancelled.insert(index);
        if asked.now {
            executor.kill(index);
            Answer::Done(format!("`{stage}` is killed"))
        } else {
            executor.stop(index);
            Answer::Done(format!("`{stage}` is asked to end"))
        }
    }

    /// A stage has been ended on request after so many seconds; what needs it is skipped.
    fn end_cancelled(&mut self, index: usize, seconds: f64) {
        let stage = self.stages.name(index);
        let because = format!("`{stage}` was cancelled");
        self.report.cancelled(stage, seconds);
        for skipped in self.scheduler.cancelled(index) {
            self.report.skipped(self.stages.name(skipped), &because);
        }
    }

    fn cached(&mut self, index: usize, key: Option<Digest>, outputs: Cow<'a, Outputs>) {
        self.claims.protect(&outputs);
        let changed = self.stages.changed(index, &outputs);
        self.stages.found(index, outputs);
        self.scheduler.done(index);
        self.report.cached(self.stages.name(index), key);
        self.look_up_users(index, &changed);
    }

    /// Writes down how long the experiment wants what the run has found and made to be kept. That is advice: a run does not fail for it.
    pub(super) fn write_wishes(&mut self) {
        let origin = &self.options.origin;
        let file = origin.experiment.canonicalize().unwrap_or_else(|_| origin.experiment.clone());
        let wisher = Wisher {
            experiment: self.experiment.to_owned(),
            file: file.display().to_string(),
            user: origin.user.clone(),
        };
        let wishes = self.stages.wishes();
        let written = self.store.write_wishes(&wisher, &wishes);
        // Where nothing but the default is wished, little is lost.
        if let Err(error) = written
            && wishes.iter().any(|wish| !wish.keep.is_empty())
        {
            self.report
                .warnings(vec![format!("gc will not know what `keep_outputs` says: {error}")]);
        }
    }

    /// Uploads a stage that ran to the remotes, beside the run.
    fn upload(&mut self, key: Digest) {
        let remotes = &self.options.remotes;
        if remotes.writes() {
            let start = || Uploads::start(remotes.clone(), self.store.clone());
            self.uploads.get_or_insert_with(start).add(key);
        }
    }
}
