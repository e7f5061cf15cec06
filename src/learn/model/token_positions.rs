//! What a model knows of the positions of its tokens, as an experiment describes it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::architecture_error::{ArchitectureError, in_range};

/// The positions that a model knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenPositions {
    /// Rotary positions in the sequence, and the tables of `lines` and `columns`.
    #[default]
    Lines,
    /// The place of a digit in its number and the line that works on that place, and no other positions.
    Places(Places),
}

/// The names of the kinds.
const KINDS: &[&str] = &[LINES, PLACES];
const LINES: &str = "lines";
const PLACES: &str = "places";

/// Positions of places: rows of a table for the index of a token and for the two indices before it.
///
/// An index counts places of numbers and lines of a solution with the same numbers, so that the line that works on a place has its index
/// (position coupling, Cho et al. 2024). Which rows of the table stand for the indices is drawn anew for each sequence in training (an
/// increasing random subset, Ruoss et al. 2023), so that a model can rely on nothing but "the same index", "one less" and "two less".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Places {
    /// Rows of each of the three tables, at least `top` + 3: a few more than the longest problem needs.
    #[schemars(range(min = 4))]
    pub rows: usize,
    /// The highest index: lines of the longest solution, its answer included, or digits of the longest number.
    #[schemars(range(min = 1))]
    pub top: usize,
    /// A line takes as many indices as this number of it (1: the first) has digits, so that two places done in one step take two (0: always
    /// one).
    pub wide: usize,
}

impl Default for Places {
    /// For sums of up to nine digits.
    fn default() -> Self {
        Self {
            rows: 18,
            top: 11,
            wide: 0,
        }
    }
}

impl Places {
    /// How many indices before its own a token has rows of.
    pub const BACK: usize = 2;
    /// The number of rows that a token has.
    pub const TABLES: usize = Self::BACK + 1;

    /// The number of rows that the indices of a sequence need: from two before 0 to `top`.
    pub fn needed(top: usize) -> usize {
        top.saturating_add(Self::TABLES)
    }

    pub(super) fn check(self) -> Result<(), ArchitectureError> {
        in_range("positions.top", self.top, 1)?;
        in_range("positions.rows", self.rows, 1)?;
        in_range("positions.wide", self.wide, 0)?;
        let least = Self::needed(self.top);
        if self.rows < least {
            let Self { rows, top, .. } = self;
            return Err(ArchitectureError::FewRows { rows, top, least });
        }
        Ok(())
    }
}

/// The kinds with fields of their own, as a table.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[schemars(rename = "PositionsTable")]
enum Table {
    Places(Places),
}

impl fmt::Display for TokenPositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines => f.write_str(LINES),
            Self::Places(Places { rows, top, wide }) => write!(f, "{PLACES} (rows {rows}, top {top}, wide {wide})"),
        }
    }
}

impl Serialize for TokenPositions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Lines => serializer.serialize_str(LINES),
            Self::Places(places) => Table::Places(*places).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TokenPositions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PositionsVisitor;

        impl<'de> Visitor<'de> for PositionsVisitor {
            type Value = TokenPositions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a kind of positions ({}), or a table with its `kind`", KINDS.join(", "))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<TokenPositions, E> {
                match name {
                    LINES => Ok(TokenPositions::Lines),
                    PLACES => Ok(TokenPositions::Places(Places::default())),
                    _ => Err(E::unknown_variant(name, KINDS)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<TokenPositions, A::Error> {
                let Table::Places(places) = Table::deserialize(MapAccessDeserializer::new(table))?;
                Ok(TokenPositions::Places(places))
            }
        }

        deserializer.deserialize_any(PositionsVisitor)
    }
}

impl JsonSchema for TokenPositions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Positions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<Table>();
        json_schema!({
            "description": "The positions that a model knows: a kind, or a table with its `kind`.",
            "anyOf": [{ "enum": KINDS }, table],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<TokenPositions, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_kind_is_a_name_or_a_table() {
        assert_eq!(read(json!("lines")), Ok(TokenPositions::Lines));
        let places = TokenPositions::Places(Places::default());
        assert_eq!(read(json!("places")), Ok(places));
        assert_eq!(read(json!({"kind": "places"})), Ok(places));
        let wide = TokenPositions::Places(Places {
            wide: 2,
            ..Places::default()
        });
        assert_eq!(read(json!({"kind": "places", "wide": 2})), Ok(wide));
        for positions in [TokenPositions::Lines, places, wide] {
            assert_eq!(read(json!(positions)), Ok(positions));
        }
        assert_eq!(json!(TokenPositions::Lines), json!("lines"));
        assert_eq!(json!(wide), json!({"kind": "places", "rows": 18, "top": 11, "wide": 2}));
    }

    #[test]
    fn what_is_no_kind_is_named() {
        let message = |value| read(value).unwrap_err();
        insta::assert_snapshot!(message(json!("rope")), @"unknown variant `rope`, expected `lines` or `places`");
        insta::assert_snapshot!(message(json!(3)), @"invalid type: integer `3`, expected a kind of positions (lines, places), or a table with its `kind`");
        insta::assert_snapshot!(message(json!({"rows": 3})), @"missing field `kind`");
        insta::assert_snapshot!(message(json!({"kind": "places", "row": 3})), @"unknown field `row`, expected one of `rows`, `top`, `wide`");
        insta::assert_snapshot!(message(json!({"kind": "lines"})), @"unknown variant `lines`, expected `places`");
    }
}
