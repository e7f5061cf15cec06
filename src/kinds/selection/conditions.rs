//! Comparisons on the fields of a row.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

use super::record::{self, FieldError};
use learn::dataset::{ExactValue, Row};

/// What a field must be. Of several comparisons, all must hold; null holds none of them but `none_of`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Where")]
pub struct Condition {
    /// The field: `subject`, `meta.level`, `choices[0]`.
    pub field: String,
    /// The field is this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Scalar>,
    /// The field is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Scalar>>,
    /// The field is none of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none_of: Option<Vec<Scalar>>,
    /// The field is this number or a larger one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The field is this number or a smaller one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The field has so many characters, or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_characters: Option<u64>,
    /// The field has so many characters, or fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_characters: Option<u64>,
}

/// A text, a number or a truth value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    Text(String),
    Whole(i64),
    Number(f64),
    Truth(bool),
}

impl Condition {
    /// What is wrong with the condition: the field, and a message.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let is_nothing = Self {
            field: self.field.clone(),
            equals: None,
            one_of: None,
            none_of: None,
            min: None,
            max: None,
            min_characters: None,
            max_characters: None,
        } == *self;
        if self.field.is_empty() {
            return Some(("field", "the name is empty; name a field of the rows".to_owned()));
        }
        if is_nothing {
            let message = "nothing is compared; add `equals`, `one_of`, `none_of`, `min`, `max`, `min_characters` or `max_characters`";
            return Some(("field", message.to_owned()));
        }
        let is_number = |bound: Option<f64>| bound.is_none_or(|bound| !bound.is_nan());
        if !(is_number(self.min) && is_number(self.max)) {
            return Some(("min", "NaN is no bound; write a number".to_owned()));
        }
        let crossed = |min: f64, max: f64| (min > max).then(|| format!("{min} is more than the largest one, {max}: nothing would be kept"));
        let numbers = self.min.zip(self.max).and_then(|(min, max)| crossed(min, max));
        let lengths = self.min_characters.zip(self.max_characters);
        let lengths = lengths.and_then(|(min, max)| crossed(min as f64, max as f64));
        let numbers = numbers.map(|message| ("min", message));
        numbers.or_else(|| lengths.map(|message| ("min_characters", message)))
    }

    /// Whether the row is so.
    ///
    /// # Errors
    /// When the row has no such field, or a value of another type than the comparison needs.
    pub fn holds(&self, row: &Row) -> Result<bool, FieldError> {
        let value = record::needed_field(row, &self.field)?;
        let wrong_type = |needed| record::wrong_type(row, &self.field, &value, needed);
        let is = |wanted: &Scalar| wanted.is(&value);
        let mut holds = self.equals.as_ref().is_none_or(is);
        holds &= self.one_of.as_ref().is_none_or(|wanted| wanted.iter().any(is));
        holds &= !self.none_of.as_ref().is_some_and(|unwanted| unwanted.iter().any(is));
        if self.min.is_some() || self.max.is_some() {
            holds &= match (&value, record::number(&value)) {
                (ExactValue::Null, _) => false,
                (_, Some(number)) => self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max),
                _ => return Err(wrong_type("a number")),
            };
        }
        if self.min_characters.is_some() || self.max_characters.is_some() {
            holds &= match &value {
                ExactValue::Null => false,
                ExactValue::Text(text) => {
                    let length = text.chars().count() as u64;
                    self.min_characters.is_none_or(|min| length >= min) && self.max_characters.is_none_or(|max| length <= max)
                }
                _ => return Err(wrong_type("a text")),
            };
        }
        Ok(holds)
    }
}

impl Scalar {
    /// Whether a field has this value. Numbers are compared by value, and a field may have a number as text: tables of text (CSV) have no
    /// others.
    fn is(&self, value: &ExactValue) -> bool {
        match (self, value) {
            (Self::Text(text), value) => value.text_or_number() == Some(text),
            (Self::Truth(truth), ExactValue::Bool(value)) => truth == value,
            (Self::Truth(truth), ExactValue::Text(text)) => *text == truth.to_string(),
            // Whole numbers may be beyond what a float tells apart.
            (Self::Whole(number), value) => {
                let written = value.text_or_number().and_then(|text| text.trim().parse::<i64>().ok());
                match written {
                    Some(written) => written == *number,
                    None => record::number(value) == Some(*number as f64),
                }
            }
            (Self::Number(number), value) => record::number(value) == Some(*number),
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Whole(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(number).map_or(Scalar::Number(number as f64), Scalar::Whole))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_bool<E: Error>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar::Truth(truth))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(toml: &str) -> Condition {
        toml::from_str(&format!("field = 'answer'\n{toml}")).unwrap()
    }

    fn holds(toml: &str, value: &str) -> Result<bool, FieldError> {
        condition(toml).holds(&Row {
            id: "a".to_owned(),
            prompt: "Q".to_owned(),
            completion: "C".to_owned(),
            step_num: 2,
            answer: serde_json::from_str(value).unwrap(),
            doc: learn::dataset::Doc::default(),
        })
    }

    #[test]
    fn fields_are_compared() {
        for (toml, value, expected) in [
            ("equals = 'x'", "\"x\"", true),
            ("equals = 'x'", "\"X\"", false),
            ("equals = 'x'", "null", false),
            ("equals = '1.0'", "1.0", true),
            ("equals = 1", "1.0", true),
            ("equals = 1", "\"1\"", true),
            ("equals = 1", "[1]", false),
            ("equals = 1.5", "1.50", true),
            ("equals = 9007199254740993", "9007199254740992", false),
            ("equals = true", "true", true),
            ("equals = false", "\"false\"", true),
            ("equals = true", "1", false),
            ("one_of = ['a', 2]", "2", true),
            ("one_of = ['a', 2]", "\"b\"", false),
            ("one_of = []", "\"b\"", false),
            ("none_of = ['a']", "\"b\"", true),
            ("none_of = ['a']", "null", true),
            ("none_of = ['a']", "\"a\"", false),
            ("min = 2", "2", true),
            ("min = 2", "1.99", false),
            ("max = 2", "\"2.0\"", true),
            ("min = 1\nmax = 2", "3", false),
            ("min = 1", "null", false),
            ("min_characters = 2", "\"äö\"", true),
            ("max_characters = 1", "\"äö\"", false),
            ("equals = 3\nmin = 5", "3", false),
        ] {
            assert_eq!(holds(toml, value), Ok(expected), "{toml}, {value}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        insta::assert_snapshot!(holds("min = 2", "\"hard\"").unwrap_err(), @r#"row `a`: `answer` is "hard", and a number is needed; name another field, or leave such rows out of the data"#);
        insta::assert_snapshot!(holds("min_characters = 2", "[1]").unwrap_err(), @"row `a`: `answer` is [1], and a text is needed; name another field, or leave such rows out of the data");
        let other = Condition {
            field: "level".to_owned(),
            ..condition("equals = 1")
        };
        let row = serde_json::from_str(r#"{"id": "a", "prompt": "", "completion": "", "step_num": 1, "answer": 1}"#).unwrap();
        assert!(matches!(other.holds(&row), Err(FieldError::Missing { .. })));
    }

    #[test]
    fn conditions_are_checked() {
        let problem = |toml: &str| condition(toml).problem().map(|(field, message)| format!("{field}: {message}"));
        assert_eq!(problem("equals = 1"), None);
        insta::assert_snapshot!(["", "min = 2\nmax = 1", "min = nan", "min_characters = 2\nmax_characters = 1"].map(|toml| problem(toml).unwrap()).join("\n"), @r"
        field: nothing is compared; add `equals`, `one_of`, `none_of`, `min`, `max`, `min_characters` or `max_characters`
        min: 2 is more than the largest one, 1: nothing would be kept
        min: NaN is no bound; write a number
        min_characters: 2 is more than the largest one, 1: nothing would be kept
        ");
        assert!(
            toml::from_str::<Condition>("field = 'a'\nequals = [1]")
                .unwrap_err()
                .to_string()
                .contains("expected a text, a number, true or false")
        );
        let written = serde_json::to_value(condition("one_of = ['a', 1, 1.5, true]")).unwrap();
        assert_eq!(written, serde_json::json!({"field": "answer", "one_of": ["a", 1, 1.5, true]}));
        assert_eq!(
            serde_json::from_value::<Condition>(written).unwrap(),
            condition("one_of = ['a', 1, 1.5, true]")
        );
    }
}
