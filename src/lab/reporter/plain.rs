//! A run as lines of text, for files and build logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::Clock;
use super::running::Running;
use super::tally::Tally;
use super::wording::{self, Failure};
use crate::event::{Event, Reporter, StageName};
use crate::text::{Paint, duration};

/// A stage that runs or is waited for is heard of this often at least.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Writes a line for every event of interest, and a heartbeat for stages that take long; no control characters.
///
/// Cached stages are gathered into one line. When the other end is closed or full the rest is dropped.
pub struct Plain<W, C> {
    out: Option<W>,
    clock: C,
    live: BTreeMap<StageName, Live>,
    cached: Tally,
    /// By the reason.
    skipped: BTreeMap<String, Tally>,
}

/// A stage that is heard of until it ends.
struct Live {
    running: Running,
    /// Who computes it, if it is another process.
    holder: Option<String>,
    said: Duration,
}

impl<W: Write, C: Clock> Plain<W, C> {
    /// Writes to `out`.
    pub fn new(out: W, clock: C) -> Self {
        Self {
            out: Some(out),
            clock,
            live: BTreeMap::new(),
            cached: Tally::default(),
            skipped: BTreeMap::new(),
        }
    }

    fn line(&mut self, text: &str) {
        let Some(out) = &mut self.out else { return };
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }

    /// Says what was gathered, so that it stands before what comes next.
    fn say_cached(&mut self) {
        if let Some(stages) = self.cached.take() {
            self.line(&format!("cached {stages}"));
        }
    }

    fn say_skipped(&mut self) {
        for (because, mut tally) in std::mem::take(&mut self.skipped) {
            if let Some(stages) = tally.take() {
                self.line(&format!("not tried {stages}: {because}"));
            }
        }
    }

    fn cached(&mut self, stage: &StageName) {
        match self.live.remove(stage).and_then(|live| live.holder) {
            Some(holder) => self.line(&format!("cached {stage}, which {holder} computed")),
            None => self.cached.add(stage),
        }
    }

    fn watch(&mut self, stage: &StageName, holder: Option<&str>) {
        let now = self.clock.now();
        let live = Live {
            running: Running::new(now),
            holder: holder.map(str::to_owned),
            said: now,
        };
        self.live.insert(stage.clone(), live);
    }

    fn waiting(&mut self, stage: &StageName, holder: &str) {
        let known = self.live.get(stage).and_then(|live| live.holder.as_deref());
        if known != Some(holder) {
            self.line(&format!("waiting for {stage}, which {holder} is computing"));
            self.watch(stage, Some(holder));
        }
    }
}

impl<W: Write, C: Clock> Reporter for Plain<W, C> {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::Cached { .. } | Event::Progressed { .. }) {
            self.say_cached();
        }
        match event {
            Event::RunStarted {
                experiment,
                stages,
                jobs,
                threads,
                ..
            } => {
                self.line(&wording::opening(experiment, *stages, *jobs, *threads));
            }
            Event::Fetching { source, progress, .. } => {
                let name = wording::source(source);
                if !self.live.contains_key(&name) {
                    self.line(&format!("fetching {name}"));
                    self.watch(&name, None);
                }
                if let Some(live) = self.live.get_mut(&name) {
                    live.running.progressed(self.clock.now(), progress);
                }
            }
            Event::Fetched {
                source,
                bytes,
                seconds,
                pin,
            } => {
                let name = wording::source(source);
                self.live.remove(&name);
                self.line(&format!("fetched {name}: {}", wording::fetched(*bytes, *seconds, pin.as_deref())));
            }
            Event::Cached { stage, .. } => self.cached(stage),
            Event::Started { stage, reason, .. } => {
                self.line(&format!("started {stage}: {reason}"));
                self.watch(stage, None);
            }
            Event::Progressed { stage, progress } => {
                if let Some(live) = self.live.get_mut(stage) {
                    live.running.progressed(self.clock.now(), progress);
                }
            }
            Event::Waiting { stage, holder, .. } => self.waiting(stage, holder),
            Event::Lost { stage, needed_by } => {
                self.live.remove(needed_by);
                self.line(&wording::lost(stage, needed_by));
            }
            Event::Finished { stage, seconds, .. } => {
                self.live.remove(stage);
                self.line(&format!("finished {stage} in {}", duration(*seconds)));
            }
            Event::Failed {
                stage,
                seconds,
                error,
                log,
                log_tail,
                rerun,
                ..
            } => {
                self.live.remove(stage);
                let name = stage.to_string();
                let failure = Failure {
                    name: &name,
                    seconds: *seconds,
                    error,
                    log,
                    log_tail,
                    rerun,
                };
                failure.lines("", Paint::default()).iter().for_each(|line| self.line(line));
            }
            Event::Skipped { stage, because } => self.skipped.entry(because.clone()).or_default().add(stage),
            Event::Brought {
                stage,
                artifacts,
                bytes,
                seconds,
            } => self.line(&wording::brought(stage, *artifacts, *bytes, *seconds)),
            Event::Warned { message } => self.line(&format!("warning: {message}")),
            Event::Uploaded { .. } => {
                if let Some(uploaded) = wording::uploaded(event) {
                    self.line(&uploaded);
                }
            }
            Event::Interrupted => self.line(wording::INTERRUPTED),
            Event::Summary { .. } => {
                self.say_skipped();
                if let Some(summary) = wording::summary(event, Paint::default()) {
                    self.line(&summary);
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        let mut lines = Vec::new();
        for (stage, live) in &mut self.live {
            if now.saturating_sub(live.said) >= HEARTBEAT {
                live.said = now;
                let status = live.running.status(now);
                lines.push(match &live.holder {
                    Some(holder) => format!("waiting for {stage}, which {holder} is computing: {status}"),
                    None => format!("running {stage}: {status}"),
                });
            }
        }
        if !lines.is_empty() {
            self.say_cached();
        }
        lines.iter().for_each(|line| self.line(line));
    }
}
