//! The experiment as its file is now, and its page.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::cli::diagnostics::DiagnosticStyle;
use crate::cli::environment;
use crate::cli::experiment::{ExecutionArgs, ExperimentArgs};
use crate::cli::look::logs::secrets_of;
use crate::cli::report::question;
use crate::cli::run::whole_path;
use crate::cli::session::{Resolved, StoreUse};
use crate::cli::{CliError, Session};
use lab::event::StageName;
use lab::hash::Digest;
use lab::plan::StageState;
use lab::store::Store;
use lab::store::remote::{Environment, Remotes};
use report::ExperimentReport;
use report::gather;
use report::page::{LivePage, live_page};
use report::request::ReportRequest;

use super::board::{LoggedStage, Logs};

/// When a file was changed, and its size; `None` if it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// An experiment with its page.
pub(super) struct Loaded {
    pub(super) page: Arc<LivePage>,
    /// The number of each stage on the page, and whether the store has its outputs.
    pub(super) stages: BTreeMap<StageName, (usize, bool)>,
    pub(super) logs: Arc<Logs>,
}

impl Loaded {
    /// Loads the experiment and makes its page. No remote is asked: that would download into the store.
    ///
    /// # Errors
    /// When the experiment is wrong, or the store is damaged.
    pub(super) fn load(experiment: &ExperimentArgs) -> Result<Self, CliError> {
        let mut session = Session::load(experiment, &ExecutionArgs::default())?;
        session.remotes = Remotes::new(Vec::new(), Environment::new());
        let session = session.with_store(StoreUse::Look)?;
        let request = ReportRequest {
            layout: session.layout.clone(),
            page: true,
            ..ReportRequest::default()
        };
        let name = session.dag.experiment.clone();
        let Resolved { plan, store, .. } = session.plan_with(&request.selection, |_, _| false)?;
        let report = ExperimentReport::gather(&request, &plan, &store)?;
        let mut data = gather::page_data(&plan, &store, &request.selection, report.data.scores.clone(), question(experiment)?)?;
        data.warnings = report.warnings();
        let page = live_page(&data, &report.results(), &report.data.figures);
        let environment = environment::variables();
        let (mut stages, mut logged) = (BTreeMap::new(), BTreeMap::new());
        for (index, node, entry) in plan.stages() {
            let is_there = entry.state == StageState::Hit;
            stages.insert(node.name.clone(), (index.index(), is_there));
            let stage = LoggedStage {
                record: entry.key.filter(|_| is_there).and_then(|key| record_run(&store, key)),
                hidden: secrets_of(node, &environment),
            };
            logged.insert(node.name.clone(), stage);
        }
        let logs = Logs {
            store,
            file: whole_path(&experiment.file),
            experiment: name,
            stages: logged,
        };
        Ok(Self {
            page: Arc::new(page),
            stages,
            logs: Arc::new(logs),
        })
    }
}

fn record_run(store: &Store, key: Digest) -> Option<(Digest, String)> {
    let record = store.record(&key).ok()??;
    Some((key, record.run))
}

/// What tells a change of the experiment's files.
pub(super) fn stamps(experiment: &ExperimentArgs, before: &[(PathBuf, Stamp)]) -> Vec<(PathBuf, Stamp)> {
    // While a file is broken, the files that were read last are looked at.
    let files = experiment.document(&ExecutionArgs::default()).map_or_else(
        |_| {
            before
                .iter()
                .map(|(path, _)| path.clone())
                .chain([experiment.file.clone()])
                .collect()
        },
        |document| document.files,
    );
    files.into_iter().map(stamped).collect()
}

/// Whether a file is another one than before.
pub(super) fn is_changed(stamps: &[(PathBuf, Stamp)]) -> bool {
    stamps.iter().any(|(path, stamp)| stamped(path.clone()).1 != *stamp)
}

fn stamped(path: PathBuf) -> (PathBuf, Stamp) {
    let found = path
        .metadata()
        .ok()
        .and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
    (path, found)
}

/// What is wrong, in plain text for the page.
pub(super) fn message(error: &CliError) -> String {
    match error {
        CliError::Experiment(rejected) => rejected.render(DiagnosticStyle::of_terminal(false)),
        other => other.render(false),
    }
}
