//! Prepares the environments that the stages to run need, once each, before the first stage: workers fetch nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::CliError;
use super::experiment::shell_word;
use lab::event::{Event, Reporter};
use lab::plan::Plan;
use lab::stage::Preparation;
use lab::store::Store;
use lab::text::clean_file_name;

/// How often is looked whether a command has ended.
const INTERVAL: Duration = Duration::from_millis(50);

/// The time that an interrupted command gets to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The lines of a log that a message shows.
const TAIL_LINES: usize = 15;

/// The longest part of a log's name that comes from the environment.
const LOG_NAME_LENGTH: usize = 100;

/// The environments that the stages to run need.
fn needed(plan: &Plan) -> BTreeSet<Preparation> {
    plan.to_run().filter_map(|(_, node, _)| node.stage.preparation()).collect()
}

/// Prepares the environments that a plan needs. Offline, only what needs no network for it is prepared: workers check what is there all the
/// same.
///
/// # Errors
/// When a command cannot be started, fails, or the run is interrupted.
pub(super) fn prepare(
    plan: &Plan,
    store: &Store,
    run: &str,
    offline: bool,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<(), CliError> {
    for mut preparation in needed(plan) {
        if let (true, Some(words)) = (offline, preparation.offline.take()) {
            preparation.words = words;
        } else if offline {
            let message = format!(
                "{} is not prepared (`offline`): what is installed there is used",
                title(&preparation)
            );
            reporter.event(&Event::Warned { message });
            continue;
        }
        prepare_one(&preparation, store, run, interrupts, reporter)?;
    }
    Ok(())
}

fn prepare_one(
    preparation: &Preparation,
    store: &Store,
    run: &str,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<(), CliError> {
    let Some((program, arguments)) = preparation.words.split_first() else {
        return Ok(());
    };
    let begun = Instant::now();
    let command: Vec<String> = preparation.words.iter().map(|word| shell_word(word)).collect();
    let command = command.join(" ");
    let name = clean_file_name(&preparation.environment, "-_.", LOG_NAME_LENGTH);
    let log = store.run_folder(run)?.join(format!("environment-{name}.log"));
    let cannot_write = |error: io::Error| CliError::Write(log.clone(), error);
    let file = File::create(&log).map_err(cannot_write)?;
    reporter.event(&Event::Preparing {
        environment: preparation.environment.clone(),
        command: command.clone(),
        log: log.clone(),
    });
    let child = Command::new(program)
        .args(arguments)
        .current_dir(&preparation.folder)
        .envs(&preparation.env)
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(cannot_write)?)
        .stderr(file)
        // Ctrl-C reaches the runner, which ends it.
        .process_group(0)
        .spawn();
    let child = child.map_err(|error| CliError::Environment(format!("{}: cannot start `{command}`: {error}", title(preparation))))?;
    let status = wait(child, interrupts, reporter)?;
    if !status.success() {
        let failed = format!("{}: `{command}` failed ({status})", title(preparation));
        return Err(CliError::Environment(format!("{failed}\n{}  log: {}", tail(&log), log.display())));
    }
    reporter.event(&Event::Prepared {
        environment: preparation.environment.clone(),
        seconds: begun.elapsed().as_secs_f64(),
    });
    Ok(())
}

/// Waits for the command to end; ends it when the run is interrupted.
fn wait(mut child: Child, interrupts: &AtomicUsize, reporter: &mut dyn Reporter) -> Result<ExitStatus, CliError> {
    let group = Pid::from_raw(child.id().cast_signed());
    let signal = |signal| {
        // It may have ended by itself.
        let _ = group.map(|group| kill_process_group(group, signal));
    };
    let mut asked: Option<Instant> = None;
    loop {
        let ended = child.try_wait().map_err(CliError::Program)?;
        match (ended, asked) {
            (Some(status), None) => return Ok(status),
            (Some(_), Some(_)) => return Err(CliError::Interrupted),
            (None, None) if interrupts.load(Ordering::Relaxed) > 0 => {
                signal(Signal::TERM);
                asked = Some(Instant::now());
            }
            (None, Some(since)) if since.elapsed() > STOP_TIMEOUT || interrupts.load(Ordering::Relaxed) > 1 => signal(Signal::KILL),
            _ => {}
        }
        reporter.tick();
        std::thread::sleep(INTERVAL);
    }
}

/// `` environment `torch` ``
fn title(preparation: &Preparation) -> String {
    match preparation.environment.as_str() {
        "" => "the environment".to_owned(),
        name => format!("environment `{name}`"),
    }
}

/// The last lines of a log, each as one of a message.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
    shown.map(|line| format!("  | {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let lines: Vec<String> = (1..=20).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&log, lines.concat()).unwrap();
        let shown = tail(&log);
        assert_eq!(shown.lines().count(), TAIL_LINES);
        assert!(shown.starts_with("  | line 6\n") && shown.ends_with("  | line 20\n"), "{shown}");
        assert_eq!(tail(&folder.path().join("none")), "");
    }
}
