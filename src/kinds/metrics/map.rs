//! Metrics: an ordered map of names to numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Number, Value};

/// Metrics by name, in the order in which they were added or read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricMap {
    entries: Vec<(String, MetricValue)>,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum MetricValue {
    Number(Number),
    /// Metrics of a part of the answers.
    Map(MetricMap),
    /// The same metrics for each of several groups of answers.
    List(Vec<MetricMap>),
    /// Null for a mean over no values; or what a user's program measured that is not a number.
    Other(Value),
}

impl MetricMap {
    /// Adds a metric, or replaces it. A point in the name leads into a nested map, which is added if it is missing.
    pub fn insert(&mut self, name: &str, value: impl Into<MetricValue>) {
        let Some((outer, rest)) = name.split_once('.') else {
            *self.entry(name) = value.into();
            return;
        };
        let entry = self.entry(outer);
        if let MetricValue::Map(inner) = entry {
            inner.insert(rest, value);
        } else {
            let mut inner = Self::default();
            inner.insert(rest, value);
            *entry = inner.into();
        }
    }

    /// The value that has this name, added as null if it is missing.
    fn entry(&mut self, name: &str) -> &mut MetricValue {
        let found = self.entries.iter().position(|(known, _)| known == name);
        let index = found.unwrap_or_else(|| {
            self.entries.push((name.to_owned(), MetricValue::Other(Value::Null)));
            self.entries.len() - 1
        });
        &mut self.entries[index].1
    }

    /// The value of a metric; a point in its name leads into a nested map.
    pub fn get(&self, name: &str) -> Option<&MetricValue> {
        let (outer, rest) = name.split_once('.').map_or((name, None), |(outer, rest)| (outer, Some(rest)));
        let (_, value) = self.entries.iter().find(|(known, _)| known == outer)?;
        match (rest, value) {
            (None, value) => Some(value),
            (Some(rest), MetricValue::Map(inner)) => inner.get(rest),
            (Some(_), _) => None,
        }
    }

    /// A metric that is a number; `None` if it is missing or null.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            MetricValue::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// A metric that is a whole number; `None` if it is missing or null.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            MetricValue::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// A metric that is a map of further ones.
    pub fn map(&self, name: &str) -> Option<&Self> {
        match self.get(name)? {
            MetricValue::Map(inner) => Some(inner),
            _ => None,
        }
    }

    /// The groups of a metric that is measured by group; empty if it is missing.
    pub fn list(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(MetricValue::List(groups)) => groups,
            _ => &[],
        }
    }

    /// All metrics with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MetricValue)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// All metrics that are not maps, those of nested maps included, by their full names: `following.consistency`.
    pub fn flattened(&self) -> Vec<(String, &MetricValue)> {
        let mut found = Vec::new();
        for (name, value) in self.iter() {
            match value {
                MetricValue::Map(inner) => {
                    let nested = inner.flattened().into_iter();
                    found.extend(nested.map(|(rest, value)| (format!("{name}.{rest}"), value)));
                }
                value => found.push((name.to_owned(), value)),
            }
        }
        found
    }
}

impl<const N: usize> From<[(&str, MetricValue); N]> for MetricMap {
    fn from(metrics: [(&str, MetricValue); N]) -> Self {
        let mut map = Self::default();
        for (name, value) in metrics {
            map.insert(name, value);
        }
        map
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

impl Serialize for MetricMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (name, value) in &self.entries {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for MetricMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetricMapVisitor)
    }
}

struct MetricMapVisitor;

impl<'de> Visitor<'de> for MetricMapVisitor {
    type Value = MetricMap;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of metrics")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<MetricMap, A::Error> {
        let mut map = MetricMap::default();
        while let Some((name, value)) = access.next_entry::<String, MetricValue>()? {
            *map.entry(&name) = value;
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_keep_their_order_and_are_written_as_they_were_read() {
        let text = r#"{"b":1,"a":0.5,"none":null,"part":{"z":-1,"y":2.0},"groups":[{"k":1}],"empty":[],"note":"by hand"}"#;
        let metrics: MetricMap = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&metrics).unwrap(), text);
        let names: Vec<String> = metrics.flattened().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a", "none", "part.z", "part.y", "groups", "empty", "note"]);
    }

    #[test]
    fn a_point_leads_into_a_nested_map() {
        let metrics = MetricMap::from([("a.b", 1_u64.into()), ("c", None::<f64>.into()), ("a.d", Some(0.25).into())]);
        assert_eq!(serde_json::to_string(&metrics).unwrap(), r#"{"a":{"b":1,"d":0.25},"c":null}"#);
        assert_eq!(metrics.number("a.d"), Some(0.25));
        assert_eq!(
            (metrics.integer("a.b"), metrics.number("c"), metrics.number("c.d")),
            (Some(1), None, None)
        );
        assert_eq!(
            (metrics.map("a").map(|part| part.iter().count()), metrics.map("c")),
            (Some(2), None)
        );
        assert!(metrics.list("a").is_empty());
    }
}
