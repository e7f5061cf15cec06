//! figment's errors, as diagnostics that point into the file.

use figment::error::{Actual, Kind};
use figment::value::Value;

use super::nearest::{known, nearest};
use super::value::describe;
use super::{Diagnostic, Origins};

/// What `error` says of `root`, the value that was deserialised: `whole` is what it is (`a stage of kind train`), `others` are
/// fields that it may have beside those that the error knows.
pub fn invalid(error: figment::Error, root: &Value, whole: &str, others: &[&str], origins: &Origins) -> Vec<Diagnostic> {
    error.into_iter().map(|error| one(&error, root, whole, others, origins)).collect()
}

fn one(error: &figment::Error, root: &Value, whole: &str, others: &[&str], origins: &Origins) -> Diagnostic {
    let (value, depth) = find(root, &error.path);
    let field = error.path.iter().take(depth).map(String::as_str).collect::<Vec<_>>().join(".");
    let at_value = || {
        if depth == 0 {
            origins.key(value.tag())
        } else {
            origins.value(value.tag())
        }
    };
    match &error.kind {
        Kind::UnknownField(name, fields) => {
            let inner = error.path.len() > 1;
            let whole = if inner {
                format!("`{}`", error.path[..error.path.len() - 1].join("."))
            } else {
                whole.to_owned()
            };
            let mut names: Vec<&str> = if inner { Vec::new() } else { others.to_vec() };
            names.extend(fields.iter().copied());
            names.sort_unstable();
            let message = format!("no field `{name}` in {whole} ({})", known(names.iter().copied()));
            Diagnostic::new(message)
                .at(origins.key(value.tag()))
                .suggest(nearest(name, names.iter().copied()))
        }
        Kind::UnknownVariant(name, variants) => {
            let message = format!("no {field} `{name}` ({})", known(variants.iter().copied()));
            Diagnostic::new(message)
                .at(at_value())
                .suggest(nearest(name, variants.iter().copied()))
        }
        Kind::MissingField(name) => {
            let whole = if field.is_empty() { whole.to_owned() } else { format!("`{field}`") };
            Diagnostic::new(format!("{whole} needs a field `{name}`")).at(origins.key(value.tag()))
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            Diagnostic::new(format!("`{field}` must be {}, not {}", wanted(expected), found(actual, value))).at(at_value())
        }
        Kind::Message(message) => Diagnostic::new(message.clone()).at(at_value()),
        other => Diagnostic::new(format!("`{field}`: {other}")).at(at_value()),
    }
}

/// The value at `path`, or the deepest on the way to it, and how deep that is.
fn find<'a>(root: &'a Value, path: &[String]) -> (&'a Value, usize) {
    let mut value = root;
    for (depth, key) in path.iter().enumerate() {
        let next = match value {
            Value::Dict(_, fields) => fields.get(key),
            Value::Array(_, items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return (value, depth),
        }
    }
    (value, path.len())
}

/// What serde expected, in the words of the file.
fn wanted(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other
            .strip_prefix("a nonzero ")
            .map_or_else(|| other.to_owned(), |_| "a whole number from 1".to_owned()),
    }
}

fn found(actual: &Actual, value: &Value) -> String {
    match actual {
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        _ => describe(value),
    }
}
