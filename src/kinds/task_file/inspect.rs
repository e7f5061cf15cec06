//! The `eval.yaml` of a data set on the hub, which Inspect reads (`inspect_ai/_eval/task/hf.py`).

mod scorers;
mod solvers;

use std::path::Path;

use super::data::DataPlace;
use super::task::{Remark, Task};
use super::toml::Toml;
use super::yaml::{Data, Map, Yaml, get};
use crate::question::template::{TaskTemplate, TemplateLanguage, is_plain};

/// What the letters of choices are taken from.
const LETTERS: &str = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ'";

/// The fields of a record that a task uses.
struct Fields {
    input: String,
    target: String,
    /// The choices as an expression of Jinja.
    choices: Option<String>,
}

/// Converts the tasks of a file.
pub(super) fn tasks(path: &Path, tasks: &Yaml) -> Vec<Task> {
    let Data::List(items) = &tasks.data else {
        let mut task = Task {
            name: "tasks".to_owned(),
            ..Task::default()
        };
        task.refuse(&tasks.place, format!("`tasks` must be a list, and is {}", tasks.kind()));
        return vec![task];
    };
    // The folder is the copy of a data set's repository, and mostly has its name.
    let folder = path
        .canonicalize()
        .ok()
        .and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    let folder = folder.unwrap_or_else(|| "task".to_owned());
    items.iter().map(|item| task(item, &folder)).collect()
}

fn task(item: &Yaml, folder: &str) -> Task {
    let mut task = Task {
        name: folder.to_owned(),
        ..Task::default()
    };
    let Some(map) = item.as_map() else {
        task.refuse(&item.place, "a task must be a table");
        return task;
    };
    if let Some(id) = get(map, "id").and_then(Yaml::as_text) {
        id.clone_into(&mut task.name);
    }
    refuse_unread(map, &mut task);
    let Some(fields) = fields(map, item, &mut task) else { return task };
    task.set("output_type", Toml::text("generate_until"));
    let question = solvers::question(map, &fields, &mut task);
    task.set("doc_to_text", Toml::Text(question));
    task.set("doc_to_target", Toml::Text(fields.target.clone()));
    if let Some(Data::Whole(epochs @ 2..)) = get(map, "epochs").map(|value| &value.data) {
        task.set("repeats", Toml::Whole(*epochs));
    }
    finish_language(&mut task, item);
    scorers::write(map, &fields, &mut task);
    let text = |name: &str, usual: &str| get(map, name).and_then(Yaml::as_text).unwrap_or(usual).to_owned();
    task.data = Some(DataPlace {
        repository: "OWNER/DATA-SET".to_owned(),
        configuration: Some(text("config", "default")),
        asked: Some(text("split", "test")),
        ..DataPlace::default()
    });
    task
}

fn refuse_unread(map: &Map, task: &mut Task) {
    let read = ["id", "config", "split", "field_spec", "epochs", "solvers", "scorers"];
    for (name, value) in map {
        match name.as_str() {
            _ if value.is_null() || value.data == Data::Bool(false) => {}
            name if read.contains(&name) => {}
            "epoch_reducer" => task.leave_out(&value.place, "`epoch_reducer`: the scores of repeats are all reported"),
            "shuffle_choices" => task.leave_out(&value.place, "`shuffle_choices`: choices keep their order"),
            other => task.refuse(&value.place, format!("`{other}` is no field of a task")),
        }
    }
}

fn fields(map: &Map, item: &Yaml, task: &mut Task) -> Option<Fields> {
    let Some(spec) = get(map, "field_spec").and_then(Yaml::as_map) else {
        task.refuse(&item.place, "the task has no `field_spec`");
        return None;
    };
    if let Some(image) = get(spec, "input_image") {
        task.refuse(&image.place, "`input_image`: models here read text alone");
    }
    let mut field = |name: &str| {
        let value = get(spec, name).and_then(Yaml::as_text);
        if value.is_none() {
            task.refuse(&item.place, format!("`field_spec` has no `{name}`"));
        }
        value.map(str::to_owned)
    };
    let (input, target) = (field("input")?, field("target")?);
    // What is no name in Jinja is refused when the template is read.
    let choices = match get(spec, "choices").map(|value| &value.data) {
        Some(Data::Text(name)) => Some(name.clone()),
        Some(Data::List(names)) => {
            let names: Vec<String> = names.iter().filter_map(Yaml::as_text).map(str::to_owned).collect();
            Some(format!("[{}]", names.join(", ")))
        }
        _ => None,
    };
    let target = match target.strip_prefix("literal:") {
        Some(text) => text.to_owned(),
        // A number is that of a choice, and is asked for as its letter.
        None if choices.is_some() => format!("{{{{ {LETTERS}[{target}] if {target} is number else {target} }}}}"),
        None => format!("{{{{{target}}}}}"),
    };
    Some(Fields { input, target, choices })
}

/// Says in which language the texts are, and whether they can be read.
fn finish_language(task: &mut Task, item: &Yaml) {
    let texts = task.fields.iter().filter_map(|(name, value)| match value {
        Toml::Text(text) if name.starts_with("doc_to_") || name == "description" => Some((name.clone(), text.clone())),
        _ => None,
    });
    let texts: Vec<(String, String)> = texts.collect();
    let language = if texts.iter().all(|(_, text)| is_plain(text)) {
        TemplateLanguage::Fields
    } else {
        TemplateLanguage::Jinja
    };
    for (name, text) in &texts {
        if let Err(error) = TaskTemplate::parse(text, language) {
            task.refused.push(Remark {
                place: item.place.to_string(),
                text: format!("`{name}` cannot be read: {error}"),
            });
        }
    }
    if language == TemplateLanguage::Jinja {
        task.set("template", Toml::text("jinja"));
    }
}
