//! Text → [`Experiment`]: layers, spans, templates, matrix.
//!
//! The way of a value: `text` parses each file once and gives every value its place (`origin`); `layers` collects the files, profiles,
//! variables and `--set`, and `merge` merges them; `matrix`, `ablate` and `scope` compute the names of each variant, `template` fills
//! them in, and `stages` writes out the indices. Outside of `merge` a value is a [`ConfigValue`], which keeps its place until a kind has
//! read it. The language is described in `docs/config.md`.

pub mod ablate;
mod axis;
mod cases;
mod choices;
mod deserialize;
mod diagnostic;
mod document;
mod exclusions;
mod files;
mod filled_text;
mod layers;
mod limits;
mod matrix;
mod merge;
mod named_tables;
mod nearest;
mod origin;
mod override_types;
mod overrides;
mod param_error;
mod paths;
mod pieces;
mod prompts;
mod range;
mod remote;
mod resources;
mod sampling;
mod sandbox;
mod scope;
mod slip;
mod stage_count;
mod stages;
mod template;
mod text;
mod unmatched;
mod unused;
mod value;

pub use axis::Coordinates;
pub use diagnostic::{Diagnostic, Diagnostics, Location, SourceText};
pub use document::{Document, KEYS, TRUST};
pub use layers::{layer, load_settings};
use limits::Memory;
pub use nearest::{known, nearest};
use origin::OriginCounter;
pub use origin::ValueOrigin;
pub use param_error::{ParamError, ParamProblem};
pub(crate) use paths::{anchored, is_in_home};
pub use pieces::{TemplatePiece, pieces};
pub use range::{RangeError, span};
pub use remote::{RemoteAccess, RemoteEntry};
pub use resources::{MemorySize, Resources, RetryCause, TimeSpan};
pub use sandbox::SandboxMode;
pub use scope::{Indexed, Scope};
pub use stages::{base_name, index, name_index};
pub use text::printed_number;
pub use value::{ConfigTable, ConfigValue, ValueData, key_text};

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The sources of an experiment's values. The library does not read the environment: the CLI passes it in.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The experiment.
    pub file: PathBuf,
    /// Profiles, in the order in which they apply.
    pub profiles: Vec<String>,
    /// `key=value`, each as given to `--set`.
    pub set: Vec<String>,
    /// Settings given by flags of their own: `("store", "/scratch/cache")` for `--store`.
    pub settings: Vec<(String, String)>,
    /// Environment variables; those that are not `RUNNER_…` are left alone.
    pub environment: Vec<(String, String)>,
    /// The user's file; it need not exist.
    pub user_file: Option<PathBuf>,
}

/// The sources of settings for commands without an experiment: the user's file, a project's, the environment, the command line.
#[derive(Clone, Debug, Default)]
pub struct SettingsOptions {
    /// The folder whose project counts: its `runner.toml`, or the nearest one above it.
    pub folder: PathBuf,
    /// As in [`LoadOptions`].
    pub settings: Vec<(String, String)>,
    /// As in [`LoadOptions`]; variables of params and of the matrix are left alone.
    pub environment: Vec<(String, String)>,
    /// As in [`LoadOptions`].
    pub user_file: Option<PathBuf>,
}

/// How to run; never part of a key. `None` means: the default for this machine.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folder of the store.
    pub store: Option<PathBuf>,
    /// Stages that may run at once.
    pub jobs: Option<NonZeroUsize>,
    /// Threads shared among the running stages.
    pub threads: Option<NonZeroUsize>,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: Option<String>,
    /// The memory that the running stages share which say how much they need: `"48 GiB"`. Left out, all that this machine has.
    pub memory: Option<MemorySize>,
    /// The GPUs that stages may use, by index or name; `[]` for none. Left out, those of `CUDA_VISIBLE_DEVICES`, or of `nvidia-smi`.
    pub gpus: Option<Vec<String>>,
    /// The folder of the locks by which the runs of all users of this machine share its GPUs. Left out, one among the temporary files.
    pub gpu_locks: Option<PathBuf>,
    /// What this machine or site has in place of an experiment's `[resources]`, by name and field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Resources>,
    /// Whether stages that do not depend on a failed one still run.
    pub keep_going: bool,
    /// Whether sources are never fetched: what is not on this machine is missing.
    pub offline: bool,
    /// How long a request to a server that fails for a moment is sent again, in seconds (0: not at all).
    pub patience: u64,
    /// Whether the machine's instruction set is part of the keys of stages that compute: for those who need the last bits.
    pub strict_numerics: bool,
    /// How far the programs of `command` stages are held to the files that they declare.
    pub sandbox: SandboxMode,
    /// Further files and folders that these programs may write to.
    pub writes: Vec<PathBuf>,
    /// Stores elsewhere, asked in this order for what the store has not.
    pub remotes: Vec<RemoteEntry>,
    /// Public keys (`ed25519:…`) of those whose records count where a signature is required.
    pub trusted: Vec<String>,
    /// Whether records are signed with the key of `runner signing-key new`.
    pub sign: bool,
    /// Whether a record without a trusted signature counts as a miss.
    pub require_signature: bool,
    /// Gigabytes that a run keeps free on the disk of the store, by deleting what gc may delete to make room (0: it deletes nothing).
    pub make_room: u64,
    /// A command that is started when a run has ended, with `{message}` in its words and JSON about the run as its standard input:
    /// `"notify-send runner {message}"`; empty for none.
    pub notify: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: None,
            jobs: None,
            threads: None,
            device: None,
            memory: None,
            gpus: None,
            gpu_locks: None,
            resources: BTreeMap::new(),
            keep_going: false,
            offline: false,
            patience: 600,
            strict_numerics: false,
            sandbox: SandboxMode::default(),
            writes: Vec::new(),
            remotes: Vec::new(),
            trusted: Vec::new(),
            sign: false,
            require_signature: false,
            make_room: 0,
            notify: String::new(),
        }
    }
}

impl Settings {
    /// The number of stages that run at once: by default, one for each of the machine's `cores`.
    pub fn jobs(&self, cores: usize) -> usize {
        self.jobs.map_or(cores, NonZeroUsize::get)
    }

    /// The number of threads that all running stages share: by default, one for each of the machine's `cores`.
    pub fn threads(&self, cores: usize) -> usize {
        self.threads.map_or(cores, NonZeroUsize::get)
    }

    /// The device that stages compute on.
    pub fn device(&self) -> &str {
        self.device.as_deref().unwrap_or("cpu")
    }
}

/// An experiment with all layers merged and all templates filled in.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub name: String,
    pub settings: Settings,
    /// Every change of `[ablate]` with every combination of the matrix, in the order of the file; one without coordinates where there
    /// is neither.
    pub variants: Vec<Variant>,
    /// The names of their coordinates: `ablate` if there is one, then the axes in the order of the file.
    pub axes: Vec<String>,
    /// The kinds that `[defaults]` has a table for, and what leads to it.
    pub defaults: BTreeMap<String, ValueOrigin>,
    /// The table `[report]` as it is written; the report gives it its meaning.
    pub report: Option<ConfigValue>,
    /// Probable mistakes that are not errors.
    pub warnings: Vec<Diagnostic>,
    /// What `~` stands for.
    pub(crate) home: Option<PathBuf>,
    /// Errors found while filling in; `plan::build` reports them together with its own.
    pub(crate) problems: Diagnostics,
}

/// One point of the matrix, with one change.
#[derive(Clone, Debug)]
pub struct Variant {
    /// By axis.
    pub coordinates: Coordinates,
    /// The params and the axes of the matrix, for indices in references and for the seed.
    pub scope: Scope,
    /// The top-level tables that params refer to by name: `environments`, `models`, `prompts`, `resources`, `sources`, `tasks`. Those without entries are left
    /// out.
    pub tables: BTreeMap<String, ConfigTable>,
    /// In the order of the file, indices ascending.
    pub stages: Vec<StageDeclaration>,
    /// Bases of stages that could not be read, which has been reported.
    pub(crate) unread: BTreeSet<String>,
}

/// One stage of one variant: a name, a kind and fields whose templates are filled in. The kind gives them their meaning.
#[derive(Clone, Debug)]
pub struct StageDeclaration {
    /// `numbered[3]`
    pub name: String,
    /// `numbered`
    pub base: String,
    /// `3`
    pub index: Option<i64>,
    /// `k`, where `for` gives the index.
    pub variable: Option<String>,
    /// All fields but `for`.
    pub fields: ConfigTable,
    /// Fields that could not be filled in, which has been reported.
    pub(crate) broken: BTreeSet<String>,
    /// The place of the table that declares it.
    pub origin: ValueOrigin,
}

/// Loads an experiment: merges its layers and fills it in.
///
/// # Errors
/// When a file cannot be read or is not TOML, a key is unknown, or a profile or an override names nothing: all of these at once.
/// Errors in the stages are reported by `plan::build`, together with those that only the kinds can find.
pub fn load(options: &LoadOptions) -> Result<Experiment, Vec<Diagnostic>> {
    Ok(expand(&layer(options)?))
}

/// Fills in the templates of a document, for every point of its matrix.
pub fn expand(document: &Document) -> Experiment {
    let mut problems = document.problems.clone();
    let name = document.tree.get("name").and_then(ConfigValue::as_str);
    // An empty name names nothing: the file's does.
    let name = name.filter(|name| !name.trim().is_empty()).map(str::to_owned);
    let settings = settings(document, &mut problems);
    let mut warnings = document.warnings.clone();
    let points = matrix::points(document, &mut problems, &mut warnings);
    if document.entries("stages").is_empty() && problems.is_empty() {
        let message = format!("`{}` has no stages", document.file.display());
        problems.push(Diagnostic::new(message).help("declare one: `[stages.problems]` with a `kind`"));
    }
    let variants = ablate::variants(document, points, &mut problems);
    let variants = written_out(document, variants, &mut problems);
    warnings.extend(unused::unused(document));
    warnings.extend(prompts::warnings(document));
    warnings.extend(unmatched::unmatched(document, variants.iter().flat_map(|variant| &variant.stages)));
    Experiment {
        name: name.unwrap_or_else(|| layers::stem(&document.file)),
        settings,
        variants,
        axes: axes(document),
        defaults: stages::defaults(document, &mut problems),
        report: document.tree.get("report").cloned(),
        warnings,
        home: document.home.clone(),
        problems,
    }
}

/// The names of the coordinates.
fn axes(document: &Document) -> Vec<String> {
    let ablate = document.tree.contains_key(ablate::AXIS).then_some(ablate::AXIS);
    let matrix = document.entries("matrix").into_iter();
    let axes = matrix.filter(|(name, value)| axis::is_axis(name, value)).map(|(name, _)| name);
    ablate.into_iter().chain(axes).map(str::to_owned).collect()
}

fn settings(document: &Document, problems: &mut Diagnostics) -> Settings {
    let Some(settings) = document.tree.get("settings") else {
        return Settings::default();
    };
    let read: Settings = settings.read().unwrap_or_else(|error| {
        problems.push(error.diagnostic(settings, "a setting", &[]));
        Settings::default()
    });
    remote::check(&read.remotes, settings, problems);
    for (name, resources) in &read.resources {
        let entry = settings.get("resources").and_then(|entries| entries.get(name));
        if let (Err(error), Some(entry)) = (resources.check(), entry) {
            problems.push(error.diagnostic(entry, &format!("`settings.resources.{name}`"), &[]));
        }
    }
    if let Some(store) = settings.get("store").filter(|store| store.as_str() == Some("")) {
        problems.push(Diagnostic::new("the folder of the store is empty").at(store.at()));
    }
    read
}

/// The variants at these points, with these changes; none where they are more than a machine can hold.
fn written_out(document: &Document, places: Vec<(Coordinates, ablate::AblationChange)>, problems: &mut Diagnostics) -> Vec<Variant> {
    let mut memory = Memory::new();
    let mut scopes = Vec::with_capacity(places.len());
    for (coordinates, change) in &places {
        scopes.push(scope::resolve(document, coordinates, &change.params, &mut memory, problems));
        if memory.is_full() {
            return Vec::new();
        }
    }
    if !stage_count::are_few_enough(document, &scopes, problems) {
        return Vec::new();
    }
    let mut variants = Vec::with_capacity(places.len());
    for ((coordinates, _), scope) in places.into_iter().zip(scopes) {
        let tables = named_tables::named_tables(document, &scope, problems);
        if !memory.take(tables.values().map(limits::table_bytes).sum(), problems) {
            return Vec::new();
        }
        let (stages, unread) = stages::declarations(document, &scope, &mut memory, problems);
        if memory.is_full() {
            return Vec::new();
        }
        variants.push(Variant {
            coordinates,
            scope,
            tables,
            stages,
            unread,
        });
    }
    variants
}
