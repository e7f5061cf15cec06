//! The outputs that a program declares: a type, or a table with the place from which the output is taken.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use super::pattern::{OutputPath, inner_path, overlap};
use lab::config::ParamError;
use lab::stage::{PortType, is_port};

/// An output of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputFields {
    /// Its type.
    #[serde(rename = "type")]
    pub(super) port: PortType,
    /// Where the program writes it: a path in the folder in which it runs, or a pattern. Left out, the program is given a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// Of metrics: where the program writes their examples, as a path or a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) examples: Option<String>,
    /// Of metrics: where the program writes series, as a path or a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) series: Option<String>,
    /// Of metrics: which of them reports show, as patterns over dotted names; not part of the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) select: Vec<String>,
}

/// An output as it is declared: `"file"`, or `{ type = "file", path = "out/model" }`. It is written as it enters the key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeclaredOutput(pub(super) OutputFields);

impl DeclaredOutput {
    /// As a param that is read as the same output again, with what is not in the key.
    pub(super) fn param(&self) -> serde_json::Value {
        json!(self.0)
    }

    /// The paths and patterns, each with the field that has it.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let OutputFields {
            path, examples, series, ..
        } = &self.0;
        let fields = [("path", path), ("examples", examples), ("series", series)];
        fields.into_iter().filter_map(|(field, text)| Some((field, text.as_deref()?)))
    }

    /// What is wrong with it, if anything: the field and a message. `inputs` are the places of the inputs.
    fn problem(&self, inputs: &BTreeMap<String, String>) -> Option<(&'static str, String)> {
        let OutputFields {
            port,
            path,
            examples,
            series,
            select,
        } = &self.0;
        let of_metrics = [
            ("examples", examples.is_some()),
            ("series", series.is_some()),
            ("select", !select.is_empty()),
        ];
        if let Some((field, _)) = of_metrics.iter().find(|(_, is_given)| *is_given && *port != PortType::Metrics) {
            return Some((field, format!("only an output of the type `metrics` has `{field}`")));
        }
        if let Some((field, _)) = of_metrics[..2].iter().find(|(_, is_given)| *is_given && path.is_none()) {
            let message = format!("`{field}` needs a `path` beside it, which says where the metrics are");
            return Some((field, message));
        }
        if select.iter().any(String::is_empty) {
            return Some(("select", "an empty text names no metric".to_owned()));
        }
        self.paths().find_map(|(field, text)| {
            let path = match OutputPath::parse(text) {
                Ok(path) => path,
                Err(message) => return Some((field, message)),
            };
            let (name, place) = inputs.iter().find(|(_, place)| {
                let place = inner_path(place).unwrap_or_default();
                match path.plain() {
                    Some(path) => overlap(path, &place),
                    // A pattern finds no inputs, but it may look for what lies in one.
                    None => path.fixed().starts_with(&place),
                }
            })?;
            Some((field, format!("`{text}` is in the place of the input `{name}` (`{place}`)")))
        })
    }
}

/// Checks the outputs of a stage. `inputs` are the places of its inputs.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(outputs: &BTreeMap<String, DeclaredOutput>, inputs: &BTreeMap<String, String>) -> Result<(), ParamError> {
    let wrong = |message: String| Err(ParamError::new("outputs", message));
    if outputs.is_empty() {
        return wrong("a stage needs an output: `outputs = { data = \"dataset\" }`".to_owned());
    }
    if let Some(name) = outputs.keys().find(|name| !is_port(name)) {
        return wrong(format!(
            "`{name}` cannot name an output: a name has lower-case letters, digits and `_` only, and is not `source`"
        ));
    }
    for (name, output) in outputs {
        if let Some((field, message)) = output.problem(inputs) {
            return Err(ParamError::new(field, message).within(name).within("outputs"));
        }
    }
    Ok(())
}

impl Serialize for DeclaredOutput {
    /// The type alone where there is nothing else: so it was before outputs had other fields.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keyed = OutputFields {
            select: Vec::new(),
            ..self.0.clone()
        };
        if self.paths().next().is_none() {
            keyed.port.serialize(serializer)
        } else {
            keyed.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for DeclaredOutput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = DeclaredOutput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type such as \"file\", or a table such as { type = \"file\", path = \"out\" }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<DeclaredOutput, E> {
                Ok(DeclaredOutput(OutputFields {
                    port: PortType::deserialize(name.into_deserializer())?,
                    path: None,
                    examples: None,
                    series: None,
                    select: Vec::new(),
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<DeclaredOutput, A::Error> {
                OutputFields::deserialize(MapAccessDeserializer::new(fields)).map(DeclaredOutput)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for DeclaredOutput {
    fn schema_name() -> Cow<'static, str> {
        "DeclaredOutput".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (port, fields) = (generator.subschema_for::<PortType>(), generator.subschema_for::<OutputFields>());
        json_schema!({"anyOf": [port, fields]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<DeclaredOutput, String> {
        let value = lab::config::ConfigValue::from(json);
        value
            .read()
            .map_err(|error: ParamError| format!("{}: {error}", error.path.join(".")))
    }

    #[test]
    fn the_key_has_the_type_alone_or_a_table_without_the_selection() {
        let key = |json| json!(read(json).unwrap());
        assert_eq!(key(json!("file")), json!("file"));
        assert_eq!(key(json!({"type": "file"})), json!("file"));
        assert_eq!(key(json!({"type": "metrics", "select": ["a.*"]})), json!("metrics"));
        let whole = json!({"type": "metrics", "path": "out/*.json", "examples": "e.jsonl", "select": ["a.*"]});
        let keyed = json!({"type": "metrics", "path": "out/*.json", "examples": "e.jsonl"});
        assert_eq!(key(whole.clone()), keyed);
        assert_eq!(read(whole.clone()).unwrap().param(), whole);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |json| match read(json) {
            Ok(output) => {
                let inputs = BTreeMap::from([("data".to_owned(), "./in/data".to_owned())]);
                let problem = output.problem(&inputs);
                problem.map_or_else(|| "nothing".to_owned(), |(field, message)| format!("{field}: {message}"))
            }
            Err(message) => message,
        };
        let wrong = [
            json!({"type": "file", "path": "out/x"}),
            json!("picture"),
            json!({"path": "x"}),
            json!({"type": "file", "paht": "x"}),
            json!(3),
            json!({"type": "file", "select": ["a"]}),
            json!({"type": "metrics", "series": "s.csv"}),
            json!({"type": "metrics", "path": "m.json", "series": "/s.csv"}),
            json!({"type": "metrics", "select": [""]}),
            json!({"type": "file", "path": "in"}),
            json!({"type": "file", "path": "in/data/x"}),
            json!({"type": "file", "path": "in/data/*"}),
            json!({"type": "file", "path": "in/*"}),
        ];
        insta::assert_snapshot!(wrong.map(said).join("\n"), @r#"
        nothing
        : no `picture` (known: dataset, model, answers, metrics, figure, text, file)
        : a field `type` is missing
        paht: no field `paht` (known: type, path, examples, series, select)
        : must be a type such as "file", or a table such as { type = "file", path = "out" }, not 3
        select: only an output of the type `metrics` has `select`
        series: `series` needs a `path` beside it, which says where the metrics are
        series: `/s.csv` leads out of the folder of the program: write a path from that folder, without `..`
        select: an empty text names no metric
        path: `in` is in the place of the input `data` (`./in/data`)
        path: `in/data/x` is in the place of the input `data` (`./in/data`)
        path: `in/data/*` is in the place of the input `data` (`./in/data`)
        nothing
        "#);
    }
}
