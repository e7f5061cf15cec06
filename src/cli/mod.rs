//! The command line: one file per command, each parses, asks the library and prints.

mod bundle;
mod cache;
mod color;
pub mod config;
pub mod diagnostics;
mod diff;
mod error;
mod exit;
pub mod experiment;
mod graph;
mod pin;
mod plan;
mod push_pull;
mod report;
mod run;
pub mod schema;
mod selection;
mod session;
mod show;
mod signing_key;
mod sources;
mod user;
mod why;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use color::Colors;
use error::CliError;
pub use exit::Exit;
use session::Session;

/// Runs machine-learning experiments described in TOML, and never the same stage twice
#[derive(Debug, clap::Parser)]
#[command(version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    /// When to use colours; `auto` is on a terminal, unless `NO_COLOR` is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: Colors,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Pin(pin::PinArgs),
    Graph(graph::GraphArgs),
    Report(report::ReportArgs),
    Diff(diff::DiffArgs),
    Show(show::ShowArgs),
    Why(why::WhyArgs),
    Config(config::ConfigArgs),
    Schema(schema::SchemaArgs),
    Cache(cache::CacheArgs),
    Fetch(push_pull::FetchArgs),
    Key(signing_key::KeyArgs),
    Bundle(bundle::BundleArgs),
    Unbundle(bundle::UnbundleArgs),
    /// Run one stage, told through pipes by a runner
    #[command(hide = true)]
    Worker,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = dispatch(&cli.command, cli.color).unwrap_or_else(|failed| {
        // There is nowhere to say that standard error is gone.
        let _ = io::stderr().write_all(failed.render(cli.color.on_stderr()).as_bytes());
        failed.exit()
    });
    ExitCode::from(exit)
}

fn dispatch(command: &Command, colors: Colors) -> Result<Exit, CliError> {
    match command {
        Command::Run(args) => run::run(args, colors.paint_stderr()),
        Command::Plan(args) => plan::plan(args, colors.paint_stdout()),
        Command::Pin(args) => pin::pin(args, colors.paint_stderr()),
        Command::Graph(args) => graph::graph(args),
        Command::Report(args) => report::report(args, colors.paint_stdout()),
        Command::Diff(args) => diff::diff(args, colors.paint_stdout()),
        Command::Show(args) => show::show(args),
        Command::Why(args) => why::why(args),
        Command::Config(args) => {
            config::run(args, kinds::kinds(), &mut io::stdout().lock()).map_err(CliError::Output)??;
            Ok(Exit::Done)
        }
        Command::Schema(_) => {
            schema::run(kinds::kinds(), &mut io::stdout().lock()).map_err(CliError::Output)?;
            Ok(Exit::Done)
        }
        Command::Cache(args) => cache::cache(args),
        Command::Fetch(args) => push_pull::fetch(args),
        Command::Key(args) => signing_key::key(args),
        Command::Bundle(args) => bundle::bundle(args),
        Command::Unbundle(args) => bundle::unbundle(args),
        Command::Worker => Ok(if worker::worker() { Exit::Done } else { Exit::StageFailed }),
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

/// Prints a JSON value, one line.
fn print_json(value: &serde_json::Value) -> Result<Exit, CliError> {
    print(&format!("{value}\n"))
}
