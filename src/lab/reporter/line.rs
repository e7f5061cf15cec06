//! The lines that reporters for people print, in the same words with and without a terminal.

use std::fmt::Display;
use std::path::Path;

use super::CommandHints;
use crate::event::{Event, LostBecause, StageName};
use crate::text::{Color, Paint, bytes, counted, cut_line, duration, printable, shortened, stages};

/// The most columns of a name, a reason or a message that are printed on one line. Commands and paths are printed whole.
const MAX_COLUMNS: usize = 300;

/// The most columns of a line of an error or of a log.
const MAX_MESSAGE_COLUMNS: usize = 500;

/// The most lines of an error after its first.
const MAX_ERROR_LINES: usize = 40;

/// A line of the report of a run.
#[derive(Debug)]
pub(super) enum RunLine<'e> {
    RunStarted {
        experiment: &'e str,
        stages: usize,
        jobs: usize,
        threads: usize,
    },
    Fetching(StageName),
    Fetched {
        source: StageName,
        bytes: u64,
        seconds: f64,
        pin: Option<&'e str>,
    },
    Preparing {
        environment: &'e str,
        command: &'e str,
    },
    Prepared {
        environment: &'e str,
        seconds: f64,
    },
    Cached(&'e StageName),
    /// Another process computed the stage while the run waited for it.
    ComputedElsewhere {
        stage: &'e StageName,
        holder: String,
    },
    Started {
        stage: &'e StageName,
        reason: &'e str,
    },
    Waiting {
        stage: &'e StageName,
        holder: &'e str,
    },
    Lost {
        stage: &'e StageName,
        needed_by: &'e StageName,
        because: LostBecause,
    },
    Finished {
        stage: &'e StageName,
        seconds: f64,
    },
    Failed(FailedStage<'e>),
    /// A stage that failed is tried again.
    Retrying {
        stage: &'e StageName,
        error: &'e str,
        attempt: u32,
        of: u32,
        memory: Option<u64>,
    },
    Cancelled {
        stage: &'e StageName,
        seconds: f64,
    },
    /// Inputs of the stage have been fetched from a remote.
    Brought {
        stage: &'e StageName,
        artifacts: usize,
        bytes: u64,
        seconds: f64,
    },
    Warning(&'e str),
    Uploaded {
        stages: usize,
        of: usize,
        bytes: u64,
        failed: &'e [String],
    },
    Interrupted,
    /// Several stages that were skipped for the same reason.
    Skipped {
        stages: String,
        because: String,
    },
    Summary(RunTotals),
}

/// A stage that failed.
#[derive(Debug)]
pub(super) struct FailedStage<'e> {
    pub(super) stage: &'e StageName,
    pub(super) seconds: f64,
    pub(super) error: &'e str,
    pub(super) log: &'e Path,
    pub(super) log_tail: &'e [String],
}

/// The counts at the end of a run.
#[derive(Clone, Debug)]
pub(super) struct RunTotals {
    stages: usize,
    cached: usize,
    ran: usize,
    failed: usize,
    skipped: usize,
    cancelled: usize,
    seconds: f64,
    interrupted: bool,
    /// `1 time, 2 memory`; empty where all failures are plain.
    causes: String,
}

impl RunLine<'_> {
    /// The line as text; a failure takes several lines. `mark` stands before a failure.
    pub(super) fn text(&self, mark: &str, paint: Paint, hints: &dyn CommandHints) -> String {
        match self {
            Self::RunStarted {
                experiment,
                stages: count,
                jobs,
                threads,
            } => format!(
                "{}: {}, {jobs} at once, {}",
                short(experiment),
                stages(*count),
                counted(*threads, "thread")
            ),
            Self::Fetching(source) => format!("fetching {}", short(source)),
            Self::Fetched { source, .. } => format!("fetched {}: {}", short(source), self.note()),
            Self::Preparing { environment, command } => format!("preparing the environment {}: {}", short(environment), short(command)),
            Self::Prepared { environment, seconds } => format!("prepared the environment {} in {}", short(environment), duration(*seconds)),
            Self::Cached(stage) => format!("cached {}", short(stage)),
            Self::ComputedElsewhere { stage, holder } => format!("cached {}, which {} computed", short(stage), short(holder)),
            Self::Started { stage, reason } => format!("started {}: {}", short(stage), short(reason)),
            Self::Waiting { stage, holder } => format!("waiting for {}, which {} is computing", short(stage), short(holder)),
            Self::Lost { stage, needed_by, because } => {
                let (stage, needed_by) = (short(stage), short(needed_by));
                match because {
                    LostBecause::Missing => {
                        format!("{stage} is looked up again: an output has gone from the store, and {needed_by} needs it")
                    }
                    LostBecause::Deleted => format!("{stage} is computed again: gc deleted an output that {needed_by} needs"),
                    LostBecause::Changed => format!("{stage} is looked up again: {needed_by} came out otherwise than before"),
                }
            }
            Self::Finished { stage, .. } => format!("finished {} in {}", short(stage), self.note()),
            Self::Failed(failed) => failed.lines(mark, paint, hints).join("\n"),
            Self::Retrying {
                stage,
                error,
                attempt,
                of,
                memory,
            } => {
                let memory = memory.map(|memory| format!(", with {} of memory", bytes(memory)));
                let error = cut(error.lines().next().unwrap_or_default());
                let memory = memory.unwrap_or_default();
                format!("trying {} again ({attempt} of {of}{memory}): {error}", short(stage))
            }
            Self::Cancelled { stage, seconds: 0.0 } => format!("{mark}cancelled {}, which had not begun", short(stage)),
            Self::Cancelled { stage, seconds } => format!("{mark}cancelled {} after {}", short(stage), duration(*seconds)),
            Self::Brought {
                stage,
                artifacts,
                bytes: size,
                seconds,
            } => {
                let artifacts = counted(*artifacts, "artifact");
                let (size, time) = (bytes(*size), duration(*seconds));
                format!("fetched {artifacts}, {size}, for {} in {time}", short(stage))
            }
            Self::Warning(message) => format!("{} {}", paint.paint(Color::Yellow, "warning:"), printable(message)),
            Self::Uploaded {
                stages: count,
                of,
                bytes: size,
                failed,
            } => uploaded(*count, *of, *size, failed, hints),
            Self::Interrupted => "interrupted: the running stages are asked to stop; Ctrl-C again kills them".to_owned(),
            Self::Skipped { stages, because } => format!("{mark}not tried {}: {}", short(stages), short(because)),
            Self::Summary(totals) => totals.text(paint),
        }
    }

    /// The short form of a success, to stand behind the stage's name; empty for other lines.
    pub(super) fn note(&self) -> String {
        match self {
            Self::Fetched {
                bytes: size, seconds, pin, ..
            } => {
                let size = format!("{} in {}", bytes(*size), duration(*seconds));
                // Its digest is not shown: no stage has read it yet.
                match pin {
                    Some(_) => format!("{size}; `runner pin FILE` pins it when a stage has read it"),
                    None => size,
                }
            }
            Self::ComputedElsewhere { holder, .. } => format!("computed by {}", short(holder)),
            Self::Finished { seconds, .. } => duration(*seconds),
            _ => String::new(),
        }
    }
}

/// ``uploaded 41 of 42 stages, 1.2 GB; 1 failed: it cannot be reached; `runner cache push x.toml` finishes it``.
fn uploaded(count: usize, of: usize, size: u64, failed: &[String], hints: &dyn CommandHints) -> String {
    let mut line = format!("uploaded {count} of {}, {}", stages(of), bytes(size));
    if count < of {
        let finish = hints.finish_uploads();
        let failures = printable(&failed.join("; ")).into_owned();
        line += &format!("; {} failed: {failures}; `{finish}` finishes it", of - count);
    }
    line
}

/// A name, printable, without its middle if it is very long.
fn short(name: &dyn Display) -> String {
    shortened(&name.to_string(), MAX_COLUMNS)
}

/// A line of a message, printable, without its end if it is very long.
fn cut(line: &str) -> String {
    cut_line(line, MAX_MESSAGE_COLUMNS)
}

impl FailedStage<'_> {
    /// The stage and its error, the last lines of its log, the log's path, and the command that runs the stage alone.
    fn lines(&self, mark: &str, paint: Paint, hints: &dyn CommandHints) -> Vec<String> {
        let mut error = self.error.lines();
        let first = cut(error.next().unwrap_or_default());
        let head = format!("{mark}{} failed after {}: {first}", short(self.stage), duration(self.seconds));
        let mut lines = vec![paint.paint(Color::Red, &head)];
        lines.extend(error.by_ref().take(MAX_ERROR_LINES).map(|line| format!("    {}", cut(line))));
        let more = error.count();
        lines.extend((more > 0).then(|| format!("    … ({more} more lines)")));
        let tail = self.log_tail.iter().map(|line| format!("  | {}", cut(line)));
        lines.extend(tail.map(|line| paint.paint(Color::Dim, &line)));
        lines.push(format!("  log: {}", printable(&self.log.to_string_lossy())));
        let rerun = paint.paint(Color::Bold, &printable(&hints.run_alone(self.stage)));
        lines.push(format!("  run it alone: {rerun}"));
        lines
    }
}

impl RunTotals {
    /// The counts in a summary; `None` for other events.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let Event::Summary {
            stages,
            cached,
            ran,
            failed,
            skipped,
            cancelled,
            seconds,
            interrupted,
            ref causes,
        } = *event
        else {
            return None;
        };
        let causes: Vec<String> = causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        Some(Self {
            causes: causes.join(", "),
            stages,
            cached,
            ran,
            failed,
            skipped,
            cancelled,
            seconds,
            interrupted,
        })
    }

    /// `14 stages: 9 cached, 5 ran in 2m10s, 0 failed`.
    fn text(&self, paint: Paint) -> String {
        let Self { cached, ran, failed, .. } = *self;
        let causes = &self.causes;
        let causes = if causes.is_empty() { String::new() } else { format!(" ({causes})") };
        let failures = format!("{failed} failed{causes}");
        let failures = if failed > 0 { paint.paint(Color::Red, &failures) } else { failures };
        let time = duration(self.seconds);
        let mut line = format!("{}: {cached} cached, {ran} ran in {time}, {failures}", stages(self.stages));
        if self.cancelled > 0 {
            line += &format!(", {} cancelled", self.cancelled);
        }
        if self.skipped > 0 {
            line += &format!(", {} not tried", self.skipped);
        }
        if self.interrupted {
            line += ", interrupted (the same command goes on from here)";
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporter::tests::FakeHints;

    fn text(line: &RunLine<'_>) -> String {
        line.text("", Paint::default(), &FakeHints)
    }

    fn summary(stages: usize, failed: usize, skipped: usize, interrupted: bool) -> String {
        text(&RunLine::Summary(RunTotals {
            stages,
            cached: 9,
            ran: 5,
            failed,
            skipped,
            cancelled: 0,
            seconds: 130.0,
            interrupted,
            causes: if failed > 1 { "1 memory, 1 time".to_owned() } else { String::new() },
        }))
    }

    #[test]
    fn what_went_to_and_came_from_remotes() {
        let stage = StageName {
            name: "score[0]".into(),
            ..StageName::default()
        };
        let brought = RunLine::Brought {
            stage: &stage,
            artifacts: 1,
            bytes: 1200,
            seconds: 0.31,
        };
        assert_eq!(text(&brought), "fetched 1 artifact, 1.2 kB, for score[0] in 0.3s");
        let uploaded = |stages, failed: &[&str]| {
            let failed: Vec<String> = failed.iter().map(|&why| why.to_owned()).collect();
            text(&RunLine::Uploaded {
                stages,
                of: 42,
                bytes: 1200,
                failed: &failed,
            })
        };
        assert_eq!(uploaded(42, &[]), "uploaded 42 of 42 stages, 1.2 kB");
        assert_eq!(
            uploaded(41, &["the disk is full"]),
            "uploaded 41 of 42 stages, 1.2 kB; 1 failed: the disk is full; `runner cache push x.toml` finishes it"
        );
    }

    #[test]
    fn a_name_draws_nothing_and_does_not_fill_the_screen() {
        let stage = StageName {
            name: "score[0]".into(),
            variant: [("ask".into(), "x".repeat(5000))].into(),
        };
        let started = RunLine::Started {
            stage: &stage,
            reason: "param `a` changed:\n\x1b[31mx → y",
        };
        let line = text(&started);
        assert!(
            line.starts_with("started score[0] (ask=xx") && line.ends_with("xx): param `a` changed: x → y"),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
        assert!(line.chars().count() < 350, "{line}");
        let started = RunLine::RunStarted {
            experiment: "red\x1b[31m\x1b]0;title\x07",
            stages: 1,
            jobs: 2,
            threads: 2,
        };
        assert_eq!(text(&started), "red: 1 stage, 2 at once, 2 threads");
    }

    #[test]
    fn an_error_is_cut_and_cannot_look_like_another_line() {
        let stage = StageName {
            name: "a".into(),
            ..StageName::default()
        };
        let failed = RunLine::Failed(FailedStage {
            stage: &stage,
            seconds: 1.0,
            error: &format!("{}\r\n\x1b[1Afinished b\n{}", "e".repeat(100_000), "line\n".repeat(1000)),
            log: Path::new("log"),
            log_tail: &[],
        });
        let lines = text(&failed);
        let lines: Vec<&str> = lines.lines().collect();
        assert!(lines[0].starts_with("a failed after 1.0s: eee") && lines[0].len() < 600);
        assert_eq!(lines[1], "    finished b");
        assert_eq!(
            (lines.len(), lines[MAX_ERROR_LINES + 1]),
            (MAX_ERROR_LINES + 4, "    … (961 more lines)")
        );
    }

    #[test]
    fn summaries() {
        assert_eq!(summary(14, 0, 0, false), "14 stages: 9 cached, 5 ran in 2m10s, 0 failed");
        assert_eq!(summary(1, 1, 3, false), "1 stage: 9 cached, 5 ran in 2m10s, 1 failed, 3 not tried");
        assert_eq!(
            summary(3, 2, 0, false),
            "3 stages: 9 cached, 5 ran in 2m10s, 2 failed (1 memory, 1 time)"
        );
        assert_eq!(
            summary(14, 0, 2, true),
            "14 stages: 9 cached, 5 ran in 2m10s, 0 failed, 2 not tried, interrupted (the same command goes on from here)"
        );
    }
}
