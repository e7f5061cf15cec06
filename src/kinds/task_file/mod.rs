//! Task files of others, as tables `[tasks.NAME]`: those of lm-evaluation-harness, and the `eval.yaml` of data sets on the hub.

mod data;
mod error;
mod group;
mod harness;
mod include;
mod inspect;
mod scalar;
mod task;
mod toml;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::TaskFileError;
pub use task::Remark;
use task::Task;
use yaml::{Data, Map, get};

/// What came of a task file.
#[derive(Debug, Default)]
pub struct ImportedTasks {
    /// The tables of the tasks that come over, in TOML; empty if none does.
    pub toml: String,
    /// The names of these tasks.
    pub tasks: Vec<String>,
    /// What was left out of them; the tables say it too.
    pub left_out: Vec<(String, Vec<Remark>)>,
    /// The tasks that cannot come over, and why.
    pub refused: Vec<(String, Vec<Remark>)>,
}

/// Reads a task file with all that it includes. Of a group, the tasks are looked for in the folder of the file and those below it.
///
/// # Errors
/// When the file, or one that it includes, cannot be read or is no task file.
pub fn import(path: &Path) -> Result<ImportedTasks, TaskFileError> {
    let no_task = || TaskFileError::NoTask { path: path.to_owned() };
    let Data::Map(table) = include::read(path)?.data else {
        return Err(no_task());
    };
    let mut imported = ImportedTasks::default();
    if let (Some(tasks), None) = (get(&table, "tasks"), get(&table, "task").or(get(&table, "group"))) {
        for task in inspect::tasks(path, tasks) {
            imported.take(task, "an `eval.yaml`");
        }
        return Ok(imported);
    }
    let config = include::resolve(path, table)?;
    let is_group = get(&config, "class").is_none() && get(&config, "group").is_some();
    match get(&config, "task").filter(|_| !is_group) {
        Some(name) if name.as_text().is_some() => imported.harness(name.as_text().unwrap_or_default(), &config),
        Some(_) => group::import(path, &config, &mut imported)?,
        None if is_group => group::import(path, &config, &mut imported)?,
        None => return Err(no_task()),
    }
    Ok(imported)
}

impl ImportedTasks {
    fn harness(&mut self, name: &str, config: &Map) {
        self.take(harness::task(name, config), "lm-evaluation-harness");
    }

    fn take(&mut self, mut task: Task, origin: &str) {
        let table = toml::table_name(&task.name);
        if self.tasks.iter().any(|other| toml::table_name(other) == table) {
            let place = origin.to_owned();
            let text = format!("another task of the file has the name `{table}` already");
            task.refused.push(Remark { place, text });
        }
        if !task.refused.is_empty() {
            self.refused.push((task.name, task.refused));
            return;
        }
        if !self.toml.is_empty() {
            self.toml.push('\n');
        }
        self.toml += &task.write(origin);
        self.tasks.push(task.name.clone());
        if !task.left_out.is_empty() {
            self.left_out.push((task.name, task.left_out));
        }
    }

    /// A task that was named and not found.
    fn refuse(&mut self, name: &str, remark: Remark) {
        self.refused.push((name.to_owned(), vec![remark]));
    }
}
