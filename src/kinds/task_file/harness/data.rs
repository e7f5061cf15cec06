//! Where the records of a task come from.

use super::super::data::DataPlace;
use super::super::task::Task;
use super::super::yaml::{Data, Map, Yaml, get};
use super::fewshot;

/// The place of the data, as far as the file says it.
pub(super) fn place(config: &Map, task: &mut Task) -> Option<DataPlace> {
    let text = |field: &str| get(config, field).and_then(super::text_of);
    let repository = text("dataset_path")?;
    let table = get(config, "fewshot_config").and_then(Yaml::as_map);
    let examples = fewshot::split(config, table.unwrap_or(&Map::new()));
    let asked = fewshot::asked(config);
    if let (None, Some(value)) = (&asked, get(config, "dataset_path")) {
        task.leave_out(
            &value.place,
            "the split that is asked: the file has no `test_split` and no `validation_split`",
        );
    }
    Some(DataPlace {
        repository,
        configuration: text("dataset_name"),
        asked,
        examples,
        files: files(config, task),
    })
}

/// `data_files` of `dataset_kwargs`: a path, a list of them, or either for each split.
fn files(config: &Map, task: &mut Task) -> Vec<(String, Vec<String>)> {
    let Some(kwargs) = get(config, "dataset_kwargs").and_then(Yaml::as_map) else {
        return Vec::new();
    };
    if let Some(revision) = get(kwargs, "revision") {
        task.leave_out(
            &revision.place,
            "`dataset_kwargs.revision`: the suggestion of a source is of another one",
        );
    }
    let Some(files) = get(kwargs, "data_files") else {
        return Vec::new();
    };
    match &files.data {
        Data::Map(map) => map.iter().map(|(split, value)| (split.clone(), paths(value))).collect(),
        _ => vec![("train".to_owned(), paths(files))],
    }
}

fn paths(value: &Yaml) -> Vec<String> {
    match &value.data {
        Data::List(items) => items.iter().filter_map(super::text_of).collect(),
        _ => super::text_of(value).into_iter().collect(),
    }
}
