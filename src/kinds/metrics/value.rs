//! The value of a metric, and how it is read: a number, one of the three that JSON has no number for, or several values.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::MetricMap;

/// Limit for nested maps and lists in a file of metrics.
const MAX_DEPTH: usize = 100;

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    Number(Number),
    /// A result of a computation that JSON has no number for, written as a text.
    NotFinite(NotFinite),
    /// Metrics of a part of the answers.
    Map(MetricMap),
    /// The same metrics for each of several groups of answers.
    List(Vec<MetricMap>),
    /// A list of other values.
    Values(Vec<MetricValue>),
    /// Null for a mean over no values; or what a user's program measured that is not a number.
    Other(Value),
}

/// What JSON has no number for: what a run has that diverged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFinite {
    NaN,
    Infinity,
    NegativeInfinity,
}

impl NotFinite {
    /// The value that a metrics file has this text for.
    pub fn of_text(text: &str) -> Option<Self> {
        match text {
            "NaN" => Some(Self::NaN),
            "Infinity" => Some(Self::Infinity),
            "-Infinity" => Some(Self::NegativeInfinity),
            _ => None,
        }
    }

    /// `NaN`, `Infinity`, `-Infinity`
    pub fn text(self) -> &'static str {
        match self {
            Self::NaN => "NaN",
            Self::Infinity => "Infinity",
            Self::NegativeInfinity => "-Infinity",
        }
    }

    fn number(self) -> f64 {
        match self {
            Self::NaN => f64::NAN,
            Self::Infinity => f64::INFINITY,
            Self::NegativeInfinity => f64::NEG_INFINITY,
        }
    }
}

impl MetricValue {
    /// The number, which may be NaN or infinite; `None` for everything else.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.as_f64(),
            Self::NotFinite(number) => Some(number.number()),
            _ => None,
        }
    }

    /// A list, whose items may all be maps.
    pub(crate) fn of_list(values: Vec<Self>) -> Self {
        if !values.iter().all(|value| matches!(value, Self::Map(_))) {
            return Self::Values(values);
        }
        let maps = values.into_iter().filter_map(|value| match value {
            Self::Map(map) => Some(map),
            _ => None,
        });
        Self::List(maps.collect())
    }
}

impl From<u64> for MetricValue {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for MetricValue {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

/// A number that may be NaN or infinite.
impl From<f64> for MetricValue {
    fn from(number: f64) -> Self {
        match Number::from_f64(number) {
            Some(finite) => Self::Number(finite),
            None if number.is_nan() => Self::NotFinite(NotFinite::NaN),
            None if number > 0.0 => Self::NotFinite(NotFinite::Infinity),
            None => Self::NotFinite(NotFinite::NegativeInfinity),
        }
    }
}

/// A mean; `None` over no values.
impl From<Option<f64>> for MetricValue {
    fn from(mean: Option<f64>) -> Self {
        let number = mean.and_then(Number::from_f64);
        number.map_or(Self::Other(Value::Null), Self::Number)
    }
}

impl From<MetricMap> for MetricValue {
    fn from(map: MetricMap) -> Self {
        Self::Map(map)
    }
}

/// A map that some answers have no metrics for.
impl From<Option<MetricMap>> for MetricValue {
    fn from(map: Option<MetricMap>) -> Self {
        map.map_or(Self::Other(Value::Null), Self::Map)
    }
}

impl From<Vec<MetricMap>> for MetricValue {
    fn from(groups: Vec<MetricMap>) -> Self {
        Self::List(groups)
    }
}

impl Serialize for MetricValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => number.serialize(serializer),
            Self::NotFinite(number) => serializer.serialize_str(number.text()),
            Self::Map(map) => map.serialize(serializer),
            Self::List(maps) => maps.serialize(serializer),
            Self::Values(values) => values.serialize(serializer),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MetricValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValueReader::default().deserialize(deserializer)
    }
}

/// Reads a value of any kind.
#[derive(Clone, Copy, Default)]
pub(crate) struct ValueReader {
    /// Whether a name that stands twice in a map is an error; else the last value counts.
    strict: bool,
    /// How many maps and lists are around the value.
    depth: usize,
}

impl ValueReader {
    /// Refuses a name that stands twice in a map; the value will be within so many maps and lists.
    pub(crate) fn strict(depth: usize) -> Self {
        Self { strict: true, depth }
    }

    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("maps and lists are nested more than {MAX_DEPTH} deep")));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    pub(super) fn map<'de, A: MapAccess<'de>>(self, mut access: A) -> Result<MetricMap, A::Error> {
        let inner = self.inner()?;
        let mut entries: Vec<(String, MetricValue)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(name) = access.next_key::<String>()? {
            if self.strict && places.contains_key(&name) {
                return Err(A::Error::custom(format!("the name `{name}` stands twice in a map")));
            }
            let value = access.next_value_seed(inner)?;
            if let Some((_, known)) = places.get(&name).and_then(|place| entries.get_mut(*place)) {
                *known = value;
            } else {
                places.insert(name.clone(), entries.len());
                entries.push((name, value));
            }
        }
        Ok(entries.into_iter().collect())
    }
}

impl<'de> DeserializeSeed<'de> for ValueReader {
    type Value = MetricValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MetricValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader {
    type Value = MetricValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, a text, a map or a list")
    }

    fn visit_unit<E: Error>(self) -> Result<MetricValue, E> {
        Ok(MetricValue::Other(Value::Null))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<MetricValue, E> {
        Ok(MetricValue::Other(Value::Bool(truth)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<MetricValue, E> {
        Ok(number.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<MetricValue, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<MetricValue, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MetricValue, E> {
        let other = || MetricValue::Other(Value::String(text.to_owned()));
        Ok(NotFinite::of_text(text).map_or_else(other, MetricValue::NotFinite))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<MetricValue, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(MetricValue::of_list(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<MetricValue, A::Error> {
        self.map(access).map(MetricValue::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_finite_number_is_kept_as_a_text() {
        let text = r#"{"a":"NaN","b":["Infinity",1,"-Infinity"],"c":{"d":"nan"}}"#;
        let metrics: MetricMap = serde_json::from_str(text).unwrap();
        assert!(metrics.number("a").is_some_and(f64::is_nan));
        assert_eq!(metrics.number("b.0"), Some(f64::INFINITY));
        assert_eq!(metrics.number("b.2"), Some(f64::NEG_INFINITY));
        assert_eq!(metrics.number("c.d"), None, "another text");
        assert_eq!(serde_json::to_string(&metrics).unwrap(), text);
        assert_eq!(serde_json::to_string(&MetricValue::from(f64::NAN)).unwrap(), r#""NaN""#);
        assert_eq!(serde_json::to_string(&MetricValue::from(None::<f64>)).unwrap(), "null");
    }

    #[test]
    fn whole_numbers_keep_their_digits() {
        let text = r#"{"a":18446744073709551615,"b":-9007199254740993,"c":1.0}"#;
        let metrics: MetricMap = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&metrics).unwrap(), text);
    }

    #[test]
    fn a_name_that_stands_twice_is_an_error_where_it_is_asked_for() {
        let text = r#"{"a": 1, "b": [{"c": 1, "c": 2}]}"#;
        let metrics: MetricMap = serde_json::from_str(text).unwrap();
        assert_eq!(metrics.number("b.0.c"), Some(2.0), "the last one");
        let strict = ValueReader::strict(0).deserialize(&mut serde_json::Deserializer::from_str(text));
        let error = strict.unwrap_err().to_string();
        assert!(error.starts_with("the name `c` stands twice in a map at line 1"), "{error}");
    }

    #[test]
    fn metrics_have_a_limited_depth() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(serde_json::from_str::<MetricValue>(&nested(MAX_DEPTH)).is_ok());
        let error = serde_json::from_str::<MetricValue>(&nested(MAX_DEPTH + 1)).unwrap_err().to_string();
        assert!(error.starts_with("maps and lists are nested more than 100 deep"), "{error}");
    }
}
