//! The fields of a row, by name.

use lab::text::beginning;
use learn::dataset::{ExactValue, Row};

/// A row has not what was asked of it.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FieldError {
    #[error("row `{id}` has no field `{field}` (it has {known}); name another field, or leave such rows out of the data")]
    Missing { id: String, field: String, known: String },
    #[error("row `{id}`: `{field}` is {found}, and {needed} is needed; name another field, or leave such rows out of the data")]
    Type {
        id: String,
        field: String,
        found: String,
        needed: &'static str,
    },
}

/// The value of a field of the row. A point leads into an object and a number in brackets into a list: `meta.id`, `choices[0]`. `None` if
/// the row has no such field.
pub fn field(row: &Row, path: &str) -> Option<ExactValue> {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at_checked(end)?;
    inner(&named(row, name)?, rest).cloned()
}

/// The same, as an error where there is none.
///
/// # Errors
/// When the row has no such field.
pub fn needed_field(row: &Row, path: &str) -> Result<ExactValue, FieldError> {
    field(row, path).ok_or_else(|| FieldError::Missing {
        id: row.id.clone(),
        field: path.to_owned(),
        known: names(row).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    })
}

/// The error for a value of another type than is needed.
pub fn wrong_type(row: &Row, field: &str, value: &ExactValue, needed: &'static str) -> FieldError {
    /// Longer values are cut.
    const SHOWN: usize = 40;
    FieldError::Type {
        id: row.id.clone(),
        field: field.to_owned(),
        found: beginning(&value.to_string(), SHOWN),
        needed,
    }
}

/// The names of the fields of a row: those of its record, then its own.
fn names(row: &Row) -> impl Iterator<Item = &str> {
    row.field_names().into_iter()
}

/// The field of this name.
fn named(row: &Row, name: &str) -> Option<ExactValue> {
    row.field(name)
}

/// The part of a value to which the rest of a path leads.
fn inner<'v>(value: &'v ExactValue, path: &str) -> Option<&'v ExactValue> {
    if path.is_empty() {
        return Some(value);
    }
    if let Some(rest) = path.strip_prefix('[') {
        let (number, rest) = rest.split_once(']')?;
        let ExactValue::List(items) = value else { return None };
        return inner(items.get(number.parse::<usize>().ok()?)?, rest);
    }
    let rest = path.strip_prefix('.')?;
    let (name, rest) = rest.split_at_checked(rest.find(['.', '[']).unwrap_or(rest.len()))?;
    let ExactValue::Object(fields) = value else { return None };
    inner(fields.get(name)?, rest)
}

/// A number, or a text that is one: tables of text (CSV) have no other numbers.
pub fn number(value: &ExactValue) -> Option<f64> {
    let text = match value {
        ExactValue::Number(number) => number.as_str(),
        ExactValue::Text(text) => text.trim(),
        _ => return None,
    };
    let is_number = text.starts_with(|c: char| c == '-' || c == '+' || c == '.' || c.is_ascii_digit());
    text.parse().ok().filter(|number: &f64| is_number && !number.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(answer: &str) -> Row {
        Row {
            id: "a".to_owned(),
            prompt: "Q".to_owned(),
            completion: "C".to_owned(),
            step_num: 2,
            answer: serde_json::from_str(answer).unwrap(),
            doc: learn::dataset::Doc::default(),
        }
    }

    fn found(path: &str) -> Option<String> {
        field(&row(r#"{"x": [1, {"y": "z"}], "w": null}"#), path).map(|value| value.to_string())
    }

    #[test]
    fn paths_lead_into_values() {
        for (path, value) in [
            ("id", "\"a\""),
            ("step_num", "2"),
            ("answer.x[0]", "1"),
            ("answer.x[1].y", "\"z\""),
            ("answer.w", "null"),
        ] {
            assert_eq!(found(path).as_deref(), Some(value), "{path}");
        }
        for path in [
            "",
            "idd",
            "id.x",
            "id[0]",
            "answer.",
            "answer.x[2]",
            "answer.x[-1]",
            "answer.x[",
            "answer[0]",
            "answer.x[0]y",
            "[0]",
            ".",
            "ä[",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn a_field_that_is_missing_is_said_with_the_row() {
        insta::assert_snapshot!(needed_field(&row("1"), "level").unwrap_err(), @"row `a` has no field `level` (it has `id`, `prompt`, `completion`, `step_num`, `answer`); name another field, or leave such rows out of the data");
    }

    #[test]
    fn texts_that_are_numbers_are_numbers() {
        let number = |json: &str| number(&serde_json::from_str(json).unwrap());
        for (json, value) in [("1", 1.0), ("0.50", 0.5), ("\" 3 \"", 3.0), ("\"-2e1\"", -20.0), ("\".5\"", 0.5)] {
            assert_eq!(number(json), Some(value), "{json}");
        }
        for json in ["\"x\"", "\"\"", "\"nan\"", "\"inf\"", "null", "true", "[1]"] {
            assert_eq!(number(json), None, "{json}");
        }
    }
}
