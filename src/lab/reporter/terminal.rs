//! A run on a terminal: running stages move at the bottom, finished ones scroll above. `line.rs` has the words.

use std::collections::BTreeMap;
use std::rc::Rc;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::line::RunLine;
use super::run_view::{RunView, subject};
use super::stage_progress::StageProgress;
use super::{Clock, CommandHints};
use crate::event::{Event, Progress, Reporter, StageName};
use crate::text::{Color, Paint, shortened, stages};

/// Shows the running stages as live lines, and every stage that ended as a line above them.
///
/// Draws no live lines as long as no stage has to run.
pub struct TerminalReporter<C> {
    screen: MultiProgress,
    paint: Paint,
    clock: C,
    hints: Rc<dyn CommandHints>,
    view: RunView,
    /// The live lines.
    bars: BTreeMap<StageName, LiveBar>,
    /// The line below all others.
    total: Option<TotalBar>,
}

/// The most characters of a stage's name in a live line, so that there is room for its progress.
const MAX_NAME: usize = 48;

/// The most characters of a name in a line that stays.
const MAX_PRINTED_NAME: usize = 300;

/// The most live lines for stages that other processes compute. There may be as many such stages as the run has.
const WAITING_SHOWN: usize = 4;

/// The live line of a stage.
struct LiveBar {
    /// The holder that the line names.
    holder: Option<String>,
    /// `None` when enough waiting stages have lines.
    bar: Option<ProgressBar>,
}

/// The line with the progress of the whole run.
struct TotalBar {
    bar: ProgressBar,
    progress: StageProgress,
}

impl<C: Clock> TerminalReporter<C> {
    /// Draws on standard error.
    pub fn stderr(paint: Paint, clock: C, hints: Rc<dyn CommandHints>) -> Self {
        Self::on(ProgressDrawTarget::stderr(), paint, clock, hints)
    }

    pub(super) fn on(target: ProgressDrawTarget, paint: Paint, clock: C, hints: Rc<dyn CommandHints>) -> Self {
        Self {
            screen: MultiProgress::with_draw_target(target),
            paint,
            clock,
            hints,
            view: RunView::default(),
            bars: BTreeMap::new(),
            total: None,
        }
    }

    /// Prints a line above the live ones. A terminal that is gone is no reason to stop a run.
    fn print(&self, text: &str) {
        let _ = self.screen.println(self.paint.finish(text));
    }

    /// The text of a line; `None` for events that live lines show.
    fn styled(&self, line: &RunLine<'_>) -> Option<String> {
        let text = |mark: &str| line.text(mark, self.paint, self.hints.as_ref());
        let painted = |color| self.paint.paint(color, &text(""));
        let done = |name: &StageName| {
            let mark = self.paint.paint(Color::Green, "✓");
            let name = shortened(&name.to_string(), MAX_PRINTED_NAME);
            format!("{mark} {name}  {}", self.paint.paint(Color::Dim, &line.note()))
        };
        Some(match line {
            RunLine::Fetching(_) | RunLine::Cached(_) | RunLine::Started { .. } | RunLine::Waiting { .. } => return None,
            RunLine::Fetched { source, .. } => done(source),
            RunLine::ComputedElsewhere { stage, .. } | RunLine::Finished { stage, .. } => done(stage),
            RunLine::RunStarted { .. } => painted(Color::Bold),
            RunLine::Lost { .. } | RunLine::Retrying { .. } | RunLine::Interrupted => painted(Color::Yellow),
            RunLine::Preparing { .. } | RunLine::Prepared { .. } | RunLine::Brought { .. } => painted(Color::Dim),
            RunLine::Failed(_) => text("✗ "),
            RunLine::Skipped { stages, because } => {
                let [stages, because] = [stages, because].map(|text| shortened(text, MAX_PRINTED_NAME));
                format!("{} {stages}: {because}", self.paint.paint(Color::Yellow, "– not tried"))
            }
            RunLine::Warning(_) | RunLine::Uploaded { .. } | RunLine::Summary(_) => text(""),
        })
    }

    /// Adds, replaces or removes the live line of a stage or source that has begun or ended.
    fn update_bar(&mut self, name: &StageName) {
        let live = self.view.live.get(name);
        let (is_live, holder) = (live.is_some(), live.and_then(|live| live.holder.clone()));
        let is_shown = self.bars.get(name).is_some_and(|bar| bar.holder == holder);
        if is_live && is_shown {
            return;
        }
        let earlier = self.bars.remove(name);
        if is_live {
            self.add_bar(name, holder);
        }
        if let Some(bar) = earlier.and_then(|earlier| earlier.bar) {
            self.screen.remove(&bar);
        }
    }

    fn add_bar(&mut self, name: &StageName, holder: Option<String>) {
        let now = self.clock.now();
        let is_ascii = self.paint.is_ascii();
        let total = self.total.get_or_insert_with(|| {
            let bar = ProgressBar::no_length().with_style(style("  {wide_msg}", is_ascii));
            TotalBar {
                bar: self.screen.add(bar),
                progress: StageProgress::new(now),
            }
        });
        let waiting = self.bars.values().filter(|bar| bar.holder.is_some()).take(WAITING_SHOWN).count();
        let bar = (holder.is_none() || waiting < WAITING_SHOWN).then(|| {
            let bar = ProgressBar::new(1).with_style(style("{spinner} {bar:12} {wide_msg}", is_ascii));
            self.screen.insert_before(&total.bar, bar)
        });
        let is_drawn = bar.is_some();
        self.bars.insert(name.clone(), LiveBar { holder, bar });
        if is_drawn {
            self.tick();
        }
    }

    fn move_bar(&self, name: &StageName, progress: &Progress) {
        if let Some(bar) = self.bars.get(name).and_then(|live| live.bar.as_ref()) {
            bar.set_length(progress.total.max(1));
            bar.set_position(progress.done);
        }
    }

    /// Removes all live lines.
    fn clear(&mut self) {
        let bars = std::mem::take(&mut self.bars).into_values().filter_map(|live| live.bar);
        for bar in bars.chain(self.total.take().map(|total| total.bar)) {
            self.screen.remove(&bar);
        }
    }
}

impl<C: Clock> Reporter for TerminalReporter<C> {
    fn event(&mut self, event: &Event) {
        let lines = self.view.update(event, self.clock.now());
        if let Some(name) = subject(event) {
            self.update_bar(&name);
            if let Event::Fetching { progress, .. } | Event::Progressed { progress, .. } = event {
                self.move_bar(&name, progress);
            }
        }
        if matches!(event, Event::Summary { .. }) {
            self.clear();
        }
        for text in lines.iter().filter_map(|line| self.styled(line)) {
            self.print(&text);
        }
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        for (stage, live) in &self.view.live {
            let Some(bar) = self.bars.get(stage).and_then(|live| live.bar.as_ref()) else {
                continue;
            };
            let status = live.progress.status(now);
            let stage = shortened(&stage.to_string(), MAX_NAME);
            let text = match &live.holder {
                Some(holder) => format!("{stage}: waiting for {}, {status}", shortened(holder, MAX_NAME)),
                None => format!("{stage}: {status}"),
            };
            bar.set_message(self.paint.finish(&text));
            bar.tick();
        }
        if let Some(total) = &self.total {
            let waiting = self.view.waiting();
            let waiting = if waiting > 0 {
                format!(", {waiting} waiting")
            } else {
                String::new()
            };
            let (stages, status) = (stages(self.view.stages), total.progress.status(now));
            let text = format!("{} of {stages}{waiting}, {status}", self.view.ended);
            total.bar.set_message(self.paint.paint(Color::Dim, &text));
        }
    }
}

/// A line of the given template, with a thin bar.
fn style(template: &str, is_ascii: bool) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if is_ascii {
        style.progress_chars("#>-").tick_chars("|/-\\ ")
    } else {
        style.progress_chars("━╸─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
    }
}
