//! What is said of an event, in the same words with and without a terminal.

use std::collections::BTreeMap;
use std::path::Path;

use crate::event::{Event, StageName};
use crate::text::{Color, Paint, bytes, duration, stages};

/// `addition: 14 stages, 2 at once, 2 threads`.
pub(super) fn opening(experiment: &str, count: usize, jobs: usize, threads: usize) -> String {
    let threads = format!("{threads} {}", if threads == 1 { "thread" } else { "threads" });
    format!("{experiment}: {}, {jobs} at once, {threads}", stages(count))
}

/// A source among the stages, for as long as it is fetched.
pub(super) fn source(name: &str) -> StageName {
    StageName {
        name: format!("source {name}"),
        variant: BTreeMap::new(),
    }
}

/// `4.9 MB in 2.0s; to pin it: sha256 = "…" (runner pin FILE writes it)`
pub(super) fn fetched(bytes: u64, seconds: f64, pin: Option<&str>) -> String {
    let size = format!("{:.1} MB in {}", bytes as f64 / 1e6, duration(seconds));
    match pin.and_then(|pin| pin.split_once(':')) {
        Some((algorithm, digest)) => format!("{size}; to pin it: {algorithm} = \"{digest}\" (`runner pin FILE` writes it)"),
        None => size,
    }
}

/// What is said when outputs of a stage have gone from the store.
pub(super) fn lost(stage: &StageName, needed_by: &StageName) -> String {
    format!("{stage} is looked up again: an output has gone from the store, and {needed_by} needs it")
}

/// What is known of a stage that failed.
pub(super) struct Failure<'a> {
    pub(super) name: &'a str,
    pub(super) seconds: f64,
    pub(super) error: &'a str,
    pub(super) log: &'a Path,
    pub(super) log_tail: &'a [String],
    pub(super) rerun: &'a str,
}

impl Failure<'_> {
    /// The stage and its error, the last lines of its log, where the log is, and how to run the stage alone.
    pub(super) fn lines(&self, mark: &str, paint: Paint) -> Vec<String> {
        let mut error = self.error.lines();
        let first = error.next().unwrap_or_default();
        let head = format!("{mark}{} failed after {}: {first}", self.name, duration(self.seconds));
        let mut lines = vec![paint.paint(Color::Red, &head)];
        lines.extend(error.map(|line| format!("    {line}")));
        lines.extend(
            self.log_tail
                .iter()
                .map(|line| paint.paint(Color::Dim, &format!("  | {}", visible(line)))),
        );
        lines.push(format!("  log: {}", self.log.display()));
        lines.push(format!("  run it alone: {}", paint.paint(Color::Bold, self.rerun)));
        lines
    }
}

/// A log's line without control characters, so that it cannot move the cursor or colour the rest.
fn visible(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            // A CSI sequence runs up to its final byte, `@` to `~`.
            '\x1b' => {
                if characters.next() == Some('[') {
                    characters.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            '\t' => text.push(' '),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

/// `14 stages: 9 cached, 5 ran in 2m10s, 0 failed`.
pub(super) fn summary(event: &Event, paint: Paint) -> Option<String> {
    let Event::Summary {
        stages: count,
        cached,
        ran,
        failed,
        skipped,
        seconds,
        interrupted,
    } = event
    else {
        return None;
    };
    let failures = format!("{failed} failed");
    let failures = if *failed > 0 {
        paint.paint(Color::Red, &failures)
    } else {
        failures
    };
    let mut line = format!(
        "{}: {cached} cached, {ran} ran in {}, {failures}",
        stages(*count),
        duration(*seconds)
    );
    if *skipped > 0 {
        line += &format!(", {skipped} not tried");
    }
    if *interrupted {
        line += ", interrupted (the same command goes on from here)";
    }
    Some(line)
}

/// `fetched 3 artifacts, 1.2 MB, for score[0] in 0.3s`.
pub(super) fn brought(stage: &StageName, artifacts: usize, size: u64, seconds: f64) -> String {
    let artifacts = format!("{artifacts} {}", if artifacts == 1 { "artifact" } else { "artifacts" });
    format!("fetched {artifacts}, {}, for {stage} in {}", bytes(size), duration(seconds))
}

/// ``uploaded 41 of 42 stages, 1.2 GB; 1 failed: it cannot be reached; `runner cache push x.toml` finishes it``.
pub(super) fn uploaded(event: &Event) -> Option<String> {
    let Event::Uploaded {
        stages: count,
        of,
        bytes: size,
        failed,
        finish,
    } = event
    else {
        return None;
    };
    let mut line = format!("uploaded {count} of {}, {}", stages(*of), bytes(*size));
    if count < of {
        line += &format!("; {} failed: {}; `{finish}` finishes it", of - count, failed.join("; "));
    }
    Some(line)
}

/// What is said when Ctrl-C is seen.
pub(super) const INTERRUPTED: &str = "interrupted: the running stages are asked to stop; Ctrl-C again kills them";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_draw_on_the_terminal() {
        assert_eq!(visible("\x1b[31mred\x1b[0m\r\x07 a\tb \x1b]"), "red a b ");
    }

    fn of(stages: usize, failed: usize, skipped: usize, interrupted: bool) -> String {
        let event = Event::Summary {
            stages,
            cached: 9,
            ran: 5,
            failed,
            skipped,
            seconds: 130.0,
            interrupted,
        };
        summary(&event, Paint::default()).unwrap()
    }

    #[test]
    fn what_went_to_and_came_from_remotes() {
        let stage = StageName {
            name: "score[0]".into(),
            ..StageName::default()
        };
        assert_eq!(brought(&stage, 1, 1200, 0.31), "fetched 1 artifact, 1.2 kB, for score[0] in 0.3s");
        let event = |stages, failed: &[&str]| Event::Uploaded {
            stages,
            of: 42,
            bytes: 1200,
            failed: failed.iter().map(|&why| why.to_owned()).collect(),
            finish: "runner cache push x.toml".into(),
        };
        assert_eq!(uploaded(&event(42, &[])).unwrap(), "uploaded 42 of 42 stages, 1.2 kB");
        assert_eq!(
            uploaded(&event(41, &["the disk is full"])).unwrap(),
            "uploaded 41 of 42 stages, 1.2 kB; 1 failed: the disk is full; `runner cache push x.toml` finishes it"
        );
    }

    #[test]
    fn summaries() {
        assert_eq!(of(14, 0, 0, false), "14 stages: 9 cached, 5 ran in 2m10s, 0 failed");
        assert_eq!(of(1, 1, 3, false), "1 stage: 9 cached, 5 ran in 2m10s, 1 failed, 3 not tried");
        assert_eq!(
            of(14, 0, 2, true),
            "14 stages: 9 cached, 5 ran in 2m10s, 0 failed, 2 not tried, interrupted (the same command goes on from here)"
        );
    }
}
