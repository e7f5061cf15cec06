//! The fields of a record, and how they are found by name or by path: `messages[0].content`.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

use learn::dataset::{ExactNumber, ExactValue, RawObject};

use super::error::FieldError;

/// The fields of one record, with their names, which may stand twice.
#[derive(Debug)]
pub struct ForeignRecord(pub Vec<(String, Field)>);

/// One value of a record.
#[derive(Clone, Debug)]
pub enum Field {
    Nothing,
    Text(String),
    Number(ExactNumber),
    Truth(bool),
    List(Vec<Field>),
    Object(Vec<(String, Field)>),
    /// A list or an object in JSON that is not taken apart yet.
    Packed(Box<RawValue>),
    /// Another value; what it is in words.
    Other(&'static str),
}

/// A part of a path.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    Name(&'a str),
    /// The place of an item, from 0, or from -1 backwards.
    Item(i64),
}

impl ForeignRecord {
    /// The names of the fields.
    pub fn names(&self) -> Vec<String> {
        names(&self.0)
    }

    /// The field of this name, or else, the one at this path (`a.b`, `messages[0].content`); `None` if the record has no such field.
    ///
    /// # Errors
    /// When a name stands twice, or the path leads to where nothing is.
    pub fn get(&self, path: &str) -> Result<Option<Cow<'_, Field>>, FieldError> {
        if let Some(field) = named(&self.0, path)? {
            return Ok(Some(Cow::Borrowed(field)));
        }
        let Some(steps) = steps(path).filter(|steps| steps.len() > 1) else {
            return Ok(None);
        };
        let [Step::Name(first), rest @ ..] = steps.as_slice() else {
            return Ok(None);
        };
        let Some(field) = named(&self.0, first)? else { return Ok(None) };
        let (mut field, mut at) = (Cow::Borrowed(field), (*first).to_owned());
        for step in rest {
            field = Cow::Owned(field.into_owned().step(step, &at)?);
            at = match step {
                Step::Name(name) => format!("{at}.{name}"),
                Step::Item(place) => format!("{at}[{place}]"),
            };
        }
        Ok(Some(field))
    }
}

/// The steps of a path; `None` if it is none.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for (number, part) in path.split('.').enumerate() {
        let (name, items) = match part.find('[') {
            Some(at) => part.split_at_checked(at)?,
            None => (part, ""),
        };
        match (name, number) {
            ("", _) => return None,
            (name, _) => steps.push(Step::Name(name)),
        }
        let mut items = items;
        while !items.is_empty() {
            let (item, rest) = items.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Item(item.parse().ok()?));
            items = rest;
        }
    }
    Some(steps)
}

fn names(fields: &[(String, Field)]) -> Vec<String> {
    let mut names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    names
}

/// The field of this name.
fn named<'f>(fields: &'f [(String, Field)], name: &str) -> Result<Option<&'f Field>, FieldError> {
    let mut found = fields.iter().filter(|(other, _)| other == name);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(FieldError::Repeated(name.to_owned())),
        (found, _) => Ok(found.map(|(_, field)| field)),
    }
}

impl Field {
    /// The JSON value.
    pub(super) fn of_json(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Nothing,
            Some(first @ (b't' | b'f')) => Self::Truth(*first == b't'),
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b'[' | b'{') => Self::Packed(raw),
            _ => ExactNumber::parse(text).map_or(Self::Other("no number"), Self::Number),
        })
    }

    /// The field with its own parts, if it is packed.
    pub(super) fn unpacked(self) -> Result<Self, FieldError> {
        let Self::Packed(raw) = self else { return Ok(self) };
        let wrong = |error: serde_json::Error| FieldError::Json(error.to_string());
        if raw.get().starts_with('[') {
            let items: Vec<Box<RawValue>> = serde_json::from_str(raw.get()).map_err(wrong)?;
            let items = items.into_iter().map(Self::of_json);
            return items.collect::<Result<_, _>>().map(Self::List).map_err(wrong);
        }
        let ForeignRecord(fields) = serde_json::from_str(raw.get()).map_err(wrong)?;
        Ok(Self::Object(fields))
    }

    /// The part of the field to which a step leads; `at` is the path of the field.
    fn step(self, step: &Step<'_>, at: &str) -> Result<Self, FieldError> {
        match (self.unpacked()?, step) {
            (Self::Nothing, _) => Ok(Self::Nothing),
            (Self::Object(mut fields), Step::Name(name)) => {
                named(&fields, name)?;
                let place = fields.iter().position(|(other, _)| other == name);
                let missing = || FieldError::NoPart {
                    at: at.to_owned(),
                    name: (*name).to_owned(),
                    known: names(&fields),
                };
                let place = place.ok_or_else(missing)?;
                Ok(fields.swap_remove(place).1)
            }
            (Self::List(mut items), Step::Item(place)) => {
                let count = items.len();
                let index = match usize::try_from(*place) {
                    Ok(index) => Some(index),
                    Err(_) => count.checked_sub(usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX)),
                };
                let index = index.filter(|index| *index < count).ok_or_else(|| FieldError::NoItem {
                    at: at.to_owned(),
                    place: *place,
                    count,
                })?;
                Ok(items.swap_remove(index))
            }
            (Self::List(_), Step::Name(name)) => Err(FieldError::ListNotObject {
                at: at.to_owned(),
                name: (*name).to_owned(),
            }),
            (other, _) => Err(FieldError::NoParts {
                at: at.to_owned(),
                what: other.what(),
            }),
        }
    }

    /// What the field is, in words.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Nothing => "null",
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Truth(_) => "true or false",
            Self::List(_) => "a list",
            Self::Packed(raw) if raw.get().starts_with('[') => "a list",
            Self::Object(_) | Self::Packed(_) => "an object",
            Self::Other(what) => what,
        }
    }

    /// The field as a value in JSON, whatever it is; `None` for what JSON does not have.
    ///
    /// # Errors
    /// When it is in JSON that cannot be read.
    pub fn exact(self) -> Result<Option<ExactValue>, FieldError> {
        Ok(Some(match self {
            Self::Nothing => ExactValue::Null,
            Self::Text(text) => text.into(),
            Self::Number(number) => number.into(),
            Self::Truth(truth) => ExactValue::Bool(truth),
            Self::Packed(raw) => serde_json::from_str(raw.get()).map_err(|error| FieldError::Json(error.to_string()))?,
            Self::List(items) => {
                let items = items.into_iter().map(|item| Ok(item.exact()?.unwrap_or(ExactValue::Null)));
                ExactValue::List(items.collect::<Result<_, FieldError>>()?)
            }
            Self::Object(fields) => {
                let mut object = std::collections::BTreeMap::new();
                for (name, field) in fields {
                    let value = field.exact()?.unwrap_or(ExactValue::Null);
                    if object.insert(name.clone(), value).is_some() {
                        return Err(FieldError::Repeated(name));
                    }
                }
                ExactValue::Object(object)
            }
            Self::Other(_) => return Ok(None),
        }))
    }

    /// The field as a value of a row; `None` if it is null.
    ///
    /// # Errors
    /// When it is neither text nor number.
    pub fn value(self) -> Result<Option<ExactValue>, FieldError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Text(text) => Ok(Some(text.into())),
            Self::Number(number) => Ok(Some(number.into())),
            other => Err(FieldError::Type(other.what())),
        }
    }
}

impl<'de> Deserialize<'de> for ForeignRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RawObject(fields) = RawObject::deserialize(deserializer)?;
        let fields = fields.into_iter().map(|(name, raw)| {
            let field = Field::of_json(raw).map_err(|error| D::Error::custom(format!("field `{name}`: {error}")))?;
            Ok((name, field))
        });
        fields.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(record: &str, path: &str) -> String {
        let record: ForeignRecord = serde_json::from_str(record).unwrap();
        let found = record
            .get(path)
            .and_then(|field| field.map_or(Ok(None), |field| field.into_owned().value()));
        match found {
            Ok(Some(value)) => value.to_string(),
            Ok(None) => "-".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn fields_are_found_by_name_and_by_path() {
        let record = r#"{"a": {"b": [{"c": "x"}, 0.10], "n": null}, "a.b": "whole", "d": [[1], [2, 3]], "e": "t"}"#;
        let found = |path| said(record, path);
        assert_eq!(found("a.b"), "\"whole\"");
        assert_eq!(found("a.b[0].c"), "\"x\"");
        assert_eq!(found("a.b[1]"), "0.10");
        assert_eq!(found("d[1][0]"), "2");
        assert_eq!(found("d[-1][-1]"), "3");
        assert_eq!(found("a.n.deeper"), "-");
        assert_eq!(found("x.y"), "-");
        insta::assert_snapshot!([
            found("a"), found("a.b[2]"), found("d[-3]"), found("a.x"), found("a.b.c"), found("e.f"), found("e[0]"),
            said(r#"{"a": 1, "a": 2}"#, "a"), said(r#"{"m": {"a": 1, "a": 2}}"#, "m.a"),
        ].join("\n"), @r"
        is an object, and must be a text or a number
        `a.b` has 2 items, and no item 2
        `d` has 2 items, and no item -3
        `a` has no field `x` (known: b, n)
        `a.b` is a list: name an item of it (`a.b[0].c`)
        `e` is a text and has no parts
        `e` is a text and has no parts
        `a` stands twice
        `a` stands twice
        ");
    }

    #[test]
    fn what_is_no_path_is_a_name() {
        for name in ["", ".", "a.", ".a", "a..b", "[0]", "a[", "a[x]", "a]0[", "a[0]b", "❤[1"] {
            assert_eq!(said(r#"{"a": [1]}"#, name), "-", "{name}");
            assert_eq!(steps(name), None, "{name}");
        }
    }
}
