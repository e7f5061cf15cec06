//! The command line: one file per command. Each parses its arguments, calls the library and prints.

mod bundle;
mod cache;
mod color;
mod completions;
pub mod config;
pub mod diagnostics;
mod diff;
mod environment;
mod error;
mod exit;
pub mod experiment;
mod graph;
mod man;
mod pin;
mod plan;
mod progress;
mod push_pull;
mod renamed;
mod report;
mod run;
pub mod schema;
mod selection;
mod session;
mod show;
mod signing_key;
mod sources;
mod user;
mod warning;
mod why;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use color::Colors;
use error::CliError;
pub use exit::Exit;
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
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Report(report::ReportArgs),
    Diff(diff::DiffArgs),
    Why(why::WhyArgs),
    Show(show::ShowArgs),
    Get(push_pull::GetArgs),
    Graph(graph::GraphArgs),
    Config(config::ConfigArgs),
    Schema(schema::SchemaArgs),
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
            (cli.color, dispatch(&cli.command, cli.color))
        }
        Err(error) => match renamed::message(&error, std::env::args_os()) {
            Some(message) => (Colors::Auto, Err(CliError::Usage(message))),
            None => error.exit(),
        },
    };
    let exit = result.unwrap_or_else(|error| {
        // If standard error is closed, the message is lost.
        let _ = io::stderr().write_all(error.render(colors.on_stderr()).as_bytes());
        error.exit()
    });
    ExitCode::from(exit)
}

fn dispatch(command: &CliCommand, colors: Colors) -> Result<Exit, CliError> {
    match command {
        CliCommand::Run(args) => run::run(args, colors.paint_stderr()),
        CliCommand::Plan(args) => plan::plan(args, colors.paint_stdout()),
        CliCommand::Report(args) => report::report(args, colors.paint_stdout()),
        CliCommand::Diff(args) => diff::diff(args, colors.paint_stdout()),
        CliCommand::Why(args) => why::why(args),
        CliCommand::Show(args) => show::show(args),
        CliCommand::Get(args) => push_pull::get(args),
        CliCommand::Graph(args) => graph::graph(args),
        CliCommand::Config(args) => {
            config::run(args, kinds::kinds(), &mut io::stdout().lock()).map_err(CliError::Output)??;
            Ok(Exit::Done)
        }
        CliCommand::Schema(_) => {
            schema::run(kinds::kinds(), &mut io::stdout().lock()).map_err(CliError::Output)?;
            Ok(Exit::Done)
        }
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

/// Prints a result on standard output.
fn print(text: &str) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(CliError::Output)?;
    Ok(Exit::Done)
}

/// Prints a JSON value on one line.
fn print_json(value: &serde_json::Value) -> Result<Exit, CliError> {
    print(&format!("{value}\n"))
}
