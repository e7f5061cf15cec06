//! The values of an experiment: TOML that remembers where it was written.

use std::collections::BTreeMap;

use super::pieces::{TemplatePiece, pieces};
use super::{Location, ValueOrigin};
use crate::text::is_hidden;

/// A value with the place at which it was written. Values are equal when their data is, wherever they were written.
#[derive(Clone, Debug)]
pub struct ConfigValue {
    pub data: ValueData,
    pub origin: ValueOrigin,
}

/// The value itself.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueData {
    /// An optional value that is left out: TOML has none, the JSON of a record has.
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    /// A text with placeholders (`{input.data}`), which a worker fills in. The braces that are the text's own are doubled.
    Template(String),
    List(Vec<ConfigValue>),
    Table(ConfigTable),
}

/// The fields of a table, by name.
pub type ConfigTable = BTreeMap<String, ConfigValue>;

impl ConfigValue {
    /// A value written at `origin`.
    pub fn new(data: ValueData, origin: ValueOrigin) -> Self {
        Self { data, origin }
    }

    /// A text written at `origin`.
    pub fn text(text: impl Into<String>, origin: ValueOrigin) -> Self {
        Self::new(ValueData::Text(text.into()), origin)
    }

    /// A table written at `origin`.
    pub fn table(fields: ConfigTable, origin: ValueOrigin) -> Self {
        Self::new(ValueData::Table(fields), origin)
    }

    /// The same value, and the items of a list, as written at `origin`: a template that has been filled in stands there, not its values.
    pub(super) fn moved_to(self, origin: &ValueOrigin) -> Self {
        let data = match self.data {
            ValueData::List(items) => ValueData::List(items.into_iter().map(|item| item.moved_to(origin)).collect()),
            other => other,
        };
        Self::new(data, origin.clone())
    }

    /// Where the value stands; `None` for a value that no text gives.
    pub fn at(&self) -> Option<Location> {
        self.origin.value()
    }

    /// Where the value's key stands; for an item of a list, where the item stands.
    pub fn key_at(&self) -> Option<Location> {
        self.origin.key()
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            ValueData::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The fields, if it is a table.
    pub fn as_table(&self) -> Option<&ConfigTable> {
        match &self.data {
            ValueData::Table(fields) => Some(fields),
            _ => None,
        }
    }

    /// The fields, if it is a table.
    pub fn as_table_mut(&mut self) -> Option<&mut ConfigTable> {
        match &mut self.data {
            ValueData::Table(fields) => Some(fields),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.data {
            ValueData::List(items) => Some(items),
            _ => None,
        }
    }

    /// The whole number, if it is one of 64 bits.
    pub fn as_integer(&self) -> Option<i64> {
        match self.data {
            ValueData::Integer(number) => i64::try_from(number).ok(),
            _ => None,
        }
    }

    /// Whether the value is left out.
    pub fn is_null(&self) -> bool {
        self.data == ValueData::Null
    }

    /// The field of a table, if it is a table that has the field.
    pub fn get(&self, field: &str) -> Option<&Self> {
        self.as_table()?.get(field)
    }

    /// The items of a list; any other value is the only item.
    pub fn items(&self) -> &[Self] {
        self.as_list().unwrap_or(std::slice::from_ref(self))
    }

    /// The value in a message: `a list`, `the text "x"`.
    pub fn describe(&self) -> String {
        match &self.data {
            ValueData::Null => "nothing".to_owned(),
            ValueData::Bool(flag) => flag.to_string(),
            ValueData::Integer(number) => number.to_string(),
            ValueData::Float(number) => toml::Value::from(*number).to_string(),
            ValueData::Text(text) | ValueData::Template(text) => format!("the text {text:?}"),
            ValueData::List(_) => "a list".to_owned(),
            ValueData::Table(_) => "a table".to_owned(),
        }
    }

    /// The value as a coordinate or within a text: a text as it is, everything else as in TOML.
    pub fn plain_text(&self) -> String {
        match &self.data {
            ValueData::Text(text) | ValueData::Template(text) => text.clone(),
            _ => self.toml(),
        }
    }

    /// What is wrong with a value that has a placeholder, wherever only a text that is known will do; `None` for any other.
    pub fn unfilled(&self) -> Option<String> {
        match &self.data {
            ValueData::Template(text) => {
                let name = pieces(text).into_iter().find_map(|piece| match piece {
                    TemplatePiece::Placeholder(name) => Some(name),
                    TemplatePiece::Text(_) => None,
                });
                let name = name.unwrap_or_default();
                Some(format!(
                    "`{{{name}}}` is filled in when the stage runs, which only `run` and `env` of a `command` can take"
                ))
            }
            ValueData::List(items) => items.iter().find_map(Self::unfilled),
            ValueData::Table(fields) => fields.values().find_map(Self::unfilled),
            _ => None,
        }
    }

    /// The value as TOML, on one line.
    pub fn toml(&self) -> String {
        match &self.data {
            ValueData::Null => "\"\"".to_owned(),
            ValueData::Bool(flag) => flag.to_string(),
            ValueData::Integer(number) => number.to_string(),
            ValueData::Float(number) => toml::Value::from(*number).to_string(),
            ValueData::Text(text) | ValueData::Template(text) => quoted(text),
            ValueData::List(items) => {
                let items: Vec<String> = items.iter().map(Self::toml).collect();
                format!("[{}]", items.join(", "))
            }
            ValueData::Table(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(key, value)| format!("{} = {}", key_text(key), value.toml()))
                    .collect();
                format!("{{ {} }}", fields.join(", "))
            }
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        match &self.data {
            ValueData::Null => serde_json::Value::Null,
            ValueData::Bool(flag) => (*flag).into(),
            ValueData::Integer(number) => serde_json::Number::from_i128(*number).into(),
            ValueData::Float(number) => (*number).into(),
            ValueData::Text(text) | ValueData::Template(text) => text.as_str().into(),
            ValueData::List(items) => items.iter().map(Self::json).collect(),
            ValueData::Table(fields) => fields.iter().map(|(key, value)| (key.clone(), value.json())).collect(),
        }
    }
}

impl PartialEq for ConfigValue {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data
    }
}

impl From<ValueData> for ConfigValue {
    /// A value that no text gives.
    fn from(data: ValueData) -> Self {
        Self::new(data, ValueOrigin::default())
    }
}

impl From<i64> for ConfigValue {
    fn from(number: i64) -> Self {
        ValueData::Integer(number.into()).into()
    }
}

impl From<f64> for ConfigValue {
    fn from(number: f64) -> Self {
        ValueData::Float(number).into()
    }
}

impl From<&str> for ConfigValue {
    fn from(text: &str) -> Self {
        Self::text(text, ValueOrigin::default())
    }
}

impl From<String> for ConfigValue {
    fn from(text: String) -> Self {
        Self::text(text, ValueOrigin::default())
    }
}

impl<T: Into<Self>> From<Vec<T>> for ConfigValue {
    fn from(items: Vec<T>) -> Self {
        ValueData::List(items.into_iter().map(Into::into).collect()).into()
    }
}

impl From<serde_json::Value> for ConfigValue {
    /// The value of a record or a work order, which no text of the experiment gives.
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => ValueData::Null.into(),
            serde_json::Value::Bool(flag) => ValueData::Bool(flag).into(),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(number) => ValueData::Integer(number).into(),
                None => number.as_f64().map_or(ValueData::Null, ValueData::Float).into(),
            },
            serde_json::Value::String(text) => text.into(),
            serde_json::Value::Array(items) => items.into(),
            serde_json::Value::Object(fields) => {
                let fields = fields.into_iter().map(|(key, value)| (key, value.into()));
                ValueData::Table(fields.collect()).into()
            }
        }
    }
}

/// A key as TOML: quoted where it must be.
pub fn key_text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A text as TOML, on one line. What would draw on a terminal is written as an escape.
fn quoted(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return toml::Value::from(text).to_string();
    }
    let mut out = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            c if is_hidden(c) => out += &format!("\\U{:08x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_on_one_line_and_reads_back() {
        let text = "a \"b\"\\\n\t\r\x1b[31m\u{9b}\u{202e}\u{e0041}é";
        let written = ConfigValue::from(serde_json::json!(text)).toml();
        assert!(!written.chars().any(is_hidden), "{written:?}");
        let read: toml::Table = format!("x = {written}").parse().unwrap();
        assert_eq!(read["x"].as_str(), Some(text));
    }

    #[test]
    fn values_are_written_as_toml() {
        assert_eq!(ConfigValue::from(vec![-1i64, 2]).toml(), "[-1, 2]");
        assert_eq!(ConfigValue::from("a \"b\"\n").toml(), "\"a \\\"b\\\"\\n\"");
        assert_eq!(ConfigValue::from(3e-3).toml(), "0.003");
        assert_eq!(ConfigValue::from(1.0).toml(), "1.0");
        assert_eq!(key_text("mixed[k]"), "\"mixed[k]\"");
        assert_eq!(ConfigValue::from("warm").plain_text(), "warm");
    }

    #[test]
    fn a_value_with_a_placeholder_says_what_is_wrong_with_it() {
        let template = ConfigValue::from(ValueData::Template("{{x}}/{input.data}".to_owned()));
        assert_eq!(
            ConfigValue::from(vec![ConfigValue::from("{input.data}"), template.clone()])
                .unfilled()
                .unwrap(),
            "`{input.data}` is filled in when the stage runs, which only `run` and `env` of a `command` can take"
        );
        assert_eq!(ConfigValue::from("{input.data}").unfilled(), None);
        assert_eq!(template.read::<String>().unwrap_err().to_string(), template.unfilled().unwrap());
        assert_eq!(
            template.read::<Option<u32>>().unwrap_err().to_string(),
            template.unfilled().unwrap()
        );
        assert_ne!(template, ConfigValue::from("{{x}}/{input.data}"));
    }

    #[test]
    fn json_comes_back_as_it_was() {
        let json = serde_json::json!({"a": [1, -2, u64::MAX, 1.0, 0.1], "b": {"c": null, "d": "x", "e": true}});
        assert_eq!(ConfigValue::from(json.clone()).json(), json);
    }
}
