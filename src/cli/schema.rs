//! `runner schema`: the JSON Schema of experiment files, for completion and checks in editors.
//!
//! Few fields are required, because an extended file or a profile may give the rest. A template may stand for every value that is not
//! text.

mod report;

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use lab::config::Settings;
use lab::stage::{Input, Kind};

/// Print the JSON Schema of experiment files (draft 2020-12)
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct SchemaArgs {}

/// Prints the schema to `out`.
///
/// # Errors
/// When `out` cannot be written to.
pub fn run(kinds: &[&'static Kind], out: &mut impl Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(&schema(kinds)).map_err(io::Error::other)?;
    writeln!(out, "{text}")
}

/// The schema for these kinds of stages.
pub fn schema(kinds: &[&'static Kind]) -> Value {
    let mut definitions = Map::new();
    let mut tables = Map::new();
    for kind in kinds {
        let read = KindSchema::new(kind);
        tables.extend(read.tables);
        definitions.extend(read.definitions);
    }
    definitions.insert("template".to_owned(), template());
    definitions.insert("reference".to_owned(), reference());
    definitions.insert("stage".to_owned(), stage(kinds));
    let settings = schemars::schema_for!(Settings).to_value();
    definitions.insert("settings".to_owned(), extract_definitions(settings, "settings", &mut Map::new()));
    let layered = layered(kinds, &tables);
    let mut whole = layered.clone();
    whole.insert(
        "name".to_owned(),
        json!({"type": "string", "description": "The experiment's name; left out, its file's."}),
    );
    whole.insert(
        "description".to_owned(),
        json!({"type": "string", "description": "What it is for."}),
    );
    whole.insert("report".to_owned(), report::report_table());
    whole.insert(
        "extends".to_owned(),
        json!({
            "description": "Experiments whose values this one takes over and may change; paths from this file.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        }),
    );
    whole.insert(
        "profile".to_owned(),
        json!({
            "description": "Changes that `--profile NAME` makes.",
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": false, "properties": layered},
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Experiment",
        "description": "An experiment of runner.",
        "type": "object",
        "additionalProperties": false,
        "properties": whole,
        "$defs": definitions,
    })
}

/// The tables that are allowed at the top level and in a profile.
fn layered(kinds: &[&'static Kind], tables: &Map<String, Value>) -> Map<String, Value> {
    let defaults: Map<String, Value> = kinds
        .iter()
        .map(|kind| (kind.name.to_owned(), json!({"$ref": format!("#/$defs/{}", kind.name)})))
        .collect();
    let entries = |table: &str| tables.get(table).cloned().unwrap_or_else(|| json!({"type": "object"}));
    let layered = json!({
        "settings": {"$ref": "#/$defs/settings", "description": "How to run; never part of a stage's key."},
        "params": params_table(),
        "matrix": matrix_table(),
        "ablate": ablate_table(),
        "defaults": {
            "description": "Fields of all stages of a kind that do not give them: `[defaults.train]`.",
            "type": "object",
            "additionalProperties": false,
            "properties": defaults,
        },
        "models": {
            "description": "Decoders by name.",
            "type": "object",
            "additionalProperties": entries("models"),
        },
        "prompts": {
            "description": "Prompt templates by name, with `{question}` and perhaps `{n}`.",
            "type": "object",
            "additionalProperties": {"type": "string"},
        },
        "sources": {
            "description": "Files and folders from outside, by name; a text is a path.",
            "type": "object",
            "additionalProperties": {"anyOf": [entries("sources"), {"type": "string"}]},
        },
        "environments": {
            "description": "How programs are started, and what decides what is installed there, by name.",
            "type": "object",
            "additionalProperties": entries("environments"),
        },
        "tasks": {
            "description": "What models are asked, and how their answers are judged, by name.",
            "type": "object",
            "additionalProperties": entries("tasks"),
        },
        "resources": {
            "description": "What stages need of the machine, how long they may take, and when they are tried again, by name; in no key.",
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/resources"},
        },
        "stages": {
            "description": "The stages, by name; `name[k]` with `for.k` is one for each `k`.",
            "type": "object",
            "propertyNames": {"pattern": r"^[A-Za-z0-9_-]+(\[ *(-?[0-9]+|[A-Za-z_][A-Za-z0-9_]*) *\])?$"},
            "additionalProperties": {"$ref": "#/$defs/stage"},
        },
    });
    match layered {
        Value::Object(layered) => layered,
        _ => Map::new(),
    }
}

/// The types of a param.
fn param_value() -> Value {
    json!({"type": ["string", "number", "boolean", "array"]})
}

fn params_table() -> Value {
    json!({
        "description": "Values that templates use: `{name}`.",
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": {"anyOf": [
            param_value(),
            {
                "description": "A value for each value of the param or axis that `by` names, and one for all `else`.",
                "type": "object",
                "additionalProperties": param_value(),
            },
        ]},
    })
}

fn matrix_table() -> Value {
    let combinations = |description: &str| json!({"type": "array", "items": {"type": "object"}, "description": description});
    json!({
        "description": "Axes: every combination of their values is a variant.",
        "type": "object",
        "properties": {
            "exclude": combinations("Combinations left out: all that have these values."),
            "include": combinations("Further combinations; each names every axis."),
            "sample": {"anyOf": [sample_table(), axis()]},
        },
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": axis(),
    })
}

/// The values of an axis: a list, or a range of numbers.
fn axis() -> Value {
    let scale = |name: &str, description: &str| {
        json!({
            "type": "object",
            "properties": {
                name: {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "description": description},
                "n": {"type": "integer", "minimum": 2, "description": "The number of values, the ends among them."},
            },
            "required": [name, "n"],
            "additionalProperties": false,
        })
    };
    json!({"anyOf": [
        {"type": "array", "minItems": 1, "uniqueItems": true},
        {"type": "string", "pattern": r"^\s*-?\d+\s*\.\.=?\s*-?\d+\s*$", "description": "Whole numbers: `1..=5`."},
        scale("linear", "The first and the last value; all differences are equal."),
        scale("log", "The first and the last value; all ratios are equal."),
    ]})
}

fn sample_table() -> Value {
    json!({
        "description": "Some of the combinations, chosen by their hashes: a larger `n` keeps those of a smaller one. Each is taken with all seeds.",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "The number of combinations, seeds not counted."},
            "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "Another seed chooses others."},
        },
        "required": ["n"],
        "additionalProperties": false,
    })
}

fn ablate_table() -> Value {
    json!({
        "description": "Changes made one at a time: each value of a param, and each table of params, is a variant beside the baseline.",
        "type": "object",
        "additionalProperties": {"anyOf": [
            {"type": "array", "uniqueItems": true, "items": param_value()},
            {"type": "object", "minProperties": 1, "additionalProperties": param_value()},
        ]},
    })
}

fn template() -> Value {
    json!({"type": "string", "pattern": r"\{.+\}", "description": "A template: `{name}`, `{k-1}`, `{iterations+1}`."})
}

fn reference() -> Value {
    json!({
        "type": "string",
        "pattern": r"^[^\s.\[\]]+(\[[^\]]+\])?(\.[^\s.]+)?$",
        "description": "Another stage's output: `stage.port`, `stage[k-1]`.",
    })
}

/// Any stage: the common fields, and those of its kind.
fn stage(kinds: &[&'static Kind]) -> Value {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let by_kind: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "if": {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]},
                "then": {"$ref": format!("#/$defs/{}", kind.name)},
            })
        })
        .collect();
    let kind = json!({"description": "What the stage does.", "anyOf": [{"enum": names}, {"$ref": "#/$defs/template"}]});
    json!({"type": "object", "properties": {"kind": kind}, "allOf": by_kind})
}

fn common() -> Map<String, Value> {
    let index = json!({"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/template"}]});
    let range = json!({"anyOf": [
        {"type": "string", "pattern": r"^.+\.\.=?.+$"},
        {"type": "array", "minItems": 1, "items": index},
        {"$ref": "#/$defs/template"},
    ]});
    let seed = json!({
        "description": "The seed, for stages that draw; left out, the variant's `seed`, or 0.",
        "anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/template"}],
    });
    let ranges = json!({
        "description": "The values of the index in the stage's name: `for.k = \"0..=5\"`, `for.k = [1, 3]`.",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": range,
    });
    let keep = json!({"anyOf": [
        {"enum": ["always", "results", "never"]},
        {"type": "string", "pattern": r"^[0-9]+[smhdw]$"},
        {"$ref": "#/$defs/template"},
    ]});
    let keeps = json!({
        "description": "How long gc leaves the outputs alone: `\"always\"`, `\"results\"`, a time after the last use (`\"7d\"`), `\"never\"`; or a table of outputs. In no key.",
        "anyOf": [keep, {"type": "object", "additionalProperties": keep}],
    });
    Map::from_iter([
        ("keep_outputs".to_owned(), keeps),
        ("seed".to_owned(), seed),
        (
            "resources".to_owned(),
            json!({
                "description": "The name of an entry of `[resources]`, or a table of its own; not part of the key.",
                "anyOf": [{"type": "string"}, {"$ref": "#/$defs/resources"}],
            }),
        ),
        ("for".to_owned(), ranges),
        ("kind".to_owned(), json!({})),
    ])
}

/// The part of one kind in the schema.
struct KindSchema {
    /// The schema of the stage, under the kind's name, and the schemas that it refers to, as `kind.Name`.
    definitions: Map<String, Value>,
    /// The schemas of the entries of top-level tables that its params may name.
    tables: Map<String, Value>,
}

impl KindSchema {
    fn new(kind: &Kind) -> Self {
        let mut definitions = Map::new();
        let params = extract_definitions((kind.schema)().to_value(), kind.name, &mut definitions);
        let mut fields = common();
        let mut tables = Map::new();
        for (name, mut param) in params.get("properties").and_then(Value::as_object).cloned().unwrap_or_default() {
            allow_templates_inside(&mut param);
            let field = match kind.named.iter().find(|(named, _)| **named == name) {
                Some((_, table)) => {
                    tables.insert((*table).to_owned(), param.clone());
                    // The name of an entry of the table, or a template.
                    either_schema(param, &json!({"type": "string"}))
                }
                None => or_template(param),
            };
            fields.insert(name, field);
        }
        for input in kind.inputs {
            fields.insert(input.name.to_owned(), reference_field(input));
        }
        if kind.free {
            let any = free_input();
            let table = json!({"description": "Its inputs, by name.", "type": "object", "additionalProperties": any});
            fields.insert("inputs".to_owned(), table);
        }
        definitions.values_mut().for_each(allow_templates_inside);
        let description = params.get("description").cloned().unwrap_or_else(|| kind.name.into());
        let stage = json!({"description": description, "type": "object", "properties": fields, "additionalProperties": false});
        definitions.insert(kind.name.to_owned(), stage);
        Self { definitions, tables }
    }
}

/// An input that a stage names itself: references, or a table with the place where its program finds them.
fn free_input() -> Value {
    let references = [
        json!({"$ref": "#/$defs/reference"}),
        json!({"type": "array", "items": {"$ref": "#/$defs/reference"}}),
    ];
    let from = json!({"description": "A reference, or a list of them.", "anyOf": references});
    let path = json!({"description": "Where the program finds it, from the folder in which it runs.", "type": "string"});
    let placed = json!({
        "type": "object",
        "properties": {"from": from, "path": path},
        "required": ["from"],
        "additionalProperties": false,
    });
    let [one, many] = references;
    json!({"anyOf": [one, many, placed]})
}

fn reference_field(input: &Input<'_>) -> Value {
    let one = json!({"$ref": "#/$defs/reference"});
    if input.many {
        json!({"anyOf": [one, {"type": "array", "items": one}]})
    } else if input.optional {
        // An empty list leaves it out.
        json!({"anyOf": [one, {"type": "array", "maxItems": 0}]})
    } else {
        one
    }
}

/// Moves the definitions of a schema into `definitions`, as `owner.Name`.
fn extract_definitions(mut schema: Value, owner: &str, definitions: &mut Map<String, Value>) -> Value {
    rename_references(&mut schema, owner);
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
        if let Some(Value::Object(own)) = fields.remove("$defs") {
            definitions.extend(own.into_iter().map(|(name, schema)| (format!("{owner}.{name}"), schema)));
        }
    }
    schema
}

fn rename_references(schema: &mut Value, owner: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => *target = target.replace("#/$defs/", &format!("#/$defs/{owner}.")),
                    _ => rename_references(value, owner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, owner)),
        _ => {}
    }
}

/// Allows templates for the values inside a table or list.
fn allow_templates_inside(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("properties", Value::Object(fields)) => fields.values_mut().for_each(allow_templates),
            ("items" | "additionalProperties", value @ Value::Object(_)) => allow_templates(value),
            ("prefixItems", Value::Array(items)) => items.iter_mut().for_each(allow_templates),
            ("anyOf" | "oneOf" | "allOf", Value::Array(options)) => options.iter_mut().for_each(allow_templates_inside),
            _ => {}
        }
    }
}

fn allow_templates(schema: &mut Value) {
    allow_templates_inside(schema);
    *schema = or_template(schema.take());
}

/// The schema, or a template.
fn or_template(schema: Value) -> Value {
    either_schema(schema, &json!({"$ref": "#/$defs/template"}))
}

/// Either schema. The description stays outside, where editors look for it.
fn either_schema(mut schema: Value, other: &Value) -> Value {
    let mut either = json!({});
    if let Some(fields) = schema.as_object_mut() {
        for key in ["description", "default"] {
            if let Some(value) = fields.remove(key) {
                either[key] = value;
            }
        }
    }
    either["anyOf"] = json!([schema, other]);
    either
}
