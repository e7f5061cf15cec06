use serde_json::{Value, json};

use super::*;
use crate::scoring::score::Outcome;

fn compiled(fields: Value) -> Result<Metric, String> {
    let spec: MetricSpec = serde_json::from_value(fields).unwrap();
    spec.compile().map_err(|error| format!("{}: {error}", error.path.join(".")))
}

fn score(fields: Value, answer: Option<&str>, gold: &Gold) -> Score {
    match compiled(fields).unwrap() {
        Metric::Answer(metric) => metric.score(answer, gold),
        other => panic!("{other:?}"),
    }
}

fn outcome(fields: &Value, answer: &str, right: &str) -> Outcome {
    score(fields.clone(), Some(answer), &Gold::text(right)).outcome
}

/// Each answer with what is right: the first list must be right, the second wrong.
fn judged(fields: &Value, right: &[(&str, &str)], wrong: &[(&str, &str)]) {
    for (answer, gold) in right {
        assert_eq!(outcome(fields, answer, gold), Outcome::Right, "{fields} {answer:?} {gold:?}");
    }
    for (answer, gold) in wrong {
        assert_eq!(outcome(fields, answer, gold), Outcome::Wrong, "{fields} {answer:?} {gold:?}");
    }
}

#[test]
fn numbers_are_compared_as_numbers() {
    let numeric = |more: Value| {
        let mut fields = json!({"metric": "exact_match", "numeric": true});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    judged(
        &numeric(json!({})),
        &[
            ("018", "18"),
            ("$1,080.00", "1080"),
            ("18 kg.", "18"),
            ("1/2", "0.5"),
            ("50%", "50"),
            ("eighteen", "18"),
            ("1e3", "1,000"),
            ("Paris", "Paris"),
        ],
        &[
            ("711", "11"),
            ("18.001", "18"),
            ("-18", "18"),
            ("0.5", "50%"),
            ("about 18", "18"),
            ("paris", "Paris"),
            ("x", "18"),
        ],
    );
    judged(
        &numeric(json!({"percent": true})),
        &[("50%", "0.5"), ("0.5", "50%"), ("50 percent", "50\\%"), ("50", "50"), ("0%", "0")],
        &[("50", "50%"), ("50%", "50")],
    );
    // 18.1 − 18 is above 0.1 in floats.
    judged(
        &numeric(json!({"tolerance": 0.1})),
        &[("18.1", "18"), ("17.9", "18"), ("18", "18")],
        &[("18.101", "18"), ("17.8", "18")],
    );
    judged(
        &numeric(json!({"relative_tolerance": 0.01})),
        &[("101", "100"), ("-99", "-100"), ("1e300", "1.005e300"), ("0", "0")],
        &[("101.1", "100"), ("1e-9", "0"), ("1e300", "1.02e300")],
    );
    judged(&numeric(json!({"ignore_case": true})), &[("paris", "Paris")], &[]);
}

#[test]
fn answers_are_right_wrong_or_none() {
    let exact = json!({"metric": "exact_match"});
    let several = Gold {
        texts: vec!["a".to_owned(), "b".to_owned()],
        ..Gold::default()
    };
    assert_eq!(score(exact.clone(), Some("b"), &several), Score::RIGHT);
    assert_eq!(score(exact.clone(), None, &several), Score::NO_ANSWER);
    assert_eq!(score(exact.clone(), Some(" \n"), &several), Score::NO_ANSWER);
    assert_eq!(outcome(&exact, "", ""), Outcome::Right);
    assert_eq!(outcome(&exact, " 18", "18"), Outcome::Wrong);
    let number = json!({"metric": "number"});
    assert_eq!(outcome(&number, "I do not know.", "18"), Outcome::NoAnswer);
    assert_eq!(outcome(&number, "18x", "18"), Outcome::Wrong);
    assert_eq!(outcome(&number, "18", "many"), Outcome::Unscored);
    assert_eq!(outcome(&number, "It is 18.", "3 * 6 = 18\n#### 18"), Outcome::Right);
    let Metric::Answer(number) = compiled(number).unwrap() else {
        panic!()
    };
    assert_eq!(
        number.check_gold(&Gold::text("many")),
        Err("`number` needs a number as the target, and `many` is none".to_owned())
    );
}

#[test]
fn texts_are_searched() {
    judged(
        &json!({"metric": "includes"}),
        &[("It is PARIS.", "Paris")],
        &[("It is Rome.", "Paris")],
    );
    judged(
        &json!({"metric": "includes", "ignore_case": false}),
        &[("Paris!", "Paris")],
        &[("PARIS", "Paris")],
    );
    let pattern = json!({"metric": "pattern", "pattern": r"from (\w+) to (\w+)"});
    judged(
        &pattern,
        &[("From Rome to Paris", "paris"), ("from Paris to Rome", "Paris")],
        &[("from Rome to Bonn", "Paris")],
    );
    assert_eq!(outcome(&pattern, "Paris", "Paris"), Outcome::NoAnswer);
    let all = json!({"metric": "pattern", "pattern": r"from (\w+) to (\w+)", "match_all": true});
    judged(&all, &[("from Paris to Paris", "Paris")], &[("from Rome to Paris", "Paris")]);
    judged(
        &json!({"metric": "pattern", "pattern": "[A-Z]$", "ignore_case": false}),
        &[("It is B", "B")],
        &[("It is B", "C")],
    );
}

/// The values are those of SQuAD's evaluate-v1.1.py, by hand.
#[test]
fn words_are_counted() {
    let value = |answer: &str, right: &str| score(json!({"metric": "f1"}), Some(answer), &Gold::text(right)).value.unwrap();
    for (answer, right, expected) in [
        ("The Eiffel Tower!", "eiffel tower", 1.0),
        ("in Paris, France", "Paris", 0.5),
        ("a b c", "c d", 0.5),
        ("x x y", "x", 0.5),
        ("Rome", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("the", "an", 1.0),
    ] {
        assert!(
            (value(answer, right) - expected).abs() < 1e-12,
            "{answer}: {}",
            value(answer, right)
        );
    }
    let f1 = |threshold: f64| {
        score(
            json!({"metric": "f1", "threshold": threshold}),
            Some("in Paris, France"),
            &Gold::text("Paris"),
        )
    };
    assert_eq!((f1(0.5).outcome, f1(0.6).outcome), (Outcome::Right, Outcome::Wrong));
    assert_eq!(outcome(&json!({"metric": "f1"}), "", "Paris"), Outcome::NoAnswer);
}

#[test]
fn sets_have_no_order() {
    judged(
        &json!({"metric": "set"}),
        &[
            ("b, a", "a, b"),
            ("B and A.", "a, b"),
            ("a, b, and c", "c, b, a"),
            ("- a\n- b", "['b', 'a']"),
            ("{2, 1.0}", "1, 2"),
            ("\\{1; 2\\}", "[2, 1]"),
            ("a, a", "a"),
            ("18", "18"),
        ],
        &[("a", "a, b"), ("a, b, c", "a, b"), ("1, 3", "1, 2"), ("ab", "a, b")],
    );
}

#[test]
fn choices_are_read_out_of_free_answers() {
    let gold = |index: usize| Gold {
        indices: vec![index],
        choices: ["Paris", "New York", "York", "it is a city"].map(str::to_owned).to_vec(),
        ..Gold::default()
    };
    let outcome = |answer: &str, index: usize| score(json!({"metric": "choice"}), Some(answer), &gold(index)).outcome;
    for (answer, index) in [
        ("B", 1),
        ("(b)", 1),
        ("**B**", 1),
        ("B.", 1),
        ("B) New York", 1),
        ("new york.", 1),
        ("York", 2),
        ("The answer is B.", 1),
        ("The answer is (B), since A is in France.", 1),
        ("A is in France. So the answer is: **C**", 2),
        ("The correct option is C", 2),
        ("Answer: B\n\nExplanation: A is wrong.", 1),
        ("ANSWER: $B$", 1),
        ("\\boxed{C}", 2),
        ("\\boxed{\\text{(C)}}", 2),
        ("I think the answer is New York.", 1),
        ("The answer is York, in England.", 2),
        ("It must be (D).", 3),
        ("B. New York is the largest.", 1),
        ("That city is New York", 1),
        ("First I thought the answer is A. No: the answer is B.", 1),
    ] {
        assert_eq!(outcome(answer, index), Outcome::Right, "{answer}");
        assert_eq!(outcome(answer, (index + 1) % 4), Outcome::Wrong, "{answer}");
    }
    for answer in ["", "I do not know", "E", "Paris or New York", "A city"] {
        assert_eq!(outcome(answer, 0), Outcome::NoAnswer, "{answer}");
    }
    let without = score(json!({"metric": "choice"}), Some("B"), &Gold::text("B"));
    assert_eq!(without, Score::UNSCORED);
}

#[test]
fn wrong_fields_are_refused_with_their_place() {
    let wrong = [
        json!({"metric": "exact_match", "threshold": 0.5}),
        json!({"metric": "math", "ignore_case": true}),
        json!({"metric": "exact_match", "tolerance": 0.1}),
        json!({"metric": "exact_match", "numeric": true, "tolerance": -1}),
        json!({"metric": "exact_match", "regexes_to_ignore": ["a", "("]}),
        json!({"metric": "pattern"}),
        json!({"metric": "pattern", "pattern": "["}),
        json!({"metric": "f1", "threshold": 0}),
        json!({"metric": "f1", "aggregation": "f1"}),
        json!({"metric": "acc", "aggregation": "median"}),
        json!({"metric": "bits_per_byte", "higher_is_better": true}),
    ];
    insta::assert_snapshot!(wrong.map(|fields| compiled(fields).unwrap_err()).join("\n"), @r"
    threshold: `exact_match` has no `threshold` (known: ignore_case, ignore_punctuation, ignore_numbers, regexes_to_ignore, numeric, tolerance, relative_tolerance, percent)
    ignore_case: `math` has no `ignore_case`, and no other field
    tolerance: `tolerance` is for numbers: set `numeric = true` beside it
    tolerance: `tolerance` must be 0 or more
    regexes_to_ignore.1: no regular expression: a bracket is not closed (at character 1)
    : `pattern` needs a field `pattern`, a regular expression
    pattern: no regular expression: `]` is missing (at character 1)
    threshold: `threshold` must be above 0 and at most 1
    aggregation: the F1 of classes over a whole data set is not known: `f1` compares the words of each answer, and its aggregation is `mean`
    aggregation: the aggregation of `acc` is `mean`; `median` is not known for it
    higher_is_better: `bits_per_byte` is better when it is lower
    ");
    let harness = json!({"metric": "acc_norm", "aggregation": "mean", "higher_is_better": true});
    assert!(matches!(compiled(harness), Ok(Metric::Choices(Normalisation::PerCharacter))));
    assert!(matches!(
        compiled(json!({"metric": "byte_perplexity", "aggregation": "weighted_perplexity"})),
        Ok(Metric::Texts("byte_perplexity"))
    ));
    // What is at its default is not written, so that it is in no key.
    assert_eq!(
        serde_json::to_value(MetricSpec::new(MetricName::ExactMatch)).unwrap(),
        json!({"metric": "exact_match"})
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_judged(answer in r"(?s).{0,60}", right in r"[-0-9a-d ,./\\{}()$%^=*]{0,20}") {
        for fields in [
            json!({"metric": "exact_match", "numeric": true, "tolerance": 0.5, "percent": true}),
            json!({"metric": "number"}), json!({"metric": "f1"}), json!({"metric": "math"}), json!({"metric": "set"}),
        ] {
            let _ = score(fields.clone(), Some(&answer), &Gold::text(right.clone()));
            let _ = score(fields, Some(&right), &Gold::text(right.clone()));
        }
        let gold = Gold { indices: vec![0], choices: vec![right.clone(), "x".to_owned()], ..Gold::default() };
        let _ = score(json!({"metric": "choice"}), Some(&answer), &gold);
    }
}
