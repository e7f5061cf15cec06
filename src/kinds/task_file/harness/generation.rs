//! How answers are generated, with the harness's defaults written out (`default_gen_kwargs`, `normalize_gen_kwargs`).

use super::super::task::Task;
use super::super::toml::Toml;
use super::super::yaml::{Data, Map, get};
use super::{OutputType, toml_of, whole};

/// Tokens of an answer, where a task names no number.
const MAX_GEN_TOKS: i64 = 256;
/// The names of this number, the first that is given counts.
const MAX_NAMES: [&str; 4] = ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"];

/// Writes `generation_kwargs` and `repeats`.
pub(super) fn write(config: &Map, output_type: OutputType, task: &mut Task) {
    if output_type == OutputType::GenerateUntil {
        let kwargs = kwargs(config, task);
        task.set("generation_kwargs", kwargs);
    }
    match whole(config, "repeats", task) {
        None | Some(1) => {}
        Some(repeats) => task.set("repeats", Toml::Whole(repeats)),
    }
}

fn kwargs(config: &Map, task: &mut Task) -> Toml {
    let empty = Map::new();
    let given = match get(config, "generation_kwargs").map(|value| (value, value.as_map())) {
        Some((value, None)) => {
            task.refuse(
                &value.place,
                format!("`generation_kwargs` must be a table, and is {}", value.kind()),
            );
            &empty
        }
        Some((_, Some(given))) => given,
        None => &empty,
    };
    let (do_sample, temperature) = sampling(given, task);
    let mut fields = vec![
        ("until".to_owned(), until(config, given, task)),
        ("do_sample".to_owned(), Toml::Bool(do_sample)),
        ("temperature".to_owned(), Toml::Float(format!("{temperature:?}"))),
    ];
    // Where nothing is drawn, these change nothing.
    let drawn = |name: &&str| do_sample && get(given, name).is_some();
    for name in ["top_k", "top_p"].iter().filter(|name| drawn(name)) {
        if let Some(value) = get(given, name).and_then(toml_of) {
            fields.push(((*name).to_owned(), value));
        }
    }
    let max = MAX_NAMES.into_iter().find(|name| get(given, name).is_some());
    let max = max.and_then(|name| whole(given, name, task)).unwrap_or(MAX_GEN_TOKS);
    fields.push(("max_gen_toks".to_owned(), Toml::Whole(max)));
    leave_out(given, task);
    Toml::Table(fields)
}

/// The texts that end an answer: those of the task, or what stands between examples.
fn until(config: &Map, given: &Map, task: &mut Task) -> Toml {
    let Some(value) = get(given, "until") else {
        let delimiter = get(config, "fewshot_delimiter").and_then(|value| value.as_text());
        return Toml::texts([delimiter.unwrap_or("\n\n")]);
    };
    let items = match &value.data {
        Data::List(items) => items.iter().map(|item| item.as_text().map(str::to_owned)).collect(),
        Data::Text(text) => Some(vec![text.clone()]),
        _ => None,
    };
    match items {
        Some(items) => Toml::texts(items),
        None => {
            task.refuse(&value.place, "`generation_kwargs.until` must be a text, or a list of texts");
            Toml::List(Vec::new())
        }
    }
}

/// Whether answers are drawn, and the temperature: without `do_sample` the temperature decides.
fn sampling(given: &Map, task: &mut Task) -> (bool, f64) {
    let temperature = match get(given, "temperature") {
        None => 0.0,
        Some(value) => match super::text_of(value).and_then(|text| text.parse::<f64>().ok()) {
            Some(number) if number.is_finite() && number >= 0.0 => number,
            _ => {
                task.refuse(&value.place, "`generation_kwargs.temperature` must be a number from 0");
                0.0
            }
        },
    };
    match get(given, "do_sample").map(|value| &value.data) {
        Some(Data::Bool(false)) => (false, 0.0),
        Some(Data::Bool(true)) if temperature > 0.0 => (true, temperature),
        Some(Data::Bool(true)) if get(given, "temperature").is_none() => (true, 1.0),
        _ => (temperature > 0.0, temperature),
    }
}

fn leave_out(given: &Map, task: &mut Task) {
    let read = ["until", "do_sample", "temperature", "top_k", "top_p"];
    for (name, value) in given {
        let is_read = read.contains(&name.as_str()) || MAX_NAMES.contains(&name.as_str()) || value.is_null();
        // One beam is what there is.
        let changes_nothing = name == "num_beams" && value.data == Data::Whole(1);
        if !is_read && !changes_nothing {
            task.leave_out(&value.place, format!("`generation_kwargs.{name}`, which is not known here"));
        }
    }
}
