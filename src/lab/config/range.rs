//! The values that `for` gives an index: `"0..=5"`, `"1..6"`, `[1, 3, 5]`.

use super::{ConfigValue, ValueData};

/// The ways to write a range, for messages.
pub(super) const RANGE_FORMS: &str = "write `0..=5` (with 5), `0..6` (without 6) or a list such as `[1, 3, 5]`";
/// More values than this are taken for a mistake.
const MAX_VALUES: i128 = 100_000;

/// Why a range is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RangeError {
    #[error("the range `{0}` is empty")]
    Empty(String),
    #[error("`{0}` is no range")]
    Syntax(String),
    #[error("the range `{range}` has {length} values; at most {MAX_VALUES} are allowed")]
    Large { range: String, length: i128 },
    #[error("an index is a whole number, not {0}")]
    Index(String),
    #[error("a range is a text or a list, not {0}")]
    Type(String),
}

/// The values, ascending.
///
/// # Errors
/// When it is no range, an empty one, or one of more than a hundred thousand values.
pub(super) fn values(range: &ConfigValue) -> Result<Vec<i64>, RangeError> {
    match &range.data {
        ValueData::Text(text) => span(text),
        ValueData::List(items) if items.is_empty() => Err(RangeError::Empty("[]".to_owned())),
        ValueData::List(items) => {
            let index = |item: &ConfigValue| item.as_integer().ok_or_else(|| RangeError::Index(item.describe()));
            let mut values: Vec<i64> = items.iter().map(index).collect::<Result<_, _>>()?;
            values.sort_unstable();
            Ok(values)
        }
        _ => Err(RangeError::Type(range.describe())),
    }
}

/// The number of values, before there is memory for them; a range that is wrong or too large is an error of its own, and counts as one.
pub(super) fn count(range: &ConfigValue) -> usize {
    let length = |text| ends(text).ok().map(|(_, length)| length).filter(|length| *length <= MAX_VALUES);
    match &range.data {
        ValueData::Text(text) => length(text).and_then(|length| usize::try_from(length).ok()).unwrap_or(1),
        ValueData::List(items) => items.len(),
        _ => 1,
    }
}

/// The values of `0..=5` or `0..6`, ascending.
///
/// # Errors
/// When it is no range, an empty one, or one of more than a hundred thousand values.
pub fn span(text: &str) -> Result<Vec<i64>, RangeError> {
    let (start, length) = ends(text)?;
    if length > MAX_VALUES {
        let range = text.to_owned();
        return Err(RangeError::Large { range, length });
    }
    Ok((start..).take(usize::try_from(length).unwrap_or_default()).collect())
}

/// The first value, and how many there are.
fn ends(text: &str) -> Result<(i64, i128), RangeError> {
    let syntax = || RangeError::Syntax(text.to_owned());
    let (start, end) = text.split_once("..").ok_or_else(syntax)?;
    let (end, included) = end.strip_prefix('=').map_or((end, 0), |end| (end, 1));
    let bound = |text: &str| text.trim().parse::<i64>().map_err(|_| syntax());
    let (start, end) = (bound(start)?, bound(end)?);
    let length = i128::from(end) - i128::from(start) + included;
    if length <= 0 {
        return Err(RangeError::Empty(text.to_owned()));
    }
    Ok((start, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_in_rust() {
        assert_eq!(values(&ConfigValue::from("0..=3")), Ok(vec![0, 1, 2, 3]));
        assert_eq!(values(&ConfigValue::from("1 .. 3")), Ok(vec![1, 2]));
        assert_eq!(values(&ConfigValue::from("-1..=1")), Ok(vec![-1, 0, 1]));
        assert_eq!(values(&ConfigValue::from(vec![5i64, 1])), Ok(vec![1, 5]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |range: ConfigValue| values(&range).unwrap_err().to_string();
        let report = [
            wrong("1..1".into()),
            wrong("5..=1".into()),
            wrong("1...3".into()),
            wrong("0..=1000000000000".into()),
            wrong("-9223372036854775808..=9223372036854775807".into()),
            wrong("five".into()),
            wrong(vec!["a"].into()),
            wrong(Vec::<i64>::new().into()),
            wrong(5i64.into()),
        ];
        insta::assert_snapshot!(report.join("\n"));
    }
}
