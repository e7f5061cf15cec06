//! The layers of an experiment: files, profiles, environment, `--set`; later ones win.

use std::collections::BTreeSet;
use std::path::Path;

use super::choices::Choices;
use super::document::{Document, EntryOrder, KEYS, OWN, TRUST, not_a_table};
use super::files::{ExperimentReader, LayerFile};
use super::merge::merged;
use super::nearest::{known, nearest};
use super::overrides::{self, Assignment};
use super::{
    ConfigTable, ConfigValue, Diagnostic, Diagnostics, LoadOptions, Settings, SettingsOptions, axis, override_types, paths, remote,
    unmatched, unused,
};

const TEXTS: [&str; 2] = ["name", "description"];

/// Merges all layers that `options` name.
///
/// # Errors
/// When a file cannot be read or is not TOML, a key is unknown, or a profile or an override names nothing.
pub fn layer(options: &LoadOptions) -> Result<Document, Vec<Diagnostic>> {
    let mut reader = ExperimentReader::new(paths::home(&options.environment));
    let folder = options.file.parent().unwrap_or(Path::new(""));
    reader.settings(folder, options.user_file.as_deref());
    reader.experiment(&options.file, None);
    merge(options, reader)
}

/// Loads the settings of the user and of a project, without an experiment.
///
/// # Errors
/// When a file cannot be read or is not TOML, or a setting is wrong.
pub fn load_settings(options: &SettingsOptions) -> Result<Settings, Vec<Diagnostic>> {
    let mut reader = ExperimentReader::new(paths::home(&options.environment));
    reader.settings(&options.folder, options.user_file.as_deref());
    let mut environment = options.environment.clone();
    environment.retain(|(name, _)| !name.starts_with("RUNNER_PARAMS__") && !name.starts_with("RUNNER_MATRIX__"));
    let layers = LoadOptions {
        file: options.folder.clone(),
        settings: options.settings.clone(),
        environment,
        ..LoadOptions::default()
    };
    let mut document = merge(&layers, reader)?;
    let mut problems = std::mem::take(&mut document.problems);
    let settings = super::settings(&document, &mut problems);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems.into_vec())
    }
}

fn merge(options: &LoadOptions, reader: ExperimentReader) -> Result<Document, Vec<Diagnostic>> {
    let ExperimentReader {
        mut origins,
        mut problems,
        files: read,
        ..
    } = reader;
    let mut layers = Layers::default();
    let mut wrong_keys = Diagnostics::default();
    let mut files = Vec::new();
    for mut file in read {
        if !file.settings_only {
            files.push(file.path.clone());
        }
        check_file(&mut file, &mut wrong_keys);
        layers.add(file.tree);
    }
    if !problems.is_empty() {
        return Err(problems.into_vec());
    }
    layers
        .warnings
        .extend(unmatched::profiles(&layers.tree, &layers.used, &options.profiles, &options.file));
    layers.profiles(&options.profiles, &mut problems);
    let given = overrides::environment(&options.environment, &mut origins, &mut problems);
    layers.assign(given, &mut problems);
    let given = overrides::command_line(options, &mut origins, &mut problems);
    layers.assign(given, &mut problems);

    wrong_keys.extend(layers.problems.into_vec());
    let mut tree = layers.tree;
    tree.retain(|key, _| key != "extends" && key != "profile");
    paths::expand_home(&mut tree, paths::home(&options.environment).as_deref(), &mut problems);
    paths::refuse_empty(&mut tree, &mut problems);
    if let Some(settings) = tree.get_mut("settings") {
        remote::mask(settings);
    }
    if !problems.is_empty() {
        problems.extend(wrong_keys.into_vec());
        return Err(problems.into_vec());
    }
    Ok(Document {
        file: options.file.clone(),
        files,
        tree,
        order: layers.order,
        used: layers.used,
        choices: layers.choices,
        warnings: layers.warnings,
        home: paths::home(&options.environment),
        problems: wrong_keys,
    })
}

#[derive(Default)]
struct Layers {
    tree: ConfigTable,
    order: EntryOrder,
    used: BTreeSet<String>,
    choices: Choices,
    warnings: Vec<Diagnostic>,
    /// Axes that are wrong.
    problems: Diagnostics,
}

impl Layers {
    fn add(&mut self, mut layer: ConfigTable) {
        axis::write_out(&mut layer, &mut self.problems);
        self.order.note(&layer);
        self.choices.collect(&layer);
        // A report names axes and metrics; that makes nothing depend on them.
        let values = layer.iter().filter(|(key, _)| *key != "report");
        values.for_each(|(_, value)| unused::collect(value, &mut self.used));
        self.tree = merged(std::mem::take(&mut self.tree), layer);
    }

    /// Adds the tables of the profiles chosen, in the order chosen.
    fn profiles(&mut self, chosen: &[String], problems: &mut Diagnostics) {
        let tree = self.tree.clone();
        let profiles = tree.get("profile").and_then(ConfigValue::as_table);
        for (name, profile) in profiles.into_iter().flatten() {
            match profile.as_table() {
                Some(keys) => check_keys(keys, &format!("profile `{name}`"), &in_profiles(), problems),
                None => problems.push(not_a_table(&format!("profile.{name}"), profile)),
            }
        }
        for name in chosen {
            let found = profiles.and_then(|profiles| profiles.get(name)).and_then(ConfigValue::as_table);
            let names = || profiles.into_iter().flatten().map(|(name, _)| name.as_str());
            match found {
                Some(profile) => self.add(profile.clone()),
                None => problems.push(Diagnostic::new(format!("no profile `{name}` ({})", known(names()))).suggest(nearest(name, names()))),
            }
        }
    }

    fn assign(&mut self, assignments: Vec<Assignment>, problems: &mut Diagnostics) {
        if assignments.is_empty() {
            return;
        }
        let tree = self.tree.clone();
        for assignment in assignments {
            let located = overrides::locate(assignment, &tree).and_then(Assignment::written_out);
            let checked = located.and_then(|assignment| Ok((override_types::check_type(&assignment, &tree)?, assignment)));
            match checked {
                Ok((warning, assignment)) => {
                    self.warnings.extend(warning);
                    self.add(assignment.into_layer());
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
}

/// Reports the keys of a file that are wrong, and takes them out.
fn check_file(file: &mut LayerFile, problems: &mut Diagnostics) {
    if file.settings_only {
        check_keys(&file.tree, "a user or project file", &["settings"], problems);
    } else {
        check_keys(&file.tree, "an experiment", &KEYS, problems);
        check_trust(&file.tree, problems);
    }
    file.tree.retain(|key, value| {
        let text = TEXTS.contains(&key.as_str());
        let fits = match key.as_str() {
            _ if text => value.as_str().is_some(),
            "extends" => true,
            _ => value.as_table().is_some(),
        };
        if text && !fits {
            let message = format!("`{key}` must be a text, not {}", value.describe());
            problems.push(Diagnostic::new(message).at(value.at()));
        } else if !fits && KEYS.contains(&key.as_str()) {
            problems.push(not_a_table(key, value));
        }
        fits && KEYS.contains(&key.as_str())
    });
}

/// Reports settings of trust in an experiment or its profiles: a file that came from elsewhere must not choose whose records are
/// trusted, or what is deleted.
fn check_trust(tree: &ConfigTable, problems: &mut Diagnostics) {
    let profiles = tree.get("profile").and_then(ConfigValue::as_table).into_iter().flatten();
    let profiles = profiles.filter_map(|(_, profile)| profile.as_table()?.get("settings"));
    let settings = tree.get("settings").into_iter().chain(profiles);
    for (key, value) in settings.filter_map(ConfigValue::as_table).flatten() {
        if TRUST.contains(&key.as_str()) {
            let why = if key == "make_room" {
                "what a run may delete"
            } else {
                "whose records this machine believes"
            };
            let message = format!("`{key}` cannot be set by an experiment: it says {why}");
            let help = "set it in `~/.config/runner/config.toml` or the project's `runner.toml`";
            problems.push(Diagnostic::new(message).at(value.key_at()).help(help));
        }
    }
}

fn check_keys(tree: &ConfigTable, whole: &str, keys: &[&'static str], problems: &mut Diagnostics) {
    for (key, value) in tree {
        if key == "shows" {
            let help = format!("write it there: `[report]`, and below it `shows = {}`", value.toml());
            problems.push(
                Diagnostic::new("`shows` is now a field of `[report]`")
                    .at(value.key_at())
                    .help(help),
            );
        } else if !keys.contains(&key.as_str()) {
            let message = format!("no key `{key}` in {whole} ({})", known(keys.iter().copied()));
            let suggestion = nearest(key, keys.iter().copied());
            problems.push(Diagnostic::new(message).at(value.key_at()).suggest(suggestion));
        }
    }
}

/// The keys that a profile may have.
fn in_profiles() -> Vec<&'static str> {
    let others = ["extends", "profile"];
    KEYS.into_iter().filter(|key| !OWN.contains(key) && !others.contains(key)).collect()
}

/// The name of an experiment that gives none: its file's.
pub(super) fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
