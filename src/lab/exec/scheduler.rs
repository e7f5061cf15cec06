//! Which stage to start next, and with which threads, memory and GPUs: a pure state machine. The run reports events to it.

use std::collections::BTreeMap;

use super::gpus::{GpuPool, GpuRequest, GpuShare};

/// The most ready stages that are looked at for one that fits beside those that run.
const MOST_LOOKED_AT: usize = 1_000;

/// How much may run at once.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits {
    /// Stages.
    pub jobs: usize,
    /// Threads, shared among the running stages.
    pub threads: usize,
    /// Bytes of memory, shared among the running stages that say how much they need; `None` where it is not known.
    pub memory: Option<u64>,
    /// Whether stages that do not depend on a failed one still run.
    pub keep_going: bool,
}

/// How many stages may run at once with so many jobs and threads: each needs a thread.
pub fn stages_at_once(jobs: usize, threads: usize) -> usize {
    jobs.min(threads.max(1)).max(1)
}

/// The facts about one stage that scheduling needs.
#[derive(Clone, Debug, Default)]
pub struct ScheduledStage {
    /// Stages whose outputs it needs.
    pub needs: Vec<usize>,
    /// How long it may take, in seconds.
    pub seconds: f64,
    /// Whether more than one thread helps.
    pub threaded: bool,
    pub request: StageRequest,
}

/// What a stage asks for, beside a share of the threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageRequest {
    /// Threads for it alone.
    pub cores: Option<usize>,
    /// Bytes of memory; 0 where it does not say.
    pub memory: u64,
    pub gpus: GpuRequest,
}

/// What a stage is given when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageGrant {
    pub threads: usize,
    pub gpus: Vec<GpuShare>,
}

/// What a ready stage waits for. Less urgent stages may start in the meantime if they take none of it.
#[derive(Clone, Copy, Debug, Default)]
struct Shortage {
    threads: bool,
    memory: bool,
    gpus: bool,
}

impl Shortage {
    fn is_any(self) -> bool {
        self.threads || self.memory || self.gpus
    }

    /// Whether a stage would take from what a more urgent one waits for.
    fn concerns(self, request: &StageRequest) -> bool {
        self.threads || self.memory && request.memory > 0 || self.gpus && request.gpus.count > 0
    }

    fn and(self, other: Self) -> Self {
        Self {
            threads: self.threads || other.threads,
            memory: self.memory || other.memory,
            gpus: self.gpus || other.gpus,
        }
    }
}

/// The state of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScheduleStatus {
    /// Inputs are missing.
    Blocked,
    /// All inputs are in the store; the stage itself has not been looked up yet.
    Unblocked,
    /// To run.
    Ready,
    /// Another process (or an equal stage of this run) is computing it, or its inputs are on their way from a remote.
    Held,
    /// With this number of threads.
    Running(usize),
    Done,
    Failed,
    Skipped,
}

/// What a stage does, for those who look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenState {
    Running,
    /// It could begin.
    Turn,
    /// Another process computes it, or its inputs are on their way.
    Held,
    /// Its inputs are not made yet.
    Blocked,
    /// However.
    Ended,
}

impl ScheduleStatus {
    /// Whether it may still be started, or taken from the store.
    fn waits(self) -> bool {
        matches!(self, Self::Unblocked | Self::Ready | Self::Held)
    }

    fn threads(self) -> Option<usize> {
        match self {
            Self::Running(threads) => Some(threads),
            _ => None,
        }
    }
}

/// The state of all stages of a run.
#[derive(Debug)]
pub struct Scheduler {
    status: Vec<ScheduleStatus>,
    /// The number of running stages, of their threads, and of stages that wait to be looked up, started or released by others.
    /// [`Self::set`] keeps them up to date, since every start reads them.
    running: usize,
    used: usize,
    used_memory: u64,
    waiting: usize,
    requests: Vec<StageRequest>,
    gpus: GpuPool,
    /// The GPUs of running stages.
    given: BTreeMap<usize, Vec<GpuShare>>,
    needs: Vec<Vec<usize>>,
    needed_by: Vec<Vec<usize>>,
    missing: Vec<usize>,
    threaded: Vec<bool>,
    /// Seconds from the start of a stage to the end of the longest chain behind it: the critical path goes first.
    urgency: Vec<f64>,
    limits: RunLimits,
    closed: bool,
    /// Unblocked stages, and ready ones with the most urgent last: neither list has to be searched.
    unblocked: Vec<usize>,
    ready: Vec<usize>,
}

impl Scheduler {
    /// Each of `stages` must stand after the stages that it needs.
    pub fn new(stages: &[ScheduledStage], limits: RunLimits, gpus: GpuPool) -> Self {
        let mut needed_by = vec![Vec::new(); stages.len()];
        for (index, stage) in stages.iter().enumerate() {
            stage.needs.iter().for_each(|&need| needed_by[need].push(index));
        }
        let mut urgency = vec![0.0f64; stages.len()];
        for (index, stage) in stages.iter().enumerate().rev() {
            urgency[index] = stage.seconds + needed_by[index].iter().map(|&next| urgency[next]).fold(0.0, f64::max);
        }
        let missing: Vec<usize> = stages.iter().map(|stage| stage.needs.len()).collect();
        let status: Vec<ScheduleStatus> = missing
            .iter()
            .map(|&count| {
                if count == 0 {
                    ScheduleStatus::Unblocked
                } else {
                    ScheduleStatus::Blocked
                }
            })
            .collect();
        let unblocked = (0..stages.len()).rev().filter(|&index| missing[index] == 0).collect();
        let threaded = stages.iter().map(|stage| stage.threaded).collect();
        Self {
            running: 0,
            used: 0,
            used_memory: 0,
            requests: stages.iter().map(|stage| stage.request).collect(),
            gpus,
            given: BTreeMap::new(),
            waiting: status.iter().filter(|status| status.waits()).count(),
            status,
            needs: stages.iter().map(|stage| stage.needs.clone()).collect(),
            needed_by,
            missing,
            threaded,
            urgency,
            limits,
            closed: false,
            unblocked,
            ready: Vec::new(),
        }
    }

    /// The next stage to look up, all of whose inputs are known: then call [`Self::done`] or [`Self::must_run`].
    pub fn next_unblocked(&mut self) -> Option<usize> {
        self.unblocked.pop()
    }

    /// The store lacks the stage, or the process that held it has released it.
    pub fn must_run(&mut self, index: usize) {
        self.set(index, ScheduleStatus::Ready);
        let place = self.ready.partition_point(|&other| self.is_less_urgent(other, index));
        self.ready.insert(place, index);
    }

    /// The next stage to start, with what it is given. It counts as running from now on.
    ///
    /// A less urgent stage may go before one that does not fit, if it takes nothing that this one waits for: so nothing waits for ever.
    pub fn start(&mut self) -> Option<(usize, StageGrant)> {
        if self.closed || self.running >= self.limits.jobs {
            return None;
        }
        let mut shortage = Shortage::default();
        for place in (0..self.ready.len()).rev().take(MOST_LOOKED_AT) {
            let index = self.ready[place];
            let lacks = self.lacks(&self.requests[index]);
            if !lacks.is_any() && !shortage.concerns(&self.requests[index]) {
                self.ready.remove(place);
                return Some((index, self.give(index)));
            }
            shortage = shortage.and(lacks);
            if shortage.threads {
                break;
            }
        }
        None
    }

    /// What there is not enough of for a stage.
    fn lacks(&self, request: &StageRequest) -> Shortage {
        let free = self.free_threads();
        let memory = self.limits.memory.map(|memory| memory.saturating_sub(self.used_memory));
        Shortage {
            threads: match request.cores {
                Some(cores) => free < cores,
                // With more jobs than threads, stages share cores on purpose; otherwise a stage waits for a free thread.
                None => free == 0 && self.limits.jobs <= self.limits.threads,
            },
            memory: memory.is_some_and(|memory| request.memory > memory),
            gpus: self.gpus.choose(request.gpus).is_none(),
        }
    }

    fn free_threads(&self) -> usize {
        self.limits.threads.saturating_sub(self.used)
    }

    /// Gives a stage what it asks for.
    fn give(&mut self, index: usize) -> StageGrant {
        let request = self.requests[index];
        let others = (self.ready.len() + 1).min(self.limits.jobs - self.running);
        let shared = if self.threaded[index] {
            (self.free_threads() / others.max(1)).max(1)
        } else {
            1
        };
        let threads = request.cores.unwrap_or(shared);
        let gpus = self.gpus.choose(request.gpus).unwrap_or_default();
        self.gpus.take(&gpus);
        self.given.insert(index, gpus.clone());
        self.set(index, ScheduleStatus::Running(threads));
        StageGrant { threads, gpus }
    }

    /// Others have a device that the stage was given: it is ready again, and waits for another one.
    pub fn gpu_taken(&mut self, index: usize, device: usize) {
        self.must_run(index);
        self.gpus.is_taken(device);
    }

    /// Others may have given back devices.
    pub fn look_at_gpus_again(&mut self) {
        self.gpus.forget_others();
    }

    /// The GPUs that stages share.
    pub fn gpus(&self) -> &GpuPool {
        &self.gpus
    }

    /// The stage asks for this much memory from now on.
    pub fn set_memory(&mut self, index: usize, memory: u64) {
        self.requests[index].memory = memory;
    }

    /// The stage cannot start now: another process computes it, or its inputs are being fetched.
    pub fn held(&mut self, index: usize) {
        self.set(index, ScheduleStatus::Held);
    }

    pub fn is_held(&self, index: usize) -> bool {
        self.status[index] == ScheduleStatus::Held
    }

    /// The stages that another process computes, or whose inputs are being fetched.
    pub fn all_held(&self) -> Vec<usize> {
        self.indices(|status| status == ScheduleStatus::Held)
    }

    /// The outputs of the stage are in the store. This unblocks the stages that waited only for it.
    pub fn done(&mut self, index: usize) {
        self.set(index, ScheduleStatus::Done);
        for next in self.needed_by[index].clone() {
            // A stage that was already running when this one was lost waits for nothing.
            if self.status[next] != ScheduleStatus::Blocked {
                continue;
            }
            self.missing[next] -= 1;
            if self.missing[next] == 0 {
                self.set(next, ScheduleStatus::Unblocked);
                self.unblocked.push(next);
            }
        }
    }

    /// The outputs of the finished stages `lost` are gone, and the stage `index` needs them. They have to be looked up again; `index` and
    /// all other stages that need them and have not begun wait for them.
    pub fn lost(&mut self, lost: &[usize], index: usize) {
        self.open_again(lost, Some(index));
    }

    /// These stages have to be looked up again, once all that they need is known; so have those that need them and have not begun.
    pub fn reopen(&mut self, stages: &[usize]) {
        self.open_again(stages, None);
    }

    fn open_again(&mut self, lost: &[usize], index: Option<usize>) {
        lost.iter().for_each(|&stage| self.set(stage, ScheduleStatus::Blocked));
        for &stage in lost {
            // The stages that it needs may be lost too; then it waits for them.
            self.missing[stage] = self.open_needs(stage);
            if self.missing[stage] == 0 {
                self.set(stage, ScheduleStatus::Unblocked);
                self.unblocked.push(stage);
            }
        }
        let waiting = lost.iter().flat_map(|&stage| self.needed_by[stage].clone());
        let waiting = waiting.filter(|&next| self.status[next].waits() || self.status[next] == ScheduleStatus::Blocked);
        let waiting: Vec<usize> = waiting.filter(|next| !lost.contains(next)).chain(index).collect();
        for next in waiting {
            self.missing[next] = self.open_needs(next);
            self.set(next, ScheduleStatus::Blocked);
            self.unblocked.retain(|&other| other != next);
            self.ready.retain(|&other| other != next);
        }
    }

    fn open_needs(&self, stage: usize) -> usize {
        self.needs[stage]
            .iter()
            .filter(|&&need| self.status[need] != ScheduleStatus::Done)
            .count()
    }

    /// The stage failed. The stages that need it are skipped and returned; without `keep_going` no other stage is started.
    pub fn failed(&mut self, index: usize) -> Vec<usize> {
        self.closed |= !self.limits.keep_going;
        self.cancelled(index)
    }

    /// The stage, which runs or waits, gives no outputs: somebody has taken it out of the run. The stages that need it are skipped and
    /// returned.
    pub fn cancelled(&mut self, index: usize) -> Vec<usize> {
        self.unblocked.retain(|&other| other != index);
        self.ready.retain(|&other| other != index);
        self.set(index, ScheduleStatus::Failed);
        let (mut skipped, mut open) = (Vec::new(), self.needed_by[index].clone());
        while let Some(next) = open.pop() {
            if self.status[next] == ScheduleStatus::Blocked {
                self.set(next, ScheduleStatus::Skipped);
                skipped.push(next);
                open.extend(&self.needed_by[next]);
            }
        }
        skipped.sort_unstable();
        skipped
    }

    /// What a stage does that has not ended.
    pub fn state(&self, index: usize) -> OpenState {
        match self.status[index] {
            ScheduleStatus::Running(_) => OpenState::Running,
            ScheduleStatus::Ready | ScheduleStatus::Unblocked => OpenState::Turn,
            ScheduleStatus::Held => OpenState::Held,
            ScheduleStatus::Blocked => OpenState::Blocked,
            ScheduleStatus::Done | ScheduleStatus::Failed | ScheduleStatus::Skipped => OpenState::Ended,
        }
    }

    /// The stages that could begin, the most urgent first.
    pub fn ready(&self) -> impl Iterator<Item = usize> {
        self.ready.iter().rev().copied()
    }

    /// The stages that it needs, and those of them that have no outputs yet.
    pub fn needs(&self, index: usize) -> (&[usize], impl Iterator<Item = usize>) {
        let needs = &self.needs[index];
        let open = needs.iter().copied().filter(|&need| self.status[need] != ScheduleStatus::Done);
        (needs, open)
    }

    /// What a stage waits for that could begin.
    pub fn waits_for(&self, index: usize) -> &'static str {
        let lacks = self.lacks(&self.requests[index]);
        match (lacks.gpus, lacks.memory, lacks.threads, self.requests[index].cores) {
            _ if self.running >= self.limits.jobs => "a free job",
            (true, ..) => "a free GPU",
            (_, true, ..) => "free memory",
            (.., true, Some(_)) => "free cores",
            (.., true, None) => "a free thread",
            _ => "a more urgent stage",
        }
    }

    /// How many stages may run at once.
    pub fn at_once(&self) -> usize {
        stages_at_once(self.limits.jobs, self.limits.threads)
    }

    /// Starts no further stages.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether no stage is running and none will be started.
    pub fn is_over(&self) -> bool {
        self.running == 0 && (self.closed || self.waiting == 0)
    }

    /// Skips and returns the stages that were neither tried nor skipped so far: for the end of a run that was closed.
    pub fn skip_rest(&mut self) -> Vec<usize> {
        let open = |status| {
            matches!(
                status,
                ScheduleStatus::Blocked | ScheduleStatus::Unblocked | ScheduleStatus::Ready | ScheduleStatus::Held
            )
        };
        let rest = self.indices(open);
        rest.iter().for_each(|&index| self.set(index, ScheduleStatus::Skipped));
        rest
    }

    fn set(&mut self, index: usize, status: ScheduleStatus) {
        let before = std::mem::replace(&mut self.status[index], status);
        self.running = self.running + usize::from(status.threads().is_some()) - usize::from(before.threads().is_some());
        self.used = self.used + status.threads().unwrap_or(0) - before.threads().unwrap_or(0);
        let memory = self.requests[index].memory;
        match (before.threads(), status.threads()) {
            (None, Some(_)) => self.used_memory += memory,
            (Some(_), None) => {
                self.used_memory -= memory;
                let given = self.given.remove(&index).unwrap_or_default();
                self.gpus.give_back(&given);
            }
            _ => {}
        }
        self.waiting = self.waiting + usize::from(status.waits()) - usize::from(before.waits());
    }

    fn indices(&self, holds: impl Fn(ScheduleStatus) -> bool) -> Vec<usize> {
        (0..self.status.len()).filter(|&index| holds(self.status[index])).collect()
    }

    /// The earlier stage wins a tie.
    fn is_less_urgent(&self, one: usize, other: usize) -> bool {
        self.urgency[one].total_cmp(&self.urgency[other]).then(other.cmp(&one)).is_lt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RunLimits = RunLimits {
        jobs: 2,
        threads: 2,
        memory: None,
        keep_going: false,
    };

    fn job(needs: &[usize], seconds: f64) -> ScheduledStage {
        ScheduledStage {
            needs: needs.to_vec(),
            seconds,
            threaded: true,
            request: StageRequest::default(),
        }
    }

    fn scheduler(stages: &[ScheduledStage], limits: RunLimits) -> Scheduler {
        Scheduler::new(stages, limits, GpuPool::default())
    }

    /// The next stage to start, with its number of threads.
    fn start(scheduler: &mut Scheduler) -> Option<(usize, usize)> {
        scheduler.start().map(|(index, grant)| (index, grant.threads))
    }

    /// Looks up all unblocked stages; none of them is in the store.
    fn miss(scheduler: &mut Scheduler) {
        while let Some(index) = scheduler.next_unblocked() {
            scheduler.must_run(index);
        }
    }

    #[test]
    fn the_critical_path_goes_first_and_cores_are_shared() {
        let mut scheduler = scheduler(&[job(&[], 1.0), job(&[], 1.0), job(&[1], 9.0)], LIMITS);
        miss(&mut scheduler);
        assert_eq!(
            [start(&mut scheduler), start(&mut scheduler), start(&mut scheduler)],
            [Some((1, 1)), Some((0, 1)), None]
        );
        scheduler.done(1);
        scheduler.done(0);
        miss(&mut scheduler);
        assert_eq!(start(&mut scheduler), Some((2, 2)), "alone, it gets both threads");
        assert!(!scheduler.is_over());
        scheduler.done(2);
        assert!(scheduler.is_over());
    }

    #[test]
    fn a_stage_waits_for_a_free_thread_unless_jobs_outnumber_threads() {
        let jobs = [job(&[], 1.0), job(&[0], 1.0), job(&[0], 1.0), job(&[], 0.5)];
        for (limit, second) in [(2, Some((3, 1))), (1, None)] {
            let mut scheduler = scheduler(&jobs, RunLimits { jobs: limit, ..LIMITS });
            miss(&mut scheduler);
            start(&mut scheduler);
            assert_eq!(start(&mut scheduler), second);
        }
        let mut scheduler = scheduler(
            &jobs,
            RunLimits {
                jobs: 3,
                threads: 1,
                memory: None,
                keep_going: false,
            },
        );
        miss(&mut scheduler);
        assert_eq!([start(&mut scheduler), start(&mut scheduler)], [Some((0, 1)), Some((3, 1))]);
    }

    #[test]
    fn a_failure_skips_what_needs_it_and_closes_the_run_unless_told_to_keep_going() {
        let jobs = [job(&[], 9.0), job(&[0], 1.0), job(&[1], 1.0), job(&[], 1.0), job(&[3], 1.0)];
        for keep_going in [false, true] {
            let mut scheduler = scheduler(
                &jobs,
                RunLimits {
                    jobs: 1,
                    threads: 1,
                    memory: None,
                    keep_going,
                },
            );
            miss(&mut scheduler);
            assert_eq!(start(&mut scheduler), Some((0, 1)));
            assert_eq!(scheduler.failed(0), [1, 2]);
            assert_eq!(scheduler.is_over(), !keep_going);
            assert_eq!(start(&mut scheduler).is_some(), keep_going);
        }
    }

    #[test]
    fn what_is_cancelled_takes_what_needs_it_along_and_nothing_else() {
        let jobs = [job(&[], 9.0), job(&[0], 1.0), job(&[], 5.0), job(&[2], 1.0), job(&[], 1.0)];
        let mut scheduler = scheduler(&jobs, RunLimits { jobs: 1, ..LIMITS });
        miss(&mut scheduler);
        assert_eq!(scheduler.start().unwrap().0, 0);
        assert_eq!(
            (scheduler.state(0), scheduler.state(1), scheduler.state(2)),
            (OpenState::Running, OpenState::Blocked, OpenState::Turn)
        );
        assert_eq!(
            (scheduler.ready().collect::<Vec<_>>(), scheduler.waits_for(2)),
            (vec![2, 4], "a free job")
        );
        assert_eq!(scheduler.cancelled(2), [3], "it had not begun");
        assert_eq!(scheduler.cancelled(0), [1]);
        assert!(!scheduler.is_over());
        assert_eq!(scheduler.start().unwrap().0, 4);
        scheduler.done(4);
        assert!(scheduler.is_over() && scheduler.skip_rest().is_empty());
    }

    #[test]
    fn a_lost_stage_runs_again_before_what_needs_it() {
        let jobs = [job(&[], 1.0), job(&[0], 1.0), job(&[1], 1.0), job(&[0], 1.0), job(&[1], 1.0)];
        let mut scheduler = scheduler(&jobs, LIMITS);
        for expected in [0, 1] {
            miss(&mut scheduler);
            assert_eq!(start(&mut scheduler).unwrap().0, expected);
            scheduler.done(expected);
        }
        miss(&mut scheduler);
        assert_eq!(start(&mut scheduler).unwrap().0, 2, "3 and 4 are ready");
        // The input of 2 is gone, and the input from which it was made, too.
        scheduler.lost(&[1], 2);
        miss(&mut scheduler);
        assert_eq!(start(&mut scheduler).unwrap().0, 1, "3 is less urgent, 4 waits");
        scheduler.lost(&[0], 1);
        miss(&mut scheduler);
        let mut order = Vec::new();
        while let Some((index, _)) = start(&mut scheduler) {
            order.push(index);
            scheduler.done(index);
            miss(&mut scheduler);
        }
        order.sort_unstable();
        assert_eq!((order, scheduler.is_over()), (vec![0, 1, 2, 3, 4], true));
    }

    #[test]
    fn a_held_stage_is_done_when_its_holder_is() {
        let mut scheduler = scheduler(&[job(&[], 1.0), job(&[0], 1.0)], LIMITS);
        miss(&mut scheduler);
        let (index, _) = start(&mut scheduler).unwrap();
        scheduler.held(index);
        assert_eq!((scheduler.all_held(), scheduler.is_over()), (vec![0], false));
        scheduler.done(0);
        assert_eq!(scheduler.next_unblocked(), Some(1));
    }

    const GIB: u64 = 1 << 30;

    fn asking(seconds: f64, request: StageRequest) -> ScheduledStage {
        ScheduledStage {
            request,
            ..job(&[], seconds)
        }
    }

    #[test]
    fn a_stage_waits_for_its_cores_and_nothing_goes_before_it() {
        let cores = StageRequest {
            cores: Some(3),
            ..StageRequest::default()
        };
        let limits = RunLimits {
            jobs: 4,
            threads: 4,
            ..LIMITS
        };
        let mut scheduler = scheduler(&[job(&[], 9.0), asking(5.0, cores), job(&[], 1.0)], limits);
        miss(&mut scheduler);
        assert_eq!(start(&mut scheduler), Some((0, 1)));
        assert_eq!(start(&mut scheduler), Some((1, 3)));
        assert_eq!(start(&mut scheduler), None);
        scheduler.done(0);
        assert_eq!(start(&mut scheduler), Some((2, 1)));
    }

    #[test]
    fn what_takes_none_of_the_memory_that_another_waits_for_may_go_first() {
        let memory = |gib| StageRequest {
            memory: gib * GIB,
            ..StageRequest::default()
        };
        let limits = RunLimits {
            jobs: 4,
            threads: 4,
            memory: Some(10 * GIB),
            ..LIMITS
        };
        let stages = [
            asking(9.0, memory(6)),
            asking(5.0, memory(8)),
            asking(4.0, memory(2)),
            job(&[], 1.0),
        ];
        let mut scheduler = scheduler(&stages, limits);
        miss(&mut scheduler);
        let order: Vec<usize> = std::iter::from_fn(|| start(&mut scheduler)).map(|(index, _)| index).collect();
        assert_eq!(order, [0, 3], "2 would fit, and takes from what 1 waits for");
        scheduler.done(0);
        assert_eq!(start(&mut scheduler).unwrap().0, 1);
        assert_eq!(start(&mut scheduler).unwrap().0, 2, "8 and 2 of 10");
        scheduler.must_run(1);
        scheduler.set_memory(1, 9 * GIB);
        assert_eq!(start(&mut scheduler), None);
        scheduler.done(2);
        assert_eq!(start(&mut scheduler).unwrap().0, 1);
    }

    #[test]
    fn no_gpu_is_given_twice_and_stages_without_one_run_beside() {
        let gpu = |index: usize| crate::exec::Gpu {
            token: index.to_string(),
            id: index.to_string(),
            memory: None,
        };
        let gpus = |count| StageRequest {
            gpus: GpuRequest { count, memory: None },
            ..StageRequest::default()
        };
        let limits = RunLimits {
            jobs: 8,
            threads: 8,
            ..LIMITS
        };
        let stages = [asking(9.0, gpus(2)), asking(8.0, gpus(2)), asking(7.0, gpus(1)), job(&[], 1.0)];
        let mut scheduler = Scheduler::new(&stages, limits, GpuPool::new((0..3).map(gpu).collect()));
        miss(&mut scheduler);
        let (index, grant) = scheduler.start().unwrap();
        let devices: Vec<usize> = grant.gpus.iter().map(|share| share.device).collect();
        assert_eq!((index, devices), (0, vec![0, 1]));
        assert_eq!(start(&mut scheduler).unwrap().0, 3, "2 would take the third, which 1 waits for");
        assert_eq!(scheduler.start(), None);
        scheduler.gpu_taken(0, 1);
        let devices: Vec<usize> = scheduler.start().unwrap().1.gpus.iter().map(|share| share.device).collect();
        assert_eq!(devices, [0, 2], "another run has device 1");
    }
}
