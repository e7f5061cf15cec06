//! `runner config`: the effective values, each with where it comes from.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::diagnostics::Rejected;
use super::experiment::{ExecutionArgs, ExperimentArgs};
use lab::config::{ConfigTable, ConfigValue, Document, Experiment, KEYS, TRUST, expand, key_text};
use lab::plan::{self, Dag};
use lab::stage::Kind;

/// Print an experiment's effective values, each with where it comes from
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// Print JSON: `{"experiment", "values": [{"key": […], "value", "origin"}]}`
    #[arg(long)]
    pub json: bool,
}

/// One effective value.
struct Effective {
    /// `["stages", "mixed[k]", "for", "k"]`
    key: Vec<String>,
    /// Nothing for a setting that is left to the machine.
    value: Option<ConfigValue>,
    /// `experiments/x.toml:12`, `--set`, `default`.
    origin: String,
}

/// Prints to `out`; gives the error if the experiment cannot be run.
///
/// # Errors
/// When `out` cannot be written to.
pub fn run(args: &ConfigArgs, kinds: &[&'static Kind], out: &mut impl Write) -> io::Result<Result<(), Rejected>> {
    match args.experiment.document(&ExecutionArgs::default()) {
        Ok(document) => print(&document, &args.experiment.file, args.json, kinds, out),
        Err(rejected) => Ok(Err(rejected)),
    }
}

/// Prints a document to `out`; gives the error if it has values but cannot be run.
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
    let values = effective(document, &experiment, dag.as_ref().ok());
    if json {
        writeln!(out, "{}", as_json(&experiment.name, &values))?;
    } else {
        out.write_all(as_toml(&values).as_bytes())?;
    }
    let file = file.to_owned();
    Ok(dag.map(|_| ()).map_err(|diagnostics| Rejected { file, diagnostics }))
}

/// All values in the order in which they are shown; the params' defaults too, where the DAG could be built.
fn effective(document: &Document, experiment: &Experiment, dag: Option<&Dag>) -> Vec<Effective> {
    let mut values = Vec::new();
    for key in KEYS {
        match document.tree.get(key) {
            Some(value) if value.as_table().is_none() => flatten(&mut vec![key.to_owned()], value, document, &mut values),
            _ if key == "settings" => settings(document, experiment, &mut values),
            _ => {
                for (name, value) in document.entries(key) {
                    flatten(&mut vec![key.to_owned(), name.to_owned()], value, document, &mut values);
                    if let (true, Some(dag)) = (key == "stages", dag) {
                        defaults(name, value.as_table(), document, experiment, dag, &mut values);
                    }
                }
            }
        }
    }
    values
}

fn flatten(key: &mut Vec<String>, value: &ConfigValue, document: &Document, values: &mut Vec<Effective>) {
    match value.as_table() {
        Some(fields) if !fields.is_empty() => {
            for (name, value) in document.in_order(fields) {
                key.push(name.to_owned());
                flatten(key, value, document, values);
                key.pop();
            }
        }
        _ => {
            let place = value.at();
            values.push(Effective {
                key: key.clone(),
                value: Some(value.clone()),
                origin: place.map_or_else(|| "default".to_owned(), |place| place.to_string()),
            });
        }
    }
}

/// The settings, those left out too.
fn settings(document: &Document, experiment: &Experiment, values: &mut Vec<Effective>) {
    let all = ConfigValue::from(json!(experiment.settings));
    let given = document.tree.get("settings").and_then(ConfigValue::as_table);
    for (name, value) in all.as_table().into_iter().flatten() {
        let key = vec!["settings".to_owned(), name.clone()];
        match given.and_then(|given| given.get(name)) {
            Some(given) => flatten(&mut key.clone(), given, document, values),
            None => values.push(Effective {
                key,
                value: (!value.is_null()).then(|| value.clone()),
                origin: "default".to_owned(),
            }),
        }
    }
}

/// The params that a stage leaves out, and `[defaults]` too.
fn defaults(
    name: &str,
    fields: Option<&ConfigTable>,
    document: &Document,
    experiment: &Experiment,
    dag: &Dag,
    values: &mut Vec<Effective>,
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
    let params = node.map(|node| &node.canonical);
    let kind = declared.fields.get("kind").and_then(ConfigValue::as_str);
    let shared = kind.and_then(|kind| document.tree.get("defaults")?.as_table()?.get(kind)?.as_table());
    let given = |param: &String| [fields, shared].into_iter().flatten().any(|fields| fields.contains_key(param));
    for (param, value) in params.and_then(serde_json::Value::as_object).into_iter().flatten() {
        if !value.is_null() && !given(param) {
            values.push(Effective {
                key: vec!["stages".to_owned(), name.to_owned(), param.clone()],
                value: Some(value.clone().into()),
                origin: "default".to_owned(),
            });
        }
    }
}

/// TOML with the origins as comments behind the values.
fn as_toml(values: &[Effective]) -> String {
    let mut sections: Vec<(String, Vec<(String, &str)>)> = Vec::new();
    for effective in values {
        let depth = match effective.key.first().map(String::as_str) {
            Some("defaults" | "models" | "stages") => 2,
            Some("name" | "description" | "shows") => 0,
            _ => 1,
        };
        let (section, key) = effective.key.split_at(depth.min(effective.key.len() - 1));
        let dotted = |keys: &[String]| keys.iter().map(|key| key_text(key)).collect::<Vec<_>>().join(".");
        let line = match &effective.value {
            // What is printed is an experiment again, and none may say whom to believe.
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

/// Comments stand in one column, unless a line is long.
fn section(title: &str, lines: &[(String, &str)]) -> String {
    const COLUMN: usize = 48;
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .filter(|width| *width <= COLUMN)
        .max()
        .unwrap_or(0);
    let head = if title.is_empty() { String::new() } else { format!("[{title}]\n") };
    let lines = lines.iter().map(|(line, origin)| format!("{line:width$}  # {origin}\n"));
    head + &lines.collect::<String>()
}

fn as_json(experiment: &str, values: &[Effective]) -> serde_json::Value {
    let value = |effective: &Effective| json!({"key": effective.key, "value": effective.value.as_ref().map(ConfigValue::json), "origin": effective.origin});
    json!({"experiment": experiment, "values": values.iter().map(value).collect::<Vec<_>>()})
}
