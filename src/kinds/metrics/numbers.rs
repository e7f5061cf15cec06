//! All numbers in metrics by their full names, which programs chose.

use std::collections::BTreeSet;

use super::map::told_apart;
use super::{MetricMap, MetricValue};

impl MetricMap {
    /// All numbers, NaN and infinities among them, by full dotted names in the order of the file; items of a list have their index: `a.0.b`.
    /// A name that another number has already gets a number: `a.b#2`.
    pub fn numbers(&self) -> Vec<(String, f64)> {
        let numbers = self.named_numbers().into_iter();
        numbers.filter_map(|(name, value)| Some((name, value.as_number()?))).collect()
    }

    /// [`MetricMap::numbers`] as they are written, with all digits.
    pub fn named_numbers(&self) -> Vec<(String, &MetricValue)> {
        let mut found = Vec::new();
        let mut known = BTreeSet::new();
        self.each_leaf("", &mut |name, value| {
            if value.as_number().is_some() {
                found.push((told_apart(name, &mut known), value));
            }
        });
        found
    }

    /// The number of this name in [`MetricMap::numbers`]; `None` if it is missing or no number.
    pub fn number(&self, dotted: &str) -> Option<f64> {
        if !dotted.contains('#') {
            return self.search(dotted, &MetricValue::as_number);
        }
        let found = self.numbers().into_iter().find(|(name, _)| name == dotted);
        found.map(|(_, number)| number)
    }

    /// Calls `take` with every value that is neither map nor list, and with its full name after `before`.
    pub(crate) fn each_leaf<'a>(&'a self, before: &str, take: &mut dyn FnMut(String, &'a MetricValue)) {
        for (name, value) in self.iter() {
            value.each_leaf(format!("{before}{name}"), take);
        }
    }

    /// What `read` takes from the first value of this full name, whose points may be parts of names or lead into maps and lists.
    pub(super) fn search<'a, T>(&'a self, dotted: &str, read: &dyn Fn(&'a MetricValue) -> Option<T>) -> Option<T> {
        let within = |(name, value): (&str, &'a MetricValue)| match dotted.strip_prefix(name)? {
            "" => read(value),
            rest => value.search(rest.strip_prefix('.')?, read),
        };
        self.iter().find_map(within)
    }
}

impl MetricValue {
    fn each_leaf<'a>(&'a self, name: String, take: &mut dyn FnMut(String, &'a Self)) {
        match self {
            Self::Map(map) => map.each_leaf(&format!("{name}."), take),
            Self::List(maps) => {
                let maps = maps.iter().enumerate();
                maps.for_each(|(index, map)| map.each_leaf(&format!("{name}.{index}."), take));
            }
            Self::Values(values) => {
                let values = values.iter().enumerate();
                values.for_each(|(index, value)| value.each_leaf(format!("{name}.{index}"), take));
            }
            leaf => take(name, leaf),
        }
    }

    fn search<'a, T>(&'a self, dotted: &str, read: &dyn Fn(&'a Self) -> Option<T>) -> Option<T> {
        let (index, rest) = dotted.split_once('.').map_or((dotted, None), |(index, rest)| (index, Some(rest)));
        match (self, rest) {
            (Self::Map(map), _) => map.search(dotted, read),
            (Self::List(maps), Some(rest)) => maps.get(place(index)?)?.search(rest, read),
            (Self::Values(values), None) => values.get(place(index)?).and_then(read),
            (Self::Values(values), Some(rest)) => values.get(place(index)?)?.search(rest, read),
            _ => None,
        }
    }
}

/// The index that is written as in the names: `0`, not `00` or `+0`.
fn place(index: &str) -> Option<usize> {
    let place: usize = index.parse().ok()?;
    (place.to_string() == index).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(text: &str) -> MetricMap {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_have_full_names_in_the_order_of_the_file() {
        let metrics = metrics(
            r#"{"results": {"gpt2.0": {"acc,none": 0.5, "alias": "x"}}, "folds": [0.8, [0.7, true], {"a": 1}],
                "parts": [{"n": 3}, {"n": "NaN"}], "note": "0.5", "none": null, "": 4}"#,
        );
        let names: Vec<String> = metrics.numbers().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "results.gpt2.0.acc,none",
                "folds.0",
                "folds.1.0",
                "folds.2.a",
                "parts.0.n",
                "parts.1.n",
                ""
            ]
        );
        for (name, number) in metrics.numbers() {
            let found = metrics.number(&name).unwrap();
            assert!(found == number || (found.is_nan() && number.is_nan()), "{name}");
        }
        for name in [
            "results",
            "folds",
            "folds.01",
            "folds.9",
            "parts.0",
            "note",
            "none",
            "results.gpt2",
            "folds.1.1",
            ".",
        ] {
            assert_eq!(metrics.number(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_of_one_name_are_told_apart() {
        let metrics = metrics(r#"{"a": {"b": 1, "c.d": 5}, "a.b": 2, "a.b#2": 3, "a.c": {"d": 4}, "x": "text", "x.y": "NaN"}"#);
        let numbers = metrics.numbers();
        let names: Vec<&str> = numbers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.b", "a.c.d", "a.b#2", "a.b#2#2", "a.c.d#2", "x.y"]);
        let found = ["a.b", "a.b#2", "a.c.d", "a.c.d#2", "a.b#3"].map(|name| metrics.number(name));
        assert_eq!(found, [Some(1.0), Some(2.0), Some(5.0), Some(4.0), None]);
    }
}
