//! Orders of rows: as they come, by chance, by a length, by a field.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::length::Measured;
use super::record::{self, FieldError};
use learn::dataset::ExactValue;
use learn::seed::Stream;

/// The order of rows. Rows that are equal in it stay as they come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// As the rows come.
    #[default]
    AsIs,
    /// At random, by the seed.
    Shuffle,
    /// By the number of steps, the smallest first.
    FewestSteps,
    /// By the number of steps, the largest first.
    MostSteps,
    /// By the number of tokens that the model wrote, the smallest first; of answers alone.
    FewestTokens,
    /// By the number of tokens that the model wrote, the largest first; of answers alone.
    MostTokens,
    /// By the number of characters of the solution, the smallest first.
    FewestCharacters,
    /// By the number of characters of the solution, the largest first.
    MostCharacters,
    /// By a field, the lowest first: `{ lowest = "difficulty" }`. Numbers come before texts, and null last.
    Lowest(String),
    /// By a field, the highest first: `{ highest = "score" }`. Numbers come before texts, and null last.
    Highest(String),
}

/// What a row is put in order by.
enum SortKey {
    Number(f64),
    Text(String),
    Nothing,
}

impl RowOrder {
    /// Whether it depends on the seed.
    pub fn draws(&self) -> bool {
        *self == Self::Shuffle
    }

    /// Whether it needs the number of tokens, which rows have not.
    pub fn needs_tokens(&self) -> bool {
        matches!(self, Self::FewestTokens | Self::MostTokens)
    }

    /// The places of the rows in this order; `stream` draws it, where it is drawn.
    ///
    /// # Errors
    /// When a row has no such field, or one that has no order.
    pub fn places(&self, rows: &[Measured<'_>], stream: &mut Stream) -> Result<Vec<usize>, FieldError> {
        let mut places: Vec<usize> = (0..rows.len()).collect();
        if self.draws() {
            stream.shuffle(&mut places);
        } else if *self != Self::AsIs {
            let keys = rows.iter().map(|row| self.key(row)).collect::<Result<Vec<_>, _>>()?;
            places.sort_by(|one, other| self.compare(&keys[*one], &keys[*other]));
        }
        Ok(places)
    }

    fn key(&self, measured: &Measured<'_>) -> Result<SortKey, FieldError> {
        let field = match self {
            Self::AsIs | Self::Shuffle => return Ok(SortKey::Nothing),
            Self::FewestSteps | Self::MostSteps => return Ok(SortKey::Number(f64::from(measured.steps))),
            Self::FewestTokens | Self::MostTokens => {
                return Ok(measured.tokens.map_or(SortKey::Nothing, |tokens| SortKey::Number(tokens.into())));
            }
            Self::FewestCharacters | Self::MostCharacters => return Ok(SortKey::Number(measured.characters as f64)),
            Self::Lowest(field) | Self::Highest(field) => field,
        };
        let value = record::needed_field(measured.row, field)?;
        if let Some(number) = record::number(&value) {
            return Ok(SortKey::Number(number));
        }
        match value {
            ExactValue::Text(text) => Ok(SortKey::Text(text)),
            ExactValue::Bool(truth) => Ok(SortKey::Number(f64::from(u8::from(truth)))),
            ExactValue::Null => Ok(SortKey::Nothing),
            other => Err(record::wrong_type(measured.row, field, &other, "a number or a text")),
        }
    }

    fn compare(&self, one: &SortKey, other: &SortKey) -> Ordering {
        let kind = |key: &SortKey| match key {
            SortKey::Number(_) => 0,
            SortKey::Text(_) => 1,
            SortKey::Nothing => 2,
        };
        let within = match (one, other) {
            (SortKey::Number(one), SortKey::Number(other)) => one.total_cmp(other),
            (SortKey::Text(one), SortKey::Text(other)) => one.cmp(other),
            _ => Ordering::Equal,
        };
        let is_descending = matches!(self, Self::MostSteps | Self::MostTokens | Self::MostCharacters | Self::Highest(_));
        kind(one)
            .cmp(&kind(other))
            .then(if is_descending { within.reverse() } else { within })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use learn::dataset::Row;

    fn rows(answers: &[&str]) -> Vec<Row> {
        let row = |(place, answer): (usize, &&str)| Row {
            id: place.to_string(),
            prompt: String::new(),
            completion: "x".repeat(5 - place),
            step_num: place as u32 % 2,
            answer: serde_json::from_str(answer).unwrap(),
            doc: learn::dataset::Doc::default(),
        };
        answers.iter().enumerate().map(row).collect()
    }

    fn places(order: &RowOrder, answers: &[&str]) -> Result<Vec<usize>, FieldError> {
        let rows = rows(answers);
        let measured: Vec<Measured<'_>> = rows.iter().map(Measured::of).collect();
        order.places(&measured, &mut Stream::new(1, "order"))
    }

    #[test]
    fn rows_are_put_in_order() {
        let answers = ["2", "null", "\"b\"", "\"10\"", "\"a\""];
        for (order, expected) in [
            (RowOrder::AsIs, [0, 1, 2, 3, 4]),
            (RowOrder::FewestSteps, [0, 2, 4, 1, 3]),
            (RowOrder::MostSteps, [1, 3, 0, 2, 4]),
            (RowOrder::FewestCharacters, [4, 3, 2, 1, 0]),
            (RowOrder::MostCharacters, [0, 1, 2, 3, 4]),
            (RowOrder::Lowest("answer".to_owned()), [0, 3, 4, 2, 1]),
            (RowOrder::Highest("answer".to_owned()), [3, 0, 2, 4, 1]),
        ] {
            assert_eq!(places(&order, &answers).unwrap(), expected, "{order:?}");
        }
        let mut shuffled = places(&RowOrder::Shuffle, &answers).unwrap();
        assert_eq!(shuffled, places(&RowOrder::Shuffle, &answers).unwrap());
        shuffled.sort_unstable();
        assert_eq!(shuffled, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_has_no_order_is_an_error() {
        let error = places(&RowOrder::Lowest("answer".to_owned()), &["1", "[2]"]).unwrap_err();
        insta::assert_snapshot!(error, @"row `1`: `answer` is [2], and a number or a text is needed; name another field, or leave such rows out of the data");
        assert!(places(&RowOrder::Highest("score".to_owned()), &["1"]).is_err());
    }

    #[test]
    fn an_order_is_a_word_or_a_table() {
        let read = |text: &str| serde_json::from_str::<RowOrder>(text);
        assert_eq!(read("\"fewest_steps\"").unwrap(), RowOrder::FewestSteps);
        assert_eq!(read(r#"{"highest": "score"}"#).unwrap(), RowOrder::Highest("score".to_owned()));
        assert!(read("\"best\"").is_err());
    }
}
