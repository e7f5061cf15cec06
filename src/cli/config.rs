//! `runner config`: the effective values of an experiment, each with its origin.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::diagnostics::Rejected;
use super::experiment::{ExecutionArgs, ExperimentArgs};
use lab::config::{ConfigTable, ConfigValue, Document, Experiment, KEYS, TRUST, expand, key_text};
use lab::plan::{self, Dag};
use lab::stage::{INPUT_PATHS, Kind};
use lab::text::{printable, printable_json};

/// Print the effective values of an experiment, each with its origin
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// Print JSON: `{"experiment", "values": [{"key": […], "value", "origin"}]}`
    #[arg(long)]
    pub json: bool,
}

/// An effective value and its origin.
struct EffectiveValue {
    /// `["stages", "mixed[k]", "for", "k"]`
    key: Vec<String>,
    /// `None` for a setting whose default depends on the machine.
    value: Option<ConfigValue>,
    /// `experiments/x.toml:12`, `--set`, `default`.
    origin: String,
}

/// Prints to `out`. The inner result has the errors of the experiment.
///
/// # Errors
/// When `out` cannot be written to.
pub fn run(args: &ConfigArgs, kinds: &[&'static Kind], out: &mut impl Write) -> io::Result<Result<(), Rejected>> {
    match args.experiment.document(&ExecutionArgs::default()) {
        Ok(document) => print(&document, &args.experiment.file, args.json, kinds, out),
        Err(rejected) => Ok(Err(rejected)),
    }
}

/// Prints a document to `out`. The inner result has its errors; the values are printed all the same.
///
/// # Errors
/// When `out` cannot be written to.
pub fn print(
    document: &Document,
    file: &Path,
    json: bool,
    kinds: &[&'static Kind],
    out: &mut impl Write,
) -> io::Result<Result<(), Rejected>> {
    let experiment = expand(document);
    let dag = plan::build(&experiment, kinds);
    let values = effective_values(document, &experiment, dag.as_ref().ok());
    if json {
        let text = as_json(&experiment.name, &values).to_string();
        writeln!(out, "{}", printable_json(&text))?;
    } else {
        out.write_all(as_toml(&values).as_bytes())?;
    }
    let file = file.to_owned();
    Ok(dag.map(|_| ()).map_err(|diagnostics| Rejected { file, diagnostics }))
}

/// All values in the order of the output, with the defaults of params if the DAG can be built.
fn effective_values(document: &Document, experiment: &Experiment, dag: Option<&Dag>) -> Vec<EffectiveValue> {
    let mut values = Vec::new();
    for key in KEYS {
        match document.tree.get(key) {
            Some(value) if value.as_table().is_none() => add_leaves(&mut vec![key.to_owned()], value, document, &mut values),
            _ if key == "settings" => add_settings(document, experiment, &mut values),
            _ => {
                for (name, value) in document.entries(key) {
                    add_leaves(&mut vec![key.to_owned(), name.to_owned()], value, document, &mut values);
                    if let (true, Some(dag)) = (key == "stages", dag) {
                        add_defaults(name, value.as_table(), document, experiment, dag, &mut values);
                    }
                }
            }
        }
    }
    values
}

fn add_leaves(key: &mut Vec<String>, value: &ConfigValue, document: &Document, values: &mut Vec<EffectiveValue>) {
    match value.as_table() {
        Some(fields) if !fields.is_empty() => {
            for (name, value) in document.in_order(fields) {
                key.push(name.to_owned());
                add_leaves(key, value, document, values);
                key.pop();
            }
        }
        _ => {
            let place = value.at();
            values.push(EffectiveValue {
                key: key.clone(),
                value: Some(value.clone()),
                origin: place.map_or_else(|| "default".to_owned(), |place| place.to_string()),
            });
        }
    }
}

/// Adds the settings, with the defaults of those not given.
fn add_settings(document: &Document, experiment: &Experiment, values: &mut Vec<EffectiveValue>) {
    let all = ConfigValue::from(json!(experiment.settings));
    let given = document.tree.get("settings").and_then(ConfigValue::as_table);
    for (name, value) in all.as_table().into_iter().flatten() {
        let key = vec!["settings".to_owned(), name.clone()];
        match given.and_then(|given| given.get(name)) {
            Some(given) => add_leaves(&mut key.clone(), given, document, values),
            None => values.push(EffectiveValue {
                key,
                value: (!value.is_null()).then(|| value.clone()),
                origin: "default".to_owned(),
            }),
        }
    }
}

/// Adds the defaults of params that neither the stage nor `[defaults]` gives.
fn add_defaults(
    name: &str,
    fields: Option<&ConfigTable>,
    document: &Document,
    experiment: &Experiment,
    dag: &Dag,
    values: &mut Vec<EffectiveValue>,
) {
    let origin = document.declared("stages", name);
    let declared = experiment
        .variants
        .iter()
        .flat_map(|variant| &variant.stages)
        .find(|stage| stage.origin == origin);
    let Some(declared) = declared else { return };
    let node = dag
        .graph
        .node_weights()
        .find(|node| node.members.iter().any(|member| member.name == declared.name));
    let params = node.map(|node| node.canonical.as_ref());
    let kind = declared.fields.get("kind").and_then(ConfigValue::as_str);
    let shared = kind.and_then(|kind| document.tree.get("defaults")?.as_table()?.get(kind)?.as_table());
    let given = |param: &String| {
        // The places of inputs are printed with these.
        param == INPUT_PATHS || [fields, shared].into_iter().flatten().any(|fields| fields.contains_key(param))
    };
    for (param, value) in params.and_then(serde_json::Value::as_object).into_iter().flatten() {
        if !value.is_null() && !given(param) {
            values.push(EffectiveValue {
                key: vec!["stages".to_owned(), name.to_owned(), param.clone()],
                value: Some(value.clone().into()),
                origin: "default".to_owned(),
            });
        }
    }
}

/// TOML, with the origins as comments after the values.
fn as_toml(values: &[EffectiveValue]) -> String {
    let mut sections: Vec<(String, Vec<(String, &str)>)> = Vec::new();
    for effective in values {
        let depth = match effective.key.first().map(String::as_str) {
            Some("defaults" | "environments" | "models" | "stages" | "tasks") => 2,
            Some("name" | "description") => 0,
            _ => 1,
        };
        let (section, key) = effective.key.split_at(depth.min(effective.key.len() - 1));
        let dotted = |keys: &[String]| keys.iter().map(|key| key_text(key)).collect::<Vec<_>>().join(".");
        let line = match &effective.value {
            // The output is an experiment again, and an experiment must not set these.
            Some(value) if effective.key.first().is_some_and(|key| key == "settings") && TRUST.contains(&dotted(key).as_str()) => {
                format!("# {} = {}", dotted(key), value.toml())
            }
            Some(value) => format!("{} = {}", dotted(key), value.toml()),
            None => format!("# {} is chosen for the machine", dotted(key)),
        };
        let title = dotted(section);
        match sections.last_mut().filter(|(last, _)| *last == title) {
            Some((_, lines)) => lines.push((line, &effective.origin)),
            None => sections.push((title, vec![(line, &effective.origin)])),
        }
    }
    sections
        .iter()
        .map(|(title, lines)| section(title, lines))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A section with the comments aligned in one column; longer lines stick out.
fn section(title: &str, lines: &[(String, &str)]) -> String {
    const MAX_COLUMN: usize = 48;
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .filter(|width| *width <= MAX_COLUMN)
        .max()
        .unwrap_or(0);
    let head = if title.is_empty() { String::new() } else { format!("[{title}]\n") };
    let lines = lines
        .iter()
        .map(|(line, origin)| format!("{line:width$}  # {}\n", printable(origin)));
    head + &lines.collect::<String>()
}

fn as_json(experiment: &str, values: &[EffectiveValue]) -> serde_json::Value {
    let value = |effective: &EffectiveValue| json!({"key": effective.key, "value": effective.value.as_ref().map(ConfigValue::json), "origin": effective.origin});
    json!({"experiment": experiment, "values": values.iter().map(value).collect::<Vec<_>>()})
}
