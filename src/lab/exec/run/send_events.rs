//! The events of a run: counts stages by their end and sends the events.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::RunSummary;
use super::attempts::NextAttempt;
use super::claims::RunningStage;
use super::inputs::StageFailure;
use super::log_tail::log_tail;
use crate::event::{Event, FailureCause, LostBecause, Progress, Queue, Reporter, StageName};
use crate::exec::RunLimits;
use crate::hash::Digest;
use crate::store::Outputs;
use crate::store::remote::{FetchSummary, UploadSummary};

/// The time between two looks at what waits.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest time between them when stages have begun or ended.
const CHANGE_INTERVAL: Duration = Duration::from_millis(200);

/// A run takes at least this many times as long as looking, which takes milliseconds where there are thousands of stages.
const WORK_PER_LOOK: u32 = 100;

/// Counts and reports the events of a run.
pub(super) struct RunEvents<'a> {
    reporter: &'a mut dyn Reporter,
    summary: RunSummary,
    begun: Instant,
    /// The number of stages that failed by each cause but a plain failure.
    causes: BTreeMap<String, usize>,
    /// The number of times that a stage began or was found to be computed elsewhere.
    begins: usize,
    /// When was told last what waits, and how many stages had begun and ended then.
    looked: Instant,
    look_took: Duration,
    seen: (usize, RunSummary),
    /// What no message has.
    hidden: &'a [String],
}

impl<'a> RunEvents<'a> {
    pub(super) fn new(reporter: &'a mut dyn Reporter, stages: usize, hidden: &'a [String]) -> Self {
        let summary = RunSummary {
            stages,
            ..RunSummary::default()
        };
        Self {
            reporter,
            summary,
            begun: Instant::now(),
            causes: BTreeMap::new(),
            begins: 0,
            looked: Instant::now(),
            look_took: Duration::ZERO,
            seen: (0, summary),
            hidden,
        }
    }

    pub(super) fn tick(&mut self) {
        self.reporter.tick();
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.summary.interrupted
    }

    pub(super) fn run_started(&mut self, run: &str, experiment: &str, limits: RunLimits) {
        let RunLimits { jobs, threads, .. } = limits;
        self.reporter.event(&Event::RunStarted {
            run: run.to_owned(),
            experiment: experiment.to_owned(),
            stages: self.summary.stages,
            jobs,
            threads,
        });
    }

    pub(super) fn cached(&mut self, stage: StageName, key: Option<Digest>) {
        self.summary.cached += 1;
        if let Some(key) = key {
            self.reporter.event(&Event::Cached { stage, key });
        }
    }

    pub(super) fn started(&mut self, stage: StageName, key: Digest, kind: &str, reason: String, log: &Path) {
        self.begins += 1;
        self.reporter.event(&Event::Started {
            stage,
            key,
            kind: kind.to_owned(),
            reason,
            log: log.to_owned(),
        });
    }

    pub(super) fn progressed(&mut self, stage: StageName, progress: Progress) {
        self.reporter.event(&Event::Progressed { stage, progress });
    }

    pub(super) fn waiting(&mut self, stage: StageName, key: Digest, holder: String) {
        self.begins += 1;
        self.reporter.event(&Event::Waiting { stage, key, holder });
    }

    pub(super) fn brought(&mut self, stage: StageName, fetched: &FetchSummary, seconds: f64) {
        if fetched.artifacts > 0 {
            self.reporter.event(&Event::Brought {
                stage,
                artifacts: fetched.artifacts,
                bytes: fetched.bytes,
                seconds,
            });
        }
    }

    pub(super) fn finished(&mut self, stage: StageName, key: Digest, seconds: f64, outputs: &Outputs) {
        self.summary.ran += 1;
        let outputs = outputs.iter().map(|(port, artifact)| (port.clone(), artifact.digest)).collect();
        self.reporter.event(&Event::Finished {
            stage,
            key,
            seconds,
            outputs,
        });
    }

    pub(super) fn failed(&mut self, stage: StageName, running: &RunningStage, failure: StageFailure) {
        self.summary.failed += 1;
        if failure.cause != FailureCause::Failed {
            *self.causes.entry(failure.cause.to_string()).or_default() += 1;
        }
        let StageFailure { error, seconds, cause } = failure;
        self.reporter.event(&Event::Failed {
            stage,
            key: running.key,
            seconds,
            cause,
            error,
            log: running.log.clone(),
            log_tail: log_tail(&running.log, self.hidden),
        });
    }

    pub(super) fn retrying(&mut self, stage: StageName, key: Digest, failure: StageFailure, next: NextAttempt) {
        self.reporter.event(&Event::Retrying {
            stage,
            key,
            cause: failure.cause,
            error: failure.error,
            attempt: next.number,
            of: next.of,
            memory: next.memory,
        });
    }

    /// A stage is looked up again: it no longer counts as cached or run.
    pub(super) fn lost(&mut self, stage: StageName, needed_by: StageName, ran_here: bool, because: LostBecause) {
        let count = if ran_here {
            &mut self.summary.ran
        } else {
            &mut self.summary.cached
        };
        *count -= 1;
        self.reporter.event(&Event::Lost { stage, needed_by, because });
    }

    pub(super) fn skipped(&mut self, stage: StageName, because: &str) {
        self.summary.skipped += 1;
        let because = because.to_owned();
        self.reporter.event(&Event::Skipped { stage, because });
    }

    /// The stage was ended on request.
    pub(super) fn cancelled(&mut self, stage: StageName, seconds: f64) {
        self.summary.cancelled += 1;
        self.reporter.event(&Event::Cancelled { stage, seconds });
    }

    /// Tells what waits, when it is time; a tick follows.
    pub(super) fn look(&mut self, queue: impl FnOnce() -> Queue) {
        let now = (self.begins, self.summary);
        let interval = if now == self.seen { LOOK_INTERVAL } else { CHANGE_INTERVAL };
        if self.looked.elapsed() >= interval.max(self.look_took * WORK_PER_LOOK) {
            (self.looked, self.seen) = (Instant::now(), now);
            self.reporter.look(&queue());
            self.look_took = self.looked.elapsed();
        }
    }

    pub(super) fn warnings(&mut self, messages: Vec<String>) {
        for message in messages {
            self.reporter.event(&Event::Warned { message });
        }
    }

    pub(super) fn interrupted(&mut self) {
        self.summary.interrupted = true;
        self.reporter.event(&Event::Interrupted);
    }

    pub(super) fn uploaded(&mut self, uploaded: UploadSummary) {
        let UploadSummary { of, stages, bytes, failed } = uploaded;
        self.reporter.event(&Event::Uploaded { stages, of, bytes, failed });
    }

    /// The last event of the run.
    pub(super) fn end(&mut self) -> RunSummary {
        let RunSummary {
            stages,
            cached,
            ran,
            failed,
            skipped,
            cancelled,
            interrupted,
        } = self.summary;
        let seconds = self.begun.elapsed().as_secs_f64();
        self.reporter.event(&Event::Summary {
            stages,
            cached,
            ran,
            failed,
            skipped,
            cancelled,
            seconds,
            interrupted,
            causes: std::mem::take(&mut self.causes),
        });
        self.summary
    }
}
