//! The methods and filters of Python that templates use, where those of `minijinja` differ from Python's.

use minijinja::value::{StringInput, ValueKind, from_args};
use minijinja::{Environment, Error, State, Value};
use minijinja_contrib::pycompat;

use crate::python::is_space;

/// Gives the templates of `environment` the methods of Python's texts, lists and dictionaries.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.set_unknown_method_callback(method);
    environment.add_filter("trim", trim);
    environment.add_test("iterable", is_iterable);
}

/// Whether Python's `iter` takes the value: it takes no `none`.
fn is_iterable(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::None | ValueKind::Bool | ValueKind::Number) && value.try_iter().is_ok()
}

fn method(state: &mut State<'_, '_>, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let ends = match name {
        "strip" => (true, true),
        "lstrip" => (true, false),
        "rstrip" => (false, true),
        _ => return pycompat::unknown_method_callback(state, value, name, arguments),
    };
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, name, arguments);
    };
    let (characters,): (Option<&str>,) = from_args(arguments)?;
    Ok(Value::from(stripped(text, characters, ends)))
}

/// The filter `trim`: Python's `strip` of the value as a text.
#[expect(clippy::needless_pass_by_value, reason = "filters are given their values so")]
fn trim(value: StringInput<'_>, characters: Option<&str>) -> Value {
    Value::from(stripped(value.as_str(), characters, (true, true)))
}

/// The text without the `characters` at its ends, or without the white space there.
fn stripped<'t>(text: &'t str, characters: Option<&str>, (at_start, at_end): (bool, bool)) -> &'t str {
    let goes = |c: char| characters.map_or_else(|| is_space(c), |characters| characters.contains(c));
    let text = if at_start { text.trim_start_matches(goes) } else { text };
    if at_end { text.trim_end_matches(goes) } else { text }
}

/// The text in three parts: its own between the white space before and after it.
pub(super) fn parts(text: &str) -> (&str, &str, &str) {
    let (own, without_start) = (text.trim_matches(is_space), text.trim_start_matches(is_space));
    let before = text.len() - without_start.len();
    let (before, rest) = text.split_at_checked(before).unwrap_or((text, ""));
    (before, own, rest.get(own.len()..).unwrap_or_default())
}
