//! Against lm-evaluation-harness and Python (tests/reference/scoring.py), and against answers judged by hand.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::likelihood::{self, Normalisation, RollingText, ScoredChoice};
use super::metric::{AnswerMetric, Metric, MetricSpec};
use super::pattern::Pattern;
use super::{FilterSpec, Gold, NamedFilterSpec, Outcome};
use lab::config::{ConfigValue, ParamError};

/// The rows of a file of JSON Lines.
fn rows<T: DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn metric(fields: Value) -> AnswerMetric {
    let spec: MetricSpec = serde_json::from_value(fields).unwrap();
    match spec.compile().unwrap() {
        Metric::Answer(metric) => metric,
        other => panic!("{other:?}"),
    }
}

#[test]
fn patterns_find_what_python_finds() {
    let rows: Vec<(String, Option<String>, Value)> = rows(include_str!("patterns.jsonl"));
    assert!(rows.len() > 600);
    let mut differing = Vec::new();
    for (pattern, text, expected) in rows {
        let (Some(text), pattern) = (&text, Pattern::new(&pattern, false).map_err(|error| format!("{pattern}: {error}"))) else {
            if Pattern::new(&pattern, false).is_ok() {
                differing.push(format!("{pattern} is read"));
            }
            continue;
        };
        let found = match pattern.as_ref().map(|pattern| pattern.find_all(text)) {
            Ok(found) => found,
            Err(error) => {
                differing.push(error.clone());
                continue;
            }
        };
        let found = found.iter().map(|found| match found.groups.as_slice() {
            [] => Value::from(found.whole),
            [one] => Value::from(*one),
            groups => Value::from(groups.to_vec()),
        });
        let found = Value::from(found.collect::<Vec<_>>());
        if found != expected {
            differing.push(format!("{pattern:?} in {text:?}: {found}, not {expected}"));
        }
    }
    assert!(differing.is_empty(), "{}\n{}", differing.len(), differing.join("\n"));
}

/// Choices, responses, and what the harness reads.
type FilterCase = (Vec<String>, Vec<String>, Vec<String>);

#[test]
fn filters_read_what_the_harness_reads() {
    let rows: Vec<(Vec<FilterSpec>, Vec<FilterCase>)> = rows(include_str!("filters.jsonl"));
    let cases = rows.iter().flat_map(|(filter, cases)| cases.iter().map(move |case| (filter, case)));
    let (mut differing, mut count) = (Vec::new(), 0);
    for (filter, (choices, responses, expected)) in cases {
        let name = "one".to_owned();
        let compiled = NamedFilterSpec {
            name,
            filter: filter.clone(),
        }
        .compile()
        .unwrap();
        count += responses.len();
        let responses: Vec<&str> = responses.iter().map(String::as_str).collect();
        let read: Vec<String> = compiled
            .apply(&responses, choices)
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| "[invalid]".to_owned()))
            .collect();
        if read != *expected {
            differing.push(format!("{filter:?} {choices:?} {responses:?}: {read:?}, not {expected:?}"));
        }
    }
    assert!(count > 1_500, "{count}");
    assert!(differing.is_empty(), "{}\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn exact_match_judges_as_the_harness() {
    let rows: Vec<(Value, String, String, u8)> = rows(include_str!("metrics.jsonl"));
    assert!(rows.len() > 500);
    let right = rows.iter().filter(|row| row.3 == 1).count();
    assert!((100..rows.len() - 100).contains(&right), "{right}");
    for (mut flags, answer, gold, expected) in rows {
        flags["metric"] = "exact_match".into();
        let score = metric(flags.clone()).score(Some(&answer), &Gold::text(gold.clone()));
        assert_eq!(u8::from(score.outcome == Outcome::Right), expected, "{flags} {answer:?} {gold:?}");
    }
}

#[test]
fn likelihoods_are_compared_as_the_harness_compares_them() {
    let mut seen = 0;
    for row in rows::<Vec<Value>>(include_str!("likelihoods.jsonl")) {
        let part = |place: usize| row[place].clone();
        if row[0] == "choices" {
            let (choices, lls): (Vec<String>, Vec<f64>) =
                (serde_json::from_value(part(1)).unwrap(), serde_json::from_value(part(2)).unwrap());
            let (free, gold): (Vec<f64>, Vec<usize>) = (serde_json::from_value(part(3)).unwrap(), serde_json::from_value(part(4)).unwrap());
            let scored: Vec<ScoredChoice<'_>> = (0..choices.len())
                .map(|place| ScoredChoice {
                    text: &choices[place],
                    log_likelihood: lls[place],
                    unconditional: Some(free[place]),
                    tokens: 1,
                })
                .collect();
            for (name, expected) in row[5].as_object().unwrap() {
                let right = likelihood::is_right(&scored, Normalisation::of_metric(name).unwrap(), &gold);
                assert_eq!(f64::from(u8::from(right)), expected.as_f64().unwrap(), "{name} {row:?}");
                seen += 1;
            }
            continue;
        }
        let (texts, lls): (Vec<String>, Vec<f64>) = (serde_json::from_value(part(1)).unwrap(), serde_json::from_value(part(2)).unwrap());
        let rolling: Vec<RollingText> = texts.iter().zip(&lls).map(|(text, ll)| RollingText::new(text, *ll)).collect();
        let counts = (
            rolling.iter().map(|text| text.words).collect::<Vec<_>>(),
            rolling.iter().map(|text| text.bytes).collect::<Vec<_>>(),
        );
        assert_eq!((Value::from(counts.0), Value::from(counts.1)), (part(3), part(4)));
        let measured = [
            likelihood::perplexity(&lls),
            likelihood::word_perplexity(&rolling),
            likelihood::byte_perplexity(&rolling),
            likelihood::bits_per_byte(&rolling),
        ];
        for (place, measured) in measured.into_iter().enumerate() {
            let expected = row[place + 5].as_f64().unwrap();
            assert!((measured.unwrap() / expected - 1.0).abs() < 1e-12, "{place}");
            seen += 1;
        }
    }
    assert!(seen > 250, "{seen}");
}

/// Judged by hand: the right answer, a response, and whether it is right (1) or not (0).
#[test]
fn free_answers_are_judged_as_by_hand() {
    let rows: Vec<(String, String, u8)> = rows(include_str!("free_answers.jsonl"));
    let number = metric(json!({"metric": "number"}));
    let otherwise: Vec<String> = rows
        .iter()
        .filter(|(gold, answer, judged)| {
            let score = number.score(Some(answer), &Gold::text(gold.clone()));
            u8::from(score.outcome == Outcome::Right) != *judged
        })
        .map(|(gold, answer, judged)| format!("{judged} {gold} {answer:?}"))
        .collect();
    assert!(rows.len() >= 99);
    insta::assert_snapshot!(otherwise.join("\n"), @r#"1 6.5 "The answer is 6.5 hours, or 6 hours and 30 minutes.""#);
}

#[test]
fn errors_of_reading_have_a_place() {
    let place = |error: ParamError| (error.path.join("."), error.to_string());
    let filter = |json: Value| place(ConfigValue::from(json).read::<NamedFilterSpec>().unwrap_err());
    let metric = |json: Value| place(ConfigValue::from(json).read::<MetricSpec>().unwrap_err());
    let read = [
        filter(json!({"name": "a", "filter": [{"function": "line"}, {"function": "rgex"}]})),
        filter(json!({"name": "a", "filter": [{"function": "regex", "regex": "a"}]})),
        filter(json!({"name": "a", "filter": [{"function": "regex", "group_select": "last"}]})),
        filter(json!({"name": "a", "filter": [{"regex_pattern": "a"}]})),
        metric(json!({"metric": "bleu"})),
        metric(json!({"metric": "exact_match", "ignore_case": "yes"})),
    ];
    let expected = [
        ("filter.1.function", "no `rgex` (known: regex, multi_choice_regex,"),
        ("filter.0.regex", "no field `regex` (known: function, regex_pattern,"),
        ("filter.0.group_select", "must be "),
        ("filter.0", "a field `function` is missing"),
        ("metric", "no `bleu` (known: exact_match, number,"),
        ("ignore_case", "must be "),
    ];
    for ((path, message), (place, begins)) in read.into_iter().zip(expected) {
        assert!(path == place && message.starts_with(begins), "{path}: {message}");
    }
    let good = json!({"name": "a", "filter": [{"function": "map", "mapping_dict": {"A": 1}, "default_value": "x"}]});
    let spec = ConfigValue::from(good.clone()).read::<NamedFilterSpec>().unwrap();
    assert_eq!(serde_json::to_value(spec).unwrap(), good);
}
