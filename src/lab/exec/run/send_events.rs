//! The events of a run: counts stages by their end and sends the events.

use std::path::Path;
use std::time::Instant;

use super::RunSummary;
use super::claims::RunningStage;
use super::inputs::StageFailure;
use crate::event::{Event, Progress, Reporter, StageName};
use crate::exec::RunLimits;
use crate::hash::Digest;
use crate::store::Outputs;
use crate::store::remote::{FetchSummary, UploadSummary};

/// The number of lines at the end of a failed stage's log that are reported.
const LOG_TAIL_LINES: usize = 20;

/// Counts and reports the events of a run.
pub(super) struct RunEvents<'a> {
    reporter: &'a mut dyn Reporter,
    summary: RunSummary,
    begun: Instant,
}

impl<'a> RunEvents<'a> {
    pub(super) fn new(reporter: &'a mut dyn Reporter, stages: usize) -> Self {
        let summary = RunSummary {
            stages,
            ..RunSummary::default()
        };
        Self {
            reporter,
            summary,
            begun: Instant::now(),
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
        let StageFailure { error, seconds } = failure;
        self.reporter.event(&Event::Failed {
            stage,
            key: running.key,
            seconds,
            error,
            log: running.log.clone(),
            log_tail: tail(&running.log),
        });
    }

    /// The outputs of a stage are gone: it no longer counts as cached or run.
    pub(super) fn lost(&mut self, stage: StageName, needed_by: StageName, ran_here: bool) {
        let count = if ran_here {
            &mut self.summary.ran
        } else {
            &mut self.summary.cached
        };
        *count -= 1;
        self.reporter.event(&Event::Lost { stage, needed_by });
    }

    pub(super) fn skipped(&mut self, stage: StageName, because: &str) {
        self.summary.skipped += 1;
        let because = because.to_owned();
        self.reporter.event(&Event::Skipped { stage, because });
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
            interrupted,
        } = self.summary;
        let seconds = self.begun.elapsed().as_secs_f64();
        self.reporter.event(&Event::Summary {
            stages,
            cached,
            ran,
            failed,
            skipped,
            seconds,
            interrupted,
        });
        self.summary
    }
}

/// The last lines of a log; none when it cannot be read.
fn tail(log: &Path) -> Vec<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_TAIL_LINES);
    lines[first..].iter().map(|&line| line.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_has_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(tail(&log), Vec::<String>::new());
        let text: String = (1..=25).map(|line| format!("{line}\n")).collect();
        std::fs::write(&log, text).unwrap();
        let tail = tail(&log);
        assert_eq!((tail.len(), tail[0].as_str(), tail[19].as_str()), (20, "6", "25"));
    }
}
