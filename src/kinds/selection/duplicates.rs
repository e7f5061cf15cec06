//! Rows with the same text, or nearly the same.

use std::borrow::Cow;
use std::collections::HashMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::near_duplicates::{self, Banding};
use super::record::{self, FieldError};
use super::words::{ngrams, word_hashes};
use learn::dataset::Row;

/// The threshold of `"near"`, as in distilabel.
const THRESHOLD: f64 = 0.9;

/// The most hash functions: more would need more memory than they tell apart.
const MAX_PERMUTATIONS: usize = 1_024;

/// What becomes of rows with the same text, or nearly the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Duplicates {
    /// They stay.
    #[default]
    Keep,
    /// Only the first stays.
    Drop(DuplicateRule),
}

/// Which rows are duplicates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DuplicateRule {
    /// The fields of a row that are compared, together.
    pub on: Vec<String>,
    /// Rows are near duplicates from this Jaccard similarity of their word n-grams on. Left out, only rows with equal texts are duplicates.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: Option<f64>,
    /// The number of hash functions that look for near duplicates.
    #[schemars(range(min = 1, max = 1024))]
    pub num_perm: usize,
    /// The number of words of an n-gram.
    #[schemars(range(min = 1))]
    pub n: usize,
}

impl Default for DuplicateRule {
    fn default() -> Self {
        Self {
            on: vec!["prompt".to_owned(), "completion".to_owned()],
            threshold: None,
            num_perm: 128,
            n: 5,
        }
    }
}

/// Why a row is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DuplicateOf {
    /// The place of the row that stays.
    pub first: usize,
    /// The similarity to it; `None` for equal texts.
    pub similarity: Option<f64>,
}

/// What was found.
#[derive(Debug, PartialEq)]
pub struct FoundDuplicates {
    /// For each row, whether it is dropped.
    pub duplicates: Vec<Option<DuplicateOf>>,
    /// The number of rows that were not compared with all candidates.
    pub limited: usize,
}

/// The search ended early.
#[derive(Debug)]
pub enum SearchError<E> {
    Field(FieldError),
    Paused(E),
}

impl DuplicateRule {
    /// What is wrong with the rule: the field, and a message.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let threshold = self.threshold.unwrap_or(1.0);
        if self.on.is_empty() {
            return Some(("on", "the list is empty; name the fields to compare, such as \"prompt\"".to_owned()));
        }
        if !(threshold > 0.0 && threshold <= 1.0) {
            return Some((
                "threshold",
                format!("{threshold} is out of range, it must be above 0 and at most 1"),
            ));
        }
        if self.n == 0 {
            return Some(("n", "0 is too small, it must be at least 1".to_owned()));
        }
        if !(1..=MAX_PERMUTATIONS).contains(&self.num_perm) {
            let message = format!("{} is out of range, it must be from 1 to {MAX_PERMUTATIONS}", self.num_perm);
            return Some(("num_perm", message));
        }
        let banding = Banding::new(threshold, self.num_perm);
        (!banding.is_enough(threshold)).then(|| {
            let percent = (100.0 * banding.recall(threshold)).floor();
            let message = format!(
                "{} is too small: only {percent} % of the rows at `threshold = {threshold}` would be found; raise one of both",
                self.num_perm
            );
            ("num_perm", message)
        })
    }

    /// The rows that are duplicates of an earlier one that stays. `pause` is called as rows go by, and may end the search.
    ///
    /// # Errors
    /// When a row has no such field, and those of `pause`.
    pub fn find<E>(&self, rows: &[&Row], pause: &dyn Fn(usize) -> Result<(), E>) -> Result<FoundDuplicates, SearchError<E>> {
        match self.threshold {
            None => self.equal(rows, pause),
            Some(threshold) => {
                let mut sets = Vec::with_capacity(rows.len());
                for (done, row) in rows.iter().enumerate() {
                    pause(done).map_err(SearchError::Paused)?;
                    sets.push(ngrams(&word_hashes(&self.text(row)?), self.n));
                }
                let found = near_duplicates::find(&sets, threshold, self.num_perm, pause).map_err(SearchError::Paused)?;
                let duplicate = |similar: near_duplicates::Similar| DuplicateOf {
                    first: similar.to,
                    similarity: Some(similar.similarity),
                };
                Ok(FoundDuplicates {
                    duplicates: found.similar.into_iter().map(|similar| similar.map(duplicate)).collect(),
                    limited: found.limited,
                })
            }
        }
    }

    fn equal<E>(&self, rows: &[&Row], pause: &dyn Fn(usize) -> Result<(), E>) -> Result<FoundDuplicates, SearchError<E>> {
        let mut first: HashMap<String, usize> = HashMap::new();
        let mut duplicates = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            pause(place).map_err(SearchError::Paused)?;
            let first = *first.entry(self.text(row)?).or_insert(place);
            let similarity = None;
            duplicates.push((first != place).then_some(DuplicateOf { first, similarity }));
        }
        let limited = 0;
        Ok(FoundDuplicates { duplicates, limited })
    }

    /// The fields that are compared, each as it is written in JSON where it is no text.
    fn text<E>(&self, row: &Row) -> Result<String, SearchError<E>> {
        let mut text = String::new();
        for field in &self.on {
            let value = record::needed_field(row, field).map_err(SearchError::Field)?;
            match value.as_str() {
                Some(value) => text += value,
                None => text += &value.to_string(),
            }
            // No text has it: fields stay apart.
            text.push('\u{0}');
        }
        Ok(text)
    }
}

impl Serialize for Duplicates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_str(KEEP),
            Self::Drop(rule) => rule.serialize(serializer),
        }
    }
}

/// The names of rules.
const KEEP: &str = "keep";
const NAMES: &[&str] = &[KEEP, "exact", "near"];

impl<'de> Deserialize<'de> for Duplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Duplicates;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"keep\", \"exact\", \"near\", or a table such as { threshold = 0.8 }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Duplicates, E> {
                let rule = |threshold| {
                    Duplicates::Drop(DuplicateRule {
                        threshold,
                        ..DuplicateRule::default()
                    })
                };
                match name {
                    KEEP => Ok(Duplicates::Keep),
                    "exact" => Ok(rule(None)),
                    "near" => Ok(rule(Some(THRESHOLD))),
                    other => Err(E::unknown_variant(other, NAMES)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Duplicates, A::Error> {
                DuplicateRule::deserialize(MapAccessDeserializer::new(fields)).map(Duplicates::Drop)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for Duplicates {
    fn schema_name() -> Cow<'static, str> {
        "Duplicates".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rule = generator.subschema_for::<DuplicateRule>();
        json_schema!({
            "description": "What becomes of rows with the same text, or nearly the same.",
            "anyOf": [{"enum": NAMES}, rule],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn row(id: &str, prompt: &str, completion: &str) -> Row {
        Row {
            id: id.to_owned(),
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
            step_num: 1,
            answer: 1.into(),
            doc: learn::dataset::Doc::default(),
        }
    }

    fn first(rule: &DuplicateRule, rows: &[Row]) -> Vec<Option<usize>> {
        let rows: Vec<&Row> = rows.iter().collect();
        let Ok(found) = rule.find(&rows, &|_| Ok::<(), Infallible>(())) else {
            panic!("a field is missing")
        };
        found.duplicates.iter().map(|of| of.map(|of| of.first)).collect()
    }

    #[test]
    fn equal_texts_are_duplicates_whatever_the_id() {
        let rows = [
            row("a", "x", "yz"),
            row("b", "xy", "z"),
            row("c", "x", "yz"),
            row("d", "X", "yz"),
            row("e", "x", "yz"),
        ];
        assert_eq!(first(&DuplicateRule::default(), &rows), [None, None, Some(0), None, Some(0)]);
        let on = |fields: &[&str]| DuplicateRule {
            on: fields.iter().map(|field| (*field).to_owned()).collect(),
            ..DuplicateRule::default()
        };
        assert_eq!(first(&on(&["prompt"]), &rows), [None, None, Some(0), None, Some(0)]);
        assert_eq!(first(&on(&["answer"]), &rows), [None, Some(0), Some(0), Some(0), Some(0)]);
        let near = DuplicateRule {
            threshold: Some(1.0),
            ..DuplicateRule::default()
        };
        assert_eq!(first(&near, &rows), [None, None, Some(0), Some(0), Some(0)], "words have no case");
    }

    #[test]
    fn rules_are_checked() {
        let problem = |toml: &str| {
            let rule: DuplicateRule = toml::from_str(toml).unwrap();
            rule.problem().map(|(field, message)| format!("{field}: {message}"))
        };
        assert_eq!(problem(""), None);
        assert_eq!(problem("threshold = 0.5"), None);
        insta::assert_snapshot!(
            ["on = []", "threshold = 0.0", "threshold = 1.5", "n = 0", "num_perm = 0", "num_perm = 2000", "threshold = 0.2\nnum_perm = 8"]
                .map(|rule| problem(rule).unwrap())
                .join("\n"), @r#"
        on: the list is empty; name the fields to compare, such as "prompt"
        threshold: 0 is out of range, it must be above 0 and at most 1
        threshold: 1.5 is out of range, it must be above 0 and at most 1
        n: 0 is too small, it must be at least 1
        num_perm: 0 is out of range, it must be from 1 to 1024
        num_perm: 2000 is out of range, it must be from 1 to 1024
        num_perm: 8 is too small: only 83 % of the rows at `threshold = 0.2` would be found; raise one of both
        "#);
    }

    #[test]
    fn a_name_is_the_rule_written_out() {
        let read = |text: &str| toml::from_str::<HashMap<String, Duplicates>>(text).map(|mut read| read.remove("d").unwrap());
        assert_eq!(read("d = 'near'").unwrap(), read("d = { threshold = 0.9 }").unwrap());
        assert_eq!(read("d = 'exact'").unwrap(), read("d = {}").unwrap());
        assert_eq!(read("d = 'keep'").unwrap(), Duplicates::Keep);
        assert!(
            read("d = 'nearly'")
                .unwrap_err()
                .to_string()
                .contains("expected one of `keep`, `exact`, `near`")
        );
        for rule in [Duplicates::Keep, read("d = 'near'").unwrap()] {
            let written = serde_json::to_value(&rule).unwrap();
            assert_eq!(serde_json::from_value::<Duplicates>(written).unwrap(), rule);
        }
    }
}
