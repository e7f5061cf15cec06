//! Numbers of rows, given as a number or as a share; limits of steps.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    Rows(usize),
    /// A share of all rows, above 0 and below 1.
    Share(f64),
}

impl Amount {
    /// The number of rows, of a `whole`; a share is rounded down, so that shares with the sum 1 are not more than there are.
    pub fn of(self, whole: usize) -> usize {
        /// 0.29 of 100 is 28.999999999999996 in floats.
        const ROUNDING: f64 = 1e-9;
        match self {
            Self::Rows(rows) => rows,
            Self::Share(share) => (share * whole as f64 + ROUNDING).floor() as usize,
        }
    }
}

/// The number, or the share, as it was given.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => rows.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of rows, or a share above 0 and below 1")
            }

            fn visit_u64<E: Error>(self, rows: u64) -> Result<Amount, E> {
                usize::try_from(rows).map(Amount::Rows).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, rows: i64) -> Result<Amount, E> {
                let wrong = || E::custom(format!("{rows} is too small, it must be at least 0"));
                usize::try_from(rows).map(Amount::Rows).map_err(|_| wrong())
            }

            fn visit_f64<E: Error>(self, share: f64) -> Result<Amount, E> {
                if share > 0.0 && share < 1.0 {
                    return Ok(Amount::Share(share));
                }
                Err(E::custom(format!(
                    "{share:?} is no share, which is above 0 and below 1; write a number of rows without a point"
                )))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of rows, or a share of all rows, above 0 and below 1.",
            "type": "number",
            "minimum": 0,
        })
    }
}

/// The most steps of a solution that is within the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepLimit {
    AtMost(u32),
    /// Any number is.
    Any,
}

/// What stands for any number.
const ANY: &str = "any";

impl StepLimit {
    /// Whether so many steps are within the domain.
    pub fn allows(self, steps: u32) -> bool {
        match self {
            Self::AtMost(most) => steps <= most,
            Self::Any => true,
        }
    }
}

impl Serialize for StepLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtMost(most) => serializer.serialize_u32(*most),
            Self::Any => serializer.serialize_str(ANY),
        }
    }
}

impl<'de> Deserialize<'de> for StepLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = StepLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of steps, or \"any\"")
            }

            fn visit_u64<E: Error>(self, steps: u64) -> Result<StepLimit, E> {
                let too_many = || E::custom(format!("{steps} is too large; `\"any\"` sets no limit"));
                u32::try_from(steps).map(StepLimit::AtMost).map_err(|_| too_many())
            }

            fn visit_i64<E: Error>(self, steps: i64) -> Result<StepLimit, E> {
                let wrong = || E::custom(format!("{steps} is too small, it must be at least 0"));
                u64::try_from(steps).map_err(|_| wrong()).and_then(|steps| self.visit_u64(steps))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<StepLimit, E> {
                match word {
                    ANY => Ok(StepLimit::Any),
                    other => Err(E::unknown_variant(other, &[ANY])),
                }
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for StepLimit {
    fn schema_name() -> Cow<'static, str> {
        "StepLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "integer", "minimum": 0}, {"const": ANY}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: serde::de::DeserializeOwned + fmt::Debug>(json: &str) -> String {
        let read = serde_json::from_str::<T>(json);
        read.map_or_else(
            |error| error.to_string().split(" at line").next().unwrap().to_owned(),
            |read| format!("{read:?}"),
        )
    }

    #[test]
    fn amounts_are_numbers_or_shares() {
        insta::assert_snapshot!(["3", "0", "0.25", "1.0", "0.0", "-1", "\"x\""].map(said::<Amount>).join("\n"), @r#"
        Rows(3)
        Rows(0)
        Share(0.25)
        1.0 is no share, which is above 0 and below 1; write a number of rows without a point
        0.0 is no share, which is above 0 and below 1; write a number of rows without a point
        -1 is too small, it must be at least 0
        invalid type: string "x", expected a number of rows, or a share above 0 and below 1
        "#);
        assert_eq!(serde_json::to_string(&[Amount::Rows(3), Amount::Share(0.25)]).unwrap(), "[3,0.25]");
        assert_eq!(
            [Amount::Share(0.29).of(100), Amount::Share(0.9).of(25), Amount::Rows(7).of(1)],
            [29, 22, 7]
        );
    }

    #[test]
    fn a_limit_is_a_number_or_any() {
        insta::assert_snapshot!(["4", "\"any\"", "-1", "5000000000", "\"all\""].map(said::<StepLimit>).join("\n"), @r#"
        AtMost(4)
        Any
        -1 is too small, it must be at least 0
        5000000000 is too large; `"any"` sets no limit
        unknown variant `all`, expected `any`
        "#);
        assert_eq!(
            serde_json::to_string(&[StepLimit::AtMost(4), StepLimit::Any]).unwrap(),
            r#"[4,"any"]"#
        );
        assert!(StepLimit::AtMost(4).allows(4) && !StepLimit::AtMost(4).allows(5) && StepLimit::Any.allows(u32::MAX));
    }
}
