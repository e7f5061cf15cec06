//! Text → [`Experiment`]: layers, spans, templates, matrix.
//!
//! The way of a value: `text` parses each file once and gives every value a tag that leads to its place (`origin`); `layers` merges
//! the files, profiles, variables and `--set` with figment, which keeps the tags; `matrix`, `ablate` and `scope` work out the names of each
//! variant, `template` fills them in, and `stages` writes out the indices. The language is described in `docs/config.md`.

pub mod ablate;
mod cases;
mod diagnostic;
mod files;
mod invalid;
mod layers;
mod matrix;
mod nearest;
mod origin;
mod overrides;
mod range;
mod remote;
mod scope;
mod stages;
mod template;
mod text;
mod unused;
pub mod value;

pub use diagnostic::{Diagnostic, Diagnostics, Location, Source};
pub use invalid::invalid;
pub use layers::{Document, KEYS, TRUST, layer, settings_alone};
pub use matrix::Coordinates;
pub use nearest::{known, nearest};
pub use origin::Origins;
pub use range::{RangeError, span};
pub use remote::{Access, Remote};
pub use scope::{Indexed, Scope};
pub use stages::index;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use figment::value::{Dict, Tag, Value};

/// What to load. The library reads no environment: the CLI hands it over.
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

/// How to run; never part of a key. `None` means: the default for this machine.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
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
    /// Whether stages that do not depend on a failed one still run.
    pub keep_going: bool,
    /// Whether sources are never fetched: what is not on this machine is missing.
    pub offline: bool,
    /// Whether the machine's instruction set is part of the keys of stages that compute: for those who need the last bits.
    pub strict_numerics: bool,
    /// Stores elsewhere, asked in this order for what the store has not.
    pub remotes: Vec<Remote>,
    /// Public keys (`ed25519:…`) of those whose records count where a signature is required.
    pub trusted: Vec<String>,
    /// Whether records are signed with the key of `runner signing-key new`.
    pub sign: bool,
    /// Whether a record without a trusted signature counts as a miss.
    pub require_signature: bool,
}

impl Settings {
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
    /// The kinds that `[defaults]` has a table for, and what leads to it.
    pub defaults: BTreeMap<String, Tag>,
    /// The place of every value, by its tag.
    pub origins: Origins,
    /// The tables and figures that a report begins with, and what leads to each name.
    pub shows: Vec<(String, Tag)>,
    /// What is not wrong and probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// What was found wrong while filling in; `plan::build` reports it together with what it finds itself.
    pub(crate) problems: Diagnostics,
}

/// One point of the matrix, with one change.
#[derive(Clone, Debug)]
pub struct Variant {
    /// By axis.
    pub coordinates: Coordinates,
    /// The params and the axes of the matrix, for indices in references and for the seed.
    pub scope: Scope,
    /// The top-level tables that params refer to by name: `models`, `prompts`, `sources`.
    pub tables: BTreeMap<String, Dict>,
    /// In the order of the file, indices ascending.
    pub stages: Vec<StageDeclaration>,
    /// Bases of stages that could not be read, which has been reported.
    pub(crate) unread: BTreeSet<String>,
}

/// One stage of one variant: a name, a kind and fields whose templates are filled in; what they mean is the kind's to say.
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
    pub fields: Dict,
    /// Fields that could not be filled in, which has been reported.
    pub(crate) broken: BTreeSet<String>,
    /// Leads to the table that declares it.
    pub tag: Tag,
}

/// Loads an experiment: merges its layers and fills it in.
///
/// # Errors
/// When a file cannot be read or is not TOML, a key is unknown, or a profile or an override names nothing: all of these at once.
/// What is wrong in the stages is reported by `plan::build`, together with what only the kinds know.
pub fn load(options: &LoadOptions) -> Result<Experiment, Vec<Diagnostic>> {
    Ok(expand(&layer(options)?))
}

/// Fills in the templates of a document, for every point of its matrix.
pub fn expand(document: &Document) -> Experiment {
    let mut problems = document.problems.clone();
    let name = document.tree.get("name").and_then(Value::as_str).map(str::to_owned);
    let settings = settings(document, &mut problems);
    let points = matrix::points(document, &mut problems);
    if document.entries("stages").is_empty() && problems.is_empty() {
        let message = format!("`{}` has no stages", document.file.display());
        problems.push(Diagnostic::new(message).help("declare one: `[stages.problems]` with a `kind`"));
    }
    let variants = ablate::variants(document, &points, &mut problems);
    let variants = variants.into_iter().map(|place| variant(document, place, &mut problems)).collect();
    Experiment {
        name: name.unwrap_or_else(|| layers::stem(&document.file)),
        settings,
        variants,
        defaults: stages::defaults(document, &mut problems),
        origins: document.origins.clone(),
        shows: shows(document, &mut problems),
        warnings: unused::unused(document),
        problems,
    }
}

/// The names in `shows`; which there are is the report's to say.
fn shows(document: &Document, problems: &mut Diagnostics) -> Vec<(String, Tag)> {
    let Some(shows) = document.tree.get("shows") else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in value::items(shows) {
        match item.as_str() {
            Some(name) => names.push((name.to_owned(), item.tag())),
            None => {
                let message = format!("`shows` names a table, a figure, or a list of these, not {}", value::describe(item));
                problems.push(Diagnostic::new(message).at(document.origins.value(item.tag())));
            }
        }
    }
    names
}

fn settings(document: &Document, problems: &mut Diagnostics) -> Settings {
    let Some(settings) = document.tree.get("settings") else {
        return Settings::default();
    };
    let read: Settings = settings.deserialize().unwrap_or_else(|error: figment::Error| {
        problems.extend(invalid(error, settings, "a setting", &[], &document.origins));
        Settings::default()
    });
    remote::check(&read.remotes, settings, &document.origins, problems);
    read
}

fn variant(document: &Document, (coordinates, change): (Coordinates, ablate::Change), problems: &mut Diagnostics) -> Variant {
    let scope = scope::resolve(document, &coordinates, &change.params, problems);
    let (stages, unread) = stages::declarations(document, &scope, problems);
    Variant {
        tables: tables(document, &scope, problems),
        coordinates,
        scope,
        stages,
        unread,
    }
}

/// `[models]` and `[sources]`, with templates filled in, and `[prompts]`, whose braces are its own.
fn tables(document: &Document, scope: &Scope, problems: &mut Diagnostics) -> BTreeMap<String, Dict> {
    let mut models = Dict::new();
    for (name, value) in document.entries("models") {
        if value.as_dict().is_none() {
            problems.push(layers::not_a_table(&format!("models.{name}"), value, &document.origins));
            continue;
        }
        match scope::fill(value, &scope.indexed(None, None), &document.origins) {
            Ok(filled) => {
                models.insert(name.to_owned(), filled);
            }
            Err(problem) if scope.excuses(value) => drop(problem),
            Err(problem) => problems.push(problem),
        }
    }
    let mut prompts = Dict::new();
    for (name, value) in document.entries("prompts") {
        if value.as_str().is_none() {
            let message = format!("prompt `{name}` must be a text with `{{question}}`, not {}", value::describe(value));
            problems.push(Diagnostic::new(message).at(document.origins.value(value.tag())));
        }
        prompts.insert(name.to_owned(), value.clone());
    }
    let sources = sources(document, scope, problems);
    BTreeMap::from([
        ("models".to_owned(), models),
        ("prompts".to_owned(), prompts),
        ("sources".to_owned(), sources),
    ])
}

/// `[sources]`, each a table that has its own name, for messages; a text is a path.
fn sources(document: &Document, scope: &Scope, problems: &mut Diagnostics) -> Dict {
    let mut sources = Dict::new();
    for (name, value) in document.entries("sources") {
        let filled = match value {
            Value::String(..) => Ok(Dict::from([("path".to_owned(), value.clone())])),
            Value::Dict(..) => {
                scope::fill(value, &scope.indexed(None, None), &document.origins).map(|filled| filled.into_dict().unwrap_or_default())
            }
            _ => Err(layers::not_a_table(&format!("sources.{name}"), value, &document.origins)),
        };
        match filled {
            Ok(mut fields) => {
                fields.insert("name".to_owned(), Value::String(value.tag(), name.to_owned()));
                sources.insert(name.to_owned(), Value::Dict(value.tag(), fields));
            }
            Err(problem) if scope.excuses(value) => drop(problem),
            Err(problem) => problems.push(problem),
        }
    }
    sources
}
