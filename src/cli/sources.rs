//! The sources of an experiment: looking them up, and downloading them before a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::CliError;
use super::progress::ProgressLine;
use super::warning::warn;
use lab::config::Settings;
use lab::download::{DownloadError, DownloadProgress, HashProgress, Hub, SourceError, Supplier};
use lab::event::{Event, Progress, Queue, Reporter, StageName};
use lab::plan::{Dag, Node, Plan};
use lab::source::{Source, SourceContent, SourceContents};
use lab::store::Store;
use lab::text::bytes;

/// The default of `HF_ENDPOINT`.
const HUB_ENDPOINT: &str = "https://huggingface.co";
/// How often the progress of a download is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
const MEGABYTE: f64 = 1e6;
/// Hashing that takes longer is shown.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Code of more bytes, which have to be hashed, is probably more than code.
const MOST_CODE_BYTES: u64 = 1 << 30;

/// How to find sources, according to the settings and the environment.
pub struct SourceAccess {
    hub: Hub,
    offline: bool,
    patience: Duration,
}

/// How long a request that fails is sent again.
pub fn patience(settings: &Settings) -> Duration {
    Duration::from_secs(settings.patience)
}

impl SourceAccess {
    /// Reads the variables that the programs of the Hub read, too.
    pub fn new(settings: &Settings) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is where the CLI reads the environment")]
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = || variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
        let hub_home = variable("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(cache()?.join("huggingface")));
        let kept_token = || {
            let path = variable("HF_TOKEN_PATH").map(PathBuf::from);
            let token = std::fs::read_to_string(path.or_else(|| Some(hub_home.as_ref()?.join("token")))?).ok()?;
            Some(token.trim().to_owned()).filter(|token| !token.is_empty())
        };
        let is_set = |name: &str| variable(name).is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str()));
        Self {
            hub: Hub {
                endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| HUB_ENDPOINT.to_owned()),
                token: variable("HF_TOKEN").or_else(kept_token),
                cache: variable("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(hub_home?.join("hub"))),
            },
            offline: settings.offline || is_set("HF_HUB_OFFLINE"),
            patience: patience(settings),
        }
    }

    /// The supplier that looks up and downloads sources.
    pub fn supplier<'a>(&'a self, store: &'a Store) -> Supplier<'a> {
        Supplier {
            store,
            hub: &self.hub,
            offline: self.offline,
            patience: self.patience,
        }
    }

    /// Looks up the content of all sources of an experiment. Returns what is known, and an error for each source whose content cannot be
    /// determined.
    pub fn look_up(&self, dag: &Dag, store: &Store) -> (SourceContents, Vec<(Source, SourceError)>) {
        let (mut contents, mut missing) = (SourceContents::new(), Vec::new());
        let sources: BTreeSet<&Source> = dag.graph.node_weights().flat_map(sources_of).collect();
        let mut shown = HashLine::new();
        for source in sources {
            match self.supplier(store).look(source, &mut |progress| shown.show(progress)) {
                Ok(Some(content)) => drop(contents.insert(source.clone(), content)),
                Ok(None) => {}
                Err(error) => missing.push((source.clone(), error)),
            }
        }
        (contents, missing)
    }
}

/// Shows the hashing of sources where it takes long.
struct HashLine {
    begun: Instant,
    line: Option<ProgressLine>,
}

impl HashLine {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            line: None,
        }
    }

    fn show(&mut self, progress: &HashProgress<'_>) {
        let HashProgress {
            source,
            file,
            count,
            done,
            total,
            is_first,
        } = progress;
        let name = &source.name;
        if *is_first && source.is_code && *total > MOST_CODE_BYTES {
            warn(format!(
                "source `{name}` has {} in {count} files, all of which are hashed now: leave out by `.gitignore` what is no code, or say in \
                 `files` which are meant",
                bytes(*total)
            ));
        }
        if self.begun.elapsed() < SHOWN_AFTER {
            return;
        }
        let line = self.line.get_or_insert_with(ProgressLine::new);
        line.show(&format!("source {name}: hashed {} of {}, now {file}", bytes(*done), bytes(*total)));
    }
}

/// The sources that the stages to run read, each once.
pub fn needed(plan: &Plan) -> BTreeSet<&Source> {
    plan.to_run().flat_map(|(_, node, _)| sources_of(node)).collect()
}

/// All sources and files that a stage reads from outside.
pub(super) fn sources_of(node: &Node) -> impl Iterator<Item = &Source> {
    let files = node.stage.files().iter().chain(node.stage.environment_files());
    node.stage.source().into_iter().chain(files)
}

/// Checks that no source that a plan needs is missing.
///
/// # Errors
/// When sources are missing: all of them.
pub fn require(plan: &Plan, missing: Vec<(Source, SourceError)>) -> Result<(), CliError> {
    let needed = needed(plan);
    let errors: Vec<SourceError> = missing
        .into_iter()
        .filter(|(source, _)| needed.contains(source))
        .map(|(_, error)| error)
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(CliError::Sources(errors))
    }
}

/// A message for each folder that the stages to run read as a source and that has no files for them.
pub fn without_files(plan: &Plan, contents: &SourceContents) -> Vec<String> {
    let is_empty = |source: &&&Source| {
        let Some(place) = source.path.as_deref().filter(|place| place.is_dir()) else {
            return false;
        };
        match contents.get(**source).filter(|_| source.pin().is_none()) {
            Some(content) => content.files.is_empty(),
            None => source.list(place).is_ok_and(|files| files.is_empty()),
        }
    };
    let needed = needed(plan);
    let empty = needed.iter().filter(is_empty);
    let counts = |source: &Source| if source.is_code { "hidden and ignored" } else { "hidden" };
    empty
        .map(|source| format!("source `{}` has no files ({} ones do not count)", source.name, counts(source)))
        .collect()
}

/// Downloads the sources that a plan needs. Before the first download, all sources are checked.
///
/// # Errors
/// When a source is missing, cannot be downloaded or does not match its pin.
pub fn download(
    plan: &Plan,
    contents: &mut SourceContents,
    supplier: &Supplier<'_>,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<(), CliError> {
    let needed = needed(plan);
    let is_interrupted = || interrupts.load(Ordering::Relaxed) > 0;
    let probe = |source: &&Source| supplier.probe(source, &mut || is_interrupted()).err();
    let errors: Vec<SourceError> = needed.iter().filter_map(probe).collect();
    if is_interrupted() {
        return Err(CliError::Interrupted);
    }
    if !errors.is_empty() {
        return Err(CliError::Sources(errors));
    }
    for source in needed {
        contents.insert(source.clone(), download_one(source, supplier, interrupts, reporter)?);
    }
    Ok(())
}

/// Downloads one source.
///
/// # Errors
/// As [`download`].
pub fn download_one(
    source: &Source,
    supplier: &Supplier<'_>,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<SourceContent, CliError> {
    let mut download = DownloadReporter::new(source, reporter);
    let supplied = supplier.supply(source, &mut |coming| {
        download.report(coming);
        interrupts.load(Ordering::Relaxed) == 0
    });
    let content = supplied.map_err(|error| match error {
        SourceError::Download {
            error: DownloadError::Stopped,
            ..
        } => CliError::Interrupted,
        other => CliError::Sources(vec![other]),
    })?;
    let is_new = download.last_report.is_some() && source.pin().is_none();
    let pin = || Some(supplier.pin(source, &content).ok()?.to_string());
    download.finish(if is_new { pin() } else { None });
    Ok(content)
}

/// Reports the progress of one download.
struct DownloadReporter<'a> {
    source: &'a Source,
    reporter: &'a mut dyn Reporter,
    begun: Instant,
    /// The time of the last report; `None` before the first.
    last_report: Option<Instant>,
    file: String,
    /// Received bytes of the current file.
    file_bytes: u64,
    /// Bytes of all files before it.
    earlier_bytes: u64,
}

impl<'a> DownloadReporter<'a> {
    fn new(source: &'a Source, reporter: &'a mut dyn Reporter) -> Self {
        Self {
            source,
            reporter,
            begun: Instant::now(),
            last_report: None,
            file: String::new(),
            file_bytes: 0,
            earlier_bytes: 0,
        }
    }

    fn report(&mut self, coming: &DownloadProgress<'_>) {
        if self.file != coming.file {
            self.earlier_bytes += self.file_bytes;
            coming.file.clone_into(&mut self.file);
        }
        self.file_bytes = coming.done;
        if let Some(notice) = coming.notice {
            let message = format!("source {}: {notice}", self.source.name);
            self.reporter.event(&Event::Warned { message });
        }
        if self.last_report.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        self.last_report = Some(Instant::now());
        let megabytes = |bytes: u64| (bytes as f64 / MEGABYTE).round() as u64;
        let seconds = self.begun.elapsed().as_secs_f64().max(1e-3);
        let speed = coming.done as f64 / MEGABYTE / seconds;
        self.reporter.event(&Event::Fetching {
            source: self.source.name.clone(),
            file: coming.file.to_owned(),
            progress: Progress {
                done: megabytes(coming.done),
                total: coming.total.map_or(0, megabytes),
                unit: "MB".to_owned(),
                readings: [("MB_per_second".to_owned(), speed)].into(),
            },
        });
        self.reporter.tick();
    }

    fn finish(self, pin: Option<String>) {
        if self.last_report.is_some() {
            self.reporter.event(&Event::Fetched {
                source: self.source.name.clone(),
                bytes: self.file_bytes + self.earlier_bytes,
                seconds: self.begun.elapsed().as_secs_f64(),
                pin,
            });
        }
    }
}

/// Passes events on, and remembers which downloads a stage could read and which it could not: the next run fetches the latter again.
pub struct ReadingReporter<'a> {
    reporter: &'a mut dyn Reporter,
    supplier: Supplier<'a>,
    /// The source of each stage that reads one, with its content.
    sources: BTreeMap<StageName, (Source, SourceContent)>,
    /// The sources that a stage has read, now or in an earlier run.
    read: BTreeSet<Source>,
}

impl<'a> ReadingReporter<'a> {
    /// For the stages of a plan, whose sources have these contents.
    pub fn new(reporter: &'a mut dyn Reporter, supplier: Supplier<'a>, plan: &Plan, contents: &SourceContents) -> Self {
        let sources = plan.stages().filter_map(|(_, node, _)| {
            let source = node.stage.source()?;
            Some((node.name.clone(), (source.clone(), contents.get(source)?.clone())))
        });
        Self {
            reporter,
            supplier,
            sources: sources.collect(),
            read: BTreeSet::new(),
        }
    }
}

impl Reporter for ReadingReporter<'_> {
    fn event(&mut self, event: &Event) {
        self.reporter.event(event);
        match event {
            Event::Finished { stage, .. } | Event::Cached { stage, .. } => {
                if let Some((source, content)) = self.sources.get(stage) {
                    self.supplier.trust(source, content);
                    self.read.insert(source.clone());
                }
            }
            Event::Failed { stage, .. } => {
                let unread = self.sources.get(stage).filter(|(source, _)| !self.read.contains(source));
                if let Some((source, _)) = unread.filter(|(source, content)| self.supplier.doubt(source, content)) {
                    let message = format!(
                        "source {} has no pin and may not be what it should: the next run fetches it again",
                        source.name
                    );
                    self.reporter.event(&Event::Warned { message });
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self) {
        self.reporter.tick();
    }

    fn look(&mut self, queue: &Queue) {
        self.reporter.look(queue);
    }
}
