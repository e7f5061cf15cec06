//! How long the rest of a run may take: from earlier records, from the stages of this run that have ended, and from the progress of those
//! that run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::stages::{DEFAULT_SECONDS, RunStages};
use crate::event::{Progress, StageProgress};
use crate::exec::scheduler::{OpenState, Scheduler};

/// What is known about the time that stages take.
pub(super) struct Forecast {
    begun: Instant,
    /// The progress of the stages that run.
    running: BTreeMap<usize, StageProgress>,
    /// What the stages of each name, without its index, took that ran here.
    by_name: BTreeMap<String, Mean>,
    /// The same by kind.
    by_kind: BTreeMap<&'static str, Mean>,
}

/// The mean of some times.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    seconds: f64,
    count: usize,
}

impl Mean {
    fn get(self) -> f64 {
        self.seconds / self.count.max(1) as f64
    }

    fn add(&mut self, seconds: f64) {
        self.seconds += seconds;
        self.count += 1;
    }
}

impl Forecast {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            running: BTreeMap::new(),
            by_name: BTreeMap::new(),
            by_kind: BTreeMap::new(),
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn started(&mut self, index: usize) {
        self.running.insert(index, StageProgress::new(self.now()));
    }

    pub(super) fn progressed(&mut self, index: usize, progress: &Progress) {
        let now = self.now();
        if let Some(running) = self.running.get_mut(&index) {
            running.progressed(now, progress);
        }
    }

    /// The stage has ended, with its outputs if it is `done`. Returns how long it ran, in seconds.
    pub(super) fn ended(&mut self, stages: &RunStages<'_>, index: usize, is_done: bool) -> f64 {
        let now = self.now();
        let Some(running) = self.running.remove(&index) else { return 0.0 };
        let seconds = now.saturating_sub(running.since).as_secs_f64();
        if is_done {
            let node = stages.node(index);
            self.by_name.entry(node.base.clone()).or_default().add(seconds);
            self.by_kind.entry(node.kind.name).or_default().add(seconds);
        }
        seconds
    }

    /// How long the stage may take, in seconds; `None` if nothing like it ever ran.
    fn seconds(&self, stages: &RunStages<'_>, index: usize) -> Option<f64> {
        let node = stages.node(index);
        let here = self.by_name.get(&node.base).map(|mean| mean.get());
        let of_kind = || self.by_kind.get(node.kind.name).map(|mean| mean.get());
        let small = || (!node.stage.threaded()).then_some(DEFAULT_SECONDS);
        here.or_else(|| stages.estimate(index)).or_else(of_kind).or_else(small)
    }

    /// How long a stage that runs may still take, in seconds.
    fn left(&self, stages: &RunStages<'_>, index: usize) -> Option<f64> {
        let running = self.running.get(&index)?;
        let now = self.now();
        let ran = now.saturating_sub(running.since).as_secs_f64();
        running.left(now).or_else(|| Some((self.seconds(stages, index)? - ran).max(0.0)))
    }

    /// How long the rest of the run may take in seconds, and the number of stages that nothing is known about. The time is that of the work
    /// shared by all that may run at once, or of the longest chain of stages that need each other if that is more.
    pub(super) fn rest(&self, stages: &RunStages<'_>, scheduler: &Scheduler) -> (Option<f64>, usize) {
        let (mut work, mut unknown, mut known) = (0.0, 0, false);
        let mut chains = vec![0.0f64; stages.count()];
        let mut longest = 0.0f64;
        for index in 0..stages.count() {
            let seconds = match scheduler.state(index) {
                OpenState::Ended => continue,
                OpenState::Running => self.left(stages, index),
                OpenState::Turn | OpenState::Held | OpenState::Blocked => self.seconds(stages, index),
            };
            unknown += usize::from(seconds.is_none());
            known |= seconds.is_some();
            let seconds = seconds.unwrap_or(0.0);
            work += seconds;
            let before = scheduler.needs(index).0.iter().filter_map(|&need| chains.get(need).copied());
            let chain = seconds + before.fold(0.0, f64::max);
            longest = longest.max(chain);
            if let Some(place) = chains.get_mut(index) {
                *place = chain;
            }
        }
        let left = (work / scheduler.at_once() as f64).max(longest);
        (known.then_some(left), unknown)
    }
}
