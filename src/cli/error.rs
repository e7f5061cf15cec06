//! The errors of commands, their exit codes and messages.

use std::io;
use std::path::PathBuf;

use super::Exit;
use super::diagnostics::{DiagnosticStyle, Rejected};
use lab::download::SourceError;
use lab::exec;
use lab::plan::NothingSelected;
use lab::store::StoreError;
use lab::text::{Color, Paint};
use report::{LookupError, ReportError, ReportFileError};

/// The error of a command.
#[derive(Debug)]
pub enum CliError {
    /// The experiment has errors.
    Experiment(Rejected),
    /// The store is damaged, or cannot be read or written.
    Store(StoreError),
    /// A worker, which is this program, could not be found or started.
    Program(io::Error),
    /// Standard output cannot be written to.
    Output(io::Error),
    /// A file cannot be written.
    Write(PathBuf, io::Error),
    /// Sources are missing, cannot be downloaded, or do not match their pins.
    Sources(Vec<SourceError>),
    /// An environment cannot be prepared: a message.
    Environment(String),
    /// Interrupted before the run began.
    Interrupted,
    /// Wrong usage: a message with what to do.
    Usage(String),
    /// A run does not answer: a message with what to do.
    NoAnswer(String),
    /// Nothing was selected: a message with what can be selected.
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

impl From<LookupError> for CliError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Store(error) => error.into(),
            LookupError::NothingSelected(nothing) => nothing.into(),
        }
    }
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Store(error) => error.into(),
            other => Self::Usage(other.to_string()),
        }
    }
}

impl From<ReportFileError> for CliError {
    fn from(ReportFileError { path, error }: ReportFileError) -> Self {
        Self::Write(path, error)
    }
}

impl From<exec::RunError> for CliError {
    fn from(error: exec::RunError) -> Self {
        match error {
            exec::RunError::Store(error) => Self::Store(error),
            exec::RunError::Start(error) => Self::Program(error),
            exec::RunError::Lock(folder, error) => Self::Write(folder, error),
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
            Self::Program(_) | Self::Environment(_) | Self::NoAnswer(_) => Exit::StageFailed,
            // In `runner plan … | head`, `head` has all it needs.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) | Self::Write(..) => Exit::StageFailed,
        }
    }

    /// The message for standard error; empty if none is needed.
    pub fn render(&self, color: bool) -> String {
        let message = match self {
            Self::Experiment(rejected) => return rejected.render(DiagnosticStyle::of_terminal(color)),
            Self::Sources(errors) => return render_source_errors(errors, color),
            Self::Interrupted => "interrupted; run the same command again to continue".to_owned(),
            Self::Store(error) => error.to_string(),
            Self::Program(error) => format!("cannot start a worker: {error}"),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return String::new(),
            Self::Output(error) => format!("cannot write to standard output: {error}"),
            Self::Write(path, error) => format!("cannot write {}: {error}", path.display()),
            Self::Environment(message) | Self::Usage(message) | Self::NothingSelected(message) | Self::NoAnswer(message) => message.clone(),
        };
        format!("{} {message}\n", Paint::new(color).paint(Color::Red, "error:"))
    }
}

/// The errors of sources, each with its help.
fn render_source_errors(errors: &[SourceError], color: bool) -> String {
    let paint = Paint::new(color);
    let render = |error: &SourceError| {
        let help = error.help().map_or_else(String::new, |help| format!("  help: {help}\n"));
        format!("{} {error}\n{help}", paint.paint(Color::Red, "error:"))
    };
    errors.iter().map(render).collect()
}
