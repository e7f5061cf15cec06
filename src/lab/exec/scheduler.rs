//! Which stage to start next, and with how many threads: a pure state machine. The run reports events to it.

/// How much may run at once.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits {
    /// Stages.
    pub jobs: usize,
    /// Threads, shared among the running stages.
    pub threads: usize,
    /// Whether stages that do not depend on a failed one still run.
    pub keep_going: bool,
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
    waiting: usize,
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
    pub fn new(stages: &[ScheduledStage], limits: RunLimits) -> Self {
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

    /// The next stage to start, with its number of threads. It counts as running from now on.
    pub fn start(&mut self) -> Option<(usize, usize)> {
        let free = self.limits.threads.saturating_sub(self.used);
        // With more jobs than threads, stages share cores on purpose; otherwise a stage waits for a free thread.
        let full = self.running >= self.limits.jobs || (free == 0 && self.limits.jobs <= self.limits.threads);
        if self.closed || full {
            return None;
        }
        let others = self.ready.len().min(self.limits.jobs - self.running);
        let index = self.ready.pop()?;
        let threads = if self.threaded[index] { (free / others.max(1)).max(1) } else { 1 };
        self.set(index, ScheduleStatus::Running(threads));
        Some((index, threads))
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
        let waiting: Vec<usize> = waiting.chain([index]).collect();
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

    /// What a stage lacks that could begin.
    pub fn lacks(&self) -> &'static str {
        if self.running >= self.limits.jobs {
            "a free job"
        } else {
            "a free thread"
        }
    }

    /// How many stages may run at once.
    pub fn at_once(&self) -> usize {
        self.limits.jobs.min(self.limits.threads.max(1)).max(1)
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
        keep_going: false,
    };

    fn job(needs: &[usize], seconds: f64) -> ScheduledStage {
        ScheduledStage {
            needs: needs.to_vec(),
            seconds,
            threaded: true,
        }
    }

    /// Looks up all unblocked stages; none of them is in the store.
    fn miss(scheduler: &mut Scheduler) {
        while let Some(index) = scheduler.next_unblocked() {
            scheduler.must_run(index);
        }
    }

    #[test]
    fn the_critical_path_goes_first_and_cores_are_shared() {
        let mut scheduler = Scheduler::new(&[job(&[], 1.0), job(&[], 1.0), job(&[1], 9.0)], LIMITS);
        miss(&mut scheduler);
        assert_eq!(
            [scheduler.start(), scheduler.start(), scheduler.start()],
            [Some((1, 1)), Some((0, 1)), None]
        );
        scheduler.done(1);
        scheduler.done(0);
        miss(&mut scheduler);
        assert_eq!(scheduler.start(), Some((2, 2)), "alone, it gets both threads");
        assert!(!scheduler.is_over());
        scheduler.done(2);
        assert!(scheduler.is_over());
    }

    #[test]
    fn a_stage_waits_for_a_free_thread_unless_jobs_outnumber_threads() {
        let jobs = [job(&[], 1.0), job(&[0], 1.0), job(&[0], 1.0), job(&[], 0.5)];
        for (limit, second) in [(2, Some((3, 1))), (1, None)] {
            let mut scheduler = Scheduler::new(&jobs, RunLimits { jobs: limit, ..LIMITS });
            miss(&mut scheduler);
            scheduler.start();
            assert_eq!(scheduler.start(), second);
        }
        let mut scheduler = Scheduler::new(
            &jobs,
            RunLimits {
                jobs: 3,
                threads: 1,
                keep_going: false,
            },
        );
        miss(&mut scheduler);
        assert_eq!([scheduler.start(), scheduler.start()], [Some((0, 1)), Some((3, 1))]);
    }

    #[test]
    fn a_failure_skips_what_needs_it_and_closes_the_run_unless_told_to_keep_going() {
        let jobs = [job(&[], 9.0), job(&[0], 1.0), job(&[1], 1.0), job(&[], 1.0), job(&[3], 1.0)];
        for keep_going in [false, true] {
            let mut scheduler = Scheduler::new(
                &jobs,
                RunLimits {
                    jobs: 1,
                    threads: 1,
                    keep_going,
                },
            );
            miss(&mut scheduler);
            assert_eq!(scheduler.start(), Some((0, 1)));
            assert_eq!(scheduler.failed(0), [1, 2]);
            assert_eq!(scheduler.is_over(), !keep_going);
            assert_eq!(scheduler.start().is_some(), keep_going);
        }
    }

    #[test]
    fn what_is_cancelled_takes_what_needs_it_along_and_nothing_else() {
        let jobs = [job(&[], 9.0), job(&[0], 1.0), job(&[], 5.0), job(&[2], 1.0), job(&[], 1.0)];
        let mut scheduler = Scheduler::new(&jobs, RunLimits { jobs: 1, ..LIMITS });
        miss(&mut scheduler);
        assert_eq!(scheduler.start().unwrap().0, 0);
        assert_eq!(
            (scheduler.state(0), scheduler.state(1), scheduler.state(2)),
            (OpenState::Running, OpenState::Blocked, OpenState::Turn)
        );
        assert_eq!(
            (scheduler.ready().collect::<Vec<_>>(), scheduler.lacks()),
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
        let mut scheduler = Scheduler::new(&jobs, LIMITS);
        for expected in [0, 1] {
            miss(&mut scheduler);
            assert_eq!(scheduler.start().unwrap().0, expected);
            scheduler.done(expected);
        }
        miss(&mut scheduler);
        assert_eq!(scheduler.start().unwrap().0, 2, "3 and 4 are ready");
        // The input of 2 is gone, and the input from which it was made, too.
        scheduler.lost(&[1], 2);
        miss(&mut scheduler);
        assert_eq!(scheduler.start().unwrap().0, 1, "3 is less urgent, 4 waits");
        scheduler.lost(&[0], 1);
        miss(&mut scheduler);
        let mut order = Vec::new();
        while let Some((index, _)) = scheduler.start() {
            order.push(index);
            scheduler.done(index);
            miss(&mut scheduler);
        }
        order.sort_unstable();
        assert_eq!((order, scheduler.is_over()), (vec![0, 1, 2, 3, 4], true));
    }

    #[test]
    fn a_held_stage_is_done_when_its_holder_is() {
        let mut scheduler = Scheduler::new(&[job(&[], 1.0), job(&[0], 1.0)], LIMITS);
        miss(&mut scheduler);
        let (index, _) = scheduler.start().unwrap();
        scheduler.held(index);
        assert_eq!((scheduler.all_held(), scheduler.is_over()), (vec![0], false));
        scheduler.done(0);
        assert_eq!(scheduler.next_unblocked(), Some(1));
    }
}
