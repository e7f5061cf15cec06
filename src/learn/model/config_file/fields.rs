//! Typed access to the fields of a JSON object. A field that is null is one that is left out, as for Transformers.

use std::path::Path;

use serde_json::{Map, Value};

use crate::model::ModelError;

/// Values longer than this are cut in messages.
const SHOWN_CHARACTERS: usize = 60;

/// The fields of an object in a JSON file.
#[derive(Clone, Copy)]
pub(in crate::model) struct Fields<'a> {
    path: &'a Path,
    /// The name of the object, if it is not the whole file.
    place: Option<&'a str>,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The fields of the whole file `path`.
    pub(in crate::model) fn new(path: &'a Path, object: &'a Map<String, Value>) -> Self {
        Self { path, place: None, object }
    }

    /// The full name of a field.
    pub(super) fn name(&self, field: &str) -> String {
        self.place.map_or_else(|| field.to_owned(), |place| format!("{place}.{field}"))
    }

    /// An error about a field.
    pub(in crate::model) fn wrong(&self, field: &str, problem: impl Into<String>) -> ModelError {
        ModelError::Field {
            path: self.path.to_owned(),
            field: self.name(field),
            problem: problem.into(),
        }
    }

    /// The error that a field has a value that is not supported.
    pub(in crate::model) fn unsupported(&self, field: &str, known: &'static str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.to_owned(),
            field: self.name(field),
            found: self.object.get(field).map_or("missing".to_owned(), shown),
            known,
        }
    }

    fn mistyped(&self, field: &str, found: &Value, wanted: &str) -> ModelError {
        self.wrong(field, format!("is {}, but must be {wanted}", shown(found)))
    }

    /// Whether the field is there, though it may be null.
    pub(super) fn has(&self, field: &str) -> bool {
        self.object.contains_key(field)
    }

    /// The names of all fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.object.keys().map(String::as_str)
    }

    /// The value, unless it is null.
    pub(in crate::model) fn value(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    /// A whole number from 0.
    pub(in crate::model) fn integer(&self, field: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let number = whole(value).and_then(|number| usize::try_from(number).ok());
        let wrong = || self.mistyped(field, value, "a whole number from 0");
        number.map(Some).ok_or_else(wrong)
    }

    /// A number.
    pub(in crate::model) fn number(&self, field: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.mistyped(field, value, "a number"))
    }

    /// True or false.
    pub(in crate::model) fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let wrong = || self.mistyped(field, value, "true or false");
        value.as_bool().map(Some).ok_or_else(wrong)
    }

    /// A text.
    pub(in crate::model) fn text(&self, field: &str) -> Result<Option<&'a str>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.mistyped(field, value, "a text"))
    }

    /// A list of texts.
    pub(in crate::model) fn texts(&self, field: &str) -> Result<Option<Vec<&'a str>>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let texts = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        let wrong = || self.mistyped(field, value, "a list of texts");
        texts.map(Some).ok_or_else(wrong)
    }

    /// A list of numbers.
    pub(super) fn numbers(&self, field: &str) -> Result<Option<Vec<f64>>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let numbers = value.as_array().and_then(|items| items.iter().map(Value::as_f64).collect());
        let wrong = || self.mistyped(field, value, "a list of numbers");
        numbers.map(Some).ok_or_else(wrong)
    }

    /// An object; one without fields is as if left out.
    pub(super) fn object(&self, field: &'a str) -> Result<Option<Self>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let object = value.as_object().ok_or_else(|| self.mistyped(field, value, "an object"))?;
        let fields = Self {
            path: self.path,
            place: Some(field),
            object,
        };
        Ok((!object.is_empty()).then_some(fields))
    }

    /// One token or several. Programs write -1 for none.
    pub(in crate::model) fn tokens(&self, field: &str) -> Result<Vec<u32>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let items = value.as_array().map_or_else(|| vec![value], |items| items.iter().collect());
        let mut tokens = Vec::new();
        for item in items {
            let wrong = || self.mistyped(field, value, "a token's number or a list of them");
            match whole(item).ok_or_else(wrong)? {
                -1 => {}
                token => tokens.push(u32::try_from(token).map_err(|_| wrong())?),
            }
        }
        Ok(tokens)
    }
}

/// A whole number, which may be written as 4096.0.
fn whole(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15);
    value.as_i64().or_else(|| number.map(|number| number as i64))
}

/// A value for a message.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_CHARACTERS {
        return text;
    }
    text.chars().take(SHOWN_CHARACTERS).chain("…".chars()).collect()
}
