//! The tables whose entries stages name: `[models]`, `[prompts]`, `[sources]`, `[environments]`, `[tasks]`, `[resources]`.

use std::collections::BTreeMap;

use super::document::not_a_table;
use super::scope::{Scope, fill, fill_task};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document, ValueData, prompts};

/// The table of tasks.
const TASKS: &str = "tasks";

/// All of them for one variant, with templates filled in but for those of prompts, whose braces are their own, and for the fields of records
/// in tasks. Empty ones are left out.
pub(super) fn named_tables(document: &Document, scope: &Scope, problems: &mut Diagnostics) -> BTreeMap<String, ConfigTable> {
    let mut reader = TableReader { document, scope, problems };
    let tables = [
        ("environments", reader.environments()),
        ("models", reader.models()),
        ("prompts", reader.prompts()),
        ("sources", reader.sources()),
        (TASKS, reader.tasks()),
        ("resources", reader.filled("resources", |_, fields, _| fields)),
    ];
    let tables = tables.into_iter().filter(|(_, table)| !table.is_empty());
    tables.map(|(name, table)| (name.to_owned(), table)).collect()
}

struct TableReader<'a> {
    document: &'a Document,
    scope: &'a Scope,
    problems: &'a mut Diagnostics,
}

impl TableReader<'_> {
    fn models(&mut self) -> ConfigTable {
        self.filled("models", |_, fields, _| fields)
    }

    fn prompts(&mut self) -> ConfigTable {
        let mut prompts = ConfigTable::new();
        for (name, value) in self.document.entries("prompts") {
            self.problems.extend(prompts::problem(name, value));
            prompts.insert(name.to_owned(), value.clone());
        }
        prompts
    }

    /// Each has its own name, for messages.
    fn environments(&mut self) -> ConfigTable {
        self.filled("environments", with_name)
    }

    fn tasks(&mut self) -> ConfigTable {
        self.filled(TASKS, |_, fields, _| fields)
    }

    /// Each has its own name, for messages, and the files of the experiment; a text is a path.
    fn sources(&mut self) -> ConfigTable {
        let files = self.document.files.iter().map(|file| file.to_string_lossy().into_owned());
        let experiment: ConfigValue = serde_json::json!(files.collect::<Vec<_>>()).into();
        let sources = self.filled("sources", |name, mut fields, value| {
            fields.insert("_experiment".to_owned(), experiment.clone());
            with_name(name, fields, value)
        });
        let is_empty = |files: &&ConfigValue| files.as_list().is_some_and(<[ConfigValue]>::is_empty);
        for (name, source) in &sources {
            if let Some(files) = source.get("files").filter(is_empty) {
                let message = format!("`files` of the source `{name}` is empty, which names nothing");
                let help = "leave it out for all files of a folder";
                self.problems.push(Diagnostic::new(message).at(files.at()).help(help));
            }
        }
        sources
    }

    /// The entries of a table that are tables themselves, filled in and completed. What is wrong is reported and left out.
    fn filled(&mut self, table: &str, complete: impl Fn(&str, ConfigTable, &ConfigValue) -> ConfigTable) -> ConfigTable {
        let mut entries = ConfigTable::new();
        for (name, value) in self.document.entries(table) {
            let filled = match &value.data {
                ValueData::Table(_) if table == TASKS => fill_task(value, &self.scope.indexed(None, None)),
                ValueData::Table(_) => fill(value, &self.scope.indexed(None, None)),
                ValueData::Text(_) if table == "sources" => Ok(ConfigValue::table(
                    ConfigTable::from([("path".to_owned(), value.clone())]),
                    value.origin.clone(),
                )),
                _ => Err(not_a_table(&format!("{table}.{name}"), value)),
            };
            match filled {
                Ok(filled) => {
                    let fields = filled.as_table().cloned().unwrap_or_default();
                    let completed = complete(name, fields, value);
                    entries.insert(name.to_owned(), ConfigValue::table(completed, value.origin.clone()));
                }
                Err(problem) if self.scope.excuses(value) => drop(problem),
                Err(problem) => self.problems.push(problem),
            }
        }
        entries
    }
}

fn with_name(name: &str, mut fields: ConfigTable, value: &ConfigValue) -> ConfigTable {
    fields.insert("name".to_owned(), ConfigValue::text(name, value.origin.clone()));
    fields
}
