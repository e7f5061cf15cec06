//! The record that a row was made of.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::exact::RawObject;
use super::{ExactValue, Row};

/// The fields of the record that a row was made of, in their order: all that the row does not have under the same name and with the same
/// value. Empty for rows that were not imported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Doc(Vec<(String, ExactValue)>);

impl Doc {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&ExactValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &ExactValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl FromIterator<(String, ExactValue)> for Doc {
    fn from_iter<I: IntoIterator<Item = (String, ExactValue)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl Row {
    /// A field of the record that the row was made of, or else of the row itself, by its name.
    pub fn field(&self, name: &str) -> Option<ExactValue> {
        self.doc.get(name).cloned().or_else(|| self.own(name))
    }

    /// The names of its own fields.
    pub const FIELDS: [&str; 5] = ["id", "prompt", "completion", "step_num", "answer"];

    /// A field of the row itself.
    pub fn own(&self, name: &str) -> Option<ExactValue> {
        Some(match name {
            "id" => self.id.as_str().into(),
            "prompt" => self.prompt.as_str().into(),
            "completion" => self.completion.as_str().into(),
            "step_num" => u64::from(self.step_num).into(),
            "answer" => self.answer.clone(),
            _ => return None,
        })
    }

    /// The names of all fields, for messages: those of the record, then those of the row.
    pub fn field_names(&self) -> Vec<&str> {
        let others = Self::FIELDS.into_iter().filter(|name| self.doc.get(name).is_none());
        self.doc.fields().map(|(name, _)| name).chain(others).collect()
    }

    /// The row with the record that it was made of: of its fields, those that the row lacks or has otherwise.
    #[must_use]
    pub fn with_doc(mut self, record: impl IntoIterator<Item = (String, ExactValue)>) -> Self {
        let doc = record.into_iter().filter(|(name, value)| self.own(name).as_ref() != Some(value));
        self.doc = doc.collect();
        self
    }
}

impl Serialize for Doc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Doc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RawObject(fields) = RawObject::deserialize(deserializer)?;
        let mut doc = Self::default();
        for (name, raw) in fields {
            if doc.get(&name).is_some() {
                return Err(D::Error::custom(format!("the field `{name}` stands twice in `doc`")));
            }
            let value = serde_json::from_str(raw.get()).map_err(|error| D::Error::custom(format!("field `{name}` of `doc`: {error}")))?;
            doc.0.push((name, value));
        }
        Ok(doc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            id: "a".into(),
            prompt: "p".into(),
            completion: "c".into(),
            step_num: 2,
            answer: 3.into(),
            doc: Doc::default(),
        }
    }

    #[test]
    fn a_row_keeps_what_it_lacks_or_has_otherwise() {
        let number = |text: &str| serde_json::from_str::<ExactValue>(text).unwrap();
        let record = [
            ("answer", number("0.10")),
            ("prompt", "p".into()),
            ("z", "1".into()),
            ("step_num", number("2")),
            ("a", number("[1, null]")),
        ];
        let row = row().with_doc(record.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(serde_json::to_string(&row.doc).unwrap(), r#"{"answer":0.10,"z":"1","a":[1,null]}"#);
        assert_eq!(row.field("answer").unwrap().to_string(), "0.10");
        assert_eq!(row.field("prompt").unwrap().to_string(), "\"p\"");
        assert_eq!(row.field("b"), None);
        assert_eq!(row.field_names(), ["answer", "z", "a", "id", "prompt", "completion", "step_num"]);
    }

    #[test]
    fn a_row_without_further_fields_is_written_as_ever() {
        let text = serde_json::to_string(&row()).unwrap();
        assert_eq!(text, r#"{"id":"a","prompt":"p","completion":"c","step_num":2,"answer":3}"#);
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row());
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        for doc in [r#"{"b":0.10,"a":[{"c":1e400}],"n":null}"#, "{}"] {
            assert_eq!(serde_json::to_string(&serde_json::from_str::<Doc>(doc).unwrap()).unwrap(), doc);
        }
        let error = |text: &str| serde_json::from_str::<Doc>(text).unwrap_err().to_string();
        assert!(error(r#"{"a":1,"a":2}"#).starts_with("the field `a` stands twice"));
        assert!(error("[1]").contains("is an object"));
    }
}
