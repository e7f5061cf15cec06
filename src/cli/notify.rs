//! Starts a command when a run has ended: a message on the desktop, a post to a chat.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::CliError;
use super::warning::warn;
use lab::exec::{RunError, RunSummary};
use lab::text::{counted, duration};

/// What stands in the words of the command for the message.
const MESSAGE: &str = "{message}";

/// How long the command may take: a run that has ended is not to hang on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it has ended.
const INTERVAL: Duration = Duration::from_millis(20);

/// The command to start, as words.
#[derive(Debug)]
pub(super) struct Notifier {
    words: Vec<String>,
    begun: Instant,
}

impl Notifier {
    /// The command of the setting `notify`; `None` where it is empty.
    ///
    /// # Errors
    /// When it has no word, or a quote that does not end.
    pub(super) fn new(command: &str) -> Result<Option<Self>, CliError> {
        if command.is_empty() {
            return Ok(None);
        }
        match shlex::split(command) {
            Some(words) if !words.is_empty() => Ok(Some(Self {
                words,
                begun: Instant::now(),
            })),
            _ => Err(CliError::Usage(format!(
                "`notify` is no command: {command:?}; write a program and its arguments, such as \"notify-send runner {MESSAGE}\""
            ))),
        }
    }

    /// Starts the command, and waits for it. If it fails that is a warning: the run is over.
    pub(super) fn tell(&self, run: &str, experiment: &str, file: &Path, ended: &Result<RunSummary, RunError>) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let message = format!("{experiment}: {}", in_words(ended, seconds));
        let about = json!({
            "run": run, "experiment": experiment, "file": file.display().to_string(),
            "result": result(ended), "message": message, "seconds": seconds, "summary": ended.as_ref().ok().map(counts),
        });
        if let Err(why) = self.start(&message, &about) {
            warn(format!("`{}` was not told that the run has ended: {why}", self.words.join(" ")));
        }
    }

    fn start(&self, message: &str, about: &Value) -> Result<(), String> {
        let words: Vec<String> = self.words.iter().map(|word| word.replace(MESSAGE, message)).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Ok(());
        };
        // Standard output may be that of `--json`.
        let command = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = command.map_err(|error| error.to_string())?;
        if let Some(mut input) = child.stdin.take() {
            // Less than a pipe holds, so that this does not wait for a program that reads nothing. Such a one is no error.
            let _ = writeln!(input, "{about}");
        }
        wait(&mut child)
    }
}

/// Waits until the command has ended; one that takes too long is killed.
fn wait(child: &mut Child) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("it failed ({status})")),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it took longer than {}", duration(PATIENCE.as_secs_f64())));
            }
            None => std::thread::sleep(INTERVAL),
        }
    }
}

/// `done`, `failed`, `interrupted`.
fn result(ended: &Result<RunSummary, RunError>) -> &'static str {
    match ended {
        Ok(summary) if summary.interrupted => "interrupted",
        Ok(summary) if summary.failed + summary.cancelled == 0 => "done",
        _ => "failed",
    }
}

/// `done in 2m10s: 14 stages, 5 ran, 1 failed`
fn in_words(ended: &Result<RunSummary, RunError>, seconds: f64) -> String {
    let how = format!("{} after {}", result(ended), duration(seconds));
    let summary = match ended {
        Ok(summary) => summary,
        Err(error) => return format!("{how}: {error}"),
    };
    let parts = [
        (summary.ran, "ran"),
        (summary.failed, "failed"),
        (summary.cancelled, "cancelled"),
        (summary.skipped, "not tried"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: String = parts.map(|(count, what)| format!(", {count} {what}")).collect();
    format!("{how}: {}{parts}", counted(summary.stages, "stage"))
}

fn counts(summary: &RunSummary) -> Value {
    json!({
        "stages": summary.stages, "cached": summary.cached, "ran": summary.ran,
        "failed": summary.failed, "skipped": summary.skipped, "cancelled": summary.cancelled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(failed: usize, interrupted: bool) -> Result<RunSummary, RunError> {
        Ok(RunSummary {
            stages: 14,
            cached: 8,
            ran: 5,
            failed,
            skipped: 0,
            cancelled: 0,
            interrupted,
        })
    }

    #[test]
    fn the_message_says_how_the_run_ended() {
        assert_eq!(in_words(&ended(0, false), 130.0), "done after 2m10s: 14 stages, 5 ran");
        assert_eq!(in_words(&ended(1, false), 130.0), "failed after 2m10s: 14 stages, 5 ran, 1 failed");
        assert_eq!(in_words(&ended(0, true), 130.0), "interrupted after 2m10s: 14 stages, 5 ran");
        let error = Err(RunError::Start(std::io::Error::other("no more processes")));
        assert_eq!(in_words(&error, 1.0), "failed after 1.0s: cannot start a worker: no more processes");
    }

    #[test]
    fn a_command_without_words_is_refused() {
        assert!(Notifier::new("").unwrap().is_none());
        for command in ["  ", "notify-send 'runner"] {
            let error = Notifier::new(command).unwrap_err();
            assert!(
                matches!(&error, CliError::Usage(why) if why.contains("`notify` is no command")),
                "{error:?}"
            );
        }
    }
}
