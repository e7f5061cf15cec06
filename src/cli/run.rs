//! `runner run`: runs the stages that the store lacks.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::contamination::ContaminationReporter;
use super::environment::{path_argument, with_caller};
use super::experiment::{ExecutionArgs, ExperimentArgs, shell_word};
use super::notify::Notifier;
use super::prepare::prepare;
use super::selection::SelectionArgs;
use super::session::StoreUse;
use super::signals::count_interrupts;
use super::sources::{self, SourceAccess};
use super::warning::warn;
use super::{CliError, Exit, Session, color, forecast, gpus, program};
use lab::config::{SandboxMode, Settings};
use lab::event::{Event, Queue, Reporter, StageName};
use lab::exec::{self, LocalExecutor, MakeRoom, RunLimits, RunOptions, RunOrigin};
use lab::plan::{Node, Plan, Resolver};
use lab::reporter::{CommandHints, EventLog, JsonReporter, PlainReporter, StatusFile, SystemClock, TensorBoard, TerminalReporter};
use lab::runs::{RunOrder, RunRequests};
use lab::stage::{Sandbox, Secret};
use lab::store::Store;
use lab::store::remote::Remotes;
use lab::text::Paint;
use report::gather::data_sets;

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
    #[arg(long, value_name = "DIR", value_parser = path_argument())]
    pub tensorboard: Option<PathBuf>,

    /// Start COMMAND when the run has ended: its words may have `{message}`, its standard input is JSON about the run
    #[arg(long, value_name = "COMMAND")]
    pub notify: Option<String>,

    /// Print events as JSON lines on standard output
    #[arg(long)]
    pub json: bool,
}

/// Runs the stages of the experiment that the store lacks.
///
/// # Errors
/// When the experiment is wrong, the store is damaged or cannot be written.
pub fn run(args: &RunArgs, paint: Paint) -> Result<Exit, CliError> {
    let interrupts = count_interrupts();
    let session = Session::load(&args.experiment, &args.execution)?;
    let notifier = Notifier::new(args.notify.as_deref().unwrap_or(&session.settings.notify))?;
    let targets = args.selection.selection().targets(&session.dag)?;
    let named = args.selection.selection().named(&session.dag);
    let session = session.with_store(StoreUse::Write)?;
    let Session {
        store,
        settings,
        dag,
        strict,
        remotes,
        ..
    } = session;
    let mut options = run_options(args, &settings, &remotes)?;
    let access = SourceAccess::new(&settings);
    let (mut contents, missing) = access.look_up(&dag, &store);
    let mut resolver = Resolver::new(&store, strict.clone())
        .knowing(contents.clone())
        .asking(&remotes)
        .wanting(named.clone())
        .running(forecast::here(&settings));
    let mut plan = resolver.plan(dag, &targets)?;
    super::signing_key::warn_of_ignored_records(&store);
    sources::require(&plan, missing)?;
    sources::without_files(&plan, &contents).into_iter().for_each(warn);
    options.hidden = secrets(&plan)?;
    options.gpus = gpus::of_plan(&plan, &settings)?;
    check_programs(&plan, settings.sandbox)?;
    refuse_what_cannot_fit(&plan, &options)?;
    forecast::lack_of_room(&plan, &plan.forecast(forecast::at_once(&settings)), &store, &settings)
        .into_iter()
        .for_each(warn);
    let hints: Rc<dyn CommandHints> = Rc::new(args.experiment.clone());
    let output = EventOutput::default();
    options.requests = RunRequests::new(store.clone(), options.run.clone());
    let mut reporters = Reporters(vec![
        if args.json {
            Box::new(JsonReporter::new(output.clone(), SystemClock::start(), Rc::clone(&hints)))
        } else {
            reporter(paint, Rc::clone(&hints))
        },
        Box::new(EventLog::new(store.clone(), options.run.clone(), hints)),
        Box::new(StatusFile::new(
            store.clone(),
            options.run.clone(),
            order(args, &plan.dag.experiment),
            SystemClock::start(),
        )),
        Box::new(StopRequests(options.requests.clone(), Arc::clone(&interrupts))),
    ]);
    if !sources::needed(&plan).is_empty() {
        sources::download(&plan, &mut contents, &access.supplier(&store), &interrupts, &mut reporters)?;
        resolver = Resolver::new(&store, strict)
            .knowing(contents.clone())
            .asking(&remotes)
            .wanting(named)
            .running(forecast::here(&settings));
        plan = resolver.plan(plan.dag, &targets)?;
    }
    prepare(&plan, &store, &options.run, settings.offline, &interrupts, &mut reporters)?;
    if let Some(folder) = &args.tensorboard {
        reporters.0.push(Box::new(tensorboard(folder, &plan, &store)?));
    }
    let mut executor = LocalExecutor::new(options.origin.program.clone());
    let mut reporter = sources::ReadingReporter::new(&mut reporters, access.supplier(&store), &plan, &contents);
    let mut reporter = ContaminationReporter::new(&mut reporter, &plan, &store);
    let ended = exec::run(&plan, &store, &resolver, &options, &mut executor, &interrupts, &mut reporter);
    if let Some(notifier) = notifier {
        notifier.tell(&options.run, &plan.dag.experiment, &args.experiment.file, &ended);
    }
    let summary = ended?;
    // The process is about to end: dropping each value of the plan would only take time.
    std::mem::forget(plan);
    match summary {
        summary if summary.interrupted => Ok(Exit::Interrupted),
        summary if summary.failed + summary.cancelled > 0 => Ok(Exit::StageFailed),
        // The results are in the store, but not all that was asked for.
        _ => output.failure().map_or(Ok(Exit::Done), |error| Err(CliError::Output(error))),
    }
}

/// Standard output for events. It remembers why it could not be written to, since reporters do not end a run.
#[derive(Clone, Default)]
struct EventOutput(Rc<Cell<Option<io::Error>>>);

impl EventOutput {
    fn failure(&self) -> Option<io::Error> {
        self.0.take()
    }

    fn noting<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| {
            let kind = error.kind();
            self.0.set(Some(error));
            kind.into()
        })
    }
}

impl Write for EventOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.noting(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.noting(io::stdout().flush())
    }
}

/// How to run, from the arguments and the settings.
fn run_options(args: &RunArgs, settings: &Settings, remotes: &Remotes) -> Result<RunOptions, CliError> {
    let cores = exec::cores();
    Ok(RunOptions {
        limits: RunLimits {
            jobs: settings.jobs(cores),
            threads: settings.threads(cores),
            memory: memory(settings),
            keep_going: settings.keep_going,
        },
        device: settings.device().to_owned(),
        // It sees its own devices alone, of which this is the first.
        gpu_device: settings.device.clone().unwrap_or_else(|| "cuda:0".to_owned()),
        gpus: Vec::new(),
        gpu_locks: gpus::locks(settings),
        sandbox: sandbox(settings)?,
        patience: sources::patience(settings),
        run: run_name(),
        remotes: remotes.clone(),
        origin: RunOrigin {
            experiment: args.experiment.file.clone(),
            program: program::running().map_err(CliError::Program)?,
            user: super::user::user_name(),
        },
        sign: super::signing_key::key_for_signing(settings)?,
        hidden: Vec::new(),
        requests: RunRequests::default(),
        make_room: (settings.make_room > 0).then(|| MakeRoom {
            free: settings.make_room.saturating_mul(1_000_000_000),
            is_result: kinds::is_result,
            kept_files: kinds::KEPT_FILES,
        }),
    })
}

/// The memory that stages share, in bytes: by default, all that this machine has.
pub(super) fn memory(settings: &Settings) -> Option<u64> {
    settings.memory.map(|memory| memory.0).or_else(exec::total_memory)
}

/// Fails when a stage to run asks for more than it can ever be given, before any stage runs.
fn refuse_what_cannot_fit(plan: &Plan, options: &RunOptions) -> Result<(), CliError> {
    let RunLimits { threads, memory, .. } = options.limits;
    let refused = gpus::refusals(plan, &options.gpus, threads, memory);
    if refused.is_empty() {
        Ok(())
    } else {
        Err(CliError::Usage(refused.join("\n")))
    }
}

/// How far programs are held to their own files. Workers are given whole paths.
pub(super) fn sandbox(settings: &Settings) -> Result<Sandbox, CliError> {
    let whole = |path: &PathBuf| std::path::absolute(path).map_err(|error| CliError::Write(path.clone(), error));
    Ok(Sandbox {
        mode: settings.sandbox,
        writes: settings.writes.iter().map(whole).collect::<Result<_, _>>()?,
    })
}

/// Fails when a stage to run cannot be started on this machine, before any stage runs.
fn check_programs(plan: &Plan, sandbox: SandboxMode) -> Result<(), CliError> {
    let missing = missing_programs(plan, sandbox);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(CliError::Usage(missing.join("\n")))
    }
}

/// A message for each thing that keeps stages to run from being started on this machine, with the first stage that it keeps.
pub(super) fn missing_programs(plan: &Plan, sandbox: SandboxMode) -> Vec<String> {
    let mut found: Vec<(String, &Node, usize)> = Vec::new();
    with_caller(|caller| {
        for (_, node, _) in plan.to_run() {
            let Some(missing) = node.stage.missing(&caller, sandbox) else {
                continue;
            };
            match found.iter_mut().find(|(message, ..)| *message == missing) {
                Some((.., more)) => *more += 1,
                None => found.push((missing, node, 0)),
            }
        }
    });
    let said = |(missing, node, more): &(String, &Node, usize)| match more {
        0 => format!("stage `{}`: {missing}", node.name),
        _ => format!("stage `{}` and {more} more: {missing}", node.name),
    };
    found.iter().map(said).collect()
}

/// The lines of the secrets that stages to run need, the longest first: one may be a part of another. Fails when the environment lacks
/// one, before any stage runs.
fn secrets(plan: &Plan) -> Result<Vec<String>, CliError> {
    let environment: BTreeMap<String, String> = super::environment::variables().into_iter().collect();
    let value = |name: &str| environment.get(name).filter(|value| !value.trim().is_empty());
    let mut lines: BTreeSet<&str> = BTreeSet::new();
    let needs = plan
        .to_run()
        .flat_map(|(_, node, _)| node.stage.secrets().into_iter().map(move |secret| (node, secret)));
    let mut lacks: Vec<String> = Vec::new();
    for (node, Secret { variable, param }) in needs {
        match value(variable) {
            Some(value) => lines.extend(value.lines().map(str::trim)),
            None => lacks.push(format!(
                "stage `{}` needs the environment variable `{variable}` (`{param}`), which is not set",
                node.name
            )),
        }
    }
    if !lacks.is_empty() {
        return Err(CliError::Usage(lacks.join("\n")));
    }
    let mut lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort_by_key(|line| Reverse(line.len()));
    Ok(lines)
}

/// The reporter for TensorBoard. It gets the names of the data sets of every stage that gives scores.
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

impl CommandHints for ExperimentArgs {
    fn run_alone(&self, stage: &StageName) -> String {
        let mut command = format!("{} {}", self.command("run"), shell_word(&stage.name));
        for (axis, value) in &stage.variant {
            command += &format!(" --variant {}", shell_word(&format!("{axis}={value}")));
        }
        command
    }

    fn finish_uploads(&self) -> String {
        self.command("cache push")
    }
}

/// What is run, for those who look on.
fn order(args: &RunArgs, experiment: &str) -> RunOrder {
    let mut command = args.experiment.command("run");
    command.extend(args.selection.stages.iter().map(|stage| format!(" {}", shell_word(stage))));
    let variants = args.selection.variants.iter().map(|(axis, value)| format!("{axis}={value}"));
    command.extend(variants.map(|variant| format!(" --variant {}", shell_word(&variant))));
    RunOrder {
        experiment: experiment.to_owned(),
        file: whole_path(&args.experiment.file),
        command,
    }
}

/// The path of an experiment's file by which it is known in every folder.
pub(super) fn whole_path(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// Takes requests of others to stop as Ctrl-C is taken, also before the first stage runs.
struct StopRequests(RunRequests, Arc<AtomicUsize>);

impl Reporter for StopRequests {
    fn event(&mut self, _: &Event) {}

    fn tick(&mut self) {
        self.0.look(&self.1);
    }
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

    fn look(&mut self, queue: &Queue) {
        self.0.iter_mut().for_each(|reporter| reporter.look(queue));
    }
}

/// The reporter for people, on standard error: live where that is a terminal that can move its cursor, else line by line.
pub fn reporter(paint: Paint, hints: Rc<dyn CommandHints>) -> Box<dyn Reporter> {
    let clock = SystemClock::start();
    if color::is_live() {
        Box::new(TerminalReporter::stderr(paint, color::stderr_size, clock, hints))
    } else {
        Box::new(PlainReporter::new(io::stderr(), clock, hints))
    }
}

/// The name of a new run, `20261123-185222-4711`: sorts by time, and is unique on this machine.
fn run_name() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    format!("{now}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::experiment::OverrideArgs;

    #[test]
    fn the_command_for_one_stage_survives_a_shell() {
        let experiment = ExperimentArgs {
            file: "it's.toml".into(),
            overrides: OverrideArgs {
                set: vec!["name=a b".to_owned()],
                ..OverrideArgs::default()
            },
            ..ExperimentArgs::default()
        };
        let stage = StageName {
            name: "score[1]".to_owned(),
            variant: [("ask".to_owned(), "it's".to_owned())].into(),
        };
        let command = experiment.run_alone(&stage);
        let words = [
            "runner",
            "run",
            "it's.toml",
            "--set",
            "name=a b",
            "score[1]",
            "--variant",
            "ask=it's",
        ];
        assert_eq!(shlex::split(&command).unwrap(), words);
    }
}
