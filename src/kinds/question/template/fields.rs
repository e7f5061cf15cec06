//! Our own templates: texts with `{{field}}`, `{{meta.id}}` and `{{choices[0]}}`.

use learn::dataset::ExactValue;

use super::error::TemplateError;
use super::record::TemplateFields;

/// A template: texts and fields, one after the other.
#[derive(Debug)]
pub(super) struct FieldTexts(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Field(FieldPath),
}

/// A field, or a part of one.
#[derive(Debug)]
struct FieldPath {
    /// All of the path as it is written, which a field may have as its name.
    written: String,
    first: String,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Name(String),
    /// The place of an item, from 0, or from -1 backwards.
    Item(i64),
}

impl FieldTexts {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (path, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let parsed = FieldPath::parse(path.trim()).ok_or_else(|| TemplateError::Path(path.trim().to_owned()))?;
            pieces.push(Piece::Field(parsed));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.fields().map(|path| path.first.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn render(&self, fields: &TemplateFields<'_>) -> Result<String, TemplateError> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out += text,
                Piece::Field(path) => out += &text(path.find(fields)?),
            }
        }
        Ok(out)
    }

    /// The value of a template that is one field and nothing else.
    pub(super) fn whole<'f>(&self, fields: &'f TemplateFields<'_>) -> Result<Option<&'f ExactValue>, TemplateError> {
        match self.0.as_slice() {
            [Piece::Field(path)] => path.find(fields).map(Some),
            _ => Ok(None),
        }
    }

    fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Field(path) => Some(path),
            Piece::Text(_) => None,
        })
    }
}

impl FieldPath {
    fn parse(written: &str) -> Option<Self> {
        if written.contains(['{', '}', '(', ')', '|', '\'', '"', '\n']) {
            return None;
        }
        let mut steps = Vec::new();
        for part in written.split('.') {
            let (name, mut items) = part.split_at_checked(part.find('[').unwrap_or(part.len()))?;
            if name.trim().is_empty() {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            while !items.is_empty() {
                let (item, rest) = items.strip_prefix('[')?.split_once(']')?;
                steps.push(Step::Item(item.trim().parse().ok()?));
                items = rest;
            }
        }
        let Step::Name(first) = steps.remove(0) else { return None };
        let written = written.to_owned();
        Some(Self { written, first, steps })
    }

    fn find<'f>(&self, fields: &'f TemplateFields<'_>) -> Result<&'f ExactValue, TemplateError> {
        if let Some(value) = fields.get(&self.written) {
            return Ok(value);
        }
        let mut value = fields.get(&self.first).ok_or_else(|| fields.no_field(&self.first))?;
        let mut at = self.first.clone();
        for step in &self.steps {
            value = step.part(value, &at)?;
            at += &match step {
                Step::Name(name) => format!(".{name}"),
                Step::Item(place) => format!("[{place}]"),
            };
        }
        Ok(value)
    }
}

impl Step {
    /// The part of a value; `at` is the path of the value.
    fn part<'v>(&self, value: &'v ExactValue, at: &str) -> Result<&'v ExactValue, TemplateError> {
        let at = at.to_owned();
        match (self, value) {
            (Self::Name(name), ExactValue::Object(fields)) => fields.get(name).ok_or_else(|| {
                let known = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let name = name.clone();
                TemplateError::NoPart { at, name, known }
            }),
            (Self::Item(place), ExactValue::List(items)) => {
                let count = items.len();
                let back = usize::try_from(place.unsigned_abs()).ok();
                let index = if *place < 0 {
                    back.and_then(|back| count.checked_sub(back))
                } else {
                    back
                };
                let item = index.and_then(|index| items.get(index));
                item.ok_or(TemplateError::NoItem { at, place: *place, count })
            }
            (Self::Name(_), ExactValue::List(_)) => Err(TemplateError::NoParts {
                at,
                what: "a list, which has items (`[0]`)",
            }),
            (Self::Item(_), ExactValue::Object(_)) => Err(TemplateError::NoParts {
                at,
                what: "an object, which has no items",
            }),
            (_, other) => Err(TemplateError::NoParts { at, what: kind(other) }),
        }
    }
}

/// What a value is written as: a text as it is, a number with its digits, all else in JSON.
pub(super) fn text(value: &ExactValue) -> String {
    match value {
        ExactValue::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

fn kind(value: &ExactValue) -> &'static str {
    match value {
        ExactValue::Null => "null",
        ExactValue::Bool(_) => "true or false",
        ExactValue::Number(_) => "a number",
        ExactValue::Text(_) => "a text",
        ExactValue::List(_) => "a list",
        ExactValue::Object(_) => "an object",
    }
}

/// Whether a text of Jinja has nothing but fields, so that it means the same in our own language: `{{question}}`, `{{a.b}}`, `{{x[0]}}`.
pub fn is_plain(text: &str) -> bool {
    if text.contains("{%") || text.contains("{#") {
        return false;
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((path, after)) = after.split_once("}}") else {
            return false;
        };
        if !path.trim().split('.').all(is_plain_part) || path.contains(['\n', '\r']) {
            return false;
        }
        rest = after;
    }
    true
}

/// Whether a part between the dots of a path is a name that may have items: `choices[0]`.
fn is_plain_part(part: &str) -> bool {
    let (name, items) = match part.find('[') {
        Some(at) => part.split_at(at),
        None => (part, ""),
    };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let digits = |item: &str| {
        let digits = item.strip_prefix('-').unwrap_or(item);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let items_are_numbers = items.is_empty()
        || items
            .strip_prefix('[')
            .and_then(|items| items.strip_suffix(']'))
            .is_some_and(|items| items.split("][").all(digits));
    starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && items_are_numbers
}
