//! A run on a terminal: what runs moves at the bottom, what ended scrolls above.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Clock;
use super::running::Running;
use super::tally::Tally;
use super::wording::{self, Failure};
use crate::event::{Event, Progress, Reporter, StageName};
use crate::text::{Color, Paint, duration};

/// Shows the running stages as live lines, and every stage that ended as a line above them.
///
/// Draws nothing live as long as nothing has to run.
pub struct Terminal<C> {
    screen: MultiProgress,
    paint: Paint,
    clock: C,
    live: BTreeMap<StageName, Live>,
    /// The line below all others.
    total: Option<Total>,
    stages: usize,
    ended: usize,
    /// By the reason.
    skipped: BTreeMap<String, Tally>,
}

/// Stages that are waited for get live lines until there are so many; they may be as many as the stages of the run.
const WAITING_SHOWN: usize = 4;

/// The live line of a stage.
struct Live {
    /// Nothing where there are enough lines.
    bar: Option<ProgressBar>,
    running: Running,
    /// Who computes it, if it is another process.
    holder: Option<String>,
}

/// The line that says how far the run is.
struct Total {
    bar: ProgressBar,
    running: Running,
}

impl<C: Clock> Terminal<C> {
    /// Draws on standard error.
    pub fn stderr(paint: Paint, clock: C) -> Self {
        Self::on(ProgressDrawTarget::stderr(), paint, clock)
    }

    pub(super) fn on(target: ProgressDrawTarget, paint: Paint, clock: C) -> Self {
        Self {
            screen: MultiProgress::with_draw_target(target),
            paint,
            clock,
            live: BTreeMap::new(),
            total: None,
            stages: 0,
            ended: 0,
            skipped: BTreeMap::new(),
        }
    }

    /// A line above the live ones. A terminal that is gone is no reason to stop a run.
    fn line(&self, text: &str) {
        let _ = self.screen.println(text);
    }

    fn watch(&mut self, stage: &StageName, holder: Option<&str>) {
        let now = self.clock.now();
        let total = self.total.get_or_insert_with(|| {
            let bar = ProgressBar::no_length().with_style(style("  {wide_msg}"));
            Total {
                bar: self.screen.add(bar),
                running: Running::new(now),
            }
        });
        let waiting = self.live.values().filter(|live| live.holder.is_some()).take(WAITING_SHOWN).count();
        let bar = (holder.is_none() || waiting < WAITING_SHOWN).then(|| {
            let bar = ProgressBar::new(1).with_style(style("{spinner} {bar:12} {wide_msg}"));
            self.screen.insert_before(&total.bar, bar)
        });
        let is_shown = bar.is_some();
        let live = Live {
            bar,
            running: Running::new(now),
            holder: holder.map(str::to_owned),
        };
        if let Some(bar) = self.live.insert(stage.clone(), live).and_then(|earlier| earlier.bar) {
            self.screen.remove(&bar);
        }
        if is_shown {
            self.tick();
        }
    }

    fn progressed(&mut self, stage: &StageName, progress: &Progress) {
        if let Some(live) = self.live.get_mut(stage) {
            live.running.progressed(self.clock.now(), progress);
            if let Some(bar) = &live.bar {
                bar.set_length(progress.total.max(1));
                bar.set_position(progress.done);
            }
        }
    }

    /// Takes the stage's live line away; who computed the stage, if it was another process.
    fn ended(&mut self, stage: &StageName) -> Option<String> {
        self.ended += 1;
        let live = self.live.remove(stage)?;
        if let Some(bar) = &live.bar {
            self.screen.remove(bar);
        }
        live.holder
    }

    fn done(&self, stage: &StageName, note: &str) {
        let mark = self.paint.paint(Color::Green, "✓");
        self.line(&format!("{mark} {stage}  {}", self.paint.paint(Color::Dim, note)));
    }

    fn summary(&mut self, event: &Event) {
        for (because, mut tally) in std::mem::take(&mut self.skipped) {
            if let Some(stages) = tally.take() {
                self.line(&format!("{} {stages}: {because}", self.paint.paint(Color::Yellow, "– not tried")));
            }
        }
        for bar in std::mem::take(&mut self.live).into_values().filter_map(|live| live.bar) {
            self.screen.remove(&bar);
        }
        if let Some(total) = self.total.take() {
            self.screen.remove(&total.bar);
        }
        if let Some(summary) = wording::summary(event, self.paint) {
            self.line(&summary);
        }
    }
}

impl<C: Clock> Reporter for Terminal<C> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                experiment,
                stages,
                jobs,
                threads,
                ..
            } => {
                self.stages = *stages;
                let opening = wording::opening(experiment, *stages, *jobs, *threads);
                self.line(&self.paint.paint(Color::Bold, &opening));
            }
            Event::Fetching { source, progress, .. } => {
                let name = wording::source(source);
                if !self.live.contains_key(&name) {
                    self.watch(&name, None);
                }
                self.progressed(&name, progress);
            }
            Event::Fetched {
                source,
                bytes,
                seconds,
                pin,
            } => {
                let name = wording::source(source);
                self.ended(&name);
                // It is no stage.
                self.ended -= 1;
                self.done(&name, &wording::fetched(*bytes, *seconds, pin.as_deref()));
            }
            Event::Cached { stage, .. } => {
                if let Some(holder) = self.ended(stage) {
                    self.done(stage, &format!("computed by {holder}"));
                }
            }
            Event::Started { stage, .. } => self.watch(stage, None),
            Event::Progressed { stage, progress } => self.progressed(stage, progress),
            Event::Waiting { stage, holder, .. } => {
                if self.live.get(stage).and_then(|live| live.holder.as_ref()) != Some(holder) {
                    self.watch(stage, Some(holder));
                }
            }
            Event::Lost { stage, needed_by } => {
                // Both are still to come.
                self.ended(needed_by);
                self.ended = self.ended.saturating_sub(2);
                self.line(&self.paint.paint(Color::Yellow, &wording::lost(stage, needed_by)));
            }
            Event::Finished { stage, seconds, .. } => {
                self.ended(stage);
                self.done(stage, &duration(*seconds));
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
                self.ended(stage);
                let name = stage.to_string();
                let failure = Failure {
                    name: &name,
                    seconds: *seconds,
                    error,
                    log,
                    log_tail,
                    rerun,
                };
                self.line(&failure.lines("✗ ", self.paint).join("\n"));
            }
            Event::Skipped { stage, because } => {
                self.ended += 1;
                self.skipped.entry(because.clone()).or_default().add(stage);
            }
            Event::Brought {
                stage,
                artifacts,
                bytes,
                seconds,
            } => {
                let fetched = wording::brought(stage, *artifacts, *bytes, *seconds);
                self.line(&self.paint.paint(Color::Dim, &fetched));
            }
            Event::Warned { message } => self.line(&format!("{} {message}", self.paint.paint(Color::Yellow, "warning:"))),
            Event::Uploaded { .. } => {
                if let Some(uploaded) = wording::uploaded(event) {
                    self.line(&uploaded);
                }
            }
            Event::Interrupted => self.line(&self.paint.paint(Color::Yellow, wording::INTERRUPTED)),
            Event::Summary { .. } => self.summary(event),
        }
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        for (stage, live) in &self.live {
            let Some(bar) = &live.bar else { continue };
            let status = live.running.status(now);
            bar.set_message(match &live.holder {
                Some(holder) => format!("{stage}: waiting for {holder}, {status}"),
                None => format!("{stage}: {status}"),
            });
            bar.tick();
        }
        if let Some(total) = &self.total {
            let waiting = self.live.values().filter(|live| live.holder.is_some()).count();
            let waiting = if waiting > 0 {
                format!(", {waiting} waiting")
            } else {
                String::new()
            };
            let (stages, status) = (crate::text::stages(self.stages), total.running.status(now));
            let text = format!("{} of {stages}{waiting}, {status}", self.ended);
            total.bar.set_message(self.paint.paint(Color::Dim, &text));
        }
    }
}

/// A line of the given template, with a thin bar.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}
