//! `runner logs`: prints the log of a stage, and follows it while the stage runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use petgraph::graph::NodeIndex;

use super::WhichArgs;
use super::follow::{LogLines, follow};
use crate::cli::environment::{path_argument, variables};
use crate::cli::experiment::ExecutionArgs;
use crate::cli::run::whole_path;
use crate::cli::session::StoreUse;
use crate::cli::show::several;
use crate::cli::{CliError, Exit, Session, print_aside};
use lab::event::StageName;
use lab::plan::{Node, Plan, Selection, StageState};
use lab::runs::{FoundLog, FoundRun, find, found_log};
use lab::store::Store;

/// How often is looked whether a stage has begun.
const INTERVAL: Duration = Duration::from_millis(500);

/// Print the log of a stage: of the one that runs, else of the last that ran, whether it failed or not
///
/// Control characters are left out, and of a progress bar the last state is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct LogsArgs {
    /// The experiment's file
    #[arg(value_name = "FILE", value_parser = path_argument())]
    pub file: PathBuf,

    /// The stage, such as `standard[2]`
    pub stage: String,

    /// The variant of the stage; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = crate::cli::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Go on printing until the stage ends; where it waits in a run, begin when it does
    #[arg(short, long)]
    pub follow: bool,

    #[command(flatten)]
    pub of: WhichArgs,
}

/// Prints the log.
///
/// # Errors
/// When the experiment is wrong, names no such stage, or the store has no log of it.
pub fn logs(args: &LogsArgs) -> Result<Exit, CliError> {
    let experiment = args.of.experiment(&args.file);
    let session = Session::open(&experiment, &ExecutionArgs::default(), StoreUse::Existing)?;
    let selection = Selection {
        stages: vec![args.stage.clone()],
        variants: args.variants.clone(),
    };
    let index = one(&selection.targets(&session.dag)?, &session, &args.stage)?;
    let node = &session.dag.graph[index];
    let (stage, store) = (node.name.clone(), session.store.clone());
    let mut lines = LogLines::new(secrets_of(node, &variables()));
    let wanted = Wanted {
        store: &store,
        file: whole_path(&args.file),
        experiment: session.dag.experiment.clone(),
        stage: &stage,
        run: args.of.run.as_deref(),
    };
    if args.follow {
        wanted.wait_for_begin();
    }
    let found = match wanted.find() {
        Some(found) => found,
        None => wanted.of_record(session, &selection, index)?,
    };
    if !found.is_running {
        print_aside(&format!("`{stage}` in run {}: {}\n", found.run, found.path.display()));
    }
    follow(&store, &found, &stage, args.follow, &mut lines)
}

/// The one stage among these.
fn one(targets: &BTreeSet<NodeIndex>, session: &Session, stage: &str) -> Result<NodeIndex, CliError> {
    let chosen: Vec<NodeIndex> = targets.iter().copied().collect();
    match chosen.as_slice() {
        [index] => Ok(*index),
        _ => {
            let names: Vec<String> = chosen.iter().map(|index| session.dag.graph[*index].name.to_string()).collect();
            Err(CliError::Usage(several(stage, &names)))
        }
    }
}

/// The values of the stage's secrets, as far as this environment has them: they are not printed.
pub(in crate::cli) fn secrets_of(node: &Node, environment: &[(String, String)]) -> Vec<String> {
    let value = |name: &str| environment.iter().find(|(found, _)| found == name).map(|(_, value)| value);
    let values = node.stage.secrets().into_iter().filter_map(|secret| value(secret.variable));
    values
        .flat_map(|value| value.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .collect()
}

/// The time within which a run that has begun tells what waits, in seconds.
const JUST_BEGUN: f64 = 3.0;

/// The stage whose log is wanted.
struct Wanted<'a> {
    store: &'a Store,
    file: PathBuf,
    experiment: String,
    stage: &'a StageName,
    run: Option<&'a str>,
}

impl Wanted<'_> {
    fn find(&self) -> Option<FoundLog> {
        found_log(self.store, &self.file, &self.experiment, self.stage, self.run, None)
    }

    /// The run that goes on and in which the stage waits, and what it waits for.
    fn waits(&self) -> Option<(FoundRun, String)> {
        let mut runs = find(self.store);
        runs.retain(|run| run.is_alive() && self.is_wanted(run));
        runs.into_iter().rev().find_map(|run| {
            let waiting = run.status.waiting.first.iter().find(|waiting| waiting.stage == *self.stage)?;
            let awaited = waiting.awaited.clone();
            Some((run, awaited))
        })
    }

    /// Whether a run goes on that has just begun: it tells what waits a moment later.
    fn has_just_begun(&self) -> bool {
        let runs = find(self.store);
        let is_new = |run: &FoundRun| run.now - run.status.begun < JUST_BEGUN;
        runs.iter().any(|run| run.is_alive() && self.is_wanted(run) && is_new(run))
    }

    fn is_wanted(&self, run: &FoundRun) -> bool {
        self.run
            .map_or_else(|| run.is_of(&self.file, &self.experiment), |name| run.status.run == name)
    }

    /// Waits as long as the stage waits in a run that goes on.
    fn wait_for_begin(&self) {
        let mut is_told = false;
        while !self.find().is_some_and(|found| found.is_running) {
            match self.waits() {
                Some((run, awaited)) if !is_told => {
                    is_told = true;
                    print_aside(&format!("`{}` waits for {awaited} in run {}\n", self.stage, run.status.run));
                }
                Some(_) => {}
                None if self.has_just_begun() => {}
                None => return,
            }
            sleep(INTERVAL);
        }
    }

    /// The log of the run that made the stage's record: perhaps that of another experiment, or of another name.
    fn of_record(&self, session: Session, selection: &Selection, index: NodeIndex) -> Result<FoundLog, CliError> {
        let (plan, store) = session.plan(selection)?;
        let found = record_run(&plan, &store, index)
            .and_then(|(run, key)| found_log(&store, Path::new(""), "", self.stage, Some(&run), Some(&key)));
        found.ok_or_else(|| {
            let said = match self.waits() {
                Some((_, awaited)) => format!("`{}` has not begun: it waits for {awaited}", self.stage),
                None => format!(
                    "no log of `{}` in {}: it has not run, or `cache gc` has removed the log",
                    self.stage,
                    store.folder().display()
                ),
            };
            CliError::NothingSelected(said)
        })
    }
}

/// The run that made the stage's record, and the stage's key.
fn record_run(plan: &Plan, store: &Store, index: NodeIndex) -> Option<(String, lab::hash::Digest)> {
    let entry = &plan.entries[index.index()];
    let key = entry.key.filter(|_| entry.state == StageState::Hit)?;
    let record = store.record(&key).ok()??;
    Some((record.run, key))
}
