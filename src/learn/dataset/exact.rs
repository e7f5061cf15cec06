//! JSON values that come out as they went in: a number keeps the digits with which it is written (`0.10`, `1e400`,
//! `12345678901234567890123`), where `serde_json::Value` would round it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Limit for nested lists and objects.
const MAX_DEPTH: usize = 64;

/// A JSON value with the numbers as they are written.
#[derive(Clone, Debug, PartialEq)]
pub enum ExactValue {
    Null,
    Bool(bool),
    Number(ExactNumber),
    Text(String),
    List(Vec<ExactValue>),
    Object(BTreeMap<String, ExactValue>),
}

/// A JSON number as it is written.
#[derive(Clone, Debug)]
pub struct ExactNumber(Box<RawValue>);

/// The fields of a JSON object in their order; a name may stand twice.
#[derive(Debug)]
pub struct RawObject(pub Vec<(String, Box<RawValue>)>);

/// Why a value cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExactValueError {
    #[error("{0}")]
    Json(String),
    #[error("the key `{0}` stands twice in an object")]
    RepeatedKey(String),
    #[error("lists and objects are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

impl From<serde_json::Error> for ExactValueError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(super::lines::without_line(&error))
    }
}

impl ExactValue {
    /// The text; `None` for everything else.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, or a number as it is written; `None` for everything else.
    pub fn text_or_number(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number.as_str()),
            _ => None,
        }
    }

    /// The text, a number as it is written, or the JSON of anything else.
    pub fn plain_text(&self) -> String {
        self.text_or_number().map_or_else(|| self.to_string(), str::to_owned)
    }

    /// Whether `answer` is the text, or writes the number, of which a zero after the point is no part: `161` is 161.0.
    pub fn is_written_as(&self, answer: &str) -> bool {
        match self {
            Self::Text(text) => text == answer,
            Self::Number(number) => number.as_str() == answer || number.whole() == Some(answer),
            _ => false,
        }
    }

    fn read(raw: &RawValue, depth: usize) -> Result<Self, ExactValueError> {
        if depth > MAX_DEPTH {
            return Err(ExactValueError::TooDeep);
        }
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items = items.into_iter().map(|item| Self::read(item, depth + 1));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let RawObject(fields) = serde_json::from_str(text)?;
                let mut object = BTreeMap::new();
                for (name, value) in fields {
                    let value = Self::read(&value, depth + 1)?;
                    if object.insert(name.clone(), value).is_some() {
                        return Err(ExactValueError::RepeatedKey(name));
                    }
                }
                Self::Object(object)
            }
            _ => Self::Number(ExactNumber(raw.to_owned())),
        })
    }
}

impl ExactNumber {
    /// The number that `text` is in JSON; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return None;
        }
        RawValue::from_string(text.to_owned()).ok().map(Self)
    }

    /// The whole number without its decimals, which are zeros: `161` of `161.0`. `None` for other numbers.
    pub fn whole(&self) -> Option<&str> {
        let (whole, decimals) = self.as_str().split_once('.')?;
        decimals.bytes().all(|digit| digit == b'0').then_some(whole)
    }

    /// The number as it is written.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for ExactNumber {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Serialize for ExactNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for ExactValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => items.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ExactValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(&raw, 0).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawObjectVisitor)
    }
}

/// Reads an object, and says of every other value what it is.
struct RawObjectVisitor;

/// The error for a row that is `what`.
fn no_object<E: serde::de::Error>(what: &str) -> Result<RawObject, E> {
    Err(E::custom(format!("a row is an object (`{{…}}`), and this is {what}")))
}

impl<'de> Visitor<'de> for RawObjectVisitor {
    type Value = RawObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<RawObject, E> {
        no_object("null")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<RawObject, E> {
        no_object("true or false")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<RawObject, E> {
        no_object("a number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<RawObject, E> {
        no_object("a number")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<RawObject, E> {
        no_object("a number")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<RawObject, E> {
        no_object("a text")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<RawObject, A::Error> {
        no_object("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(RawObject(fields))
    }
}

/// The value in JSON, on one line.
impl fmt::Display for ExactValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<&str> for ExactValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ExactValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<ExactNumber> for ExactValue {
    fn from(number: ExactNumber) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for ExactValue {
    fn from(number: u64) -> Self {
        whole_number(&number)
    }
}

fn whole_number(number: &impl fmt::Display) -> ExactValue {
    // The text of a whole number is JSON.
    ExactNumber::parse(&number.to_string()).map_or(ExactValue::Null, ExactValue::Number)
}

impl From<i32> for ExactValue {
    fn from(number: i32) -> Self {
        whole_number(&number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Result<ExactValue, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_keep_the_digits_with_which_they_are_written() {
        for text in [
            "0.10",
            "1.0",
            "-0",
            "1e400",
            "1E+5",
            "12345678901234567890123",
            "[0.10,{\"a\":1.00}]",
        ] {
            assert_eq!(read(text).unwrap().to_string(), text);
            assert_eq!(read(&format!("[ {text} ]")).unwrap().to_string(), format!("[{text}]"));
        }
        assert_eq!(ExactValue::from(161_u64).to_string(), "161");
        assert_eq!(ExactNumber::parse("0.10").unwrap().as_str(), "0.10");
        for text in ["", "00012", "1.", ".5", "+1", "NaN", "1 2", "null", "\"1\""] {
            assert!(ExactNumber::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn all_else_comes_out_as_before() {
        for text in [
            "null",
            "true",
            "[]",
            "{\"b\": [1, \"\\u2764 \\ud835\\udefc\"], \"a\": {}}",
            "\"x\\n\"",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text).unwrap().to_string(), value.to_string());
            // From a value that was read before.
            assert_eq!(serde_json::from_value::<ExactValue>(value).unwrap(), read(text).unwrap());
        }
        assert_eq!(serde_json::to_value(read("{\"a\": 0.10}").unwrap()).unwrap(), json!({"a": 0.1}));
    }

    #[test]
    fn an_answer_writes_the_text_or_the_number() {
        for (gold, answer) in [
            ("161", "161"),
            ("161.0", "161"),
            ("161.0", "161.0"),
            ("-5.00", "-5"),
            ("\"x\"", "x"),
            ("\"161.0\"", "161.0"),
        ] {
            assert!(read(gold).unwrap().is_written_as(answer), "{gold} {answer}");
        }
        for (gold, answer) in [
            ("161.5", "161"),
            ("161.0e1", "161"),
            ("\"161.0\"", "161"),
            ("161", "161.0"),
            ("null", "null"),
            ("[1]", "[1]"),
        ] {
            assert!(!read(gold).unwrap().is_written_as(answer), "{gold} {answer}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        assert!(read("{\"a\": 1, \"a\": 2}").unwrap_err().starts_with("the key `a` stands twice"));
        assert!(read("\"\\ud800\"").is_err());
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&deep(MAX_DEPTH)).is_ok());
        assert!(read(&deep(100_000)).unwrap_err().starts_with("lists and objects are nested"));
    }
}
