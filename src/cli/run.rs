//! `runner run`: runs what is missing.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::selection::SelectionArgs;
use super::sources::{self, SourceAccess};
use super::{CliError, Exit, Session};
use lab::event::{Event, Reporter};
use lab::exec::{self, Limits, Local};
use lab::plan::{Plan, Resolver};
use lab::reporter::{EventLog, Json, Plain, SystemClock, TensorBoard, Terminal};
use lab::store::Store;
use lab::text::Paint;
use report::gather::collect::data_sets;

/// Run the stages of an experiment that are not in the store
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    #[command(flatten)]
    pub execution: ExecutionArgs,

    /// Write training curves and scores below DIR, for TensorBoard
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,

    /// Print events as JSON lines on standard output
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
///
/// # Errors
/// When the experiment is wrong, the store is damaged or cannot be written.
pub fn run(args: &RunArgs, paint: Paint) -> Result<Exit, CliError> {
    let interrupts = count_interrupts();
    let session = Session::open(&args.experiment, &args.execution)?;
    let targets = args.selection.selection().targets(&session.dag)?;
    let Session {
        store,
        settings,
        dag,
        strict,
        remotes,
        ..
    } = session;
    let sign = super::signing_key::key_for_signing(&settings)?;
    let access = SourceAccess::new(&settings);
    let (mut contents, missing) = access.look_up(&dag, &store);
    let mut resolver = Resolver::new(&store, strict.clone()).knowing(contents.clone()).asking(&remotes);
    let mut plan = resolver.plan(dag, &targets)?;
    super::signing_key::warn_of_ignored_records(&store);
    sources::require(&plan, missing)?;
    check_secrets(&plan)?;
    let cores = exec::cores();
    let program = std::env::current_exe().map_err(CliError::Program)?;
    let limits = Limits {
        jobs: settings.jobs.map_or(cores, NonZeroUsize::get),
        threads: settings.threads.map_or(cores, NonZeroUsize::get),
        keep_going: settings.keep_going,
    };
    let options = exec::Options {
        limits,
        device: settings.device().to_owned(),
        run: run_name(),
        rerun: args.experiment.command("run"),
        push: args.experiment.command("cache push"),
        remotes: remotes.clone(),
        origin: exec::Origin {
            experiment: args.experiment.file.clone(),
            program: program.clone(),
            user: super::user::user_name(),
        },
        sign,
    };
    let mut reporters = Reporters(vec![
        reporter(args.json, paint),
        Box::new(EventLog::new(store.clone(), options.run.clone())),
    ]);
    if !sources::needed(&plan).is_empty() {
        sources::download(&plan, &mut contents, &access.supplier(&store), &interrupts, &mut reporters)?;
        resolver = Resolver::new(&store, strict).knowing(contents).asking(&remotes);
        plan = resolver.plan(plan.dag, &targets)?;
    }
    if let Some(folder) = &args.tensorboard {
        reporters.0.push(Box::new(tensorboard(folder, &plan, &store)?));
    }
    let mut local = Local::new(program);
    let summary = exec::run(&plan, &store, &resolver, &options, &mut local, &interrupts, &mut reporters)?;
    Ok(match summary {
        summary if summary.interrupted => Exit::Interrupted,
        summary if summary.failed > 0 => Exit::StageFailed,
        _ => Exit::Done,
    })
}

/// Says which variables that stages to run need are not set, before any of them runs.
fn check_secrets(plan: &Plan) -> Result<(), CliError> {
    let environment = super::environment::variables();
    let is_set = |name: &str| environment.iter().any(|(found, value)| found == name && !value.trim().is_empty());
    let needs = plan.to_run().filter_map(|(_, node, _)| Some((node, node.stage.secret()?)));
    let lacks: Vec<String> = needs
        .filter(|(_, variable)| !is_set(variable))
        .map(|(node, variable)| {
            format!(
                "stage `{}` needs the environment variable `{variable}` (`api_key_env`), which is not set",
                node.name
            )
        })
        .collect();
    if lacks.is_empty() {
        Ok(())
    } else {
        Err(CliError::Usage(lacks.join("\n")))
    }
}

/// The reporter for TensorBoard, which knows the names of what is scored.
fn tensorboard(folder: &Path, plan: &Plan, store: &Store) -> Result<TensorBoard<SystemClock>, CliError> {
    let sets = plan.stages().map(|(_, node, _)| (node.name.clone(), data_sets(&plan.dag, node)));
    TensorBoard::new(
        folder,
        store.clone(),
        kinds::artifact::TENSORBOARD,
        sets.collect(),
        SystemClock::start(),
    )
    .map_err(|error| CliError::Write(folder.to_owned(), error))
}

/// Several reporters as one.
struct Reporters(Vec<Box<dyn Reporter>>);

impl Reporter for Reporters {
    fn event(&mut self, event: &Event) {
        self.0.iter_mut().for_each(|reporter| reporter.event(event));
    }

    fn tick(&mut self) {
        self.0.iter_mut().for_each(|reporter| reporter.tick());
    }
}

/// What shows the run to whoever started it.
pub fn reporter(json: bool, paint: Paint) -> Box<dyn Reporter> {
    let clock = SystemClock::start();
    if json {
        Box::new(Json::new(io::stdout(), clock))
    } else if io::stderr().is_terminal() {
        Box::new(Terminal::stderr(paint, clock))
    } else {
        Box::new(Plain::new(io::stderr(), clock))
    }
}

/// Counts Ctrl-C and termination signals from now on; the third ends the process as it stands.
pub fn count_interrupts() -> Arc<AtomicUsize> {
    let interrupts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&interrupts);
    // Without the handler the first Ctrl-C ends the process, and its workers with it: nothing is lost but the grace.
    let _ = ctrlc::set_handler(move || {
        if counted.fetch_add(1, Ordering::Relaxed) >= 2 {
            #[expect(clippy::disallowed_methods, reason = "the third request to stop: nothing else worked")]
            std::process::exit(Exit::Interrupted as i32);
        }
    });
    interrupts
}

/// `20261123-185222-4711`: sorts by time, and no two runs of a machine share it.
fn run_name() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    format!("{now}-{}", std::process::id())
}
