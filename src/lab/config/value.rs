//! Values as people read and write them.

use figment::value::{Num, Value};

/// What a value is, in a message: `a list`.
pub fn describe(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("the text {text:?}"),
        Value::Char(_, text) => format!("the text {text:?}"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number_text(*number),
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

/// The items of a list; any other value is the only item.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or(std::slice::from_ref(value))
}

/// A value as a coordinate or within a text: texts bare, all else as in TOML.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        other => toml(other),
    }
}

/// A value as TOML, on one line.
pub fn toml(value: &Value) -> String {
    match value {
        Value::String(_, text) => toml::Value::from(text.as_str()).to_string(),
        Value::Char(_, text) => toml::Value::from(text.to_string()).to_string(),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number_text(*number),
        Value::Empty(..) => "\"\"".to_owned(),
        Value::Array(_, items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Dict(_, fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{} = {}", key_text(key), toml(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// A key as TOML: quoted where it must be.
pub fn key_text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        toml::Value::from(key).to_string()
    }
}

/// The whole number that `value` is.
pub fn integer(value: &Value) -> Option<i64> {
    let number = value
        .to_i128()
        .or_else(|| value.to_u128().and_then(|number| i128::try_from(number).ok()))?;
    i64::try_from(number).ok()
}

fn number_text(number: Num) -> String {
    match (number.to_u128(), number.to_i128(), number.to_f64()) {
        (Some(number), _, _) => number.to_string(),
        (_, Some(number), _) => number.to_string(),
        (_, _, Some(number)) => toml::Value::from(number).to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_toml() {
        assert_eq!(toml(&Value::from(vec![-1i64, 2])), "[-1, 2]");
        assert_eq!(toml(&Value::from("a \"b\"\n")), "\"\"\"\na \"b\"\n\"\"\"");
        assert_eq!(toml(&Value::from(3e-3)), "0.003");
        assert_eq!(toml(&Value::from(1.0)), "1.0");
        assert_eq!(key_text("mixed[k]"), "\"mixed[k]\"");
        assert_eq!(text(&Value::from("warm")), "warm");
    }
}
