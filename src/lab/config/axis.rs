//! The values of an axis that are not written one by one: `"1..=5"`, `{ linear = [0, 1], n = 5 }`, `{ log = [1e-5, 1e-2], n = 7 }`.
//!
//! They are written out in each layer before it is merged, so that all that follows sees lists.

use std::collections::BTreeMap;

use super::range::{self, RANGE_FORMS};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, ValueData, ValueOrigin};

/// Keys of `[matrix]` whose values are no lists of an axis. `sample` is an axis where it is a list.
pub(super) const NO_AXES: [&str; 2] = ["exclude", "include"];
/// The key that chooses some of the combinations, where it is a table.
pub(super) const SAMPLE: &str = "sample";

/// The name of the axis over whose values a report takes means.
pub(super) const SEED: &str = "seed";

/// More values than this on one axis are taken for a mistake.
const MAX_VALUES: i64 = 10_000;

/// The significant digits of a value between the ends, where they tell all values apart.
const DIGITS: usize = 3;
/// The significant digits that every number keeps.
const MAX_DIGITS: usize = 15;

const HELP: &str = "write a list, `\"1..=5\"`, `{ linear = [0.0, 1.0], n = 5 }` or `{ log = [1e-5, 1e-2], n = 7 }`";

/// An axis and its values.
pub(super) type Axis<'a> = (&'a str, &'a [ConfigValue]);

/// One point of the matrix: the value on each axis.
pub type Coordinates = BTreeMap<String, ConfigValue>;

/// Whether an entry of `[matrix]` is an axis.
pub(super) fn is_axis(name: &str, value: &ConfigValue) -> bool {
    !NO_AXES.contains(&name) && (name != SAMPLE || value.as_table().is_none())
}

/// Writes out the axes of a layer and of its profiles. An axis that is wrong is reported and gets a stand-in, so that its stages can be
/// checked and nothing else is said of it.
pub(super) fn write_out(layer: &mut ConfigTable, problems: &mut Diagnostics) {
    let profiles = layer.get_mut("profile").and_then(ConfigValue::as_table_mut);
    let profiles = profiles.into_iter().flat_map(|profiles| profiles.values_mut());
    for profile in profiles.filter_map(ConfigValue::as_table_mut) {
        write_out(profile, problems);
    }
    let Some(matrix) = layer.get_mut("matrix").and_then(ConfigValue::as_table_mut) else {
        return;
    };
    for (name, value) in matrix.iter_mut().filter(|(name, value)| is_axis(name, value)) {
        match values(name, value) {
            Ok(Some(values)) => value.data = ValueData::List(values),
            Ok(None) => {}
            Err(problem) => {
                problems.push(problem);
                value.data = ValueData::List(vec![ConfigValue::new(ValueData::Integer(1), value.origin.clone())]);
            }
        }
    }
}

/// The values of an axis that is not a list; `None` for a list, and for what is no axis at all, which is reported later.
pub(super) fn values(name: &str, axis: &ConfigValue) -> Result<Option<Vec<ConfigValue>>, Diagnostic> {
    let numbers = match &axis.data {
        ValueData::Text(text) if text.contains("..") && !text.contains('{') => {
            let wrong = |error: range::RangeError| Diagnostic::new(error.to_string()).at(axis.at()).help(RANGE_FORMS);
            let whole = range::span(text).map_err(wrong)?;
            whole.into_iter().map(|number| ValueData::Integer(number.into())).collect()
        }
        ValueData::Table(fields) => Scale::read(name, axis, fields)?.values(name, axis)?,
        _ => return Ok(None),
    };
    let values = numbers
        .into_iter()
        .map(|number: ValueData| ConfigValue::new(number, axis.origin.clone()));
    Ok(Some(values.collect()))
}

/// Numbers between two ends, with equal differences or equal ratios.
struct Scale<'a> {
    ends: [&'a ConfigValue; 2],
    is_log: bool,
    count: i64,
}

impl<'a> Scale<'a> {
    fn read(name: &str, axis: &'a ConfigValue, fields: &'a ConfigTable) -> Result<Self, Diagnostic> {
        let wrong = |message: String, origin: &ValueOrigin| Err(Diagnostic::new(message).at(origin.value()).help(HELP));
        let form = |key: &str| fields.get(key);
        let (ends, is_log) = match (form("linear"), form("log")) {
            (Some(ends), None) => (ends, false),
            (None, Some(ends)) => (ends, true),
            _ => {
                return wrong(
                    format!("axis `{name}` is a table with neither `linear` nor `log`, or with both"),
                    &axis.origin,
                );
            }
        };
        if let Some((key, value)) = fields.iter().find(|(key, _)| !["linear", "log", "n"].contains(&key.as_str())) {
            let message = format!("axis `{name}` has no field `{key}` (known: linear, log, n)");
            return Err(Diagnostic::new(message).at(value.key_at()).help(HELP));
        }
        let Some([first, last]) = ends.as_list() else {
            return wrong(format!("axis `{name}` needs two ends, not {}", ends.describe()), &ends.origin);
        };
        for end in [first, last] {
            let Some(number) = float(end) else {
                return wrong(
                    format!("an end of axis `{name}` must be a number, not {}", end.describe()),
                    &end.origin,
                );
            };
            if is_log && number <= 0.0 {
                let message = format!("an end of `log` must be above 0, and {} is not", end.describe());
                return wrong(message, &end.origin);
            }
        }
        let Some(count) = fields.get("n") else {
            return wrong(
                format!("axis `{name}` does not say how many values it has: `n` is missing"),
                &axis.origin,
            );
        };
        match count.as_integer() {
            Some(number @ 2..=MAX_VALUES) => Ok(Self {
                ends: [first, last],
                is_log,
                count: number,
            }),
            _ => wrong(
                format!("`n` must be a whole number from 2 to {MAX_VALUES}, not {}", count.describe()),
                &count.origin,
            ),
        }
    }

    /// The values with as few digits as tell them apart, the ends as they are written; whole numbers where both ends are.
    fn values(&self, name: &str, axis: &ConfigValue) -> Result<Vec<ValueData>, Diagnostic> {
        let between: Vec<f64> = (1..self.count - 1).map(|step| self.between(step)).collect();
        let [first, last] = self.ends;
        let with_ends = |middle: Vec<ValueData>| {
            let ends = [first.data.clone(), last.data.clone()];
            let [first, last] = ends;
            std::iter::once(first).chain(middle).chain([last]).collect::<Vec<_>>()
        };
        if first.as_integer().is_some() && last.as_integer().is_some() {
            let whole = |number: &f64| ValueData::Integer(number.round() as i128);
            let is_whole = |number: &f64| self.is_log || (number - number.round()).abs() < 1e-9;
            if between.iter().all(is_whole) {
                let values = with_ends(between.iter().map(whole).collect());
                return if are_distinct(&values) {
                    Ok(values)
                } else {
                    let message = format!("axis `{name}` has fewer than {} whole numbers between its ends", self.count);
                    let help = "write the ends with a point (`1.0`) for numbers that are not whole, or a smaller `n`";
                    Err(Diagnostic::new(message).at(axis.at()).help(help))
                };
            }
        }
        let rounded = (DIGITS..=MAX_DIGITS).map(|digits| {
            let middle = between.iter().map(|number| ValueData::Float(rounded(*number, digits)));
            (digits, with_ends(middle.collect()))
        });
        // Equal differences must look equal: digits are added until they do.
        let is_even = |values: &[ValueData]| self.is_log || self.is_even(values);
        let mut fitting = rounded.filter(|(digits, values)| are_distinct(values) && (*digits == MAX_DIGITS || is_even(values)));
        fitting.next().map(|(_, values)| values).ok_or_else(|| {
            let message = format!("axis `{name}` has ends too close for {} values between them", self.count);
            Diagnostic::new(message).at(axis.at())
        })
    }

    /// The value after so many steps from the first.
    fn between(&self, step: i64) -> f64 {
        let [first, last] = self.ends.map(|end| float(end).unwrap_or_default());
        let share = step as f64 / (self.count - 1) as f64;
        if self.is_log {
            (first.ln() + (last.ln() - first.ln()) * share).exp()
        } else {
            first + (last - first) * share
        }
    }

    /// Whether the values of a linear scale are where they should be, but for the last bits.
    fn is_even(&self, values: &[ValueData]) -> bool {
        let [first, last] = self.ends.map(|end| float(end).unwrap_or_default());
        let step = (last - first).abs() / (self.count - 1) as f64;
        let is_near = |(at, value): (usize, &ValueData)| match value {
            ValueData::Float(number) => (number - self.between(at as i64)).abs() < step * 1e-6,
            _ => true,
        };
        values.iter().enumerate().all(is_near)
    }
}

fn float(value: &ConfigValue) -> Option<f64> {
    match value.data {
        ValueData::Integer(number) => Some(number as f64),
        ValueData::Float(number) => Some(number),
        _ => None,
    }
}

/// The number with so many significant digits.
fn rounded(number: f64, digits: usize) -> f64 {
    format!("{number:.*e}", digits.saturating_sub(1)).parse().unwrap_or(number)
}

fn are_distinct(values: &[ValueData]) -> bool {
    let number = |value: &ValueData| match value {
        ValueData::Integer(number) => *number as f64,
        ValueData::Float(number) => *number,
        _ => f64::NAN,
    };
    values.windows(2).all(|pair| number(&pair[0]) != number(&pair[1]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{OriginCounter, SourceText, text};

    fn axis(written: &str) -> Result<String, String> {
        let (name, text) = ("x.toml".to_owned(), written.to_owned());
        let source = Arc::new(SourceText { name, text });
        let axis = text::value(&source, 0, "lr", &mut OriginCounter::default()).unwrap();
        let values = values("lr", &axis).map_err(|problem| problem.message)?;
        Ok(ConfigValue::from(ValueData::List(values.unwrap_or_default())).toml())
    }

    #[test]
    fn values_have_few_digits_and_exact_ends() {
        assert_eq!(axis("'1..=4'").unwrap(), "[1, 2, 3, 4]");
        assert_eq!(
            axis("{ log = [1e-5, 1e-2], n = 7 }").unwrap(),
            "[0.00001, 0.0000316, 0.0001, 0.000316, 0.001, 0.00316, 0.01]"
        );
        assert_eq!(axis("{ log = [16, 256], n = 5 }").unwrap(), "[16, 32, 64, 128, 256]");
        assert_eq!(axis("{ linear = [0.0, 1.0], n = 5 }").unwrap(), "[0.0, 0.25, 0.5, 0.75, 1.0]");
        assert_eq!(axis("{ linear = [0, 10], n = 3 }").unwrap(), "[0, 5, 10]");
        assert_eq!(axis("{ linear = [0, 1], n = 3 }").unwrap(), "[0, 0.5, 1]");
        assert_eq!(axis("{ linear = [1.0, 0.0], n = 3 }").unwrap(), "[1.0, 0.5, 0.0]");
        assert_eq!(axis("{ linear = [1000.5, 1001.5], n = 3 }").unwrap(), "[1000.5, 1001.0, 1001.5]");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (written, expected) in [
            ("{ n = 3 }", "axis `lr` is a table with neither `linear` nor `log`, or with both"),
            (
                "{ log = [1, 2], linear = [1, 2], n = 3 }",
                "axis `lr` is a table with neither `linear` nor `log`, or with both",
            ),
            ("{ log = [0, 1], n = 3 }", "an end of `log` must be above 0, and 0 is not"),
            ("{ log = [1e-3], n = 3 }", "axis `lr` needs two ends, not a list"),
            (
                "{ log = [1e-3, 'x'], n = 3 }",
                "an end of axis `lr` must be a number, not the text \"x\"",
            ),
            (
                "{ log = [1e-3, 1.0] }",
                "axis `lr` does not say how many values it has: `n` is missing",
            ),
            ("{ log = [1e-3, 1.0], n = 1 }", "`n` must be a whole number from 2 to 10000, not 1"),
            (
                "{ log = [1e-3, 1.0], n = 3, base = 2 }",
                "axis `lr` has no field `base` (known: linear, log, n)",
            ),
            (
                "{ log = [1, 4], n = 9 }",
                "axis `lr` has fewer than 9 whole numbers between its ends",
            ),
            ("'4..=1'", "the range `4..=1` is empty"),
        ] {
            assert_eq!(axis(written), Err(expected.to_owned()), "{written}");
        }
    }
}
