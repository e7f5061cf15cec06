//! Metrics: an ordered map of names to numbers.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::value::ValueReader;
use super::{MetricValue, names};

/// Metrics by name, in the order in which they were added or read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricMap {
    entries: Vec<(String, MetricValue)>,
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

    /// The value of a metric; a point in its name is a part of it, or leads into a map or a list.
    pub fn get(&self, name: &str) -> Option<&MetricValue> {
        self.search(name, &Some)
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

    /// All values that are neither maps nor lists, those in maps and lists included, by full names that differ: `following.consistency`,
    /// `folds.0`. Numbers have their names in [`MetricMap::numbers`]. The groups of answers of `eval` ([`names::GROUPS`]) are left out.
    pub fn flattened(&self) -> Vec<(String, &MetricValue)> {
        let groups = names::GROUPS.iter().filter(|name| !self.list(name).is_empty());
        let groups: Vec<String> = groups.map(|name| format!("{name}.")).collect();
        let mut leaves: Vec<(String, &MetricValue)> = Vec::new();
        self.each_leaf("", &mut |name, value| leaves.push((name, value)));
        let mut known = BTreeSet::new();
        // Numbers come first: another value of the same name does not change theirs.
        for is_number in [true, false] {
            let same = leaves.iter_mut().filter(|(_, value)| value.as_number().is_some() == is_number);
            same.for_each(|(name, _)| *name = told_apart(std::mem::take(name), &mut known));
        }
        leaves.retain(|(name, _)| !groups.iter().any(|group| name.starts_with(group.as_str())));
        leaves
    }
}

/// The metrics under these names as they are, which must differ: a point in a name leads nowhere.
impl FromIterator<(String, MetricValue)> for MetricMap {
    fn from_iter<I: IntoIterator<Item = (String, MetricValue)>>(metrics: I) -> Self {
        Self {
            entries: metrics.into_iter().collect(),
        }
    }
}

impl IntoIterator for MetricMap {
    type Item = (String, MetricValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
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

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<MetricMap, A::Error> {
        ValueReader::default().map(access)
    }
}

/// `name`, or if it is known, the first of `name#2`, `name#3`, … that is not.
pub(crate) fn told_apart(name: String, known: &mut BTreeSet<String>) -> String {
    if known.insert(name.clone()) {
        return name;
    }
    let mut count = 2_usize;
    loop {
        let other = format!("{name}#{count}");
        if known.insert(other.clone()) {
            return other;
        }
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_keep_their_order_and_are_written_as_they_were_read() {
        let text =
            r#"{"b":1,"a":0.5,"none":null,"part":{"z":-1,"y":2.0},"groups":[{"k":1}],"empty":[],"folds":[0.5,[1]],"note":"by hand"}"#;
        let metrics: MetricMap = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&metrics).unwrap(), text);
        let names: Vec<String> = metrics.flattened().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["b", "a", "none", "part.z", "part.y", "groups.0.k", "folds.0", "folds.1.0", "note"]
        );
    }

    #[test]
    fn flattened_numbers_have_the_names_of_all_numbers() {
        let text = r#"{"a.b":"text","a":{"b":1},"a.b#2":2,"list":[{"x":3}],"by_full_steps":[{"answers":4}],
                       "following":{"requests":5,"by_skip":[{"skip":1}]}}"#;
        let metrics: MetricMap = serde_json::from_str(text).unwrap();
        let flattened = metrics.flattened();
        let names: Vec<&str> = flattened.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.b#3", "a.b", "a.b#2", "list.0.x", "following.requests"]);
        for (name, value) in flattened.into_iter().filter(|(_, value)| value.as_number().is_some()) {
            assert_eq!(metrics.number(&name), value.as_number(), "{name}");
        }
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
