//! Text → [`Experiment`]: layers, spans, templates, matrix.

mod diagnostic;

pub use diagnostic::{Diagnostic, Location, Source};

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::{Dict, Value};

/// How to run; never part of a key. `None` means: the default for this machine.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folder of the store.
    pub store: Option<PathBuf>,
    /// Stages that may run at once.
    pub jobs: Option<usize>,
    /// Threads shared among the running stages.
    pub threads: Option<usize>,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: Option<String>,
    /// Whether stages that do not depend on a failed one still run.
    pub keep_going: bool,
}

/// An experiment with all layers merged and all templates filled in.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub name: String,
    pub settings: Settings,
    /// The top-level tables that params refer to by name: `models`, `prompts`.
    pub tables: BTreeMap<String, Dict>,
    /// Every combination of the matrix, in the order of the file; one without coordinates where there is no matrix.
    pub variants: Vec<Variant>,
}

/// One point of the matrix.
#[derive(Clone, Debug)]
pub struct Variant {
    /// By axis.
    pub coordinates: BTreeMap<String, Value>,
    /// In the order of the file, indices ascending.
    pub stages: Vec<StageDeclaration>,
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
    /// All fields but `for`.
    pub fields: Dict,
    /// The key path of the table that declares it, for messages: `["stages", "numbered[k]"]`.
    pub path: Vec<String>,
}
