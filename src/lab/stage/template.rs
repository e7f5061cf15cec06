//! Texts of which a worker fills in parts: in the words of a command line and in environment variables.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use crate::config::{TemplatePiece, pieces};

/// The field of a template in a key, which tells it from a text with the same letters.
pub(super) const TEMPLATE: &str = "template";

/// A text with placeholders, such as `--data={input.data}`. The braces that are its own are doubled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// A text as it is, or one with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramText {
    Text(String),
    Template(Template),
}

impl Template {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its parts, in order.
    pub fn pieces(&self) -> Vec<TemplatePiece<'_>> {
        pieces(&self.0)
    }

    /// The names of its placeholders, in order: `input.data`.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.pieces().into_iter().filter_map(|piece| match piece {
            TemplatePiece::Placeholder(name) => Some(name),
            TemplatePiece::Text(_) => None,
        })
    }

    /// As a param that is read as the same template again.
    pub fn param(&self) -> serde_json::Value {
        json!({ TEMPLATE: self.0 })
    }
}

impl fmt::Display for Template {
    /// As it is written in the experiment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.param().serialize(serializer)
    }
}

impl ProgramText {
    /// The text, if it has no placeholders.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Template(_) => None,
        }
    }

    /// The template, if it has placeholders.
    pub fn as_template(&self) -> Option<&Template> {
        match self {
            Self::Text(_) => None,
            Self::Template(template) => Some(template),
        }
    }
}

impl fmt::Display for ProgramText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Template(template) => template.fmt(f),
        }
    }
}

impl Serialize for ProgramText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Template(template) => template.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ProgramText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = ProgramText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ProgramText, E> {
                Ok(ProgramText::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<ProgramText, A::Error> {
                let mut template = None;
                while let Some((name, text)) = fields.next_entry::<String, String>()? {
                    match name.as_str() {
                        TEMPLATE => template = Some(Template(text)),
                        _ => return Err(A::Error::unknown_field(&name, &[TEMPLATE])),
                    }
                }
                let template = template.ok_or_else(|| A::Error::missing_field(TEMPLATE))?;
                Ok(ProgramText::Template(template))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_a_template_of_the_same_letters_are_apart() {
        let text = ProgramText::Text("{input.data}".to_owned());
        let template = ProgramText::Template(Template::new("{input.data}"));
        assert_eq!(json!(text), json!("{input.data}"));
        assert_eq!(json!(template), json!({"template": "{input.data}"}));
        for value in [text, template] {
            assert_eq!(serde_json::from_value::<ProgramText>(json!(value)).unwrap(), value);
        }
        assert!(serde_json::from_value::<ProgramText>(json!({"text": "x"})).is_err());
        assert!(serde_json::from_value::<ProgramText>(json!({})).is_err());
    }

    #[test]
    fn placeholders_are_named() {
        let template = Template::new("{{x}}{input.data}:{scratch}");
        assert_eq!(template.placeholders().collect::<Vec<_>>(), ["input.data", "scratch"]);
    }
}
