//! `[environments.NAME]`: how programs are started, and what decides what is installed there.
//!
//! | file | purpose |
//! |---|---|
//! | `variables` | the one place that decides which environment variables a program gets |
//! | `launch` | the words before the stage's own, and which interpreter they lead to |
//! | `lock` | what a lock file says of versions |
//! | `version` | versions and constraints, as Python compares them |
//! | `installed` | asks an environment what is installed in it |
//! | `container` | containers, which mount folders |
//! | `check` | holds what is installed against the lock and `versions` |
//! | `missing` | what keeps an environment from being used, seen before anything runs |

mod check;
mod container;
mod installed;
mod launch;
mod lock;
mod missing;
mod variables;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

pub(super) use check::check;
pub(super) use container::{container, unheld};
pub(super) use installed::python_version;
pub(super) use launch::{is_python, launched};
pub(super) use missing::missing;
pub(super) use variables::{keyed_env, of_program, search_path, secrets};

use super::CommandStage;
use lab::config::ParamError;
use lab::source::Source;
use lab::stage::{ENVIRONMENT, Preparation, Secret};

/// What an image's name has before its digest.
const DIGEST_MARK: &str = "@sha256:";

/// How a program is started, and what decides what is installed there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Environment {
    /// Its name under `[environments]`; the configuration fills it in.
    #[schemars(skip)]
    name: String,
    /// The folder of its project; the configuration fills it in.
    #[schemars(skip)]
    folder: PathBuf,
    /// The words before the stage's program: `["uv", "run", "--frozen"]`, `".venv/bin/python"`, `"apptainer exec image.sif"`.
    #[schemars(with = "Words")]
    run: Vec<String>,
    /// A file with the versions of all packages; its content is in the key, and what is installed is held to it.
    lock: Option<PathBuf>,
    /// A file whose content is in the key, or the name of an image with its digest (`NAME@sha256:…`).
    image: Option<String>,
    /// Constraints of packages, as Python writes them: `{ torch = "2.*", python = ">=3.11" }`.
    versions: BTreeMap<String, String>,
    /// A command that makes or updates the environment; runs before the stages, and is not part of the key.
    #[schemars(with = "Words")]
    prepare: Vec<String>,
    /// Environment variables of all programs in it.
    env: BTreeMap<String, String>,
    /// Variables of the caller that they get as well; not part of the key.
    pass: Vec<String>,
    /// Variables of the caller that they get and nobody may see; not part of the key.
    secrets: Vec<String>,
}

/// A text of words, or a list of them, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Words {
    Text(String),
    List(Vec<String>),
}

impl Environment {
    /// `` environment `torch` ``, for messages.
    fn title(&self) -> String {
        if self.name.is_empty() {
            "the environment".to_owned()
        } else {
            format!("environment `{}`", self.name)
        }
    }

    /// The files that decide what is in it, each by its own name.
    fn files(&self) -> Vec<Source> {
        let image = self.image.as_ref().filter(|image| !image.contains(DIGEST_MARK)).map(PathBuf::from);
        let file = |path: PathBuf| Source {
            name: file_name(&path),
            path: Some(path),
            ..Source::default()
        };
        self.lock.clone().into_iter().chain(image).map(file).collect()
    }

    /// What of it enters the key, beside its files.
    fn keyed(&self) -> Value {
        let mut fields = Map::new();
        if let Some(image) = self.image.as_ref().filter(|image| image.contains(DIGEST_MARK)) {
            fields.insert("image".to_owned(), json!(image));
        }
        if !self.versions.is_empty() {
            fields.insert("versions".to_owned(), json!(self.versions));
        }
        let env: BTreeMap<_, _> = self.env.iter().filter(|(name, _)| !variables::is_device(name)).collect();
        if !env.is_empty() {
            fields.insert("env".to_owned(), json!(env));
        }
        Value::Object(fields)
    }

    /// Refuses what cannot be right, whatever is installed.
    fn problem(&self) -> Result<(), ParamError> {
        if self.run.iter().chain(&self.prepare).any(|word| word.contains('\0')) {
            return Err(ParamError::new(
                "run",
                "a word has a NUL in it (`\\u0000`), which no program can be given",
            ));
        }
        for (package, constraint) in &self.versions {
            version::Constraint::read(constraint).map_err(|why| ParamError::whole(why).within(package).within("versions"))?;
        }
        if let [one, other] = self.files().as_slice()
            && one.name == other.name
        {
            return Err(ParamError::new(
                "image",
                format!("`lock` and `image` are both called `{}`", one.name),
            ));
        }
        variables::problem(&self.env, &self.pass, &self.secrets)
    }

    /// The command that makes or updates it: its own, or where `uv run` starts programs, `uv sync`.
    pub(super) fn preparation(&self) -> Option<Preparation> {
        let (words, offline) = if self.prepare.is_empty() {
            let words = launch::uv_sync(&self.run, &self.folder)?;
            let offline = words.iter().cloned().chain(["--offline".to_owned()]).collect();
            (words, Some(offline))
        } else {
            (self.prepare.clone(), None)
        };
        Some(Preparation {
            environment: self.name.clone(),
            words,
            offline,
            env: self.env.clone(),
            folder: self.folder.clone(),
        })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What of the environment of a stage enters the key.
pub(super) fn keyed<S: Serializer>(environment: &Option<Environment>, serializer: S) -> Result<S::Ok, S::Error> {
    environment.as_ref().map(Environment::keyed).serialize(serializer)
}

impl CommandStage {
    /// Checks what the stage says of its environment, and notes the files that decide what is in it.
    pub(super) fn read_environment(&mut self) -> Result<(), ParamError> {
        if let Some(environment) = &self.environment {
            environment.problem().map_err(|error| error.within(ENVIRONMENT))?;
            self.environment_files = environment.files();
        }
        variables::problem(&self.env, &self.pass, &self.secrets)
    }

    /// The environment's part of the params that are not in the key.
    pub(super) fn unkeyed_environment(&self) -> Map<String, Value> {
        let mut params = Map::new();
        if let Some(environment) = &self.environment {
            params.insert(ENVIRONMENT.to_owned(), json!(environment));
        }
        if self.env.keys().any(|name| variables::is_device(name)) {
            params.insert("env".to_owned(), json!(self.env));
        }
        for (param, names) in [("pass", &self.pass), ("secrets", &self.secrets)] {
            if !names.is_empty() {
                params.insert(param.to_owned(), json!(names));
            }
        }
        params
    }

    /// The secrets of the stage and of its environment, each once.
    pub(super) fn named_secrets<'a>(&'a self) -> Vec<Secret<'a>> {
        let of_environment = self.environment.iter().flat_map(|environment| &environment.secrets);
        let names: BTreeSet<&'a String> = self.secrets.iter().chain(of_environment).collect();
        let secret = |variable: &'a String| Secret {
            variable: variable.as_str(),
            param: "secrets",
        };
        names.into_iter().map(secret).collect()
    }
}
