//! The tasks of a group, which are in other files: by the name of a task, a tag or a group (`lm_eval/tasks/_factory.py`, `_index.py`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::error::TaskFileError;
use super::task::Remark;
use super::yaml::{self, Data, Map, Yaml, get};
use super::{ImportedTasks, include};

/// More task files in a folder are not looked through.
const MAX_FILES: usize = 20_000;
/// Groups within groups.
const MAX_DEPTH: usize = 8;

/// Fields of a group that are no fields of its tasks (`GroupConfig`).
const OF_GROUPS: [&str; 5] = ["group", "group_alias", "task", "aggregate_metric_list", "metadata"];

/// Imports all tasks of a group.
pub(super) fn import(path: &Path, config: &Map, imported: &mut ImportedTasks) -> Result<(), TaskFileError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut group = Group {
        index: Index::of(folder)?,
        seen: BTreeSet::new(),
        imported,
    };
    group.members(config, &Map::new(), 0)
}

/// Where the tasks, groups and tags of a folder are.
#[derive(Debug, Default)]
struct Index {
    files: BTreeMap<String, PathBuf>,
    tags: BTreeMap<String, BTreeSet<String>>,
}

struct Group<'i> {
    index: Index,
    /// The names that are in already.
    seen: BTreeSet<String>,
    imported: &'i mut ImportedTasks,
}

impl Index {
    fn of(folder: &Path) -> Result<Self, TaskFileError> {
        let mut index = Self::default();
        let files = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
        let files = files.filter(|entry| entry.file_type().is_file() && entry.path().extension().is_some_and(|end| end == "yaml"));
        for entry in files.take(MAX_FILES) {
            let Ok(config) = table(entry.path()) else { continue };
            let named = get(&config, "group").or_else(|| get(&config, "task")).and_then(Yaml::as_text);
            let Some(name) = named else { continue };
            if get(&config, "group").is_none() {
                for tag in texts(get(&config, "tag")) {
                    index.tags.entry(tag).or_default().insert(name.to_owned());
                }
            }
            index.files.entry(name.to_owned()).or_insert_with(|| entry.path().to_owned());
        }
        Ok(index)
    }
}

impl Group<'_> {
    /// Imports the members of a group; `given` are the fields that groups around it set for all tasks.
    fn members(&mut self, config: &Map, given: &Map, depth: usize) -> Result<(), TaskFileError> {
        let own = config.iter().filter(|(name, _)| !OF_GROUPS.contains(&name.as_str()));
        let mut fields: Map = own.cloned().collect();
        for (name, value) in given {
            yaml::set(&mut fields, name, value.clone());
        }
        let members = match get(config, "task") {
            Some(Yaml {
                data: Data::List(members), ..
            }) => members.clone(),
            Some(other) => vec![other.clone()],
            None => Vec::new(),
        };
        for member in &members {
            match &member.data {
                Data::Text(name) => self.named(name, member, &fields, depth)?,
                Data::Map(table) => self.table(table, get(config, "group").and_then(Yaml::as_text), member, &fields, depth)?,
                _ => self.lost("a member", member, "it must be the name of a task, or a table"),
            }
        }
        Ok(())
    }

    /// A member with fields of its own.
    fn table(&mut self, table: &Map, group: Option<&str>, member: &Yaml, fields: &Map, depth: usize) -> Result<(), TaskFileError> {
        let mut merged = fields.clone();
        for (name, value) in table {
            if !matches!(name.as_str(), "task" | "group") {
                yaml::set(&mut merged, name, value.clone());
            }
        }
        let text = |field: &str| get(table, field).and_then(Yaml::as_text);
        match (text("group"), text("task")) {
            (Some(other), _) if self.index.files.contains_key(other) => self.named(other, member, &merged, depth),
            (Some(_), _) if depth < MAX_DEPTH => self.members(table, fields, depth + 1),
            (None, Some(task)) if self.index.files.contains_key(task) || self.index.tags.contains_key(task) => {
                self.named(task, member, &merged, depth)
            }
            // A task that stands in the group itself has the group in its name.
            (None, Some(task)) => {
                let name = group.map_or_else(|| task.to_owned(), |group| format!("{group}-{task}"));
                self.imported.harness(&name, &merged);
                Ok(())
            }
            _ => {
                self.lost("a member", member, "it has neither `task` nor `group`");
                Ok(())
            }
        }
    }

    /// The task, group or tag of a name.
    fn named(&mut self, name: &str, member: &Yaml, fields: &Map, depth: usize) -> Result<(), TaskFileError> {
        if depth >= MAX_DEPTH {
            self.lost(name, member, "groups are nested too deep");
            return Ok(());
        }
        let Some(path) = self.index.files.get(name).cloned() else {
            let Some(tasks) = self.index.tags.get(name).cloned() else {
                self.lost(
                    name,
                    member,
                    "no file in the folder of the group, or below it, has this task, group or tag",
                );
                return Ok(());
            };
            return tasks.iter().try_for_each(|task| self.named(task, member, fields, depth + 1));
        };
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let mut config = include::resolve(&path, table(&path)?)?;
        if get(&config, "group").is_some() && get(&config, "class").is_none() {
            return self.members(&config, fields, depth + 1);
        }
        for (field, value) in fields {
            yaml::set(&mut config, field, value.clone());
        }
        self.imported.harness(name, &config);
        Ok(())
    }

    fn lost(&mut self, name: &str, member: &Yaml, why: &str) {
        self.imported.refuse(name, Remark::new(&member.place, why));
    }
}

/// A file without what it includes.
fn table(path: &Path) -> Result<Map, TaskFileError> {
    match include::read(path)?.data {
        Data::Map(table) => Ok(table),
        _ => Err(TaskFileError::NoTask { path: path.to_owned() }),
    }
}

/// A text, or a list of texts.
fn texts(value: Option<&Yaml>) -> Vec<String> {
    match value.map(|value| &value.data) {
        Some(Data::Text(text)) => vec![text.clone()],
        Some(Data::List(items)) => items.iter().filter_map(Yaml::as_text).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
