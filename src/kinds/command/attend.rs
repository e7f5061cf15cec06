//! Waits for a program to end, stops it on request, and ends all that it leaves.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::progress::tell;
use super::sandbox::Sandbox;
use super::work_folder::WorkFolder;
use lab::processes::{bury, end_descendants};
use lab::stage::{StageContext, StageError, failed};

/// Why a program gave no outputs.
pub(super) enum RunError {
    Stage(StageError),
    /// A process that it started cannot be ended.
    StillRuns(String),
}

impl From<StageError> for RunError {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<RunError> for StageError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Stage(error) => error,
            RunError::StillRuns(what) => Self::Failed(what),
        }
    }
}

/// The longest interval at which the program is checked; a short one is checked more often.
const LONGEST_INTERVAL: Duration = Duration::from_millis(50);
/// What is killed gets this time to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval at which the ends of detached processes are noted.
const BURY_INTERVAL: Duration = Duration::from_secs(1);

/// How a program ended.
pub(super) enum Ended {
    By(ExitStatus),
    NotStarted(io::Error),
}

/// Runs the program to its end. However it ended, all that it started has ended too when this returns. `check` is called once it runs.
///
/// # Errors
/// When the stage is stopped, the check fails, or something cannot be ended.
pub(super) fn run(
    command: &mut Command,
    sandbox: &Sandbox,
    place: &WorkFolder,
    context: &StageContext<'_>,
    check: impl FnOnce() -> Result<(), StageError>,
) -> Result<Ended, RunError> {
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        let (until, ended) = channel::<()>();
        // A sandbox holds the thread that enters it and what that starts. The program lives no longer than the thread.
        scope.spawn(move || {
            let started = sandbox
                .enter()
                .map_err(|why| failed(format!("cannot hold the program to its files: {why}")));
            // Nobody waits for it when this fails.
            let _ = sender.send(started.map(|()| command.spawn()));
            let _ = ended.recv();
        });
        let started = receiver.recv().map_err(|_| failed("cannot start a thread"))?;
        let mut child = match started? {
            Ok(child) => child,
            Err(error) => return Ok(Ended::NotStarted(error)),
        };
        let status = check().and_then(|()| attend(&mut child, place, context));
        end(&mut child, context.alone)?;
        drop(until);
        Ok(Ended::By(status?))
    })
}

/// Waits for the program to end and reports its progress; ends it when the stage is asked to stop.
fn attend(child: &mut Child, place: &WorkFolder, context: &StageContext<'_>) -> Result<ExitStatus, StageError> {
    let (mut told, mut interval) = (0, Duration::from_millis(1));
    let (mut asked, mut buried): (Option<Instant>, Instant) = (None, Instant::now());
    loop {
        told = tell(&place.progress, told, context).unwrap_or(told);
        if let Some(status) = child.try_wait().map_err(failed)? {
            match asked {
                None => {
                    tell(&place.progress, told, context).unwrap_or(told);
                    return Ok(status);
                }
                // A shell may have ended while its children still save their state.
                Some(since) if since.elapsed() > context.grace || !is_left(child) => return Err(StageError::Stopped),
                Some(_) => {}
            }
        }
        match asked {
            None if (context.stop)() => {
                asked = Some(Instant::now());
                signal(child, Signal::TERM);
            }
            Some(since) if since.elapsed() > context.grace => signal(child, Signal::KILL),
            _ => {}
        }
        // What is being stopped is waited for, so it is noted at once.
        if context.alone && (asked.is_some() || buried.elapsed() > BURY_INTERVAL) {
            buried = Instant::now();
            bury(child.id());
        }
        std::thread::sleep(interval);
        interval = (interval * 2).min(LONGEST_INTERVAL);
    }
}

/// The process group of the program and all that it has started and has not left it.
fn group(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}

/// Sends a signal to the group, which may have ended in the meantime.
fn signal(child: &Child, signal: Signal) {
    let _ = group(child).map(|group| kill_process_group(group, signal));
}

/// Whether the program or a process of its group still runs.
fn is_left(child: &Child) -> bool {
    group(child).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// Waits until the killed group has ended. Returns whether it has.
fn end_group(child: &mut Child) -> bool {
    let begun = Instant::now();
    while is_left(child) && begun.elapsed() < KILL_TIMEOUT {
        let _ = child.try_wait();
        std::thread::sleep(Duration::from_millis(1));
    }
    !is_left(child)
}

/// Kills the program and all that it has started, in whatever group or session, and waits until all has ended.
///
/// # Errors
/// When something does not end.
fn end(child: &mut Child, alone: bool) -> Result<(), RunError> {
    signal(child, Signal::KILL);
    let have_ended = if alone { end_descendants(KILL_TIMEOUT) } else { end_group(child) };
    if have_ended {
        // Its status, if nobody has asked for it.
        let _ = child.try_wait();
        return Ok(());
    }
    Err(RunError::StillRuns(
        "a process that the program started cannot be ended, and may still change its outputs; they are not kept".to_owned(),
    ))
}
