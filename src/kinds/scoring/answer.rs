//! Parts of a response that hold its answer.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Commands of LaTeX that draw a box around an answer.
const BOXES: [&str; 2] = ["\\boxed", "\\fbox"];
/// How much text is read beyond the response itself in search of a JSON object, in bytes; and how often the response.
const EXTRA_WORK: usize = 1 << 20;
const READINGS: usize = 50;

/// What is in the last `\boxed{…}`, with braces in braces; also of `\boxed 5`. `None` if there is none, or it is not closed.
pub(super) fn boxed(text: &str) -> Option<&str> {
    let braced = last_box(text).and_then(|(start, end)| text.get(start..end)?.strip_suffix('}'));
    braced.or_else(|| unbraced(text)).map(str::trim)
}

/// Where the content of the last box begins, and where its closing brace ends, in bytes.
pub(super) fn last_box(text: &str) -> Option<(usize, usize)> {
    // Where the content of each open brace begins, and whether a box is around it.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let (mut last, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => {
                let before = text.get(..at).unwrap_or_default().trim_end();
                open.push((at + 1, BOXES.iter().any(|name| before.ends_with(name))));
            }
            '}' => {
                if let Some((start, true)) = open.pop() {
                    last = last.max(Some((start, at + 1)));
                }
            }
            _ => {}
        }
    }
    last
}

/// `\boxed 5`
fn unbraced(text: &str) -> Option<&str> {
    let (_, after) = text.rsplit_once("\\boxed ")?;
    let content = after.split(['$', '\n']).next().unwrap_or_default().trim();
    (!content.is_empty() && !content.starts_with('{')).then_some(content)
}

/// The end of a text: at most so many bytes.
pub(super) fn tail(text: &str, bytes: usize) -> &str {
    let start = text.len().saturating_sub(bytes);
    (start..=text.len()).find_map(|start| text.get(start..)).unwrap_or_default()
}

/// The last line that is not blank.
pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// A field of the last JSON object in the text: a text as it is, anything else as it is written. A point leads into an object.
/// `None` if there is no such object or field, or the field is null.
pub(super) fn json_field(text: &str, field: &str) -> Option<String> {
    let mut value = last_object(text)?;
    for name in field.split('.') {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(value).ok()?;
        value = fields.get(name)?.get();
    }
    match value {
        "null" => None,
        value if value.starts_with('"') => serde_json::from_str(value).ok(),
        value => Some(value.to_owned()),
    }
}

/// The last JSON object that is in no other one.
fn last_object(text: &str) -> Option<&str> {
    let mut work = text.len() * READINGS + EXTRA_WORK;
    let (mut last, mut at) = (None, 0);
    while let Some(start) = text.get(at..)?.find('{').map(|place| at + place) {
        let rest = text.get(start..)?;
        match serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next() {
            Some(Ok(object)) => {
                last = Some(object.get());
                at = start + object.get().len();
            }
            other => {
                let is_near = matches!(&other, Some(Err(error)) if !error.is_eof() && error.line() == 1 && error.column() < 100);
                work = work.saturating_sub(if is_near { 100 } else { rest.len() });
                at = start + 1;
            }
        }
        if work == 0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_with_their_braces() {
        for (text, found) in [
            (r"\boxed{18}", Some("18")),
            (r"so $\boxed{\frac{1}{2}}$.", Some(r"\frac{1}{2}")),
            (r"\boxed{1} and \boxed{2}", Some("2")),
            (r"\boxed{1} and \boxed{2", Some("1")),
            (r"\boxed{\boxed{3}}", Some("3")),
            (r"\boxed{\{1, 2\}}", Some(r"\{1, 2\}")),
            (r"\boxed{a\}b}", Some(r"a\}b")),
            (r"\boxed  { 7 }", Some("7")),
            (r"\fbox{x}", Some("x")),
            (r"it is $\boxed 5$", Some("5")),
            (r"\boxed{}", Some("")),
            (r"\boxed", None),
            (r"{18}", None),
            ("", None),
        ] {
            assert_eq!(boxed(text), found, "{text}");
        }
    }

    #[test]
    fn fields_are_read_from_the_last_object() {
        for (text, field, found) in [
            (r#"{"answer": "18"}"#, "answer", Some("18")),
            (
                r#"{"answer": 1} then ```json {"answer": 2.50, "why": "{x}"}```"#,
                "answer",
                Some("2.50"),
            ),
            (r#"{"a": {"b": [1, 2]}}"#, "a.b", Some("[1, 2]")),
            (r#"\frac{1}{2}: {"a": "\u00e9\n"} {b"#, "a", Some("é\n")),
            (
                r#"{"a": 123456789012345678901234567890}"#,
                "a",
                Some("123456789012345678901234567890"),
            ),
            (r#"{"a": null}"#, "a", None),
            (r#"{"a": 1} {"b": 2}"#, "a", None),
            (r#"{"a": 1"#, "a", None),
            ("", "a", None),
        ] {
            assert_eq!(json_field(text, field).as_deref(), found, "{text}");
        }
    }

    #[test]
    fn any_text_is_read_in_time() {
        for text in [r#"{"a":"#.repeat(200_000), "\\boxed{".repeat(200_000), "{\n".repeat(200_000)] {
            assert_eq!(
                (boxed(&text), json_field(&text, "a"), last_line(&text).is_some()),
                (None, None, true)
            );
        }
    }
}
