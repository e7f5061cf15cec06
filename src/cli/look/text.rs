//! How a run is, in lines that fit a terminal.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lab::event::{Progress, WaitingStage};
use lab::reporter::{LiveLine, RunTotal, StageLine};
use lab::runs::{FoundRun, RunEnd, RunState, RunningStage};
use lab::text::{Color, bytes, counted, duration, shortened, stages};

/// The most waiting stages that are named.
const NAMED: usize = 8;

/// The most characters of a name in a line about a stage that waits.
const MAX_NAME: usize = 48;

/// On narrower terminals it is said in fewer words that a stage waits.
const MIN_COLUMNS_OF_WORDS: usize = 60;

/// The memory of the workers, by the paths of their logs.
pub(in crate::cli) type Memory = BTreeMap<PathBuf, u64>;

/// The lines about a run, each in at most so many columns.
pub(super) fn lines(run: &FoundRun, memory: &Memory, columns: usize, is_ascii: bool) -> Vec<LiveLine> {
    let mut lines = vec![title(run, columns), place(run, memory, columns)];
    for stage in &run.status.running {
        let text = stage_line(stage, run, memory).text(columns.saturating_sub(2), is_ascii);
        lines.push(LiveLine::plain(format!("  {text}")));
    }
    if run.is_alive() {
        lines.extend(waiting(run, columns));
    }
    lines
}

/// `addition: 12 of 40 stages, 2 running, 14m left`, or how the run ended.
pub(in crate::cli) fn title(run: &FoundRun, columns: usize) -> LiveLine {
    let status = &run.status;
    let counts = &status.counts;
    let ran = run.now - status.begun;
    let experiment = shortened(&status.order.experiment, (columns / 3).max(8));
    let (text, color) = match run.state {
        RunState::Alive => {
            let total = RunTotal {
                stages: counts.stages,
                done: counts.done,
                running: status.running.len(),
                waiting: status.waiting.elsewhere,
                failed: counts.failed,
                left: RunTotal::left(&status.waiting, run.now - status.time),
                is_least: status.waiting.unknown > 0,
                ran,
            };
            let stops = if status.interrupted { "stops; " } else { "" };
            let room = columns.saturating_sub(experiment.chars().count() + 2 + stops.len());
            return LiveLine {
                text: format!("{experiment}: {stops}{}", total.text(room)),
                color: Some(Color::Bold),
            };
        }
        RunState::Ended(RunEnd::Done) => ("done", Color::Green),
        RunState::Ended(RunEnd::Failed) if counts.failed == 0 => ("a stage was cancelled", Color::Yellow),
        RunState::Ended(RunEnd::Failed) => ("failed", Color::Red),
        RunState::Ended(RunEnd::Interrupted) => ("was stopped", Color::Yellow),
        RunState::Ended(RunEnd::Error) => ("could not go on", Color::Red),
        RunState::Killed => ("was killed", Color::Red),
    };
    let parts = [
        Some(format!("{text} after {}", duration(ran))),
        Some(stages(counts.stages)),
        if_any(counts.cached, "cached"),
        if_any(counts.ran, "ran"),
        if_any(counts.failed, "failed"),
        if_any(counts.cancelled, "cancelled"),
        if_any(counts.skipped, "not tried"),
    ];
    let text = joined(&format!("{experiment}: "), parts.into_iter().flatten(), columns);
    LiveLine { text, color: Some(color) }
}

/// `3 failed`; nothing for none.
fn if_any(count: usize, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} {what}"))
}

/// Which run it is, and where.
pub(in crate::cli) fn place(run: &FoundRun, memory: &Memory, columns: usize) -> LiveLine {
    let status = &run.status;
    let used: u64 = memory.values().sum();
    let parts = [
        Some(status.run.clone()),
        Some(format!("process {} on {}", status.holder.process(), status.holder.host())),
        Some(format!("{} at once", status.jobs)),
        Some(counted(status.threads, "thread")),
        (used > 0).then(|| bytes(used)),
    ];
    LiveLine::dim(joined("  ", parts.into_iter().flatten(), columns))
}

/// As many of the parts as fit, the first ones.
fn joined(begin: &str, parts: impl Iterator<Item = String>, columns: usize) -> String {
    let mut text = begin.to_owned();
    let mut gap = "";
    for part in parts {
        if !gap.is_empty() && text.chars().count() + gap.len() + part.chars().count() > columns {
            break;
        }
        text += gap;
        text += &part;
        gap = ", ";
    }
    text
}

pub(in crate::cli) fn stage_line(stage: &RunningStage, run: &FoundRun, memory: &Memory) -> StageLine {
    let progress = stage.progress.as_ref();
    let used = memory.get(&stage.log).map(|used| bytes(*used));
    let since = run.now - run.status.time;
    StageLine {
        name: stage.stage.to_string(),
        share: progress.and_then(Progress::share),
        ran: (run.now - stage.since).max(0.0),
        left: stage.left.map(|left| (left - since).max(0.0)),
        more: progress
            .and_then(Progress::counted)
            .into_iter()
            .chain(used)
            .chain(progress.into_iter().flat_map(Progress::told))
            .collect(),
    }
}

/// How many stages of a run wait.
pub(in crate::cli) fn waits(run: &FoundRun) -> usize {
    let queue = &run.status.waiting;
    let has_begun = |stage: &&WaitingStage| run.status.running.iter().any(|running| running.stage == stage.stage);
    queue.waiting().saturating_sub(queue.first.iter().filter(has_begun).count())
}

/// The first stages that wait, and how many more there are.
fn waiting(run: &FoundRun, columns: usize) -> Vec<LiveLine> {
    let queue = &run.status.waiting;
    // What has begun since is told by the line about it.
    let is_running = |stage: &&WaitingStage| run.status.running.iter().any(|running| running.stage == stage.stage);
    let named: Vec<&WaitingStage> = queue.first.iter().filter(|stage| !is_running(stage)).take(NAMED).collect();
    let mut lines: Vec<LiveLine> = named.iter().map(|stage| LiveLine::dim(waiting_line(stage, columns))).collect();
    let more = queue.waiting().saturating_sub(named.len());
    if more > 0 {
        let parts = [
            if_any(queue.turn, "for their turn"),
            if_any(queue.elsewhere, "for other processes"),
            if_any(queue.fetching, "for downloads"),
            if_any(queue.inputs, "for inputs"),
        ];
        let begin = if named.is_empty() {
            format!("  {more} wait: ")
        } else {
            format!("  {more} more wait; of all, ")
        };
        lines.push(LiveLine::dim(joined(&begin, parts.into_iter().flatten(), columns)));
    }
    lines
}

/// `  score[1] (seed=1)  waits for standard[1] (seed=1)`.
fn waiting_line(stage: &WaitingStage, columns: usize) -> String {
    let words = if columns < MIN_COLUMNS_OF_WORDS { "  for " } else { "  waits for " };
    let room = columns.saturating_sub(2 + words.len());
    let name = shortened(&stage.stage.to_string(), (room * 3 / 5).clamp(8, MAX_NAME));
    let awaited = shortened(&stage.awaited, room.saturating_sub(name.chars().count()).max(8));
    format!("  {name}{words}{awaited}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::event::{Queue, StageName, WaitReason};
    use lab::runs::{RunOrder, RunStatus, StageCounts};

    fn stage(name: &str) -> StageName {
        StageName {
            name: name.to_owned(),
            variant: [("seed".to_owned(), "1".to_owned())].into(),
        }
    }

    fn status() -> RunStatus {
        let progress = Progress {
            done: 1200,
            total: 3500,
            unit: "steps".to_owned(),
            readings: [("loss".to_owned(), 0.0312)].into(),
        };
        let waiting = |name: &str, why, awaited: &str| WaitingStage {
            stage: stage(name),
            why,
            awaited: awaited.to_owned(),
        };
        let mut first = vec![waiting("full", WaitReason::Turn, "a free job")];
        first.extend((0..12).map(|k| waiting(&format!("score[{k}]"), WaitReason::Inputs, "standard[1] (seed=1)")));
        RunStatus {
            run: "20261130-195559-4711".to_owned(),
            order: RunOrder {
                experiment: "addition".to_owned(),
                ..RunOrder::default()
            },
            holder: serde_json::from_str(r#"{"host": "lab7", "process": 4711}"#).unwrap(),
            begun: 1000.0,
            time: 1190.0,
            jobs: 2,
            threads: 1,
            counts: StageCounts {
                stages: 40,
                done: 12,
                cached: 3,
                ran: 8,
                failed: 1,
                ..StageCounts::default()
            },
            running: vec![RunningStage {
                stage: stage("standard[1]"),
                since: 1160.0,
                log: "log".into(),
                progress: Some(progress),
                left: Some(131.0),
                ..RunningStage::default()
            }],
            waiting: Queue {
                turn: 3,
                inputs: 24,
                first,
                left: Some(841.0),
                ..Queue::default()
            },
            ..RunStatus::default()
        }
    }

    fn shown(state: RunState, columns: usize) -> String {
        let memory = Memory::from([("log".into(), 512_000_000)]);
        let run = FoundRun {
            status: status(),
            state,
            now: 1191.0,
        };
        let lines = lines(&run, &memory, columns, false);
        assert!(lines.iter().all(|line| line.text.chars().count() <= columns), "{lines:#?}");
        lines.into_iter().map(|line| line.text + "\n").collect()
    }

    #[test]
    fn a_run_fits_wide_and_narrow_terminals() {
        insta::assert_snapshot!(shown(RunState::Alive, 80), @r"
        addition: 12 of 40 stages, 1 running, 1 failed, 14m00s left, 3m11s
          20261130-195559-4711, process 4711 on lab7, 2 at once, 1 thread, 512.0 MB
          ━━━━──────── standard[1] (seed=1)  34 %  2m10s left  1200/3500 steps, 31.0s
          full (seed=1)  waits for a free job
          score[0] (seed=1)  waits for standard[1] (seed=1)
          score[1] (seed=1)  waits for standard[1] (seed=1)
          score[2] (seed=1)  waits for standard[1] (seed=1)
          score[3] (seed=1)  waits for standard[1] (seed=1)
          score[4] (seed=1)  waits for standard[1] (seed=1)
          score[5] (seed=1)  waits for standard[1] (seed=1)
          score[6] (seed=1)  waits for standard[1] (seed=1)
          19 more wait; of all, 3 for their turn, 24 for inputs
        ");
        insta::assert_snapshot!(shown(RunState::Alive, 40), @r"
        addition: 12/40, 1 failed, 14m00s left
          20261130-195559-4711
          standard[1] (seed=1) 34 % 2m10s left
          full (seed=1)  for a free job
          score[0] (seed=1)  for standar…seed=1)
          score[1] (seed=1)  for standar…seed=1)
          score[2] (seed=1)  for standar…seed=1)
          score[3] (seed=1)  for standar…seed=1)
          score[4] (seed=1)  for standar…seed=1)
          score[5] (seed=1)  for standar…seed=1)
          score[6] (seed=1)  for standar…seed=1)
          19 more wait; of all, 3 for their turn
        ");
    }

    #[test]
    fn a_run_that_is_over_says_how() {
        let first = |state| shown(state, 80).lines().next().unwrap_or_default().to_owned();
        assert_eq!(
            first(RunState::Killed),
            "addition: was killed after 3m11s, 40 stages, 3 cached, 8 ran, 1 failed"
        );
        assert_eq!(
            first(RunState::Ended(RunEnd::Failed)),
            "addition: failed after 3m11s, 40 stages, 3 cached, 8 ran, 1 failed"
        );
        assert_eq!(shown(RunState::Ended(RunEnd::Error), 40).lines().count(), 3);
    }
}
