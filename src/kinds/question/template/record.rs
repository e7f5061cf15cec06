//! The fields that a template may name.

use std::borrow::Cow;

use learn::dataset::ExactValue;

use super::error::TemplateError;

/// The fields that a template may name, in the order in which they are looked for: those of the record, then those of the row.
#[derive(Clone, Debug, Default)]
pub struct TemplateFields<'a>(Vec<(&'a str, Cow<'a, ExactValue>)>);

impl<'a> TemplateFields<'a> {
    /// No fields yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field; one of the same name that is there already counts before it.
    pub fn add(&mut self, name: &'a str, value: Cow<'a, ExactValue>) {
        self.0.push((name, value));
    }

    /// The field of a name.
    pub fn get(&self, name: &str) -> Option<&ExactValue> {
        let mut found = self.0.iter().filter(|(other, _)| *other == name);
        found.next().map(|(_, value)| value.as_ref())
    }

    /// The fields, of which the last of a name counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &ExactValue)> {
        self.0.iter().rev().map(|(name, value)| (*name, value.as_ref()))
    }

    /// The names of the fields, for a message.
    pub(super) fn known(&self) -> String {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    pub(super) fn no_field(&self, name: &str) -> TemplateError {
        TemplateError::NoField {
            name: name.to_owned(),
            known: self.known(),
        }
    }
}

impl<'a, 'n: 'a> FromIterator<(&'n str, &'a ExactValue)> for TemplateFields<'a> {
    fn from_iter<I: IntoIterator<Item = (&'n str, &'a ExactValue)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect())
    }
}
