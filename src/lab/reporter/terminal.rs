//! A run on a terminal: running stages move at the bottom, finished ones scroll above. `line.rs` has the words.

use std::io::{Stderr, Write};
use std::rc::Rc;
use std::time::Duration;

use super::line::RunLine;
use super::live_area::{AskSize, LiveArea, LiveLine};
use super::run_view::{LiveStage, RunView};
use super::stage_line::{RunTotal, StageLine};
use super::{Clock, CommandHints};
use crate::event::{Event, Progress, Queue, Reporter, StageName};
use crate::text::{Color, Paint, shortened};

/// Shows the running stages as live lines, and every stage that ended as a line above them.
///
/// Draws no live lines as long as no stage has to run.
pub struct TerminalReporter<W, C> {
    area: LiveArea<W>,
    paint: Paint,
    clock: C,
    hints: Rc<dyn CommandHints>,
    view: RunView,
    /// Lines that stay, and are not printed yet.
    above: String,
    /// When the first stage began.
    begun: Option<Duration>,
    /// What waits, and when that was told.
    queue: (Duration, Queue),
    failed: usize,
    drawn: Option<Duration>,
    /// Counts the ticks, for the sign that the run lives.
    ticks: usize,
}

/// The most characters of a name in a line that stays.
const MAX_PRINTED_NAME: usize = 300;

/// The most live lines for stages that other processes compute. There may be as many such stages as the run has.
const WAITING_SHOWN: usize = 4;

/// The shortest time between two drawings: thousands of tiny stages must not be held up by them.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// The most columns that the holder of a stage takes.
const MAX_HOLDER: usize = 48;

/// The sign that turns before a stage as long as the run lives, and its plain form.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const PLAIN_SPINNER: [&str; 4] = ["|", "/", "-", "\\"];

impl<C: Clock> TerminalReporter<Stderr, C> {
    /// Draws on standard error, which has this size.
    pub fn stderr(paint: Paint, size: AskSize, clock: C, hints: Rc<dyn CommandHints>) -> Self {
        Self::on(LiveArea::new(std::io::stderr(), paint, size), paint, clock, hints)
    }
}

impl<W: Write, C: Clock> TerminalReporter<W, C> {
    pub(super) fn on(area: LiveArea<W>, paint: Paint, clock: C, hints: Rc<dyn CommandHints>) -> Self {
        Self {
            area,
            paint,
            clock,
            hints,
            view: RunView::default(),
            above: String::new(),
            begun: None,
            queue: (Duration::ZERO, Queue::default()),
            failed: 0,
            drawn: None,
            ticks: 0,
        }
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
            RunLine::Cancelled { .. } => self.paint.paint(Color::Yellow, &text("– ")),
            RunLine::Skipped { stages, because } => {
                let [stages, because] = [stages, because].map(|text| shortened(text, MAX_PRINTED_NAME));
                format!("{} {stages}: {because}", self.paint.paint(Color::Yellow, "– not tried"))
            }
            RunLine::Warning(_) | RunLine::Uploaded { .. } | RunLine::Summary(_) => text(""),
        })
    }

    /// Draws what has changed.
    fn draw(&mut self) {
        let now = self.clock.now();
        self.drawn = Some(now);
        let (columns, _) = self.area.size();
        let mut lines = Vec::new();
        let mut waiting = 0;
        for (name, live) in &self.view.live {
            waiting += usize::from(live.holder.is_some());
            if live.holder.is_none() || waiting <= WAITING_SHOWN {
                lines.push(LiveLine::plain(self.stage_line(name, live, now, columns)));
            }
        }
        if let Some(begun) = self.begun {
            let text = self.total(begun, now).text(columns.saturating_sub(2));
            lines.push(LiveLine::dim(format!("  {text}")));
        }
        let above = std::mem::take(&mut self.above);
        self.area.draw(&above, lines);
    }

    fn stage_line(&self, name: &StageName, live: &LiveStage, now: Duration, columns: usize) -> String {
        let spinner: &[&str] = if self.paint.is_ascii() { &PLAIN_SPINNER } else { &SPINNER };
        let sign = spinner.get(self.ticks % spinner.len()).copied().unwrap_or_default();
        let progress = live.progress.last();
        let counted = progress.and_then(Progress::counted).into_iter();
        let waits = live
            .holder
            .as_ref()
            .map(|holder| format!("waits for {}", shortened(holder, MAX_HOLDER)));
        let line = StageLine {
            name: name.to_string(),
            share: progress.and_then(Progress::share),
            ran: now.saturating_sub(live.progress.since).as_secs_f64(),
            left: live.progress.left(now),
            more: waits
                .into_iter()
                .chain(counted)
                .chain(progress.into_iter().flat_map(Progress::told))
                .collect(),
        };
        format!("{sign} {}", line.text(columns.saturating_sub(2), self.paint.is_ascii()))
    }

    fn total(&self, begun: Duration, now: Duration) -> RunTotal {
        let (told, queue) = &self.queue;
        let waiting = self.view.waiting();
        RunTotal {
            stages: self.view.stages,
            done: self.view.ended,
            running: self.view.live.len() - waiting,
            waiting,
            failed: self.failed,
            left: RunTotal::left(queue, now.saturating_sub(*told).as_secs_f64()),
            is_least: queue.unknown > 0,
            ran: now.saturating_sub(begun).as_secs_f64(),
        }
    }
}

impl<W: Write, C: Clock> Reporter for TerminalReporter<W, C> {
    fn event(&mut self, event: &Event) {
        let now = self.clock.now();
        let lines = self.view.update(event, now);
        let texts: Vec<String> = lines.iter().filter_map(|line| self.styled(line)).collect();
        texts.iter().for_each(|text| self.above += &format!("{text}\n"));
        if !self.view.live.is_empty() {
            self.begun.get_or_insert(now);
        }
        match event {
            Event::Failed { .. } => self.failed += 1,
            Event::Summary { .. } => self.begun = None,
            _ => {}
        }
        let is_urgent = matches!(event, Event::Failed { .. } | Event::Interrupted | Event::Summary { .. });
        if is_urgent || (!lines.is_empty() && self.drawn.is_none_or(|drawn| now.saturating_sub(drawn) >= DRAW_INTERVAL)) {
            self.draw();
        }
    }

    fn tick(&mut self) {
        let is_due = |drawn: Duration| self.clock.now().saturating_sub(drawn) >= DRAW_INTERVAL;
        if self.drawn.is_none_or(is_due) {
            self.ticks += 1;
            self.draw();
        }
    }

    fn look(&mut self, queue: &Queue) {
        self.queue = (self.clock.now(), queue.clone());
    }
}
