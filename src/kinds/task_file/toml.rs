//! Tables as an experiment has them: one field on each line, lists of tables with one table on each.

use std::fmt::Write;

/// A value in TOML.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Toml {
    Text(String),
    Whole(i64),
    /// A number with its digits.
    Float(String),
    Bool(bool),
    List(Vec<Toml>),
    Table(Vec<(String, Toml)>),
}

/// Longer lines are broken, where a list can be.
const WIDTH: usize = 120;
/// A text with more lines than this stands on several lines.
const MAX_LINE_ENDS: usize = 2;

impl Toml {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// The value on one line.
    fn inline(&self) -> String {
        match self {
            Self::Text(text) => one_line(text),
            Self::Whole(number) => number.to_string(),
            Self::Float(digits) => digits.clone(),
            Self::Bool(value) => value.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::inline).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Table(fields) if fields.is_empty() => "{}".to_owned(),
            Self::Table(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{} = {}", key(name), value.inline()))
                    .collect();
                format!("{{ {} }}", fields.join(", "))
            }
        }
    }

    /// The value of a field of a table, on as many lines as it needs.
    fn block(&self, used: usize) -> String {
        match self {
            Self::Text(text) if text.matches('\n').count() > MAX_LINE_ENDS => several_lines(text),
            Self::List(items) if !items.is_empty() => {
                let line = self.inline();
                let has_tables = items.iter().any(|item| matches!(item, Self::Table(_)));
                if !has_tables && line.chars().count() + used <= WIDTH {
                    return line;
                }
                let lines: String = items.iter().map(|item| format!("  {},\n", item.inline())).collect();
                format!("[\n{lines}]")
            }
            other => other.inline(),
        }
    }
}

/// The lines of a table's fields.
pub(super) fn fields(fields: &[(String, Toml)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let name = key(name);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name} = {}", value.block(name.len() + 3));
    }
    text
}

/// A name as a key.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_owned() } else { basic(name) }
}

/// A text in literal quotes where that spares backslashes, which is what regular expressions are full of.
fn one_line(text: &str) -> String {
    let is_plain = |c: char| c != '\'' && (!c.is_control() || c == '\t');
    if text.contains(['\\', '"']) && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    basic(text)
}

fn several_lines(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\t' | '\n');
    let is_literal = !text.contains("'''") && !text.ends_with('\'') && text.chars().all(is_plain);
    // Blanks at the end of a line would not be seen.
    if is_literal && !text.lines().any(|line| line.ends_with([' ', '\t'])) {
        return format!("'''\n{text}'''");
    }
    basic(text)
}

fn basic(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            other if other.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The name of a table, a source and a stage: letters, digits, `_` and `-`.
pub(super) fn table_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if name.is_empty() { "task".to_owned() } else { name }
}

/// A text within a comment: on one line, without control characters.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
