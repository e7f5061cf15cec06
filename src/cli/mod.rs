//! The command line: one file per command. Each parses its arguments, calls the library and prints.

mod accept;
mod bundle;
mod cache;
mod color;
mod completions;
pub mod config;
mod contamination;
pub mod diagnostics;
mod diff;
mod environment;
mod error;
mod exit;
pub mod experiment;
mod forecast;
mod get;
mod gpus;
mod graph;
mod import_task;
mod init;
mod interpreters;
mod look;
mod man;
mod notify;
mod out_file;
mod pin;
mod plan;
mod prepare;
mod program;
mod progress;
mod push_pull;
mod renamed;
mod report;
mod run;
pub mod schema;
mod selection;
mod serve;
mod session;
mod show;
mod signals;
mod signing_key;
mod source_sizes;
mod sources;
mod suggest;
mod user;
mod utf8;
mod warning;
mod why;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use color::Colors;
use error::CliError;
pub use exit::Exit;
use lab::text::printable_json;
use session::Session;

/// Run machine-learning experiments described in TOML; no stage ever runs twice
#[derive(Debug, clap::Parser)]
#[command(name = "runner", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    /// When to colour the output; `auto`: on a terminal, unless `NO_COLOR` is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: Colors,

    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CliCommand {
    Init(init::InitArgs),
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Status(look::status::StatusArgs),
    Watch(look::watch::WatchArgs),
    Serve(serve::ServeArgs),
    Logs(look::logs::LogsArgs),
    Stop(look::stop::StopArgs),
    Cancel(look::stop::CancelArgs),
    Report(report::ReportArgs),
    Diff(diff::DiffArgs),
    Why(why::WhyArgs),
    Show(show::ShowArgs),
    Accept(accept::AcceptArgs),
    Get(get::GetArgs),
    Graph(graph::GraphArgs),
    Config(config::ConfigArgs),
    Schema(schema::SchemaArgs),
    ImportTask(import_task::ImportTaskArgs),
    Pin(pin::PinArgs),
    Cache(cache::CacheArgs),
    SigningKey(signing_key::SigningKeyArgs),
    Bundle(bundle::BundleArgs),
    Unbundle(bundle::UnbundleArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    /// Run one stage for a runner, which sends the task through a pipe
    #[command(hide = true)]
    Worker,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let (colors, result) = match Cli::try_parse() {
        Ok(cli) => {
            cli.color.set_global();
            let checked = if cli.command.uses_paths() { utf8::check() } else { Ok(()) };
            (cli.color, checked.and_then(|()| dispatch(&cli.command, cli.color)))
        }
        Err(error) => (Colors::Auto, refused(&error)),
    };
    session::remove_temporary_stores();
    let exit = result.unwrap_or_else(|error| {
        let text = error.render(colors.on_stderr());
        // If standard error is closed, the message is lost. Diagnostics have their own colours, and are clean.
        let text = if let CliError::Experiment(_) = error {
            text
        } else {
            color::stderr_paint().finish(&text)
        };
        let _ = io::stderr().write_all(text.as_bytes());
        error.exit()
    });
    ExitCode::from(exit)
}

/// The answer to arguments that are no command to run: help, the version, an old name, or what is wrong with them.
fn refused(error: &clap::Error) -> Result<Exit, CliError> {
    if let Some(message) = renamed::message(error, std::env::args_os()) {
        return Err(CliError::Usage(message));
    }
    let printed = error.print();
    if error.use_stderr() {
        return Ok(Exit::Usage);
    }
    printed.map(|()| Exit::Done).map_err(CliError::Output)
}

impl CliCommand {
    /// Whether the command reads or writes anything that a path names. The worker has been given checked ones.
    fn uses_paths(&self) -> bool {
        !matches!(self, Self::Schema(_) | Self::Completions(_) | Self::Worker)
    }
}

fn dispatch(command: &CliCommand, colors: Colors) -> Result<Exit, CliError> {
    match command {
        CliCommand::Init(args) => init::init(args),
        CliCommand::Run(args) => run::run(args, colors.paint_stderr()),
        CliCommand::Plan(args) => plan::plan(args, colors.paint_stdout()),
        CliCommand::Status(args) => look::status::status(args, colors.paint_stdout()),
        CliCommand::Watch(args) => look::watch::watch(args, colors.paint_stderr()),
        CliCommand::Serve(args) => serve::serve(args),
        CliCommand::Logs(args) => look::logs::logs(args),
        CliCommand::Stop(args) => look::stop::stop(args),
        CliCommand::Cancel(args) => look::stop::cancel(args),
        CliCommand::Report(args) => report::report(args, colors.paint_stdout()),
        CliCommand::Diff(args) => diff::diff(args, colors.paint_stdout()),
        CliCommand::Why(args) => why::why(args),
        CliCommand::Show(args) => show::show(args),
        CliCommand::Accept(args) => accept::accept(args),
        CliCommand::Get(args) => get::get(args, colors.paint_stdout()),
        CliCommand::Graph(args) => graph::graph(args),
        CliCommand::Config(args) => {
            let mut text = Vec::new();
            let result = config::run(args, kinds::kinds(), &mut text).map_err(CliError::Output)?;
            let printed = print_data(&String::from_utf8_lossy(&text));
            result?;
            printed
        }
        CliCommand::Schema(_) => {
            let mut text = Vec::new();
            schema::run(kinds::kinds(), &mut text).map_err(CliError::Output)?;
            print_data(&String::from_utf8_lossy(&text))
        }
        CliCommand::ImportTask(args) => import_task::import_task(args),
        CliCommand::Pin(args) => pin::pin(args, colors.paint_stderr()),
        CliCommand::Cache(args) => cache::cache(args),
        CliCommand::SigningKey(args) => signing_key::signing_key(args),
        CliCommand::Bundle(args) => bundle::bundle(args),
        CliCommand::Unbundle(args) => bundle::unbundle(args),
        CliCommand::Completions(args) => completions::completions(args),
        CliCommand::Man(args) => man::man(args),
        CliCommand::Worker => Ok(if worker::worker() { Exit::Done } else { Exit::StageFailed }),
    }
}

/// Prints a result for people on standard output, without control characters but for our colours.
fn print(text: &str) -> Result<Exit, CliError> {
    write_out(&color::stdout_paint().finish(text))
}

/// Prints a text for people on standard error, where standard output has something else.
fn print_aside(text: &str) {
    // If standard error is closed, the text is lost.
    let _ = io::stderr().write_all(color::stderr_paint().finish(text).as_bytes());
}

/// Prints a result for programs on standard output, as it is; on a terminal, without control characters.
fn print_data(text: &str) -> Result<Exit, CliError> {
    if io::stdout().is_terminal() { print(text) } else { write_out(text) }
}

/// Prints a JSON value on one line.
fn print_json(value: &serde_json::Value) -> Result<Exit, CliError> {
    let text = format!("{value}\n");
    write_out(&printable_json(&text))
}

fn write_out(text: &str) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(CliError::Output)?;
    Ok(Exit::Done)
}
