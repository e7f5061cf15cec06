//! Why a command ended without doing what it should, and how that is said.

use std::io;
use std::path::PathBuf;

use super::Exit;
use super::diagnostics::{Rejected, Style};
use lab::download::FetchError;
use lab::exec;
use lab::plan::NothingSelected;
use lab::store::StoreError;
use lab::text::{Color, Paint};

/// A command that could not go on.
#[derive(Debug)]
pub enum CliError {
    /// Something is wrong with the experiment.
    Experiment(Rejected),
    /// The store is damaged, or cannot be read or written.
    Store(StoreError),
    /// The workers' program, which is this one, could not be found or started.
    Program(io::Error),
    /// What was asked for cannot be printed.
    Output(io::Error),
    /// A file that was asked for cannot be written.
    Write(PathBuf, io::Error),
    /// Sources that are missing, cannot be fetched or are not what they should be.
    Sources(Vec<FetchError>),
    /// It was stopped before the run began.
    Interrupted,
    /// The arguments do not fit together; a message with what to do.
    Usage(String),
    /// No stage is what was asked for; a message with those there are.
    NothingSelected(String),
}

impl From<Rejected> for CliError {
    fn from(rejected: Rejected) -> Self {
        Self::Experiment(rejected)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NothingSelected> for CliError {
    fn from(nothing: NothingSelected) -> Self {
        Self::NothingSelected(nothing.0)
    }
}

impl From<exec::Failure> for CliError {
    fn from(failure: exec::Failure) -> Self {
        match failure {
            exec::Failure::Store(error) => Self::Store(error),
            exec::Failure::Start(error) => Self::Program(error),
        }
    }
}

impl CliError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Experiment(_) | Self::Usage(_) | Self::Sources(_) => Exit::Usage,
            Self::Interrupted => Exit::Interrupted,
            Self::NothingSelected(_) => Exit::NothingSelected,
            Self::Store(_) => Exit::Store,
            Self::Program(_) => Exit::StageFailed,
            // `runner plan … | head` has all it wants.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) | Self::Write(..) => Exit::StageFailed,
        }
    }

    /// The text for standard error; empty if there is nothing to say.
    pub fn render(&self, color: bool) -> String {
        let message = match self {
            Self::Experiment(rejected) => return rejected.render(Style::of_terminal(color)),
            Self::Sources(errors) => return sources(errors, color),
            Self::Interrupted => "interrupted (the same command goes on from here)".to_owned(),
            Self::Store(error) => error.to_string(),
            Self::Program(error) => format!("cannot start a worker: {error}"),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return String::new(),
            Self::Output(error) => format!("cannot write to standard output: {error}"),
            Self::Write(path, error) => format!("cannot write {}: {error}", path.display()),
            Self::Usage(message) | Self::NothingSelected(message) => message.clone(),
        };
        format!("{} {message}\n", Paint::new(color).paint(Color::Red, "error:"))
    }
}

/// Each source with what to do about it.
fn sources(errors: &[FetchError], color: bool) -> String {
    let paint = Paint::new(color);
    let one = |error: &FetchError| {
        let help = error.help().map_or_else(String::new, |help| format!("  help: {help}\n"));
        format!("{} {error}\n{help}", paint.paint(Color::Red, "error:"))
    };
    errors.iter().map(one).collect()
}
