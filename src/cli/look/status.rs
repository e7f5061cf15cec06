//! `runner status`: the runs that go on, with what runs and what waits.

use serde_json::{Value, json};

use super::RunsArgs;
use super::text::{Memory, lines};
use crate::cli::{CliError, Exit, color, print, print_json};
use lab::reporter::LiveLine;
use lab::runs::{FoundRun, RunEnd, RunState, RunningStage, memory_of_workers};
use lab::text::Paint;

/// The columns of a line where there is no terminal.
pub(super) const COLUMNS: usize = 120;

/// Show the runs that go on in a store: what runs, how far, what waits and why; if none goes on, the last one
///
/// Also from another terminal, and from another host that has the same store.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub runs: RunsArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints how the runs are.
///
/// # Errors
/// When the experiment is wrong, there is no store, or nothing has run.
pub fn status(args: &StatusArgs, paint: Paint) -> Result<Exit, CliError> {
    let runs = args.runs.open()?.alive_or_last()?;
    if args.json {
        return print_json(&json!({"runs": runs.iter().map(as_json).collect::<Vec<_>>()}));
    }
    let columns = match color::stdout_size() {
        (0, _) => COLUMNS,
        (columns, _) => columns,
    };
    let shown: Vec<String> = runs
        .iter()
        .map(|run| painted(&lines(run, &memory_of_workers(run), columns, paint.is_ascii()), paint))
        .collect();
    print(&shown.join("\n"))
}

/// The lines as text.
pub(super) fn painted(lines: &[LiveLine], paint: Paint) -> String {
    let line = |line: &LiveLine| {
        let text = line.color.map_or_else(|| line.text.clone(), |color| paint.paint(color, &line.text));
        text + "\n"
    };
    lines.iter().map(line).collect()
}

/// The state of a run in one word.
pub(super) fn word(state: RunState) -> &'static str {
    match state {
        RunState::Alive => "alive",
        RunState::Ended(RunEnd::Done) => "done",
        RunState::Ended(RunEnd::Failed) => "failed",
        RunState::Ended(RunEnd::Interrupted) => "interrupted",
        RunState::Ended(RunEnd::Error) => "error",
        RunState::Killed => "killed",
    }
}

fn as_json(run: &FoundRun) -> Value {
    let memory = memory_of_workers(run);
    let FoundRun { status, state, now } = run;
    let waiting = &status.waiting;
    json!({
        "run": status.run, "experiment": status.order.experiment, "file": status.order.file, "command": status.order.command,
        "state": word(*state), "interrupted": status.interrupted,
        "host": status.holder.host(), "process": status.holder.process(),
        "begun": status.begun, "time": status.time, "now": now,
        "jobs": status.jobs, "threads": status.threads,
        "stages": status.counts.stages, "done": status.counts.done, "cached": status.counts.cached, "ran": status.counts.ran,
        "failed": status.counts.failed, "cancelled": status.counts.cancelled, "skipped": status.counts.skipped,
        "left": waiting.left, "range": waiting.range, "unknown": waiting.unknown,
        "running": status.running.iter().map(|stage| running_json(stage, &memory)).collect::<Vec<_>>(),
        "waiting": {
            "turn": waiting.turn, "elsewhere": waiting.elsewhere, "fetching": waiting.fetching, "inputs": waiting.inputs,
            "first": waiting.first,
        },
    })
}

fn running_json(stage: &RunningStage, memory: &Memory) -> Value {
    json!({
        "stage": stage.stage.name, "variant": stage.stage.variant, "kind": stage.kind, "since": stage.since, "log": stage.log,
        "progress": stage.progress, "left": stage.left, "memory": memory.get(&stage.log),
    })
}
