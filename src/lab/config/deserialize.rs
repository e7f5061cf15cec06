//! [`ConfigValue`] as a source of serde: every error has the path to the value that is wrong.

use std::collections::btree_map;
use std::iter::Enumerate;
use std::slice;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{ConfigValue, ParamError, ParamProblem, ValueData};

impl ConfigValue {
    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path to it.
    pub fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ParamError> {
        T::deserialize(self)
    }
}

impl<'de> Deserializer<'de> for &'de ConfigValue {
    type Error = ParamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        match &self.data {
            ValueData::Null => visitor.visit_none(),
            ValueData::Bool(flag) => visitor.visit_bool(*flag),
            ValueData::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) => visitor.visit_u64(number),
                _ => visitor.visit_i128(*number),
            },
            ValueData::Float(number) => visitor.visit_f64(*number),
            ValueData::Text(text) => visitor.visit_str(text),
            ValueData::Template(_) => Err(self.not_known()),
            ValueData::List(items) => {
                let mut access = ItemAccess(items.iter().enumerate());
                let read = visitor.visit_seq(&mut access)?;
                // A tuple stops at its length: what is left would be dropped without a word.
                match items.len() - access.0.len() {
                    length if length < items.len() => Err(ParamProblem::WrongLength {
                        length: items.len(),
                        expected: format!("a list of {length}"),
                    }
                    .into()),
                    _ => Ok(read),
                }
            }
            ValueData::Table(fields) => visitor.visit_map(FieldAccess::new(fields.iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        match &self.data {
            ValueData::Text(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            ValueData::Table(fields) => visitor.visit_enum(MapAccessDeserializer::new(FieldAccess::new(fields.iter()))),
            ValueData::Template(_) => Err(self.not_known()),
            _ => Err(ParamProblem::WrongType {
                found: self.describe(),
                expected: one_of(variants),
            }
            .into()),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool u8 u16 u32 u64 i8 i16 i32 i64 i128 u128 f32 f64 char str string seq bytes byte_buf map unit struct ignored_any
        unit_struct tuple_struct tuple identifier
    }
}

impl ConfigValue {
    /// The error of a text with placeholders where a value must be known.
    fn not_known(&self) -> ParamError {
        ParamError::whole(self.unfilled().unwrap_or_default())
    }
}

/// `"writes", "reads" or "off"`
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

/// The items of a list, one after the other.
struct ItemAccess<'de>(Enumerate<slice::Iter<'de, ConfigValue>>);

impl<'de> SeqAccess<'de> for ItemAccess<'de> {
    type Error = ParamError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ParamError> {
        let Some((position, item)) = self.0.next() else {
            return Ok(None);
        };
        let item = seed.deserialize(item).map_err(|error| error.within(&position.to_string()));
        item.map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The fields of a table, by name.
struct FieldAccess<'de> {
    fields: btree_map::Iter<'de, String, ConfigValue>,
    /// The field whose key was read last.
    current: Option<(&'de String, &'de ConfigValue)>,
}

impl<'de> FieldAccess<'de> {
    fn new(fields: btree_map::Iter<'de, String, ConfigValue>) -> Self {
        let current = None;
        Self { fields, current }
    }
}

impl<'de> MapAccess<'de> for FieldAccess<'de> {
    type Error = ParamError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ParamError> {
        self.current = self.fields.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        let read = seed.deserialize(key.as_str().into_deserializer());
        read.map(Some).map_err(|error: ParamError| error.within(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ParamError> {
        let Some((key, value)) = self.current.take() else {
            return Err(ParamError::whole("a value was asked for before its key"));
        };
        seed.deserialize(value).map_err(|error| error.within(key))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Layer {
        width: u32,
        #[serde(default)]
        norm: Option<Norm>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Norm {
        Rms,
        Scaled { by: f64 },
    }

    fn read(json: serde_json::Value) -> Result<Vec<Layer>, String> {
        let value = ConfigValue::from(json);
        value.read().map_err(|error| format!("{}: {error}", error.path.join(".")))
    }

    #[test]
    fn values_are_read_and_errors_have_a_path() {
        let read_one = |json| read(serde_json::json!([{"width": 1}, json])).map(|mut layers| layers.pop().unwrap());
        let layer = |norm| Ok(Layer { width: 2, norm });
        assert_eq!(read_one(serde_json::json!({"width": 2, "norm": null})), layer(None));
        assert_eq!(read_one(serde_json::json!({"width": 2, "norm": "rms"})), layer(Some(Norm::Rms)));
        let scaled = serde_json::json!({"width": 2, "norm": {"scaled": {"by": 3}}});
        assert_eq!(read_one(scaled), layer(Some(Norm::Scaled { by: 3.0 })));
        let surplus = ConfigValue::from(serde_json::json!([2, 8, 99])).read::<(u32, u32)>();
        assert_eq!(surplus.unwrap_err().to_string(), "must be a list of 2, not a list of 3");
        let wrong = [
            serde_json::json!({"width": -1}),
            serde_json::json!({"width": [1]}),
            serde_json::json!({"width": 5_000_000_000_u64}),
            serde_json::json!({"depth": 1}),
            serde_json::json!({"norm": "rms"}),
            serde_json::json!({"width": 1, "norm": "rsm"}),
            serde_json::json!({"width": 1, "norm": true}),
            serde_json::json!({"width": 1, "norm": {"scaled": {"by": "x"}}}),
        ];
        insta::assert_snapshot!(wrong.map(|json| read_one(json).unwrap_err()).join("\n"), @r#"
        1.width: must be a whole number from 0, not -1
        1.width: must be a whole number from 0, not a list
        1.width: must be a whole number up to 4294967295, not 5000000000
        1.depth: no field `depth` (known: width, norm)
        1: a field `width` is missing
        1.norm: no `rsm` (known: rms, scaled)
        1.norm: must be "rms" or "scaled", not true
        1.norm.scaled.by: must be a number, not the text "x"
        "#);
    }
}
