//! How answers are read and judged, with the harness's defaults written out.

use super::super::task::Task;
use super::super::toml::Toml;
use super::super::yaml::{Data, Map, Yaml, get};
use super::{OutputType, toml_of};

/// The functions of filters that come over, with their fields and the defaults of these.
const FILTERS: [(&str, &[&str]); 9] = [
    ("regex", &["regex_pattern", "group_select", "fallback"]),
    (
        "multi_choice_regex",
        &[
            "regex_pattern",
            "group_select",
            "fallback",
            "ignore_case",
            "ignore_punctuation",
            "regexes_to_ignore",
        ],
    ),
    ("remove_whitespace", &[]),
    ("lowercase", &[]),
    ("uppercase", &[]),
    ("map", &["mapping_dict", "default_value"]),
    ("take_first", &[]),
    ("take_first_k", &["k"]),
    ("majority_vote", &[]),
];

/// Defaults of `regex` and `multi_choice_regex`.
const REGEX_PATTERN: &str = r"#### (\-?[0-9\.\,]+)";
const FALLBACK: &str = "[invalid]";

/// The metrics that come over: of which kind of task, their aggregation, and whether the harness takes them if a task names none.
const METRICS: [(OutputType, &str, &str, bool); 10] = [
    (OutputType::GenerateUntil, "exact_match", "mean", true),
    (OutputType::MultipleChoice, "acc", "mean", true),
    (OutputType::MultipleChoice, "acc_norm", "mean", true),
    (OutputType::MultipleChoice, "acc_bytes", "mean", false),
    (OutputType::MultipleChoice, "acc_mutual_info", "mean", false),
    (OutputType::Loglikelihood, "perplexity", "perplexity", true),
    (OutputType::Loglikelihood, "acc", "mean", true),
    (OutputType::LoglikelihoodRolling, "word_perplexity", "weighted_perplexity", true),
    (OutputType::LoglikelihoodRolling, "byte_perplexity", "weighted_perplexity", true),
    (OutputType::LoglikelihoodRolling, "bits_per_byte", "bits_per_byte", true),
];

/// The flags of `exact_match`.
const FLAGS: [&str; 4] = ["ignore_case", "ignore_punctuation", "ignore_numbers", "regexes_to_ignore"];

/// Writes `filter_list` and `metric_list`.
pub(super) fn write(config: &Map, output_type: OutputType, task: &mut Task) {
    if output_type == OutputType::GenerateUntil {
        filters(config, task);
    }
    metrics(config, output_type, task);
}

fn filters(config: &Map, task: &mut Task) {
    let first = || Toml::Table(vec![("function".to_owned(), Toml::text("take_first"))]);
    let Some(value) = get(config, "filter_list") else {
        task.set("filter_list", Toml::List(vec![named("none", vec![first()])]));
        return;
    };
    let Data::List(items) = &value.data else {
        task.refuse(&value.place, format!("`filter_list` must be a list, and is {}", value.kind()));
        return;
    };
    let (mut written, mut lost) = (Vec::new(), Vec::new());
    for item in items {
        match filter(item) {
            Ok(filter) => written.push(filter),
            Err(problem) => lost.push((item, problem)),
        }
    }
    let is_all = written.is_empty();
    for (item, problem) in lost {
        if is_all {
            task.refuse(&item.place, problem);
        } else {
            task.leave_out(&item.place, problem);
        }
    }
    task.set("filter_list", Toml::List(written));
}

fn named(name: &str, functions: Vec<Toml>) -> Toml {
    Toml::Table(vec![
        ("name".to_owned(), Toml::text(name)),
        ("filter".to_owned(), Toml::List(functions)),
    ])
}

/// One filter; why it cannot come over.
fn filter(item: &Yaml) -> Result<Toml, String> {
    let map = item.as_map().ok_or("a filter must be a table with `name` and `filter`")?;
    let name = get(map, "name").and_then(Yaml::as_text).ok_or("a filter has no `name`")?;
    let Some(Data::List(functions)) = get(map, "filter").map(|value| &value.data) else {
        return Err(format!("the filter `{name}` has no list `filter`"));
    };
    let functions: Result<Vec<Toml>, String> = functions.iter().map(|step| function(step, name)).collect();
    Ok(named(name, functions?))
}

fn function(step: &Yaml, filter: &str) -> Result<Toml, String> {
    let map = step
        .as_map()
        .ok_or_else(|| format!("the filter `{filter}` has a step that is no table"))?;
    let mut functions = Vec::new();
    step.functions("filter", &mut functions);
    if let Some((_, _, function)) = functions.first() {
        return Err(format!("the filter `{filter}` is Python (`{function}`)"));
    }
    let name = get(map, "function").and_then(Yaml::as_text).unwrap_or_default();
    let Some((_, fields)) = FILTERS.iter().find(|(known, _)| *known == name) else {
        return Err(format!("the filter `{filter}` has the function `{name}`, which is not known here"));
    };
    let mut written = vec![("function".to_owned(), Toml::text(name))];
    for (field, value) in map {
        if field == "function" || value.is_null() {
            continue;
        }
        if !fields.contains(&field.as_str()) {
            return Err(format!("the filter `{filter}`: `{name}` has no `{field}`"));
        }
        let value = toml_of(value).ok_or_else(|| format!("the filter `{filter}`: `{field}` has a part without a value"))?;
        written.push((field.clone(), value));
    }
    let defaults = [
        ("regex_pattern", Toml::text(REGEX_PATTERN)),
        ("group_select", Toml::Whole(0)),
        ("fallback", Toml::text(FALLBACK)),
    ];
    for (field, value) in defaults {
        if fields.contains(&field) && !written.iter().any(|(other, _)| other == field) {
            written.push((field.to_owned(), value));
        }
    }
    Ok(Toml::Table(written))
}

fn metrics(config: &Map, output_type: OutputType, task: &mut Task) {
    let of_type = METRICS.iter().filter(|(kind, ..)| *kind == output_type);
    let Some(value) = get(config, "metric_list") else {
        let usual = of_type.filter(|(.., is_default)| *is_default);
        let usual = usual.map(|(_, name, ..)| Toml::Table(vec![("metric".to_owned(), Toml::text(*name))]));
        task.set("metric_list", Toml::List(usual.collect()));
        return;
    };
    let Data::List(items) = &value.data else {
        task.refuse(&value.place, format!("`metric_list` must be a list, and is {}", value.kind()));
        return;
    };
    let (mut written, mut lost) = (Vec::new(), Vec::new());
    for item in items {
        match metric(item, output_type, task) {
            Ok(metric) => written.push(metric),
            Err(problem) => lost.push((item, problem)),
        }
    }
    // With `process_results` the judging is Python, and is refused as such.
    let is_judged_elsewhere = get(config, "process_results").is_some();
    for (item, problem) in lost {
        if !written.is_empty() {
            task.leave_out(&item.place, problem);
        } else if !is_judged_elsewhere {
            task.refuse(&item.place, problem);
        }
    }
    task.set("metric_list", Toml::List(written));
}

/// One metric; why it cannot come over.
fn metric(item: &Yaml, output_type: OutputType, task: &mut Task) -> Result<Toml, String> {
    let map = item.as_map().ok_or("a metric must be a table with `metric`")?;
    let name = match get(map, "metric").map(|value| &value.data) {
        Some(Data::Text(name)) => name,
        Some(Data::Function(function)) => return Err(format!("a metric is Python (`{function}`)")),
        _ => return Err("an entry of `metric_list` has no `metric`".to_owned()),
    };
    if get(map, "hf_evaluate").is_some_and(|value| value.data == Data::Bool(true)) {
        return Err(format!("the metric `{name}` is of the Python package `evaluate`"));
    }
    let known = METRICS.iter().find(|(kind, known, ..)| *kind == output_type && known == name);
    let Some((_, _, usual, _)) = known else {
        return Err(format!("the metric `{name}` is not known here for `{}`", output_type.name()));
    };
    let mut written = vec![("metric".to_owned(), Toml::text(name.clone()))];
    match get(map, "aggregation").map(|value| &value.data) {
        None => {}
        Some(Data::Function(function)) => return Err(format!("the aggregation of the metric `{name}` is Python (`{function}`)")),
        Some(Data::Text(aggregation)) if aggregation == usual => {}
        Some(_) => {
            return Err(format!(
                "the metric `{name}` has another aggregation than `{usual}`, which is not known here"
            ));
        }
    }
    for (field, value) in map {
        if matches!(
            field.as_str(),
            "metric" | "aggregation" | "higher_is_better" | "hf_evaluate" | "weight_by_size"
        ) || value.is_null()
        {
            continue;
        }
        // The other metrics are worked out by the harness itself, whatever else they are given.
        if output_type != OutputType::GenerateUntil {
            continue;
        }
        match toml_of(value).filter(|_| FLAGS.contains(&field.as_str())) {
            Some(Toml::Bool(false)) => {}
            Some(Toml::Text(pattern)) if field == "regexes_to_ignore" => written.push((field.clone(), Toml::texts([pattern]))),
            Some(value) => written.push((field.clone(), value)),
            None => task.leave_out(&value.place, format!("`{field}` of the metric `{name}`")),
        }
    }
    Ok(Toml::Table(written))
}
