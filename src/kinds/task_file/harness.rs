//! Tasks of lm-evaluation-harness, as `TaskConfig` and `ConfigurableTask` of its version 0.4.13 read them.

mod data;
mod fewshot;
mod generation;
mod question;
mod scoring;

use super::task::Task;
use super::toml::Toml;
use super::yaml::{Data, Map, Yaml, get};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputType {
    GenerateUntil,
    MultipleChoice,
    Loglikelihood,
    LoglikelihoodRolling,
}

impl OutputType {
    const ALL: [Self; 4] = [
        Self::GenerateUntil,
        Self::MultipleChoice,
        Self::Loglikelihood,
        Self::LoglikelihoodRolling,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::GenerateUntil => "generate_until",
            Self::MultipleChoice => "multiple_choice",
            Self::Loglikelihood => "loglikelihood",
            Self::LoglikelihoodRolling => "loglikelihood_rolling",
        }
    }
}

/// The fields whose Python is named, with what it does.
const PYTHON: [(&str, &str); 9] = [
    ("process_docs", "it changes the records before anything is asked"),
    ("custom_dataset", "it makes the records"),
    ("doc_to_text", "it writes the question"),
    ("doc_to_target", "it writes the right answer"),
    ("doc_to_choice", "it writes the choices"),
    ("process_results", "it judges the answers"),
    ("description", "it writes the description"),
    ("gen_prefix", "it writes the beginning of the answer"),
    ("class", "the whole task is a class"),
];

/// Fields that say nothing of what is asked and how it is judged.
const UNREAD: [&str; 12] = [
    "task",
    "task_alias",
    "tag",
    "group",
    "group_alias",
    "metadata",
    "should_decontaminate",
    "doc_to_decontamination_query",
    "dataset_kwargs",
    "training_split",
    "task_list",
    "unsafe_code",
];

/// Fields that are read here.
const READ: [&str; 20] = [
    "dataset_path",
    "dataset_name",
    "validation_split",
    "test_split",
    "fewshot_split",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "fewshot_config",
    "num_fewshot",
    "metric_list",
    "output_type",
    "generation_kwargs",
    "repeats",
    "filter_list",
    "gen_prefix",
    "process_docs",
];

/// Converts a task of which all includes are taken in.
pub(super) fn task(name: &str, config: &Map) -> Task {
    let mut task = Task {
        name: name.to_owned(),
        about: version(config),
        ..Task::default()
    };
    refuse_python(config, &mut task);
    refuse_unread(config, &mut task);
    let Some(output_type) = output_type(config, &mut task) else {
        return task;
    };
    task.set("output_type", Toml::text(output_type.name()));
    question::write(config, output_type, &mut task);
    fewshot::write(config, &mut task);
    generation::write(config, output_type, &mut task);
    scoring::write(config, output_type, &mut task);
    task.data = data::place(config, &mut task);
    task
}

/// The version of the task, by which published scores are told apart.
fn version(config: &Map) -> Option<String> {
    let version = get(get(config, "metadata")?.as_map()?, "version")?;
    text_of(version).map(|version| format!("its version {version}"))
}

fn output_type(config: &Map, task: &mut Task) -> Option<OutputType> {
    let Some(given) = get(config, "output_type") else {
        return Some(OutputType::GenerateUntil);
    };
    let found = OutputType::ALL.into_iter().find(|kind| given.as_text() == Some(kind.name()));
    if found.is_none() {
        let known = OutputType::ALL.map(OutputType::name).join(", ");
        task.refuse(&given.place, format!("`output_type` is not one that is known (known: {known})"));
    }
    found
}

/// Names the Python of fields that cannot do without. That of metrics, filters and examples is looked at with these.
fn refuse_python(config: &Map, task: &mut Task) {
    for (field, value) in config {
        if matches!(field.as_str(), "metric_list" | "filter_list" | "fewshot_config") || UNREAD.contains(&field.as_str()) {
            continue;
        }
        let mut functions = Vec::new();
        value.functions(field, &mut functions);
        for (at, place, function) in functions {
            let does = PYTHON.iter().find(|(name, _)| *name == field).map_or("", |(_, does)| does);
            let colon = if does.is_empty() { "" } else { ": " };
            task.refuse(place, format!("`{at}` is Python (`{function}`){colon}{does}"));
        }
    }
}

/// Names what else cannot come over, and fields that the harness does not have either.
fn refuse_unread(config: &Map, task: &mut Task) {
    for (field, value) in config {
        let is_function = matches!(value.data, Data::Function(_));
        if is_function || value.is_null() || UNREAD.contains(&field.as_str()) || READ.contains(&field.as_str()) {
            if field == "unsafe_code" && value.data == Data::Bool(true) {
                task.refuse(
                    &value.place,
                    "`unsafe_code`: answers are run as programs. Judge them with a `program` of your own",
                );
            }
            continue;
        }
        match field.as_str() {
            "class" => task.refuse(&value.place, "`class`: the whole task is a class in Python"),
            "process_results" | "custom_dataset" => task.refuse(&value.place, format!("`{field}` is Python")),
            "use_prompt" => task.refuse(&value.place, "`use_prompt`: its prompts are in the Python package `promptsource`"),
            "doc_to_image" | "doc_to_audio" => task.refuse(&value.place, format!("`{field}`: models here read text alone")),
            _ => task.leave_out(&value.place, format!("`{field}`, which is no field of a task here")),
        }
    }
}

/// A text, a number or a truth value as a text.
fn text_of(value: &Yaml) -> Option<String> {
    match &value.data {
        Data::Text(text) | Data::Float(text) => Some(text.clone()),
        Data::Whole(number) => Some(number.to_string()),
        Data::Bool(true) => Some("True".to_owned()),
        Data::Bool(false) => Some("False".to_owned()),
        _ => None,
    }
}

/// The value in TOML; `None` for what has none: nothing, and functions.
fn toml_of(value: &Yaml) -> Option<Toml> {
    Some(match &value.data {
        Data::Text(text) => Toml::text(text.clone()),
        Data::Float(digits) => Toml::Float(digits.clone()),
        Data::Whole(number) => Toml::Whole(*number),
        Data::Bool(value) => Toml::Bool(*value),
        Data::List(items) => Toml::List(items.iter().map(toml_of).collect::<Option<_>>()?),
        Data::Map(map) => {
            let fields = map.iter().filter(|(_, value)| !value.is_null());
            let fields = fields.map(|(name, value)| Some((name.clone(), toml_of(value)?)));
            Toml::Table(fields.collect::<Option<_>>()?)
        }
        Data::Null | Data::Function(_) => return None,
    })
}

/// The whole number of a field; what it is instead is refused.
fn whole(config: &Map, field: &str, task: &mut Task) -> Option<i64> {
    let value = get(config, field)?;
    match &value.data {
        Data::Whole(number) if *number >= 0 => Some(*number),
        Data::Function(_) => None,
        _ => {
            task.refuse(&value.place, format!("`{field}` must be a whole number, and is {}", value.kind()));
            None
        }
    }
}
