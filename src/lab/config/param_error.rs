//! The error of params that cannot be read, and its diagnostic.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::nearest::{known, nearest};
use super::{ConfigValue, Diagnostic, ValueData};

/// A param, or another part of a value, that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ParamError {
    /// The keys and positions that lead to the wrong value; empty for the value as a whole.
    pub path: Vec<String>,
    pub problem: ParamProblem,
}

/// Why a value is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamProblem {
    /// The message of a check.
    #[error("{0}")]
    Message(String),
    /// The message of a check whose value may hold a secret: no line of the file is shown.
    #[error("{0}")]
    Secret(String),
    #[error("no field `{name}` ({})", known(fields.iter().copied()))]
    UnknownField { name: String, fields: Vec<&'static str> },
    /// A text that is none of the names which the param may have.
    #[error("no `{name}` ({})", known(names.iter().copied()))]
    UnknownName { name: String, names: &'static [&'static str] },
    #[error("a field `{0}` is missing")]
    MissingField(String),
    #[error("must be {}, not {found}", in_words_for(expected, found))]
    WrongType {
        found: String,
        /// In the words of serde: `u64`, `a sequence`.
        expected: String,
    },
    #[error("must be {}, not a list of {length}", in_words(expected))]
    WrongLength { length: usize, expected: String },
}

impl ParamError {
    /// An error of the value as a whole.
    pub fn whole(message: impl Into<String>) -> Self {
        ParamProblem::Message(message.into()).into()
    }

    /// An error of a value that may hold a secret, which is not shown.
    pub fn secret(message: impl Into<String>) -> Self {
        ParamProblem::Secret(message.into()).into()
    }

    /// An error of one param.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self::whole(message).within(field)
    }

    /// An error of the param `field`, whose value `name` is none of `names`.
    pub fn unknown_name(field: &str, name: impl Into<String>, names: &'static [&'static str]) -> Self {
        let name = name.into();
        Self::from(ParamProblem::UnknownName { name, names }).within(field)
    }

    /// The error as one of the value that has this value in its `field`.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        self.path.insert(0, field.to_owned());
        self
    }

    /// The error as a diagnostic that points into the file. `root` is the value that was read and `whole` its name in messages (``stage
    /// `sums` (generate)``); `others` are the fields that it may have beside those that the error names.
    pub fn diagnostic(&self, root: &ConfigValue, whole: &str, others: &[&str]) -> Diagnostic {
        let (value, depth) = deepest(root, &self.path);
        let field = self.path.iter().take(depth).map(String::as_str).collect::<Vec<_>>().join(".");
        let at_value = || if depth == 0 { value.key_at() } else { value.at() };
        match &self.problem {
            ParamProblem::UnknownField { name, fields } => {
                let parent = self.path.split_last().map(|(_, parent)| parent).filter(|parent| !parent.is_empty());
                let whole = parent.map_or_else(|| whole.to_owned(), |parent| format!("`{}`", parent.join(".")));
                let mut names: Vec<&str> = if parent.is_some() { Vec::new() } else { others.to_vec() };
                names.extend(fields.iter().copied());
                names.sort_unstable();
                let message = format!("no field `{name}` in {whole} ({})", known(names.iter().copied()));
                Diagnostic::new(message).at(value.key_at()).suggest(nearest(name, names))
            }
            ParamProblem::UnknownName { name, names } => {
                let message = format!("no {field} `{name}` ({})", known(names.iter().copied()));
                Diagnostic::new(message)
                    .at(at_value())
                    .suggest(nearest(name, names.iter().copied()))
            }
            ParamProblem::MissingField(name) => {
                let whole = if field.is_empty() { whole.to_owned() } else { format!("`{field}`") };
                Diagnostic::new(format!("{whole} needs a field `{name}`")).at(value.key_at())
            }
            ParamProblem::WrongType { expected, .. } => {
                let found = value.describe();
                let message = format!("`{field}` must be {}, not {found}", in_words_for(expected, &found));
                Diagnostic::new(message).at(at_value())
            }
            ParamProblem::WrongLength { length, expected } => {
                let message = format!("`{field}` must be {}, not a list of {length}", in_words(expected));
                Diagnostic::new(message).at(at_value())
            }
            ParamProblem::Message(message) => Diagnostic::new(message.clone()).at(at_value()),
            ParamProblem::Secret(message) => Diagnostic::new(format!("{whole}: {message}")),
        }
    }
}

impl From<ParamProblem> for ParamError {
    fn from(problem: ParamProblem) -> Self {
        let path = Vec::new();
        Self { path, problem }
    }
}

impl de::Error for ParamError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::whole(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (found, expected) = (describe(&found), expected.to_string());
        ParamProblem::WrongType { found, expected }.into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        ParamProblem::WrongLength { length, expected }.into()
    }

    fn unknown_variant(name: &str, names: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        ParamProblem::UnknownName { name, names }.into()
    }

    fn unknown_field(name: &str, fields: &'static [&'static str]) -> Self {
        // What begins with `_` is filled in by the configuration, and nobody writes it.
        let fields = fields.iter().copied().filter(|field| !field.starts_with('_')).collect();
        let name = name.to_owned();
        ParamProblem::UnknownField { name, fields }.into()
    }

    fn missing_field(name: &'static str) -> Self {
        ParamProblem::MissingField(name.to_owned()).into()
    }
}

/// The value at `path`, or the deepest one on the way to it, and how deep that is.
fn deepest<'a>(root: &'a ConfigValue, path: &[String]) -> (&'a ConfigValue, usize) {
    let mut value = root;
    for (depth, key) in path.iter().enumerate() {
        let next = match &value.data {
            ValueData::Table(fields) => fields.get(key),
            ValueData::List(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return (value, depth),
        }
    }
    (value, path.len())
}

/// A value that was found, in the words of [`ConfigValue::describe`].
fn describe(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(flag) => flag.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => toml::Value::from(*number).to_string(),
        Unexpected::Str(text) => format!("the text {text:?}"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// The same where `found` is there: a number that is too large is a number all the same.
fn in_words_for(expected: &str, found: &str) -> String {
    let most = match expected {
        "u8" => u64::from(u8::MAX),
        "u16" => u64::from(u16::MAX),
        "u32" => u64::from(u32::MAX),
        "i8" => u64::from(i8::MAX.unsigned_abs()),
        "i16" => u64::from(i16::MAX.unsigned_abs()),
        "i32" => u64::from(i32::MAX.unsigned_abs()),
        _ => return in_words(expected),
    };
    match found.parse::<i128>() {
        Ok(number) if number > i128::from(most) => format!("a whole number up to {most}"),
        _ => in_words(expected),
    }
}

/// The type that serde expected, in the words of the file.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other if other.starts_with("a nonzero ") => "a whole number from 1".to_owned(),
        other if other.starts_with("an array of length ") || other.starts_with("tuple struct ") => {
            let length = other.chars().filter(char::is_ascii_digit).collect::<String>();
            format!("a list of {length}")
        }
        other => other.to_owned(),
    }
}
