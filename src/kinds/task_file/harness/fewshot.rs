//! Few-shot examples: how many, and where they come from.

use super::super::data::DataPlace;
use super::super::task::Task;
use super::super::toml::{Toml, table_name};
use super::super::yaml::{Data, Map, Yaml, get};
use super::question::delimiter;
use super::{toml_of, whole};

/// Fields of `fewshot_config` that come over.
const READ: [&str; 4] = ["sampler", "samples", "fewshot_indices", "split"];

/// Writes all about examples.
pub(super) fn write(config: &Map, task: &mut Task) {
    let count = whole(config, "num_fewshot", task).unwrap_or_default();
    let table = match get(config, "fewshot_config").map(|value| (value, value.as_map())) {
        Some((value, None)) => {
            task.refuse(&value.place, format!("`fewshot_config` must be a table, and is {}", value.kind()));
            return;
        }
        Some((_, Some(table))) => table.clone(),
        None => Map::new(),
    };
    if count > 0 {
        task.set("num_fewshot", Toml::Whole(count));
    }
    delimiter(config, "fewshot_delimiter", "\n\n", task);
    refuse_unread(&table, count > 0, task);
    let split = split(config, &table);
    let samples = get(&table, "samples").filter(|_| get(config, "fewshot_split").is_none() && get(&table, "split").is_none());
    if let (Some(split), None) = (&split, samples) {
        let name = table_name(&task.name);
        let stage = if asked(config).as_ref() == Some(split) {
            name
        } else {
            DataPlace::examples_stage(&name, split)
        };
        if count > 0 {
            task.set("fewshot_split", Toml::Text(format!("{stage}.data")));
        } else {
            task.hints.push(format!("with num_fewshot: fewshot_split = \"{stage}.data\""));
        }
    }
    let mut fields = Vec::new();
    if let Some(sampler) = get(&table, "sampler").and_then(Yaml::as_text) {
        match sampler {
            "default" => {}
            "first_n" => fields.push(("sampler".to_owned(), Toml::text("first_n"))),
            other => refuse_or_leave(&table, "sampler", count > 0, format!("the sampler `{other}`"), task),
        }
    }
    if let Some(indices) = get(&table, "fewshot_indices").and_then(toml_of) {
        fields.push(("fewshot_indices".to_owned(), indices));
    }
    if let Some(samples) = samples {
        match toml_of(samples) {
            Some(written) => fields.push(("samples".to_owned(), written)),
            None if matches!(samples.data, Data::Function(_)) => {}
            None => task.refuse(
                &samples.place,
                "`fewshot_config.samples` has a field without a value, which TOML cannot write",
            ),
        }
    }
    match fields.as_slice() {
        [] => {}
        fields if samples.is_some() => task.tables.push(("fewshot_config".to_owned(), fields.to_vec())),
        fields => task.set("fewshot_config", Toml::Table(fields.to_vec())),
    }
}

/// The split that examples come from, by the harness's rules.
pub(super) fn split(config: &Map, table: &Map) -> Option<String> {
    let text = |map: &Map, field: &str| get(map, field).and_then(Yaml::as_text).map(str::to_owned);
    text(table, "split")
        .or_else(|| text(config, "fewshot_split"))
        .or_else(|| text(config, "training_split"))
        .or_else(|| text(config, "validation_split"))
        .or_else(|| text(config, "test_split"))
}

/// The split that is asked.
pub(super) fn asked(config: &Map) -> Option<String> {
    let split = get(config, "test_split").or_else(|| get(config, "validation_split"));
    split.and_then(Yaml::as_text).map(str::to_owned)
}

/// What does not come over matters if the task has examples.
fn refuse_unread(table: &Map, has_examples: bool, task: &mut Task) {
    for (field, value) in table {
        if value.is_null() {
            continue;
        }
        let mut functions = Vec::new();
        value.functions(field, &mut functions);
        let text = match functions.first() {
            Some((_, _, function)) => format!("`fewshot_config.{field}` is Python (`{function}`): it makes the examples"),
            None if READ.contains(&field.as_str()) => continue,
            None => format!("`fewshot_config.{field}`: here examples are written like the question itself"),
        };
        refuse_or_leave(table, field, has_examples, text, task);
    }
}

fn refuse_or_leave(table: &Map, field: &str, has_examples: bool, text: String, task: &mut Task) {
    let Some(value) = get(table, field) else { return };
    if has_examples {
        task.refuse(&value.place, text);
    } else {
        task.leave_out(
            &value.place,
            format!("{text}. With `num_fewshot` the examples are others than the harness's"),
        );
    }
}
