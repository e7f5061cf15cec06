//! The state of a run as its events show it, and the lines to print: shared by all reporters for people.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::line::{FailedStage, RunLine, RunTotals};
use super::named_stages::NamedStages;

use crate::event::{Event, Progress, StageName, StageProgress};

/// The state of a run.
#[derive(Default)]
pub(super) struct RunView {
    /// The stages and sources that are under way.
    pub(super) live: BTreeMap<StageName, LiveStage>,
    /// All stages of the run.
    pub(super) stages: usize,
    /// Those that have ended.
    pub(super) ended: usize,
    /// Skipped stages by the reason.
    skipped: BTreeMap<String, NamedStages>,
}

/// A stage (or source) that is under way.
pub(super) struct LiveStage {
    pub(super) progress: StageProgress,
    /// The process that computes it, if it is another one.
    pub(super) holder: Option<String>,
}

impl RunView {
    /// Takes in an event, which happened at `now`, and returns the lines to print.
    pub(super) fn update<'e>(&mut self, event: &'e Event, now: Duration) -> Vec<RunLine<'e>> {
        match event {
            Event::RunStarted {
                experiment,
                stages,
                jobs,
                threads,
                ..
            } => {
                self.stages = *stages;
                let (stages, jobs, threads) = (*stages, *jobs, *threads);
                vec![RunLine::RunStarted {
                    experiment,
                    stages,
                    jobs,
                    threads,
                }]
            }
            Event::Fetching { source, progress, .. } => self.fetching(source, progress, now),
            Event::Fetched {
                source,
                bytes,
                seconds,
                pin,
            } => {
                let source = source_name(source);
                self.live.remove(&source);
                let (bytes, seconds, pin) = (*bytes, *seconds, pin.as_deref());
                vec![RunLine::Fetched {
                    source,
                    bytes,
                    seconds,
                    pin,
                }]
            }
            Event::Preparing { environment, command, .. } => vec![RunLine::Preparing { environment, command }],
            Event::Prepared { environment, seconds } => vec![RunLine::Prepared {
                environment,
                seconds: *seconds,
            }],
            Event::Progressed { stage, progress } => {
                self.progressed(stage, progress, now);
                Vec::new()
            }
            Event::Summary { .. } => self.summary(event),
            Event::Brought {
                stage,
                artifacts,
                bytes,
                seconds,
            } => vec![RunLine::Brought {
                stage,
                artifacts: *artifacts,
                bytes: *bytes,
                seconds: *seconds,
            }],
            Event::Warned { message } => vec![RunLine::Warning(message)],
            Event::Uploaded { stages, of, bytes, failed } => vec![RunLine::Uploaded {
                stages: *stages,
                of: *of,
                bytes: *bytes,
                failed,
            }],
            Event::Interrupted => vec![RunLine::Interrupted],
            of_a_stage => self.stage_event(of_a_stage, now),
        }
    }

    /// The events that change the state of a stage.
    fn stage_event<'e>(&mut self, event: &'e Event, now: Duration) -> Vec<RunLine<'e>> {
        match event {
            Event::Cached { stage, .. } => match self.end(stage).and_then(|live| live.holder) {
                Some(holder) => vec![RunLine::ComputedElsewhere { stage, holder }],
                None => vec![RunLine::Cached(stage)],
            },
            Event::Started { stage, reason, .. } => {
                self.begin(stage, None, now);
                vec![RunLine::Started { stage, reason }]
            }
            Event::Waiting { stage, holder, .. } => {
                let known = self.live.get(stage).and_then(|live| live.holder.as_ref());
                if known == Some(holder) {
                    return Vec::new();
                }
                self.begin(stage, Some(holder.clone()), now);
                vec![RunLine::Waiting { stage, holder }]
            }
            Event::Lost { stage, needed_by, because } => {
                // Both will end later; the lost one had been counted.
                self.live.remove(needed_by);
                self.ended = self.ended.saturating_sub(1);
                vec![RunLine::Lost {
                    stage,
                    needed_by,
                    because: *because,
                }]
            }
            Event::Finished { stage, seconds, .. } => {
                self.end(stage);
                vec![RunLine::Finished { stage, seconds: *seconds }]
            }
            Event::Failed {
                stage,
                seconds,
                error,
                log,
                log_tail,
                ..
            } => {
                self.end(stage);
                vec![RunLine::Failed(FailedStage {
                    stage,
                    seconds: *seconds,
                    error,
                    log,
                    log_tail,
                })]
            }
            Event::Retrying {
                stage,
                error,
                attempt,
                of,
                memory,
                ..
            } => {
                // It has not ended.
                self.live.remove(stage);
                vec![RunLine::Retrying {
                    stage,
                    error,
                    attempt: *attempt,
                    of: *of,
                    memory: *memory,
                }]
            }
            Event::Cancelled { stage, seconds } => {
                self.end(stage);
                vec![RunLine::Cancelled { stage, seconds: *seconds }]
            }
            Event::Skipped { stage, because } => {
                self.ended += 1;
                self.skipped.entry(because.clone()).or_default().add(stage);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn fetching<'e>(&mut self, source: &str, progress: &Progress, now: Duration) -> Vec<RunLine<'e>> {
        let source = source_name(source);
        let is_new = !self.live.contains_key(&source);
        if is_new {
            self.begin(&source, None, now);
        }
        self.progressed(&source, progress, now);
        if is_new { vec![RunLine::Fetching(source)] } else { Vec::new() }
    }

    fn summary<'e>(&mut self, event: &'e Event) -> Vec<RunLine<'e>> {
        self.live.clear();
        let skipped = std::mem::take(&mut self.skipped).into_iter();
        let mut lines: Vec<RunLine<'e>> = skipped
            .filter_map(|(because, mut named)| {
                Some(RunLine::Skipped {
                    stages: named.take()?,
                    because,
                })
            })
            .collect();
        lines.extend(RunTotals::of(event).map(RunLine::Summary));
        lines
    }

    fn begin(&mut self, name: &StageName, holder: Option<String>, now: Duration) {
        let progress = StageProgress::new(now);
        self.live.insert(name.clone(), LiveStage { progress, holder });
    }

    fn progressed(&mut self, name: &StageName, progress: &Progress, now: Duration) {
        if let Some(live) = self.live.get_mut(name) {
            live.progress.progressed(now, progress);
        }
    }

    fn end(&mut self, stage: &StageName) -> Option<LiveStage> {
        self.ended += 1;
        self.live.remove(stage)
    }

    /// The number of stages that other processes compute.
    pub(super) fn waiting(&self) -> usize {
        self.live.values().filter(|live| live.holder.is_some()).count()
    }
}

/// The stage or source that may have begun or ended with the event.
pub(super) fn subject(event: &Event) -> Option<Cow<'_, StageName>> {
    match event {
        Event::Fetching { source, .. } | Event::Fetched { source, .. } => Some(Cow::Owned(source_name(source))),
        Event::Cached { stage, .. }
        | Event::Started { stage, .. }
        | Event::Progressed { stage, .. }
        | Event::Waiting { stage, .. }
        | Event::Lost { needed_by: stage, .. }
        | Event::Finished { stage, .. }
        | Event::Retrying { stage, .. }
        | Event::Cancelled { stage, .. }
        | Event::Failed { stage, .. } => Some(Cow::Borrowed(stage)),
        _ => None,
    }
}

/// A source is shown like a stage while it is fetched.
pub(super) fn source_name(source: &str) -> StageName {
    no_stage("source", source)
}

/// An environment is shown so while it is prepared.
pub(super) fn environment_name(environment: &str) -> StageName {
    no_stage("environment", environment)
}

fn no_stage(what: &str, name: &str) -> StageName {
    StageName {
        name: format!("{what} {name}"),
        variant: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LostBecause;
    use crate::hash::Digest;

    fn stage(name: &str) -> StageName {
        StageName {
            name: name.to_owned(),
            ..StageName::default()
        }
    }

    #[test]
    fn a_lost_stage_counts_once_in_the_end() {
        let mut view = RunView::default();
        let key = Digest::of(b"key");
        let events = [
            Event::Cached { stage: stage("a"), key },
            Event::Lost {
                stage: stage("a"),
                needed_by: stage("b"),
                because: LostBecause::Missing,
            },
            Event::Cached { stage: stage("a"), key },
        ];
        for event in &events {
            view.update(event, Duration::ZERO);
        }
        assert_eq!(view.ended, 1);
    }

    #[test]
    fn a_holder_is_printed_again_only_when_it_changes() {
        let mut view = RunView::default();
        let waiting = |holder: &str| Event::Waiting {
            stage: stage("a"),
            key: Digest::of(b"key"),
            holder: holder.to_owned(),
        };
        let lines = ["one", "one", "two"].map(|holder| view.update(&waiting(holder), Duration::ZERO).len());
        assert_eq!((lines, view.waiting()), ([1, 0, 1], 1));
    }
}
