//! How long the rest of a run may take: by the forecasts of its plan, corrected by the stages of this run that have ended, and by the
//! progress of those that run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::stages::{DEFAULT_SECONDS, RunStages};
use crate::event::{Progress, StageProgress};
use crate::exec::scheduler::{OpenState, Scheduler};
use crate::plan::{Range, StageTimes};

/// The least time that is told apart from nothing, in seconds.
const LEAST_SECONDS: f64 = 0.001;

/// What is known about the time that stages take.
pub(super) struct TimeLeft {
    begun: Instant,
    /// The progress of the stages that run.
    running: BTreeMap<usize, StageProgress>,
    /// The stages of each name, without its index, that ran here.
    by_name: BTreeMap<String, Seen>,
    /// The same by kind.
    by_kind: BTreeMap<&'static str, Seen>,
}

/// How long some stages took.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    seconds: f64,
    count: usize,
    /// The sum of the logarithms of how many times as long as forecast they took, and the number of those that had a forecast.
    excess: f64,
    forecast: usize,
}

impl Seen {
    fn add(&mut self, seconds: f64, forecast: Option<Range>) {
        self.seconds += seconds;
        self.count += 1;
        if let Some(forecast) = forecast {
            self.excess += (seconds.max(LEAST_SECONDS) / forecast.likely.max(LEAST_SECONDS)).ln();
            self.forecast += 1;
        }
    }

    /// A forecast, corrected by how those of these stages erred; without one, the mean of what they took.
    fn correct(self, forecast: Option<Range>) -> Option<Range> {
        match forecast {
            Some(forecast) if self.forecast > 0 => {
                let factor = (self.excess / self.forecast as f64).exp();
                Some(forecast.map(|seconds| seconds * factor))
            }
            Some(_) => None,
            None => (self.count > 0).then(|| Range::known(self.seconds / self.count as f64)),
        }
    }
}

impl TimeLeft {
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
            let (node, forecast) = (stages.node(index), stages.forecast(index));
            self.by_name.entry(node.base.clone()).or_default().add(seconds, forecast);
            self.by_kind.entry(node.kind.name).or_default().add(seconds, forecast);
        }
        seconds
    }

    /// How long the stage may take, in seconds; `None` if nothing like it ever ran. Stages of its name that ran here correct its forecast,
    /// else those of its kind.
    fn seconds(&self, stages: &RunStages<'_>, index: usize) -> Option<Range> {
        let (node, forecast) = (stages.node(index), stages.forecast(index));
        let by_name = self.by_name.get(&node.base).and_then(|seen| seen.correct(forecast));
        let by_kind = || self.by_kind.get(node.kind.name).and_then(|seen| seen.correct(forecast));
        let small = || (!node.stage.threaded()).then_some(Range::known(DEFAULT_SECONDS));
        by_name.or_else(by_kind).or(forecast).or_else(small)
    }

    /// How long a stage that runs may still take, in seconds.
    fn left(&self, stages: &RunStages<'_>, index: usize) -> Option<Range> {
        let running = self.running.get(&index)?;
        let now = self.now();
        let ran = now.saturating_sub(running.since).as_secs_f64();
        let by_progress = running.left(now).map(Range::known);
        by_progress.or_else(|| Some(self.seconds(stages, index)?.map(|seconds| (seconds - ran).max(0.0))))
    }

    /// How long the rest of the run may take in seconds, and the number of stages that nothing is known about.
    pub(super) fn rest(&self, stages: &RunStages<'_>, scheduler: &Scheduler) -> (Option<Range>, usize) {
        let (mut unknown, mut is_known) = (0, false);
        let mut times = StageTimes::new(stages.count());
        for index in 0..stages.count() {
            let seconds = match scheduler.state(index) {
                OpenState::Ended => continue,
                OpenState::Running => self.left(stages, index),
                OpenState::Turn | OpenState::Held | OpenState::Blocked => self.seconds(stages, index),
            };
            unknown += usize::from(seconds.is_none());
            is_known |= seconds.is_some();
            times.add(index, scheduler.needs(index).0.iter().copied(), seconds.unwrap_or_default());
        }
        (is_known.then(|| times.on_the_clock(scheduler.at_once())), unknown)
    }
}
