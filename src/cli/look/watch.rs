//! `runner watch`: the status of a run, drawn again until it is over.

use std::io::{Stderr, stderr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::status::painted;
use super::text::{Memory, lines};
use super::{Runs, RunsArgs};
use crate::cli::{CliError, Exit, color, print};
use lab::reporter::LiveArea;
use lab::runs::{FoundRun, RunEnd, RunState, find_one, memory_of_workers};
use lab::text::Paint;

/// The time between two looks at the run.
const INTERVAL: Duration = Duration::from_millis(500);

/// The time between two looks at the memory of the workers, which reads all of `/proc`.
const MEMORY_INTERVAL: Duration = Duration::from_secs(2);

/// Where nothing can be drawn, the status is printed anew after this time, and when another stage has ended.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

/// Show a run until it is over, as `runner run` does in its own terminal
///
/// The exit code is that of the run: 0, 1 or 130. Ctrl-C ends the watching alone.
#[derive(Clone, Debug, clap::Args)]
pub struct WatchArgs {
    #[command(flatten)]
    pub runs: RunsArgs,
}

/// Shows the run until it is over.
///
/// # Errors
/// When the experiment is wrong, there is no store, nothing has run, or several runs go on.
pub fn watch(args: &WatchArgs, paint: Paint) -> Result<Exit, CliError> {
    let runs = args.runs.open()?;
    let mut found = chosen(&runs)?;
    let name = found.status.run.clone();
    let mut screen = Screen::new(paint);
    while found.is_alive() {
        screen.show(&found)?;
        sleep(INTERVAL);
        match find_one(&runs.store, &name) {
            Some(now) => found = now,
            None => break,
        }
    }
    screen.end(&found)?;
    Ok(match found.state {
        RunState::Ended(RunEnd::Done) => Exit::Done,
        RunState::Ended(RunEnd::Interrupted) => Exit::Interrupted,
        _ => Exit::StageFailed,
    })
}

/// The run that lives, else the last one.
fn chosen(runs: &Runs) -> Result<FoundRun, CliError> {
    let mut found = runs.alive_or_last()?;
    match (found.len(), found.pop()) {
        (1, Some(one)) => Ok(one),
        // Names them.
        _ => runs.one_alive(),
    }
}

/// Draws on standard error, or prints on standard output where that is no terminal that can move its cursor.
struct Screen {
    paint: Paint,
    area: Option<LiveArea<Stderr>>,
    memory: (Option<Instant>, Memory),
    printed: Option<(Instant, usize)>,
}

impl Screen {
    fn new(paint: Paint) -> Self {
        Self {
            paint,
            area: color::is_live().then(|| LiveArea::new(stderr(), paint, color::stderr_size)),
            memory: (None, Memory::new()),
            printed: None,
        }
    }

    fn show(&mut self, run: &FoundRun) -> Result<(), CliError> {
        if self.memory.0.is_none_or(|looked| looked.elapsed() >= MEMORY_INTERVAL) {
            self.memory = (Some(Instant::now()), memory_of_workers(run));
        }
        let is_ascii = self.paint.is_ascii();
        if let Some(area) = &mut self.area {
            let (columns, _) = area.size();
            area.draw("", lines(run, &self.memory.1, columns, is_ascii));
            return Ok(());
        }
        let done = run.status.counts.done;
        let is_due = |(printed, before): (Instant, usize)| before != done || printed.elapsed() >= PLAIN_INTERVAL;
        if self.printed.is_none_or(is_due) {
            self.printed = Some((Instant::now(), done));
            self.print(run)?;
        }
        Ok(())
    }

    /// What stays on the screen.
    fn end(&mut self, run: &FoundRun) -> Result<(), CliError> {
        self.memory.1.clear();
        let Some(area) = &mut self.area else {
            return self.print(run);
        };
        let (columns, _) = area.size();
        let text = painted(&lines(run, &Memory::new(), columns, self.paint.is_ascii()), self.paint);
        area.draw(&text, Vec::new());
        Ok(())
    }

    fn print(&self, run: &FoundRun) -> Result<(), CliError> {
        let plain = lines(run, &self.memory.1, super::status::COLUMNS, self.paint.is_ascii());
        print(&painted(&plain, Paint::default())).map(|_| ())
    }
}
