//! Looks at the experiment, the store and its runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::board::{Board, BoardCurve};
use super::loaded::{Loaded, is_changed, message, stamps};
use super::status::{RunView, status};
use crate::cli::CliError;
use crate::cli::experiment::ExperimentArgs;
use lab::event::{Progress, StageName};
use lab::runs::{FoundRun, RunOutcomes, RunState, RunningLosses, RunningStage, find};

/// The page is made again no more often than this, nor than [`WORK`] times as long as it takes.
const PAGE_INTERVAL: Duration = Duration::from_secs(1);

/// Most of the time the page is not being made.
const WORK: u32 = 4;

/// Whoever opens the page gets one that is no older: others may have changed the store.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The most curves that are kept, those of ended trainings included.
const MAX_CURVES: usize = 12;

/// What has been seen so far.
pub(super) struct Watcher {
    experiment: ExperimentArgs,
    /// The experiment as it was when it was last right.
    loaded: Loaded,
    /// What is wrong with it now.
    message: Option<String>,
    files: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
    /// How the run was when the page was made.
    mark: Mark,
    /// When the page was made, and how long that took.
    made: (Instant, Duration),
    outcomes: Option<RunOutcomes>,
    /// The oldest first.
    curves: Vec<Curve>,
}

/// What changes when the page may be another one.
#[derive(Clone, Debug, Default, PartialEq)]
struct Mark {
    run: String,
    state: Option<RunState>,
    ended: usize,
}

struct Curve {
    run: String,
    stage: StageName,
    losses: RunningLosses,
    shown: BoardCurve,
}

impl Watcher {
    /// Loads the experiment.
    ///
    /// # Errors
    /// When it is wrong, or its store cannot be opened.
    pub(super) fn new(experiment: ExperimentArgs) -> Result<Self, CliError> {
        let files = stamps(&experiment, &[]);
        let begun = Instant::now();
        let loaded = Loaded::load(&experiment)?;
        Ok(Self {
            experiment,
            loaded,
            message: None,
            files,
            mark: Mark::default(),
            made: (Instant::now(), begun.elapsed()),
            outcomes: None,
            curves: Vec::new(),
        })
    }

    /// How everything is now. `is_opened` says that somebody opens the page.
    pub(super) fn look(&mut self, is_opened: bool) -> Board {
        let time = Instant::now();
        let run = self.run();
        self.make_page(run.as_ref(), is_opened);
        self.read_outcomes(run.as_ref());
        self.read_losses(run.as_ref());
        let view = RunView {
            page: &self.loaded.page.revision,
            message: self.message.as_deref(),
            run: run.as_ref(),
            outcomes: self.outcomes.as_ref(),
            stages: &self.loaded.stages,
            start: self.experiment.command("run"),
        };
        Board {
            time,
            page: Arc::clone(&self.loaded.page),
            status: status(&view).to_string().into(),
            curves: Arc::new(self.curves.iter().map(|curve| curve.shown.clone()).collect()),
            logs: Arc::clone(&self.loaded.logs),
        }
    }

    /// The newest run of the experiment that lives, else the newest.
    fn run(&self) -> Option<FoundRun> {
        let mut found = find(&self.loaded.logs.store);
        found.retain(|run| run.is_of(&self.loaded.logs.file, &self.loaded.logs.experiment));
        let alive = found.iter().rposition(FoundRun::is_alive);
        alive.map(|place| found.swap_remove(place)).or_else(|| found.pop())
    }

    /// Makes the page again, if it may be another one and it is time.
    fn make_page(&mut self, run: Option<&FoundRun>, is_opened: bool) {
        let mark = run.map_or_else(Mark::default, |run| Mark {
            run: run.status.run.clone(),
            state: Some(run.state),
            ended: run.status.counts.done,
        });
        let (made, took) = self.made;
        let is_old = (is_opened || self.message.is_some()) && made.elapsed() >= MAX_AGE;
        let is_due = mark != self.mark || is_old || is_changed(&self.files);
        if !is_due || made.elapsed() < PAGE_INTERVAL.max(took * WORK) {
            return;
        }
        self.files = stamps(&self.experiment, &self.files);
        let begun = Instant::now();
        match Loaded::load(&self.experiment) {
            Ok(loaded) => {
                self.loaded = loaded;
                self.message = None;
            }
            Err(error) => self.message = Some(message(&error)),
        }
        self.mark = mark;
        self.made = (Instant::now(), begun.elapsed());
    }

    fn read_outcomes(&mut self, run: Option<&FoundRun>) {
        let Some(run) = run else {
            self.outcomes = None;
            return;
        };
        let name = &run.status.run;
        if self.outcomes.as_ref().is_none_or(|outcomes| outcomes.run != *name) {
            self.outcomes = Some(RunOutcomes::new(&self.loaded.logs.store, name));
        }
        self.outcomes.iter_mut().for_each(RunOutcomes::update);
    }

    fn read_losses(&mut self, run: Option<&FoundRun>) {
        let name = run.map_or("", |run| run.status.run.as_str());
        self.curves.retain(|curve| curve.run == name);
        let running = run.filter(|run| run.is_alive()).map_or(&[][..], |run| &run.status.running);
        for stage in running.iter().filter(|stage| has_loss(stage)) {
            if !self.curves.iter().any(|curve| curve.stage == stage.stage) {
                self.curves.push(Curve {
                    run: name.to_owned(),
                    stage: stage.stage.clone(),
                    losses: RunningLosses::new(&self.loaded.logs.store, name, stage),
                    shown: BoardCurve {
                        name: stage.stage.to_string(),
                        runs: true,
                        total: 0,
                        points: Arc::default(),
                    },
                });
            }
        }
        for curve in &mut self.curves {
            let stage = running.iter().find(|stage| stage.stage == curve.stage);
            curve.update(stage.and_then(|stage| stage.progress.as_ref()), stage.is_some());
        }
        while self.curves.len() > MAX_CURVES {
            let ended = self.curves.iter().position(|curve| !curve.shown.runs);
            self.curves.remove(ended.unwrap_or(0));
        }
    }
}

impl Curve {
    fn update(&mut self, progress: Option<&Progress>, runs: bool) {
        // What its log says last is read when it has ended, and then no more.
        if !runs && !self.shown.runs {
            return;
        }
        self.losses.update(progress);
        self.shown.runs = runs;
        self.shown.total = progress.map_or(self.shown.total, |progress| progress.total);
        if self.shown.points.as_ref() != self.losses.points() {
            self.shown.points = self.losses.points().into();
        }
    }
}

fn has_loss(stage: &RunningStage) -> bool {
    stage
        .progress
        .as_ref()
        .is_some_and(|progress| progress.readings.contains_key("loss"))
}
