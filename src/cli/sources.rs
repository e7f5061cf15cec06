//! The sources of an experiment: what is known of them, and how they come to this machine before a run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::CliError;
use lab::config::Settings;
use lab::download::{Coming, DownloadError, FetchError, Hub, Supplier};
use lab::event::{Event, Progress, Reporter};
use lab::plan::{Dag, Node, Plan};
use lab::source::{Content, Contents, Source};
use lab::store::Store;

/// Where the hub is, unless the environment says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
/// How often the progress of a download is told.
const PULSE: Duration = Duration::from_millis(200);
const MEGABYTE: f64 = 1e6;

/// How sources are found, as settings and environment say.
pub struct Access {
    hub: Hub,
    offline: bool,
}

impl Access {
    /// Reads what the environment says of the hub, as its own programs do.
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
                endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
                token: variable("HF_TOKEN").or_else(kept_token),
                cache: variable("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(hub_home?.join("hub"))),
            },
            offline: settings.offline || is_set("HF_HUB_OFFLINE"),
        }
    }

    /// What knows where sources are.
    pub fn supplier<'a>(&'a self, store: &'a Store) -> Supplier<'a> {
        Supplier {
            store,
            hub: &self.hub,
            offline: self.offline,
        }
    }

    /// What is known of the sources of an experiment, and of which of them nothing can be known.
    pub fn look(&self, dag: &Dag, store: &Store) -> (Contents, Vec<(Source, FetchError)>) {
        let (mut contents, mut missing) = (Contents::new(), Vec::new());
        let sources: BTreeSet<&Source> = dag.graph.node_weights().flat_map(reads).collect();
        for source in sources {
            match self.supplier(store).look(source) {
                Ok(Some(content)) => drop(contents.insert(source.clone(), content)),
                Ok(None) => {}
                Err(error) => missing.push((source.clone(), error)),
            }
        }
        (contents, missing)
    }
}

/// The sources that the stages of a plan have to read, each once.
pub fn wanted(plan: &Plan) -> BTreeSet<&Source> {
    plan.to_run().flat_map(|(_, node, _)| reads(node)).collect()
}

/// All that a stage reads from outside.
fn reads(node: &Node) -> impl Iterator<Item = &Source> {
    node.stage.source().into_iter().chain(node.stage.files())
}

/// Says which of the sources that a plan needs are missing.
///
/// # Errors
/// When there are some: all of them.
pub fn check(plan: &Plan, missing: Vec<(Source, FetchError)>) -> Result<(), CliError> {
    let wanted = wanted(plan);
    let errors: Vec<FetchError> = missing
        .into_iter()
        .filter(|(source, _)| wanted.contains(source))
        .map(|(_, error)| error)
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(CliError::Sources(errors))
    }
}

/// Brings the sources that a plan needs to this machine. What is missing is said of all of them before the first is fetched.
///
/// # Errors
/// When one is missing, cannot be fetched or is not what its pin says.
pub fn bring(
    plan: &Plan,
    contents: &mut Contents,
    supplier: &Supplier<'_>,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<(), CliError> {
    let wanted = wanted(plan);
    let errors: Vec<FetchError> = wanted.iter().filter_map(|source| supplier.probe(source).err()).collect();
    if !errors.is_empty() {
        return Err(CliError::Sources(errors));
    }
    for source in wanted {
        contents.insert(source.clone(), bring_one(source, supplier, interrupts, reporter)?);
    }
    Ok(())
}

/// Brings one source to this machine.
///
/// # Errors
/// As [`bring`].
pub fn bring_one(
    source: &Source,
    supplier: &Supplier<'_>,
    interrupts: &AtomicUsize,
    reporter: &mut dyn Reporter,
) -> Result<Content, CliError> {
    let mut watch = Watch::new(source, reporter);
    let supplied = supplier.supply(source, &mut |coming| {
        watch.tell(coming);
        interrupts.load(Ordering::Relaxed) == 0
    });
    let content = supplied.map_err(|error| match error {
        FetchError::Download {
            error: DownloadError::Stopped,
            ..
        } => CliError::Interrupted,
        other => CliError::Sources(vec![other]),
    })?;
    let is_new = watch.told.is_some() && source.pin().is_none();
    let pin = || Some(supplier.pin(source, &content).ok()?.to_string());
    watch.end(if is_new { pin() } else { None });
    Ok(content)
}

/// Tells of one download.
struct Watch<'a> {
    source: &'a Source,
    reporter: &'a mut dyn Reporter,
    begun: Instant,
    /// When it was last told how far it is; nothing before it has begun.
    told: Option<Instant>,
    /// Bytes of the file that comes, and of those before it.
    bytes: (u64, u64),
    file: String,
}

impl<'a> Watch<'a> {
    fn new(source: &'a Source, reporter: &'a mut dyn Reporter) -> Self {
        Self {
            source,
            reporter,
            begun: Instant::now(),
            told: None,
            bytes: (0, 0),
            file: String::new(),
        }
    }

    fn tell(&mut self, coming: &Coming<'_>) {
        if self.file != coming.file {
            self.bytes = (0, self.bytes.0 + self.bytes.1);
            coming.file.clone_into(&mut self.file);
        }
        self.bytes.0 = coming.done;
        if self.told.is_some_and(|told| told.elapsed() < PULSE) {
            return;
        }
        self.told = Some(Instant::now());
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

    fn end(self, pin: Option<String>) {
        if self.told.is_some() {
            self.reporter.event(&Event::Fetched {
                source: self.source.name.clone(),
                bytes: self.bytes.0 + self.bytes.1,
                seconds: self.begun.elapsed().as_secs_f64(),
                pin,
            });
        }
    }
}
