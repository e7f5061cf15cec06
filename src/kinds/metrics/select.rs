//! Chooses metrics by patterns over their full names.

use wildmatch::WildMatchPattern;

use super::{MetricMap, MetricValue};

/// Stands for any text in a pattern.
const ANY: char = '*';

impl MetricMap {
    /// The numbers whose full names ([`MetricMap::numbers`]) match a pattern, in which `*` stands for any text; in the order of the patterns,
    /// then of the file. What all patterns begin with, up to a point, is cut off: with `results.*`, `results.acc` is `acc`.
    #[must_use]
    pub fn selected(&self, patterns: &[String]) -> Self {
        let shared = shared_start(patterns);
        let mut left = self.named_numbers();
        let mut chosen: Vec<(String, MetricValue)> = Vec::new();
        for pattern in patterns {
            let pattern = WildMatchPattern::<ANY, '\0'>::new(pattern);
            let (fit, others) = left.into_iter().partition(|(name, _)| pattern.matches(name));
            let fit: Vec<(String, &MetricValue)> = fit;
            let short = |(name, value): (String, &MetricValue)| (name.get(shared..).unwrap_or_default().to_owned(), value.clone());
            chosen.extend(fit.into_iter().map(short));
            left = others;
        }
        chosen.into_iter().collect()
    }
}

/// The length of what all patterns begin with: whole parts of names, each with its point.
fn shared_start(patterns: &[String]) -> usize {
    let fixed = |pattern: &String| {
        let before = pattern.split(ANY).next().unwrap_or_default();
        before.rfind('.').map_or("", |point| &before[..=point]).to_owned()
    };
    let shared = patterns.iter().map(fixed).reduce(|one, other| {
        let parts = one.split_inclusive('.').zip(other.split_inclusive('.'));
        parts.take_while(|(one, other)| one == other).map(|(part, _)| part).collect()
    });
    shared.unwrap_or_default().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(patterns: &[&str]) -> String {
        let text = r#"{"results": {"a": {"acc,none": 0.5, "acc_stderr,none": "N/A"}, "b": {"acc,none": "NaN"}},
                       "config": {"seed": 18446744073709551615, "model": "x"}, "folds": [1, 2]}"#;
        let metrics: MetricMap = serde_json::from_str(text).unwrap();
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        serde_json::to_string(&metrics.selected(&patterns)).unwrap()
    }

    #[test]
    fn patterns_choose_in_their_order_and_lose_what_they_share() {
        assert_eq!(selected(&["results.*"]), r#"{"a.acc,none":0.5,"b.acc,none":"NaN"}"#);
        assert_eq!(selected(&["results.b.*", "results.*"]), r#"{"b.acc,none":"NaN","a.acc,none":0.5}"#);
        assert_eq!(selected(&["results.b.acc,none"]), r#"{"acc,none":"NaN"}"#);
        assert_eq!(
            selected(&["config.seed", "results.a.*"]),
            r#"{"config.seed":18446744073709551615,"results.a.acc,none":0.5}"#
        );
        assert_eq!(
            selected(&["*acc*", "folds.1"]),
            r#"{"results.a.acc,none":0.5,"results.b.acc,none":"NaN","folds.1":2}"#
        );
        assert_eq!(selected(&["resul*"]), r#"{"results.a.acc,none":0.5,"results.b.acc,none":"NaN"}"#);
        assert_eq!((selected(&["nothing"]), selected(&[])), ("{}".to_owned(), "{}".to_owned()));
    }
}
