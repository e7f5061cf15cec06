//! An experiment's layers after they are merged.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::choices::Choices;
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, ValueOrigin};

/// The tables and texts of a file, in the order in which they are shown.
pub const KEYS: [&str; 17] = [
    "name",
    "description",
    "report",
    "extends",
    "settings",
    "params",
    "matrix",
    "ablate",
    "defaults",
    "models",
    "prompts",
    "sources",
    "environments",
    "tasks",
    "resources",
    "stages",
    "profile",
];
/// Keys that describe one experiment; experiments that extend it do not inherit them.
pub(super) const OWN: [&str; 3] = ["name", "description", "report"];
/// Settings that no experiment may have, since it may come from elsewhere.
pub const TRUST: [&str; 4] = ["trusted", "sign", "require_signature", "make_room"];

/// An experiment with all layers merged, templates and matrix as written.
#[derive(Clone, Debug)]
pub struct Document {
    /// The experiment's file, as given.
    pub file: PathBuf,
    /// All files of the experiment: those that it extends, then its own.
    pub files: Vec<PathBuf>,
    /// All keys but `extends` and `profile`.
    pub tree: ConfigTable,
    pub(super) order: EntryOrder,
    /// The names that templates use in any layer, profiles that were not chosen included.
    pub(super) used: BTreeSet<String>,
    /// The values that any layer gives the axes and params.
    pub(super) choices: Choices,
    /// Probable mistakes in what the layers say of one another.
    pub(super) warnings: Vec<Diagnostic>,
    /// What `~` stands for.
    pub(super) home: Option<PathBuf>,
    /// Keys that are wrong, and left out of the tree.
    pub(super) problems: Diagnostics,
}

impl Document {
    /// The entries of a top-level table, in the order in which the files name them first.
    pub fn entries<'a>(&'a self, table: &str) -> Vec<(&'a str, &'a ConfigValue)> {
        let fields = self.tree.get(table).and_then(ConfigValue::as_table);
        let names = self.order.names.get(table).map(Vec::as_slice).unwrap_or_default();
        let entry = |name: &'a String| Some((name.as_str(), fields?.get(name)?));
        names.iter().filter_map(entry).collect()
    }

    /// The fields of a table within, in the order in which the files were read.
    pub fn in_order<'a>(&self, fields: &'a ConfigTable) -> Vec<(&'a str, &'a ConfigValue)> {
        let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
        fields.sort_by_key(|(_, value)| value.origin.number());
        fields
    }

    /// Where an entry of a top-level table is named first; a merged value has the last place.
    pub fn declared(&self, table: &str, name: &str) -> ValueOrigin {
        let key = (table.to_owned(), name.to_owned());
        self.order.first.get(&key).cloned().unwrap_or_default()
    }
}

/// The order in which the entries of the top-level tables are named first; a [`ConfigTable`] is sorted by key.
#[derive(Clone, Debug, Default)]
pub(super) struct EntryOrder {
    names: BTreeMap<String, Vec<String>>,
    /// By table and name.
    first: HashMap<(String, String), ValueOrigin>,
}

impl EntryOrder {
    pub(super) fn note(&mut self, layer: &ConfigTable) {
        for (table, value) in layer {
            let mut entries: Vec<_> = value.as_table().into_iter().flatten().collect();
            entries.sort_by_key(|(_, value)| value.origin.number());
            let names = self.names.entry(table.clone()).or_default();
            for (name, value) in entries {
                self.first.entry((table.clone(), name.clone())).or_insert_with(|| {
                    names.push(name.clone());
                    value.origin.clone()
                });
            }
        }
    }
}

/// The message for a value where a table must be.
pub(super) fn not_a_table(what: &str, value: &ConfigValue) -> Diagnostic {
    let message = format!("`{what}` must be a table, not {}", value.describe());
    Diagnostic::new(message).at(value.at())
}
