//! The form of a mathematical answer: without what only shows it, and taken apart into items.

/// What holds items together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// `1, 2` or `{1, 2}`: in any order.
    List,
    /// With these brackets: `(1, 2)`, `[0, 1)`.
    Ordered(char, char),
}

/// One item or several.
#[derive(Debug, PartialEq)]
pub(super) enum Form<'t> {
    One(&'t str),
    Many(Container, Vec<&'t str>),
}

/// The most items that are compared.
const MAX_ITEMS: usize = 100;

/// Marks of LaTeX and what stands for them.
const MARKS: [(&str, &str); 24] = [
    ("\\!", ""),
    ("\\,", " "),
    ("\\;", " "),
    ("\\:", " "),
    ("\\ ", " "),
    ("\\quad", " "),
    ("~", " "),
    ("{,}", ","),
    ("\\left", ""),
    ("\\right", ""),
    ("\\(", ""),
    ("\\)", ""),
    ("\\[", ""),
    ("\\]", ""),
    ("\\%", ""),
    ("%", ""),
    ("\\$", ""),
    ("$", ""),
    ("^\\circ", ""),
    ("^{\\circ}", ""),
    ("°", ""),
    ("\\displaystyle", ""),
    ("\\cup", "∪"),
    ("\\in ", "="),
];
/// Commands that show a text in a certain way.
const TEXTS: [&str; 5] = ["\\text{", "\\mathrm{", "\\textbf{", "\\mathbf{", "\\mbox{"];

/// The text without marks that change nothing: dollars, percent and degree signs, spaces of LaTeX, the full stop.
pub(super) fn plain(text: &str) -> String {
    let mut plain = text.trim().trim_end_matches('.').to_owned();
    for (mark, instead) in MARKS {
        if plain.contains(mark) {
            plain = plain.replace(mark, instead);
        }
    }
    for command in TEXTS {
        if plain.contains(command) {
            plain = plain.replace(command, " {");
        }
    }
    plain.trim().trim_end_matches('.').trim().to_owned()
}

/// The text without white space, but for that between two digits.
pub(super) fn squeezed(text: &str) -> String {
    let (mut squeezed, mut gap) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && c.is_ascii_digit() && squeezed.ends_with(|c: char| c.is_ascii_digit()) {
            squeezed.push(' ');
        }
        squeezed.push(c);
        gap = false;
    }
    squeezed
}

/// The text without the name before an equals sign (`x = 5`), unless the other one is an equation that has none or another name.
pub(super) fn without_name<'t>(text: &'t str, other: &str) -> &'t str {
    let Some((name, value)) = named(text) else { return text };
    let is_free = !other.contains('=') || named(other).is_some_and(|(other, _)| other == name);
    if is_free { value } else { text }
}

/// `x = 5`, `f(x) = …`: one letter, also with brackets or an index, and what it is.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    let mut chars = name.trim_start_matches('\\').chars();
    let is_name = chars.next().is_some_and(char::is_alphabetic) && chars.all(|c| c.is_alphanumeric() || "_(){}".contains(c));
    let is_one = !value.contains('=') && (name.len() <= 2 || name.starts_with('\\') || name.contains(['_', '(']));
    (is_name && is_one).then(|| (name, value.trim()))
}

/// A number without the words after it: `5 {cm}`, `18 apples`. Anything else as it is.
pub(super) fn without_unit(text: &str) -> &str {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'))
        && !inner.contains(['{', '}'])
    {
        return inner.trim();
    }
    let Some((value, unit)) = text.split_once(" {") else { return text };
    let unit = unit.trim_end();
    let is_unit = unit.ends_with('}') && unit.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || "}^23/.".contains(c));
    if is_unit && value.contains(|c: char| c.is_ascii_digit()) {
        value.trim_end()
    } else {
        text
    }
}

impl<'t> Form<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix("\\{").and_then(|text| text.strip_suffix("\\}")) {
            return Self::Many(Container::List, items(inner));
        }
        let brackets = text.chars().next().zip(text.chars().next_back());
        if let Some((open @ ('(' | '[' | '{'), close @ (')' | ']' | '}'))) = brackets
            && let Some(inner) = text.get(1..text.len().saturating_sub(1))
            && is_balanced(inner)
        {
            let items = items(inner);
            return match (items.len(), open) {
                (..=1, _) => Self::One(text),
                (_, '{') => Self::Many(Container::List, items),
                _ => Self::Many(Container::Ordered(open, close), items),
            };
        }
        match items(text) {
            items if items.len() > 1 => Self::Many(Container::List, items),
            _ => Self::One(text),
        }
    }
}

/// Whether no bracket is closed that was not opened within.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0_i64;
    text.chars().all(|c| {
        depth += change(c);
        depth >= 0
    })
}

fn change(c: char) -> i64 {
    match c {
        '(' | '[' | '{' => 1,
        ')' | ']' | '}' => -1,
        _ => 0,
    }
}

/// The parts between commas that are in no brackets, and not before a group of three digits; also between "and" and "or".
fn items(text: &str) -> Vec<&str> {
    let (mut items, mut start, mut depth) = (Vec::new(), 0, 0_i64);
    for (at, c) in text.char_indices() {
        depth += change(c);
        let rest = text.get(at..).unwrap_or_default();
        let length = match c {
            ',' | ';' if !is_group(text, at) => 1,
            ' ' => [" and ", " or "]
                .into_iter()
                .find(|word| rest.starts_with(word))
                .map_or(0, str::len),
            _ => 0,
        };
        if length > 0 && depth == 0 && at >= start && items.len() < MAX_ITEMS {
            items.push(text.get(start..at).unwrap_or_default().trim());
            start = at + length;
        }
    }
    items.push(text.get(start..).unwrap_or_default().trim());
    items.retain(|item| !item.is_empty());
    items
}

/// Whether the comma is one within a number, as in `1,000`.
fn is_group(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let after = text.get(at + 1..).unwrap_or_default();
    let digits = after.chars().take_while(char::is_ascii_digit).count();
    before.ends_with(|c: char| c.is_ascii_digit()) && digits == 3
}
